/**
 * Slice and SplitV. The stock kernel copies the whole tensor out of the heap before it takes a part, once a part.
 */
import type { KernelFunc, TensorInfo, Tf } from "../TensorFlow.ts"
import { addressOf, type KernelCall, sizeOf, type WasmBackend } from "./Heap.ts"

/** Copies the box at `begin` of extents `size` out of a tensor of 4-byte elements. */
const copyBox = (
  backend: WasmBackend,
  x: TensorInfo,
  begin: ReadonlyArray<number>,
  size: ReadonlyArray<number>
): TensorInfo => {
  const out = backend.makeOutput(size, x.dtype)
  if (sizeOf(size) === 0) return out
  const rank = size.length
  // Trailing axes that are kept whole are contiguous, and so is the part taken of the axis before them.
  let axis = rank
  let run = 1
  while (axis > 0) {
    axis--
    run *= size[axis]!
    if (size[axis] !== x.shape[axis]) break
  }
  const strides = Array.from(size, () => 1)
  for (let at = rank - 2; at >= 0; at--) strides[at] = strides[at + 1]! * x.shape[at + 1]!
  const heap = backend.wasm.HEAP32
  let from = addressOf(backend, x) / 4 + begin.reduce((offset, start, at) => offset + start * strides[at]!, 0)
  const target = addressOf(backend, out) / 4
  const at = Array.from(size, () => 0)
  const end = target + sizeOf(size)
  for (let to = target; to < end; to += run) {
    if (run >= 64) heap.copyWithin(to, from, from + run)
    else for (let i = 0; i < run; i++) heap[to + i] = heap[from + i]!
    for (let outer = axis - 1; outer >= 0; outer--) {
      from += strides[outer]!
      if (++at[outer]! < size[outer]!) break
      from -= strides[outer]! * size[outer]!
      at[outer] = 0
    }
  }
  return out
}

const isCopyable = (x: TensorInfo): boolean => x.dtype === "float32" || x.dtype === "int32"

interface SliceAttributes {
  readonly begin: number | Array<number>
  readonly size: number | Array<number>
}

export const slice = (tf: Tf) => (stock: KernelFunc): KernelFunc =>
  ((call: KernelCall<{ readonly x: TensorInfo }, SliceAttributes>) => {
    const { attrs, backend, inputs: { x } } = call
    if (!isCopyable(x)) return stock(call as unknown as Parameters<KernelFunc>[0])
    const [begin, size] = tf.slice_util.parseSliceParams(x, attrs.begin, attrs.size) as [Array<number>, Array<number>]
    tf.slice_util.assertParamsValid(x as Parameters<typeof tf.slice_util.assertParamsValid>[0], begin, size)
    return copyBox(backend, x, begin, size)
  }) as unknown as KernelFunc

interface SplitAttributes {
  readonly numOrSizeSplits: number | Array<number>
  readonly axis: number
}

export const split = (tf: Tf) => (stock: KernelFunc): KernelFunc =>
  ((call: KernelCall<{ readonly x: TensorInfo }, SplitAttributes>) => {
    const { attrs, backend, inputs: { x } } = call
    if (!isCopyable(x)) return stock(call as unknown as Parameters<KernelFunc>[0])
    const axis = attrs.axis < 0 ? attrs.axis + x.shape.length : attrs.axis
    const extents = tf.backend_util.prepareSplitSize(
      x as Parameters<typeof tf.backend_util.prepareSplitSize>[0],
      attrs.numOrSizeSplits,
      axis
    )
    let start = 0
    return extents.map((extent) => {
      const part = copyBox(
        backend,
        x,
        x.shape.map((_, at) => at === axis ? start : 0),
        x.shape.map((whole, at) => at === axis ? extent : whole)
      )
      start += extent
      return part
    })
  }) as unknown as KernelFunc
