/**
 * BatchMatMul. The stock kernel hands a single product without transposes to XNNPACK (some 20 GFLOP/s) and everything
 * else to three nested loops (1 to 2 GFLOP/s), and the backward pass of a network is everything else. Here each product
 * of the batch goes to our own function, to which a transposed operand costs nothing extra (some 50 GFLOP/s); or, where
 * the engine cannot run that, to XNNPACK with the transposed operand written out first.
 */
import type { KernelFunc, TensorInfo } from "../TensorFlow.ts"
import { addressOf, allocate, type KernelCall, nativeFunction, scratch, sizeOf, type WasmBackend } from "./Heap.ts"
import type { Library } from "./Library.ts"
import { transposeMatrix } from "./Transpose.ts"

/**
 * Numbers under which parts of tensors are shown to the C++ side for one call. It counts its own from 1 up and never
 * gets here.
 */
const aliases = { a: 0x7fff_fff1, b: 0x7fff_fff2, out: 0x7fff_fff3 } as const

/**
 * One product `[m, k] x [k, n]` of matrices anywhere in the heap.
 *
 * XNNPACK packs `b` once and keeps it with the tensor's number until that is disposed; so `b` is announced under a number
 * of its own each time, which is disposed at once.
 */
const multiply = (
  { wasm }: WasmBackend,
  { a, b, k, m, n, out }: {
    readonly a: number
    readonly b: number
    readonly out: number
    readonly m: number
    readonly k: number
    readonly n: number
  }
): void => {
  const shapes = scratch(wasm)
  wasm.HEAP32.set([1, m, k, 1, k, n], shapes / 4)
  wasm.tfjs.registerTensor(aliases.a, m * k, a)
  wasm.tfjs.registerTensor(aliases.b, k * n, b)
  wasm.tfjs.registerTensor(aliases.out, m * n, out)
  nativeFunction(wasm, "BatchMatMul", 9)(aliases.a, shapes, 3, aliases.b, shapes + 12, 3, 0, 0, aliases.out)
  wasm.tfjs.disposeData(aliases.a)
  wasm.tfjs.disposeData(aliases.b)
  wasm.tfjs.disposeData(aliases.out)
}

/**
 * For each matrix of the output, which matrix of an input with these batch dimensions it takes: the rule of
 * broadcasting, where an extent of 1 repeats.
 */
export const broadcastBatch = (inner: ReadonlyArray<number>, outer: ReadonlyArray<number>): Int32Array => {
  const indices = new Int32Array(sizeOf(outer))
  const missing = outer.length - inner.length
  for (let flat = 0; flat < indices.length; flat++) {
    let rest = flat, index = 0, stride = 1
    for (let axis = outer.length - 1; axis >= missing; axis--) {
      const at = rest % outer[axis]!
      rest = (rest - at) / outer[axis]!
      const extent = inner[axis - missing]!
      if (extent !== 1) index += at * stride
      stride *= extent
    }
    indices[flat] = index
  }
  return indices
}

/** The shape that both broadcast to; `undefined` if there is none. */
const broadcastShapes = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): Array<number> | undefined => {
  const rank = Math.max(a.length, b.length)
  const shape: Array<number> = []
  for (let at = 0; at < rank; at++) {
    const left = a[at - rank + a.length] ?? 1, right = b[at - rank + b.length] ?? 1
    if (left !== right && left !== 1 && right !== 1) return undefined
    shape.push(left === 1 ? right : left)
  }
  return shape
}

interface Attributes {
  readonly transposeA: boolean
  readonly transposeB: boolean
}

export const batchMatMul = (library: Library | undefined) => (stock: KernelFunc): KernelFunc =>
  ((call: KernelCall<{ readonly a: TensorInfo; readonly b: TensorInfo }, Attributes>) => {
    const { attrs: { transposeA, transposeB }, backend, inputs: { a, b } } = call
    if (a.dtype !== "float32" || b.dtype !== "float32") return stock(call as unknown as Parameters<KernelFunc>[0])
    const [rowsA, columnsA] = a.shape.slice(-2) as [number, number]
    const [rowsB, columnsB] = b.shape.slice(-2) as [number, number]
    const batchA = a.shape.slice(0, -2), batchB = b.shape.slice(0, -2)
    const batch = broadcastShapes(batchA, batchB)
    const k = transposeA ? rowsA : columnsA
    if (batch === undefined || k !== (transposeB ? columnsB : rowsB)) {
      const show = (tensor: TensorInfo, transposed: boolean) =>
        `[${tensor.shape.join(", ")}]${transposed ? " (transposed)" : ""}`
      throw new RangeError(`matMul: ${show(a, transposeA)} and ${show(b, transposeB)} do not fit`)
    }
    const n = transposeB ? rowsB : columnsB
    let m = transposeA ? columnsA : rowsA
    let products = sizeOf(batch)
    const out = backend.makeOutput([...batch, m, n], "float32")
    if (products * m * n === 0) return out
    const { wasm } = backend
    const addressA = addressOf(backend, a), addressB = addressOf(backend, b), addressOut = addressOf(backend, out)
    // Many left matrices against one right matrix are one tall product.
    if (!transposeA && sizeOf(batchB) === 1) {
      m *= products
      products = 1
    }
    const whichA = products === 1 ? single : broadcastBatch(batchA, batch)
    const whichB = products === 1 ? single : broadcastBatch(batchB, batch)
    if (library !== undefined) {
      for (let at = 0; at < products; at++) {
        library.product(
          addressA + 4 * whichA[at]! * m * k,
          transposeA ? m : k,
          transposeA ? 1 : 0,
          addressB + 4 * whichB[at]! * k * n,
          transposeB ? k : n,
          transposeB ? 1 : 0,
          addressOut + 4 * at * m * n,
          n,
          0,
          m,
          k,
          n,
          library.scratch
        )
      }
      return out
    }
    if (k === 0) {
      wasm.HEAPF32.fill(0, addressOut / 4, addressOut / 4 + products * m * n)
      return out
    }
    const spareA = transposeA ? allocate(wasm, 4 * m * k) : 0
    const spareB = transposeB ? allocate(wasm, 4 * k * n) : 0
    let heldA = -1, heldB = -1
    for (let at = 0; at < products; at++) {
      const indexA = whichA[at]!, indexB = whichB[at]!
      if (transposeA && indexA !== heldA) {
        transposeMatrix(wasm.HEAP32, addressA / 4 + indexA * m * k, spareA / 4, k, m)
        heldA = indexA
      }
      if (transposeB && indexB !== heldB) {
        transposeMatrix(wasm.HEAP32, addressB / 4 + indexB * k * n, spareB / 4, n, k)
        heldB = indexB
      }
      multiply(backend, {
        a: transposeA ? spareA : addressA + 4 * indexA * m * k,
        b: transposeB ? spareB : addressB + 4 * indexB * k * n,
        out: addressOut + 4 * at * m * n,
        m,
        k,
        n
      })
    }
    if (transposeA) wasm._free(spareA)
    if (transposeB) wasm._free(spareB)
    return out
  }) as unknown as KernelFunc

const single = Int32Array.of(0)
