/**
 * Products of matrices in which every element adds its terms in one order.
 *
 * For few and long sums the stock kernels part the sum among workgroups, which add what they have in any order. All
 * other ways they know are orderly, so one of those is asked for instead.
 */
import type { KernelFunc, TensorInfo, Tf } from "../TensorFlow.ts"
import { type KernelCall, sizeOf, zeros } from "./Gpu.ts"

/** The stock backend's flag that names a way, and its values. */
const flag = "WEBGPU_MATMUL_PROGRAM_TYPE"
const ways = { reduce: 0, smallOutput: 2, packed: 3 } as const

/** From this many terms on the stock backend considers parting a sum. */
const longSum = 2000

interface Attributes {
  readonly transposeA?: boolean
  readonly transposeB?: boolean
}

type Product = KernelCall<{ readonly a: TensorInfo; readonly b: TensorInfo }, Attributes>

/** The way that the stock backend would have chosen, could it not part sums. */
const orderly = ({ attrs: { transposeA, transposeB }, backend, inputs: { a, b } }: Product): number | undefined => {
  const [rows, inner] = (transposeA === true ? a.shape.slice(-2).toReversed() : a.shape.slice(-2)) as [number, number]
  const columns = b.shape.at(transposeB === true ? -2 : -1)!
  if (inner < longSum || sizeOf(a.shape.slice(0, -2)) !== 1 || sizeOf(b.shape.slice(0, -2)) !== 1) return undefined
  if (rows * columns <= 128) return ways.reduce
  const tiles = Math.ceil(rows / 32) * Math.ceil(columns / 32)
  const few = backend.thresholdToIncreaseWorkgroups
  return tiles <= few || (rows <= 8 && tiles <= 2 * few) ? ways.smallOutput : ways.packed
}

/** A product that parts no sum. */
export const orderlyProduct = (tf: Tf) => (stock: KernelFunc): KernelFunc => (call) => {
  const way = orderly(call as unknown as Product)
  if (way === undefined) return stock(call)
  tf.env().set(flag, way)
  try {
    return stock(call)
  } finally {
    tf.env().set(flag, -1)
  }
}

/** A product of no terms is 0; the stock kernels would bind buffers of no bytes, which WebGPU refuses. */
export const emptyProduct = (stock: KernelFunc): KernelFunc => (call) => {
  const { attrs: { transposeA, transposeB }, backend, inputs: { a, b } } = call as unknown as Product
  const outer = a.shape.length >= b.shape.length ? a.shape.slice(0, -2) : b.shape.slice(0, -2)
  const shape = [...outer, a.shape.at(transposeA === true ? -1 : -2)!, b.shape.at(transposeB === true ? -2 : -1)!]
  const isEmpty = sizeOf(a.shape) === 0 || sizeOf(b.shape) === 0
  return isEmpty && (sizeOf(shape) === 0 || call.inputs["bias"] === undefined)
    ? zeros(backend, shape, "float32")
    : stock(call)
}
