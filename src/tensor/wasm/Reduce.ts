/**
 * Sum and UnsortedSegmentSum.
 *
 * The stock Sum over leading axes (every bias's gradient) transposes its input first, at 8 ns an element, and adds up in
 * float32. The stock backend lacks UnsortedSegmentSum, the gradient of an embedding.
 */
import type { KernelFunc, TensorInfo } from "../TensorFlow.ts"
import { addressOf, type KernelCall, sizeOf } from "./Heap.ts"
import type { Library } from "./Library.ts"

/**
 * Sums over the rows of a matrix, in double precision: a running float32 sum of a million terms loses three digits.
 * Eight columns at a time, so that their sums stay in registers. `source` and `target` are indices of elements.
 */
const sumRows = (heap: Float32Array, source: number, target: number, rows: number, columns: number): void => {
  const end = source + rows * columns
  let column = 0
  for (; column + 8 <= columns; column += 8) {
    let s0 = 0, s1 = 0, s2 = 0, s3 = 0, s4 = 0, s5 = 0, s6 = 0, s7 = 0
    for (let at = source + column; at < end; at += columns) {
      s0 += heap[at]!
      s1 += heap[at + 1]!
      s2 += heap[at + 2]!
      s3 += heap[at + 3]!
      s4 += heap[at + 4]!
      s5 += heap[at + 5]!
      s6 += heap[at + 6]!
      s7 += heap[at + 7]!
    }
    const to = target + column
    heap[to] = s0
    heap[to + 1] = s1
    heap[to + 2] = s2
    heap[to + 3] = s3
    heap[to + 4] = s4
    heap[to + 5] = s5
    heap[to + 6] = s6
    heap[to + 7] = s7
  }
  for (; column < columns; column++) {
    let total = 0
    for (let at = source + column; at < end; at += columns) total += heap[at]!
    heap[target + column] = total
  }
}

interface SumAttributes {
  readonly axis: number | ReadonlyArray<number> | null | undefined
  readonly keepDims: boolean | undefined
}

export const sum = (library: Library | undefined) => (stock: KernelFunc): KernelFunc =>
  ((call: KernelCall<{ readonly x: TensorInfo }, SumAttributes>) => {
    const { attrs: { axis, keepDims }, backend, inputs: { x } } = call
    const rank = x.shape.length
    const axes = (axis === null || axis === undefined
      ? x.shape.map((_, at) => at)
      : typeof axis === "number"
      ? [axis]
      : axis).map((at) => at < 0 ? at + rank : at).toSorted((a, b) => a - b)
    const leading = axes.every((at, position) => at === position)
    const rows = sizeOf(x.shape.slice(0, axes.length))
    const columns = sizeOf(x.shape.slice(axes.length))
    const empty = rows * columns === 0
    if (!empty && (x.dtype !== "float32" || !leading || axes.length === 0)) {
      return stock(call as unknown as Parameters<KernelFunc>[0])
    }
    const outShape = keepDims === true
      ? x.shape.map((extent, at) => axes.includes(at) ? 1 : extent)
      : x.shape.filter((_, at) => !axes.includes(at))
    const out = backend.makeOutput(outShape, x.dtype)
    if (empty) {
      // A sum of nothing is 0; the stock kernel divides by the extent.
      const start = addressOf(backend, out) / 4
      backend.wasm.HEAP32.fill(0, start, start + sizeOf(outShape))
      return out
    }
    if (library !== undefined && columns > 1) {
      library.sumRows(addressOf(backend, x), addressOf(backend, out), rows, columns)
    } else {
      sumRows(backend.wasm.HEAPF32, addressOf(backend, x) / 4, addressOf(backend, out) / 4, rows, columns)
    }
    return out
  }) as unknown as KernelFunc

interface SegmentSumAttributes {
  readonly numSegments: number
}

/** Adds each row of `x` to the row of the output that its segment names. Segments outside the range are left out. */
export const unsortedSegmentSum: KernelFunc = ((
  { attrs: { numSegments }, backend, inputs: { segmentIds, x } }: KernelCall<
    { readonly x: TensorInfo; readonly segmentIds: TensorInfo },
    SegmentSumAttributes
  >
) => {
  if (segmentIds.shape.some((extent, at) => extent !== x.shape[at])) {
    throw new RangeError(
      `unsortedSegmentSum: segments [${segmentIds.shape.join(", ")}] do not name the rows of [${x.shape.join(", ")}]`
    )
  }
  const inner = x.shape.slice(segmentIds.shape.length)
  const width = sizeOf(inner), count = sizeOf(segmentIds.shape)
  const out = backend.makeOutput([numSegments, ...inner], x.dtype)
  const { wasm } = backend
  const heap = x.dtype === "float32" ? wasm.HEAPF32 : wasm.HEAP32
  const source = addressOf(backend, x) / 4, target = addressOf(backend, out) / 4
  const segments = wasm.HEAP32.subarray(addressOf(backend, segmentIds) / 4, addressOf(backend, segmentIds) / 4 + count)
  heap.fill(0, target, target + numSegments * width)
  for (let row = 0; row < count; row++) {
    const segment = segments[row]!
    if (segment < 0 || segment >= numSegments) continue
    const from = source + row * width, to = target + segment * width
    for (let column = 0; column < width; column++) heap[to + column] = heap[to + column]! + heap[from + column]!
  }
  return out
}) as unknown as KernelFunc
