/** The fused kernels on WebAssembly: addresses and extents for the functions of `Library`. */
import { names } from "../FusedKernels.ts"
import type { KernelFunc, TensorInfo } from "../TensorFlow.ts"
import { addressOf, type KernelCall, sizeOf, type WasmBackend } from "./Heap.ts"
import type { Functions, Library } from "./Library.ts"
import { broadcastBatch } from "./MatMul.ts"

export const float32 = (backend: WasmBackend, shape: ReadonlyArray<number>): TensorInfo =>
  backend.makeOutput(shape, "float32")

export const zeros = (backend: WasmBackend, shape: ReadonlyArray<number>): TensorInfo => {
  const out = float32(backend, shape)
  const start = addressOf(backend, out) / 4
  backend.wasm.HEAPF32.fill(0, start, start + sizeOf(shape))
  return out
}

export type Inputs<Names extends string> = Readonly<Record<Names, TensorInfo>>

const linear = (library: Library) =>
({ backend, inputs: { bias, weight, x } }: KernelCall<
  Inputs<"x" | "weight"> & { readonly bias?: TensorInfo },
  unknown
>) => {
  const [rows, inner] = x.shape as [number, number]
  const outer = weight.shape[1]!
  const out = float32(backend, [rows, outer])
  const at = (tensor: TensorInfo) => addressOf(backend, tensor)
  if (bias !== undefined) library.repeatRow(at(bias), at(out), rows, outer)
  else if (inner === 0) backend.wasm.HEAPF32.fill(0, at(out) / 4, at(out) / 4 + rows * outer)
  const add = bias === undefined ? 0 : 1
  library.product(at(x), inner, 0, at(weight), outer, 0, at(out), outer, add, rows, inner, outer, library.scratch)
  return out
}

const layerNorm = (library: Library) =>
({ attrs: { epsilon }, backend, inputs: { bias, gain, x } }: KernelCall<
  Inputs<"x" | "gain" | "bias">,
  { readonly epsilon: number }
>) => {
  const [rows, width] = x.shape as [number, number]
  const y = float32(backend, x.shape), means = float32(backend, [rows]), inverses = float32(backend, [rows])
  const at = (tensor: TensorInfo) => addressOf(backend, tensor)
  library.layerNorm(at(x), at(gain), at(bias), at(y), at(means), at(inverses), rows, width, epsilon)
  return [y, means, inverses]
}

const layerNormGradient = (library: Library) =>
({ backend, inputs: { dy, gain, inverses, means, x } }: KernelCall<
  Inputs<"x" | "gain" | "means" | "inverses" | "dy">,
  unknown
>) => {
  const [rows, width] = x.shape as [number, number]
  const dx = float32(backend, x.shape), dGain = zeros(backend, [width]), dBias = zeros(backend, [width])
  const at = (tensor: TensorInfo) => addressOf(backend, tensor)
  library.layerNormGradient(
    at(x),
    at(gain),
    at(means),
    at(inverses),
    at(dy),
    at(dx),
    at(dGain),
    at(dBias),
    rows,
    width
  )
  return [dx, dGain, dBias]
}

/** A function of each number, and its gradient from the number and that of the result. */
const elementwise = (map: Functions["gelu"]) => ({ backend, inputs: { x } }: KernelCall<Inputs<"x">, unknown>) => {
  const y = float32(backend, x.shape)
  map(addressOf(backend, x), addressOf(backend, y), sizeOf(x.shape))
  return y
}

const elementwiseGradient =
  (map: Functions["geluGradient"]) => ({ backend, inputs: { dy, x } }: KernelCall<Inputs<"x" | "dy">, unknown>) => {
    const dx = float32(backend, x.shape)
    map(addressOf(backend, x), addressOf(backend, dy), addressOf(backend, dx), sizeOf(x.shape))
    return dx
  }

/** Where the mask of each head lies; 0 for none. Its last two axes are written out. */
export const maskOf = (
  backend: WasmBackend,
  mask: TensorInfo | undefined,
  outer: ReadonlyArray<number>,
  queries: number,
  keys: number
): (head: number) => number => {
  if (mask === undefined) return () => 0
  const start = addressOf(backend, mask)
  const which = broadcastBatch(mask.shape.slice(0, -2), outer)
  return (head) => start + 4 * which[head]! * queries * keys
}

const attention = (library: Library) =>
({ backend, inputs: { k, mask, q, v } }: KernelCall<
  Inputs<"q" | "k" | "v"> & { readonly mask?: TensorInfo },
  unknown
>) => {
  const outer = q.shape.slice(0, -2)
  const [queries, size] = q.shape.slice(-2) as [number, number]
  const [keys, valueSize] = v.shape.slice(-2) as [number, number]
  const out = float32(backend, [...outer, queries, valueSize]), weights = float32(backend, [...outer, queries, keys])
  const at = (tensor: TensorInfo, head: number, extent: number) => addressOf(backend, tensor) + 4 * head * extent
  const maskAt = maskOf(backend, mask, outer, queries, keys)
  for (let head = 0; head < sizeOf(outer); head++) {
    library.attend(
      at(q, head, queries * size),
      size,
      at(k, head, keys * size),
      size,
      at(v, head, keys * valueSize),
      valueSize,
      maskAt(head),
      0,
      0,
      at(weights, head, queries * keys),
      at(out, head, queries * valueSize),
      valueSize,
      queries,
      keys,
      size,
      valueSize,
      1 / Math.sqrt(size),
      library.scratch
    )
  }
  return [out, weights]
}

const attentionGradient =
  (library: Library) =>
  ({ backend, inputs: { dy, k, q, v, weights } }: KernelCall<Inputs<"q" | "k" | "v" | "weights" | "dy">, unknown>) => {
    const [queries, size] = q.shape.slice(-2) as [number, number]
    const [keys, valueSize] = v.shape.slice(-2) as [number, number]
    const dQ = float32(backend, q.shape), dK = float32(backend, k.shape), dV = float32(backend, v.shape)
    const dScores = float32(backend, [queries, keys])
    const at = (tensor: TensorInfo, head: number, extent: number) => addressOf(backend, tensor) + 4 * head * extent
    for (let head = 0; head < sizeOf(q.shape.slice(0, -2)); head++) {
      library.attendGradient(
        at(q, head, queries * size),
        size,
        at(k, head, keys * size),
        size,
        at(v, head, keys * valueSize),
        valueSize,
        at(weights, head, queries * keys),
        at(dy, head, queries * valueSize),
        valueSize,
        at(dQ, head, queries * size),
        at(dK, head, keys * size),
        at(dV, head, keys * valueSize),
        addressOf(backend, dScores),
        0,
        0,
        0,
        queries,
        keys,
        size,
        valueSize,
        1 / Math.sqrt(size),
        library.scratch
      )
    }
    backend.disposeData(dScores.dataId)
    return [dQ, dK, dV]
  }

interface Heads {
  readonly heads: number
}

/** The heads are not parted: each reads its columns out of the joint rows, and writes its columns of the result. */
const selfAttention = (library: Library) =>
({ attrs: { heads }, backend, inputs: { factors, mask, qkv } }: KernelCall<
  Inputs<"qkv"> & { readonly mask?: TensorInfo; readonly factors?: TensorInfo },
  Heads
>) => {
  const [batch, time, joint] = qkv.shape as [number, number, number]
  const width = joint / 3, size = width / heads
  const out = float32(backend, [batch, time, width]), weights = float32(backend, [batch, heads, time, time])
  const from = addressOf(backend, qkv), to = addressOf(backend, out), weightsAt = addressOf(backend, weights)
  const maskAt = maskOf(backend, mask, [batch, heads], time, time)
  const factorsAt = factors === undefined ? 0 : addressOf(backend, factors)
  const dropped = factors === undefined ? undefined : float32(backend, [time, time])
  const droppedAt = dropped === undefined ? 0 : addressOf(backend, dropped)
  for (let row = 0; row < batch; row++) {
    for (let head = 0; head < heads; head++) {
      const q = from + 4 * (row * time * joint + head * size)
      const index = row * heads + head
      library.attend(
        q,
        joint,
        q + 4 * width,
        joint,
        q + 8 * width,
        joint,
        maskAt(index),
        factorsAt === 0 ? 0 : factorsAt + 4 * index * time * time,
        droppedAt,
        weightsAt + 4 * index * time * time,
        to + 4 * (row * time * width + head * size),
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

const selfAttentionGradient = (library: Library) =>
(
  { attrs: { heads, kept }, backend, inputs: { dy, qkv, weights } }: KernelCall<
    Inputs<"qkv" | "weights" | "dy">,
    Heads & { readonly kept: number }
  >
) => {
  const [batch, time, joint] = qkv.shape as [number, number, number]
  const width = joint / 3, size = width / heads
  const out = float32(backend, qkv.shape), dScores = float32(backend, [time, time])
  const spare = kept === 0 ? undefined : float32(backend, [time, time])
  const from = addressOf(backend, qkv), to = addressOf(backend, out)
  const dyAt = addressOf(backend, dy), weightsAt = addressOf(backend, weights)
  for (let row = 0; row < batch; row++) {
    for (let head = 0; head < heads; head++) {
      const offset = 4 * (row * time * joint + head * size)
      library.attendGradient(
        from + offset,
        joint,
        from + offset + 4 * width,
        joint,
        from + offset + 8 * width,
        joint,
        weightsAt + 4 * (row * heads + head) * time * time,
        dyAt + 4 * (row * time * width + head * size),
        width,
        to + offset,
        to + offset + 4 * width,
        to + offset + 8 * width,
        addressOf(backend, dScores),
        spare === undefined ? 0 : addressOf(backend, spare),
        kept,
        0,
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
  return out
}

const dropoutFactors = (library: Library) =>
(
  { attrs: { key0, key1, kept, size, step, stream, threshold }, backend }: KernelCall<
    unknown,
    Readonly<Record<"key0" | "key1" | "step" | "stream" | "threshold" | "kept" | "size", number>>
  >
) => {
  const out = float32(backend, [size])
  library.dropoutFactors(key0, key1, step, stream, threshold, kept, addressOf(backend, out), size, library.scratch)
  return out
}

const crossEntropy =
  (library: Library) =>
  ({ backend, inputs: { labels, weights, x } }: KernelCall<Inputs<"x" | "labels" | "weights">, unknown>) => {
    const [rows, width] = x.shape as [number, number]
    const at = (tensor: TensorInfo) => addressOf(backend, tensor) / 4
    const classes = backend.wasm.HEAP32.slice(at(labels), at(labels) + rows)
    // What is no class would read, and in the backward pass write, its neighbour's numbers.
    const stray = classes.find((label) => label < 0 || label >= width)
    if (stray !== undefined) throw new RangeError(`crossEntropy: there is no class ${stray} among ${width}`)
    const losses = float32(backend, [rows]), logSums = float32(backend, [rows])
    // In place: the largest elements become the logarithms, the sums the losses.
    library.sumExponentials(addressOf(backend, x), addressOf(backend, logSums), addressOf(backend, losses), rows, width)
    const { HEAPF32 } = backend.wasm
    const atX = at(x), atWeights = at(weights), atLosses = at(losses), atSums = at(logSums)
    for (let row = 0; row < rows; row++) {
      const logSum = HEAPF32[atSums + row]! + Math.log(HEAPF32[atLosses + row]!)
      HEAPF32[atSums + row] = logSum
      HEAPF32[atLosses + row] = HEAPF32[atWeights + row]! * (logSum - HEAPF32[atX + row * width + classes[row]!]!)
    }
    return [losses, logSums]
  }

const crossEntropyGradient = (library: Library) =>
(
  { backend, inputs: { dy, labels, logSums, weights, x } }: KernelCall<
    Inputs<"x" | "labels" | "weights" | "logSums" | "dy">,
    unknown
  >
) => {
  const [rows, width] = x.shape as [number, number]
  const dx = float32(backend, x.shape)
  const at = (tensor: TensorInfo) => addressOf(backend, tensor)
  const scale = backend.wasm.HEAPF32[at(dy) / 4]!
  library.crossEntropyGradient(at(x), at(labels), at(weights), at(logSums), at(dx), scale, rows, width)
  return dx
}

/** Every fused kernel, by the name under which the operations look for it. */
export const kernels = (library: Library): Readonly<Record<string, KernelFunc>> => ({
  [names.linear]: linear(library) as unknown as KernelFunc,
  [names.layerNorm]: layerNorm(library) as unknown as KernelFunc,
  [names.layerNormGradient]: layerNormGradient(library) as unknown as KernelFunc,
  [names.gelu]: elementwise(library.gelu) as unknown as KernelFunc,
  [names.geluGradient]: elementwiseGradient(library.geluGradient) as unknown as KernelFunc,
  [names.exactGelu]: elementwise(library.exactGelu) as unknown as KernelFunc,
  [names.exactGeluGradient]: elementwiseGradient(library.exactGeluGradient) as unknown as KernelFunc,
  [names.attention]: attention(library) as unknown as KernelFunc,
  [names.attentionGradient]: attentionGradient(library) as unknown as KernelFunc,
  [names.selfAttention]: selfAttention(library) as unknown as KernelFunc,
  [names.crossEntropy]: crossEntropy(library) as unknown as KernelFunc,
  [names.crossEntropyGradient]: crossEntropyGradient(library) as unknown as KernelFunc,
  [names.dropoutFactors]: dropoutFactors(library) as unknown as KernelFunc,
  [names.selfAttentionGradient]: selfAttentionGradient(library) as unknown as KernelFunc
})
