/**
 * The kernels that we put in the place of stock ones, through TensorFlow.js' public registry. One line each.
 */
import type { KernelConfig, KernelFunc, TensorInfo, Tf } from "../TensorFlow.ts"
import * as Fused from "./Fused.ts"
import * as FusedDecoder from "./FusedDecoder.ts"
import * as FusedSelfAttention from "./FusedSelfAttention.ts"
import { gather } from "./Gather.ts"
import { guardAllocation, type KernelCall, view, type WasmBackend } from "./Heap.ts"
import { type Library, library } from "./Library.ts"
import { batchMatMul } from "./MatMul.ts"
import { sum, unsortedSegmentSum } from "./Reduce.ts"
import { slice, split } from "./Slice.ts"
import { transpose } from "./Transpose.ts"

/** Raised whenever a kernel changes a bit of a result: it is part of the backend's version, so of every stage's key. */
const revision = 2

/** A kernel of ours, given the stock one for the cases that it leaves to it. */
type Replacement = (tf: Tf, library: Library | undefined) => (stock: KernelFunc) => KernelFunc

/** The stock kernel copies the data, and every tensor saved for the backward pass goes through it. */
const identity: KernelFunc =
  (({ backend, inputs: { x } }: KernelCall<{ readonly x: TensorInfo }, unknown>) =>
    view(backend, x, x.shape)) as unknown as KernelFunc

const replacements: Readonly<Record<string, Replacement>> = {
  BatchMatMul: (_, library) => batchMatMul(library),
  GatherV2: () => gather,
  Identity: () => () => identity,
  Slice: slice,
  SplitV: split,
  Sum: (_, library) => sum(library),
  Transpose: () => transpose
}

/** Kernels that the stock backend lacks. */
const additions = (library: Library | undefined): Readonly<Record<string, KernelFunc>> => ({
  UnsortedSegmentSum: unsortedSegmentSum,
  ...(library === undefined ? {} : {
    ...Fused.kernels(library),
    ...FusedDecoder.kernels(library),
    ...FusedSelfAttention.kernels(library)
  })
})

const backendName = "wasm"

const register = (tf: Tf, config: KernelConfig): void => {
  if (tf.getKernel(config.kernelName, backendName) !== undefined) tf.unregisterKernel(config.kernelName, backendName)
  tf.registerKernel(config)
}

/** What was there before and what is there beside it: present exactly while ours are installed. */
const installed = new WeakMap<Tf, {
  readonly stock: ReadonlyArray<KernelConfig>
  readonly added: ReadonlyArray<string>
}>()

/** Our own functions for the active backend. */
const libraryOf = (tf: Tf): Library | undefined => library((tf.backend() as unknown as WasmBackend).wasm)

/**
 * Installs our kernels, after the backend has started. Installing twice is installing once.
 *
 * With `relaxedSimd: false` they do without our own functions, as they do by themselves on an engine that cannot run
 * them.
 */
export const install = (tf: Tf, { relaxedSimd = true }: { readonly relaxedSimd?: boolean } = {}): void => {
  if (installed.has(tf)) return
  guardAllocation(tf.backend() as unknown as WasmBackend, (dataId) => tf.engine().state.tensorInfo.has(dataId))
  const own = relaxedSimd ? libraryOf(tf) : undefined
  const stock = Object.keys(replacements).map((name) => {
    const config = tf.getKernel(name, backendName)
    if (config === undefined) throw new Error(`The stock wasm backend has no kernel ${name} to replace.`)
    return config
  })
  for (const config of stock) {
    register(tf, { ...config, kernelFunc: replacements[config.kernelName]!(tf, own)(config.kernelFunc) })
  }
  const added = Object.entries(additions(own))
  for (const [kernelName, kernelFunc] of added) register(tf, { backendName, kernelName, kernelFunc })
  installed.set(tf, { stock, added: added.map(([name]) => name) })
}

/** Puts the stock kernels back, to measure against them. */
export const uninstall = (tf: Tf): void => {
  const known = installed.get(tf)
  if (known === undefined) return
  for (const config of known.stock) register(tf, config)
  for (const kernelName of known.added) tf.unregisterKernel(kernelName, backendName)
  installed.delete(tf)
}

/** What in our kernels can change a bit of a result: their revision, and how this machine rounds a product and sum. */
export const version = (tf: Tf): string => {
  const own = libraryOf(tf)
  return `kernels-${revision}-${own === undefined ? "xnnpack" : own.fuses() === 1 ? "fused" : "unfused"}`
}
