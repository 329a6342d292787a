/** Fused kernels on WebAssembly: addresses and extents for the functions of `Library`. */
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
export const kernels = (library: Library) =>
  ({
    [names.linear]: linear(library),
    [names.layerNorm]: layerNorm(library),
    [names.layerNormGradient]: layerNormGradient(library),
    [names.gelu]: elementwise(library.gelu),
    [names.geluGradient]: elementwiseGradient(library.geluGradient),
    [names.exactGelu]: elementwise(library.exactGelu),
    [names.exactGeluGradient]: elementwiseGradient(library.exactGeluGradient),
    [names.attention]: attention(library),
    [names.attentionGradient]: attentionGradient(library),
    [names.crossEntropy]: crossEntropy(library),
    [names.crossEntropyGradient]: crossEntropyGradient(library),
    [names.dropoutFactors]: dropoutFactors(library)
  }) as unknown as Readonly<Record<string, KernelFunc>>
