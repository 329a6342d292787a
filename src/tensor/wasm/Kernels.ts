/**
 * The kernels that we put in the place of stock ones, through TensorFlow.js' public registry. One line each.
 */
import type { KernelConfig, KernelFunc, TensorInfo, Tf } from "../TensorFlow.ts"
import { type KernelCall, view } from "./Heap.ts"
import { batchMatMul } from "./MatMul.ts"
import { sum, unsortedSegmentSum } from "./Reduce.ts"
import { slice, split } from "./Slice.ts"
import { transpose } from "./Transpose.ts"

/** Raised whenever a kernel changes a bit of a result: it is part of the backend's version, so of every stage's key. */
export const revision = 1

/** A kernel of ours, given the stock one for the cases that it leaves to it. */
type Replacement = (tf: Tf) => (stock: KernelFunc) => KernelFunc

/** The stock kernel copies the data, and every tensor saved for the backward pass goes through it. */
const identity: KernelFunc =
  (({ backend, inputs: { x } }: KernelCall<{ readonly x: TensorInfo }, unknown>) =>
    view(backend, x, x.shape)) as unknown as KernelFunc

const replacements: Readonly<Record<string, Replacement>> = {
  BatchMatMul: () => batchMatMul,
  Identity: () => () => identity,
  Slice: slice,
  SplitV: split,
  Sum: () => sum,
  Transpose: () => transpose
}

/** Kernels that the stock backend lacks. */
const additions: Readonly<Record<string, KernelFunc>> = {
  UnsortedSegmentSum: unsortedSegmentSum
}

const backendName = "wasm"

const register = (tf: Tf, config: KernelConfig): void => {
  if (tf.getKernel(config.kernelName, backendName) !== undefined) tf.unregisterKernel(config.kernelName, backendName)
  tf.registerKernel(config)
}

/** What was there before, by registry: present exactly while ours are installed. */
const displaced = new WeakMap<Tf, ReadonlyArray<KernelConfig>>()

/** Installs our kernels, after the backend has started. Installing twice is installing once. */
export const install = (tf: Tf): void => {
  if (displaced.has(tf)) return
  const stock = Object.keys(replacements).map((name) => {
    const config = tf.getKernel(name, backendName)
    if (config === undefined) throw new Error(`The stock wasm backend has no kernel ${name} to replace.`)
    return config
  })
  for (const config of stock) {
    register(tf, { ...config, kernelFunc: replacements[config.kernelName]!(tf)(config.kernelFunc) })
  }
  for (const [kernelName, kernelFunc] of Object.entries(additions)) {
    register(tf, { backendName, kernelName, kernelFunc })
  }
  displaced.set(tf, stock)
}

/** Puts the stock kernels back, to measure against them. */
export const uninstall = (tf: Tf): void => {
  for (const config of displaced.get(tf) ?? []) register(tf, config)
  for (const kernelName of Object.keys(additions)) {
    if (displaced.has(tf)) tf.unregisterKernel(kernelName, backendName)
  }
  displaced.delete(tf)
}
