/** Fused kernels on WebAssembly of decoders of Llama's kind: addresses and extents for the functions of `Library`. */
import { names } from "../FusedKernels.ts"
import type { KernelFunc, TensorInfo } from "../TensorFlow.ts"
import { float32, type Inputs, zeros } from "./Fused.ts"
import { addressOf, type KernelCall, sizeOf } from "./Heap.ts"
import type { Library } from "./Library.ts"

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
export const kernels = (library: Library) =>
  ({
    [names.rmsNorm]: rmsNorm(library),
    [names.rmsNormGradient]: rmsNormGradient(library),
    [names.gatedSilu]: gatedSilu(library),
    [names.gatedSiluGradient]: gatedSiluGradient(library),
    [names.rotary]: rotary(library)
  }) as unknown as Readonly<Record<string, KernelFunc>>
