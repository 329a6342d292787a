/** The fused kernels of decoders of Llama's kind on WebAssembly: addresses and extents for the functions of `Library`. */
import { names } from "../FusedKernels.ts"
import type { KernelFunc, TensorInfo } from "../TensorFlow.ts"
import { float32, type Inputs, maskOf, zeros } from "./Fused.ts"
import { addressOf, type KernelCall, sizeOf } from "./Heap.ts"
import type { Library } from "./Library.ts"

interface Heads {
  readonly heads: number
  readonly shared: number
}

/** Where the columns of a head begin in the rows of queries, keys and weights, and how the rows lie. */
const layout = (q: TensorInfo, { heads, shared }: Heads) => {
  const [batch, time, width] = q.shape as [number, number, number]
  const size = width / heads, narrow = shared * size
  return {
    batch,
    time,
    width,
    size,
    narrow,
    query: (row: number, head: number) => 4 * (row * time * width + head * size),
    key: (row: number, head: number) => 4 * (row * time * narrow + Math.floor(head * shared / heads) * size),
    weight: (row: number, head: number) => 4 * (row * heads + head) * time * time
  }
}

/** Neither are heads parted nor keys repeated: each head reads its columns, and those that it shares, out of the rows. */
const groupedSelfAttention = (library: Library) =>
(
  { attrs, backend, inputs: { factors, k, mask, q, v } }: KernelCall<
    Inputs<"q" | "k" | "v"> & { readonly mask?: TensorInfo; readonly factors?: TensorInfo },
    Heads
  >
) => {
  const { heads } = attrs
  const { batch, key, narrow, query, size, time, weight, width } = layout(q, attrs)
  const out = float32(backend, q.shape), weights = float32(backend, [batch, heads, time, time])
  const at = (tensor: TensorInfo) => addressOf(backend, tensor)
  const maskAt = maskOf(backend, mask, [batch, heads], time, time)
  const dropped = factors === undefined ? undefined : float32(backend, [time, time])
  const fromQ = at(q), fromK = at(k), fromV = at(v), toOut = at(out), toWeights = at(weights)
  const fromFactors = factors === undefined ? 0 : at(factors), toDropped = dropped === undefined ? 0 : at(dropped)
  for (let row = 0; row < batch; row++) {
    for (let head = 0; head < heads; head++) {
      library.attend(
        fromQ + query(row, head),
        width,
        fromK + key(row, head),
        narrow,
        fromV + key(row, head),
        narrow,
        maskAt(row * heads + head),
        fromFactors === 0 ? 0 : fromFactors + weight(row, head),
        toDropped,
        toWeights + weight(row, head),
        toOut + query(row, head),
        width,
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
  return [out, weights]
}

const groupedSelfAttentionGradient = (library: Library) =>
(
  { attrs, backend, inputs: { dy, k, q, v, weights } }: KernelCall<
    Inputs<"q" | "k" | "v" | "weights" | "dy">,
    Heads & { readonly kept: number }
  >
) => {
  const { heads, kept, shared } = attrs
  const { batch, key, narrow, query, size, time, weight, width } = layout(q, attrs)
  const dQ = float32(backend, q.shape), dK = float32(backend, k.shape), dV = float32(backend, v.shape)
  const dScores = float32(backend, [time, time])
  const spare = kept === 0 ? undefined : float32(backend, [time, time])
  const at = (tensor: TensorInfo) => addressOf(backend, tensor)
  const fromQ = at(q), fromK = at(k), fromV = at(v), fromWeights = at(weights), fromDy = at(dy)
  const toQ = at(dQ), toK = at(dK), toV = at(dV), toScores = at(dScores), toSpare = spare === undefined ? 0 : at(spare)
  for (let row = 0; row < batch; row++) {
    for (let head = 0; head < heads; head++) {
      library.attendGradient(
        fromQ + query(row, head),
        width,
        fromK + key(row, head),
        narrow,
        fromV + key(row, head),
        narrow,
        fromWeights + weight(row, head),
        fromDy + query(row, head),
        width,
        toQ + query(row, head),
        toK + key(row, head),
        toV + key(row, head),
        toScores,
        toSpare,
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
  return [dQ, dK, dV]
}

const rmsNorm = (library: Library) =>
(
  { attrs: { epsilon }, backend, inputs: { gain, x } }: KernelCall<Inputs<"x" | "gain">, { readonly epsilon: number }>
) => {
  const [rows, width] = x.shape as [number, number]
  const y = float32(backend, x.shape), inverses = float32(backend, [rows])
  const at = (tensor: TensorInfo) => addressOf(backend, tensor)
  library.rmsNorm(at(x), at(gain), at(y), at(inverses), rows, width, epsilon)
  return [y, inverses]
}

const rmsNormGradient =
  (library: Library) =>
  ({ backend, inputs: { dy, gain, inverses, x } }: KernelCall<Inputs<"x" | "gain" | "inverses" | "dy">, unknown>) => {
    const [rows, width] = x.shape as [number, number]
    const dx = float32(backend, x.shape), dGain = zeros(backend, [width])
    const at = (tensor: TensorInfo) => addressOf(backend, tensor)
    library.rmsNormGradient(at(x), at(gain), at(inverses), at(dy), at(dx), at(dGain), rows, width)
    return [dx, dGain]
  }

const gatedSilu =
  (library: Library) => ({ backend, inputs: { gate, up } }: KernelCall<Inputs<"gate" | "up">, unknown>) => {
    const y = float32(backend, gate.shape)
    const at = (tensor: TensorInfo) => addressOf(backend, tensor)
    library.gatedSilu(at(gate), at(up), at(y), sizeOf(gate.shape))
    return y
  }

const gatedSiluGradient =
  (library: Library) => ({ backend, inputs: { dy, gate, up } }: KernelCall<Inputs<"gate" | "up" | "dy">, unknown>) => {
    const dGate = float32(backend, gate.shape), dUp = float32(backend, up.shape)
    const at = (tensor: TensorInfo) => addressOf(backend, tensor)
    library.gatedSiluGradient(at(gate), at(up), at(dy), at(dGate), at(dUp), sizeOf(gate.shape))
    return [dGate, dUp]
  }

const rotary = (library: Library) =>
(
  { attrs: { direction }, backend, inputs: { cosines, sines, x } }: KernelCall<
    Inputs<"x" | "cosines" | "sines">,
    { readonly direction: 1 | -1 }
  >
) => {
  const [batch, time, width] = x.shape as [number, number, number]
  const [rows, , , size] = cosines.shape as [number, number, number, number]
  const y = float32(backend, x.shape)
  const at = (tensor: TensorInfo) => addressOf(backend, tensor)
  library.rotary(at(x), at(y), at(cosines), at(sines), batch * time, rows * time, width / size, size, direction)
  return y
}

/** Every fused kernel of decoders, by the name under which the operations look for it. */
export const kernels = (library: Library): Readonly<Record<string, KernelFunc>> => ({
  [names.groupedSelfAttention]: groupedSelfAttention(library) as unknown as KernelFunc,
  [names.groupedSelfAttentionGradient]: groupedSelfAttentionGradient(library) as unknown as KernelFunc,
  [names.rmsNorm]: rmsNorm(library) as unknown as KernelFunc,
  [names.rmsNormGradient]: rmsNormGradient(library) as unknown as KernelFunc,
  [names.gatedSilu]: gatedSilu(library) as unknown as KernelFunc,
  [names.gatedSiluGradient]: gatedSiluGradient(library) as unknown as KernelFunc,
  [names.rotary]: rotary(library) as unknown as KernelFunc
})
