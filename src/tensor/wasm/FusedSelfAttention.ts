/**
 * The fused kernels of self-attention on WebAssembly. Heads are not parted, nor keys repeated: each head reads its columns,
 * and those that it shares, out of the rows, and writes its columns of the result.
 */
import { names } from "../FusedKernels.ts"
import type { KernelFunc, TensorInfo } from "../TensorFlow.ts"
import { float32, type Inputs, maskOf } from "./Fused.ts"
import { addressOf, type KernelCall, type WasmBackend } from "./Heap.ts"
import type { Library } from "./Library.ts"

/** How queries, keys and values lie, and what attention gives. */
interface Layout {
  readonly batch: number
  readonly time: number
  readonly heads: number
  /** Heads of keys and values. */
  readonly shared: number
  /** Elements of a head. */
  readonly size: number
  /** Numbers from a position to the next, of the queries. */
  readonly strideQueries: number
  /** The same of keys and of values. */
  readonly strideKeys: number
  /** The same of the result. */
  readonly strideOut: number
}

/** Addresses of queries, keys and values, or of their gradients. */
interface Places {
  readonly q: number
  readonly k: number
  readonly v: number
}

/** Bytes from the beginning of each kind to the columns of a head. */
const offsets = ({ heads, shared, size, strideKeys, strideOut, strideQueries, time }: Layout) => ({
  query: (row: number, head: number) => 4 * (row * time * strideQueries + head * size),
  key: (row: number, head: number) => 4 * (row * time * strideKeys + Math.floor(head * shared / heads) * size),
  out: (row: number, head: number) => 4 * (row * time * strideOut + head * size),
  weights: (row: number, head: number) => 4 * (row * heads + head) * time * time
})

interface Options {
  readonly mask?: TensorInfo
  readonly factors?: TensorInfo
}

/** Writes the result to `out`, and gives the weights. */
const attend = (
  library: Library,
  backend: WasmBackend,
  layout: Layout,
  { k, q, v }: Places,
  out: TensorInfo,
  { factors, mask }: Options
): TensorInfo => {
  const { batch, heads, size, strideKeys, strideOut, strideQueries, time } = layout
  const at = offsets(layout)
  const weights = float32(backend, [batch, heads, time, time])
  const maskAt = maskOf(backend, mask, [batch, heads], time, time)
  const factorsAt = factors === undefined ? 0 : addressOf(backend, factors)
  const dropped = factors === undefined ? undefined : float32(backend, [time, time])
  const droppedAt = dropped === undefined ? 0 : addressOf(backend, dropped)
  const outAt = addressOf(backend, out), weightsAt = addressOf(backend, weights)
  for (let row = 0; row < batch; row++) {
    for (let head = 0; head < heads; head++) {
      library.attend(
        q + at.query(row, head),
        strideQueries,
        k + at.key(row, head),
        strideKeys,
        v + at.key(row, head),
        strideKeys,
        maskAt(row * heads + head),
        factorsAt === 0 ? 0 : factorsAt + at.weights(row, head),
        droppedAt,
        weightsAt + at.weights(row, head),
        outAt + at.out(row, head),
        strideOut,
        time,
        time,
        size,
        size,
        1 / Math.sqrt(size),
        library.scratch
      )
    }
  }
  if (dropped !== undefined) backend.disposeData(dropped.dataId)
  return weights
}

/** Writes the gradients of queries, keys and values to the places `to`, which lie as those do. */
const attendGradient = (
  library: Library,
  backend: WasmBackend,
  layout: Layout,
  { k, q, v }: Places,
  to: Places,
  { dy, weights }: Inputs<"dy" | "weights">,
  kept: number
): void => {
  const { batch, heads, shared, size, strideKeys, strideOut, strideQueries, time } = layout
  const at = offsets(layout)
  const dScores = float32(backend, [time, time])
  const spare = kept === 0 ? undefined : float32(backend, [time, time])
  const dScoresAt = addressOf(backend, dScores), spareAt = spare === undefined ? 0 : addressOf(backend, spare)
  const dyAt = addressOf(backend, dy), weightsAt = addressOf(backend, weights)
  for (let row = 0; row < batch; row++) {
    for (let head = 0; head < heads; head++) {
      library.attendGradient(
        q + at.query(row, head),
        strideQueries,
        k + at.key(row, head),
        strideKeys,
        v + at.key(row, head),
        strideKeys,
        weightsAt + at.weights(row, head),
        dyAt + at.out(row, head),
        strideOut,
        to.q + at.query(row, head),
        to.k + at.key(row, head),
        to.v + at.key(row, head),
        dScoresAt,
        spareAt,
        kept,
        // The first head of a group writes, the others add.
        head % (heads / shared) === 0 ? 0 : 1,
        time,
        time,
        size,
        size,
        1 / Math.sqrt(size),
        library.scratch
      )
    }
  }
  backend.disposeData(dScores.dataId)
  if (spare !== undefined) backend.disposeData(spare.dataId)
}

interface Joint {
  readonly heads: number
}

/** Queries, keys and values side by side in the rows of one tensor. */
const jointLayout = (qkv: TensorInfo, { heads }: Joint): Layout => {
  const [batch, time, joint] = qkv.shape as [number, number, number]
  const width = joint / 3
  return {
    batch,
    time,
    heads,
    shared: heads,
    size: width / heads,
    strideQueries: joint,
    strideKeys: joint,
    strideOut: width
  }
}

const jointPlaces = (backend: WasmBackend, qkv: TensorInfo): Places => {
  const q = addressOf(backend, qkv)
  const width = qkv.shape[2]! / 3
  return { q, k: q + 4 * width, v: q + 8 * width }
}

const selfAttention = (library: Library) =>
(
  { attrs, backend, inputs: { qkv, ...options } }: KernelCall<Inputs<"qkv"> & Options, Joint>
) => {
  const layout = jointLayout(qkv, attrs)
  const out = float32(backend, [layout.batch, layout.time, layout.strideOut])
  return [out, attend(library, backend, layout, jointPlaces(backend, qkv), out, options)]
}

const selfAttentionGradient = (library: Library) =>
({ attrs, backend, inputs: { dy, qkv, weights } }: KernelCall<
  Inputs<"qkv" | "weights" | "dy">,
  Joint & { readonly kept: number }
>) => {
  const out = float32(backend, qkv.shape)
  const from = jointPlaces(backend, qkv), to = jointPlaces(backend, out)
  attendGradient(library, backend, jointLayout(qkv, attrs), from, to, { dy, weights }, attrs.kept)
  return out
}

interface Grouped {
  readonly heads: number
  readonly shared: number
}

/** Queries, keys and values in a tensor each. */
const groupedLayout = (q: TensorInfo, { heads, shared }: Grouped): Layout => {
  const [batch, time, width] = q.shape as [number, number, number]
  const size = width / heads
  return { batch, time, heads, shared, size, strideQueries: width, strideKeys: shared * size, strideOut: width }
}

const groupedPlaces = (backend: WasmBackend, { k, q, v }: Inputs<"q" | "k" | "v">): Places => ({
  q: addressOf(backend, q),
  k: addressOf(backend, k),
  v: addressOf(backend, v)
})

const groupedSelfAttention =
  (library: Library) =>
  ({ attrs, backend, inputs: { k, q, v, ...options } }: KernelCall<Inputs<"q" | "k" | "v"> & Options, Grouped>) => {
    const out = float32(backend, q.shape)
    const from = groupedPlaces(backend, { k, q, v })
    return [out, attend(library, backend, groupedLayout(q, attrs), from, out, options)]
  }

const groupedSelfAttentionGradient =
  (library: Library) =>
  ({ attrs, backend, inputs: { dy, k, q, v, weights } }: KernelCall<
    Inputs<"q" | "k" | "v" | "weights" | "dy">,
    Grouped & { readonly kept: number }
  >) => {
    const dQ = float32(backend, q.shape), dK = float32(backend, k.shape), dV = float32(backend, v.shape)
    const from = groupedPlaces(backend, { k, q, v }), to = groupedPlaces(backend, { k: dK, q: dQ, v: dV })
    attendGradient(library, backend, groupedLayout(q, attrs), from, to, { dy, weights }, attrs.kept)
    return [dQ, dK, dV]
  }

/** Every fused kernel of self-attention, by the name under which the operations look for it. */
export const kernels = (library: Library) =>
  ({
    [names.selfAttention]: selfAttention(library),
    [names.selfAttentionGradient]: selfAttentionGradient(library),
    [names.groupedSelfAttention]: groupedSelfAttention(library),
    [names.groupedSelfAttentionGradient]: groupedSelfAttentionGradient(library)
  }) as unknown as Readonly<Record<string, KernelFunc>>
