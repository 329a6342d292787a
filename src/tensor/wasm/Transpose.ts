/**
 * Transpose. The stock kernel walks a matrix so that every write misses the cache once the number of rows is a large
 * power of two (4 ns an element for 1024 rows), and falls to index arithmetic an element from rank 5 on.
 */
import type { KernelFunc, TensorInfo } from "../TensorFlow.ts"
import { addressOf, type KernelCall, sizeOf, view, type WasmBackend } from "./Heap.ts"

/**
 * Writes the transpose of a `rows` by `columns` matrix of 4-byte elements. `source` and `target` are indices of
 * elements. Eight columns at a time: a row's eight neighbours share a cache line, and eight lines of output fit the
 * ways of a set.
 */
export const transposeMatrix = (
  heap: Int32Array,
  source: number,
  target: number,
  rows: number,
  columns: number
): void => {
  let column = 0
  for (; column + 8 <= columns; column += 8) {
    for (let row = 0; row < rows; row++) {
      const from = source + row * columns + column
      let to = target + column * rows + row
      heap[to] = heap[from]!
      heap[to += rows] = heap[from + 1]!
      heap[to += rows] = heap[from + 2]!
      heap[to += rows] = heap[from + 3]!
      heap[to += rows] = heap[from + 4]!
      heap[to += rows] = heap[from + 5]!
      heap[to += rows] = heap[from + 6]!
      heap[to += rows] = heap[from + 7]!
    }
  }
  for (; column < columns; column++) {
    for (let row = 0; row < rows; row++) heap[target + column * rows + row] = heap[source + row * columns + column]!
  }
}

/**
 * The same transposition with the fewest axes: axes of extent 1 dropped, axes that stay neighbours joined. Splitting
 * heads apart or together then is `[0, 2, 1, 3]`, and any swap of two blocks of axes is `[1, 0]`.
 */
export const simplify = (
  shape: ReadonlyArray<number>,
  permutation: ReadonlyArray<number>
): { readonly shape: Array<number>; readonly permutation: Array<number> } => {
  const groups: Array<Array<number>> = []
  for (const axis of permutation) {
    if (shape[axis] === 1) continue
    const previous = groups.at(-1)?.at(-1)
    // Neighbours still, if every axis between them has extent 1.
    const joined = previous !== undefined && previous < axis &&
      shape.slice(previous + 1, axis).every((extent) => extent === 1)
    if (joined) groups.at(-1)!.push(axis)
    else groups.push([axis])
  }
  const ordered = groups.toSorted((a, b) => a[0]! - b[0]!)
  return {
    shape: ordered.map((group) => sizeOf(group.map((axis) => shape[axis]!))),
    permutation: groups.map((group) => ordered.indexOf(group))
  }
}

/** Any rank, element by element along the output, the innermost axis as a strided run. */
const transposeAny = (
  heap: Int32Array,
  source: number,
  target: number,
  shape: ReadonlyArray<number>,
  permutation: ReadonlyArray<number>
): void => {
  const rank = shape.length
  const strides = Array.from(shape, () => 1)
  for (let axis = rank - 2; axis >= 0; axis--) strides[axis] = strides[axis + 1]! * shape[axis + 1]!
  const extents = permutation.map((axis) => shape[axis]!)
  const steps = permutation.map((axis) => strides[axis]!)
  const inner = extents[rank - 1]!, step = steps[rank - 1]!
  const runs = sizeOf(extents) / inner
  const at = Array.from(extents, () => 0)
  let from = source
  for (let run = 0; run < runs; run++) {
    const to = target + run * inner
    for (let i = 0; i < inner; i++) heap[to + i] = heap[from + i * step]!
    for (let axis = rank - 2; axis >= 0; axis--) {
      from += steps[axis]!
      if (++at[axis]! < extents[axis]!) break
      from -= steps[axis]! * extents[axis]!
      at[axis] = 0
    }
  }
}

export const transpose = (stock: KernelFunc): KernelFunc =>
  ((call: KernelCall<{ readonly x: TensorInfo }, { readonly perm: ReadonlyArray<number> }>) => {
    const { attrs, backend, inputs: { x } } = call
    const outShape = attrs.perm.map((axis) => x.shape[axis]!)
    if (x.dtype !== "float32" && x.dtype !== "int32") return stock(call as unknown as Parameters<KernelFunc>[0])
    if (sizeOf(x.shape) === 0) return backend.makeOutput(outShape, x.dtype)
    const { permutation, shape } = simplify(x.shape, attrs.perm)
    if (permutation.length < 2) return view(backend, x, outShape)
    const rank = permutation.length
    const swapsLastTwo = permutation[rank - 1] === rank - 2 && permutation[rank - 2] === rank - 1 &&
      permutation.slice(0, -2).every((axis, at) => axis === at)
    if (swapsLastTwo) {
      const out = backend.makeOutput(outShape, x.dtype)
      const rows = shape[rank - 2]!, columns = shape[rank - 1]!
      const source = addressOf(backend, x) / 4, target = addressOf(backend, out) / 4
      const heap = backend.wasm.HEAP32
      for (let start = 0; start < sizeOf(shape); start += rows * columns) {
        transposeMatrix(heap, source + start, target + start, rows, columns)
      }
      return out
    }
    if (rank <= 4) return stockTranspose(stock, backend, x, shape, permutation, outShape)
    const out = backend.makeOutput(outShape, x.dtype)
    transposeAny(
      backend.wasm.HEAP32,
      addressOf(backend, x) / 4,
      addressOf(backend, out) / 4,
      shape,
      permutation
    )
    return out
  }) as unknown as KernelFunc

/** The stock kernel on the simplified problem: up to rank 4 it is a loop a rank, and good. */
const stockTranspose = (
  stock: KernelFunc,
  backend: WasmBackend,
  x: TensorInfo,
  shape: Array<number>,
  perm: Array<number>,
  outShape: Array<number>
): TensorInfo => {
  const inputs = { x: { dataId: x.dataId, dtype: x.dtype, shape } }
  const out = stock({ inputs, attrs: { perm }, backend }) as TensorInfo
  return { ...out, shape: outShape }
}
