/** GatherV2 along the first axis, the lookup of an embedding: rows copied whole. The stock kernel copies elements. */
import type { KernelFunc, TensorInfo } from "../TensorFlow.ts"
import { addressOf, type KernelCall, sizeOf } from "./Heap.ts"

interface Attributes {
  readonly axis: number
  readonly batchDims: number | undefined
}

export const gather = (stock: KernelFunc): KernelFunc =>
  ((call: KernelCall<{ readonly x: TensorInfo; readonly indices: TensorInfo }, Attributes>) => {
    const { attrs: { axis, batchDims }, backend, inputs: { indices, x } } = call
    const first = axis === 0 || axis === -x.shape.length
    if (!first || (batchDims ?? 0) !== 0 || (x.dtype !== "float32" && x.dtype !== "int32")) {
      return stock(call as unknown as Parameters<KernelFunc>[0])
    }
    const inner = x.shape.slice(1)
    const width = sizeOf(inner), count = sizeOf(indices.shape), limit = x.shape[0]!
    const out = backend.makeOutput([...indices.shape, ...inner], x.dtype)
    const heap = backend.wasm.HEAP32
    const from = addressOf(backend, x) / 4, which = addressOf(backend, indices) / 4
    let to = addressOf(backend, out) / 4
    for (let at = 0; at < count; at++) {
      const index = heap[which + at]!
      if (index < 0 || index >= limit) {
        backend.disposeData(out.dataId)
        throw new RangeError(`gather: the index ${index} at position ${at} is not in 0 .. ${limit - 1}`)
      }
      const start = from + index * width
      if (width >= 64) heap.copyWithin(to, start, start + width)
      else for (let i = 0; i < width; i++) heap[to + i] = heap[start + i]!
      to += width
    }
    return out
  }) as unknown as KernelFunc
