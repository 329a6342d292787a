/**
 * The kernels that we put beside the stock ones and in their place, through TensorFlow.js' public registry.
 */
import type { Determinism } from "../Driver.ts"
import { names } from "../FusedKernels.ts"
import type { KernelConfig, KernelFunc, Tf } from "../TensorFlow.ts"
import { sum } from "./ColumnSum.ts"
import { crossEntropy, crossEntropyGradient } from "./CrossEntropy.ts"
import { dropoutFactors } from "./DropoutFactors.ts"
import { gelu, geluGradient } from "./Gelu.ts"
import { layerNorm, layerNormGradient } from "./LayerNorm.ts"
import { linear } from "./Linear.ts"
import { emptyProduct, orderlyProduct } from "./MatMul.ts"
import { scatterNd, unsortedSegmentSum } from "./SegmentSum.ts"
import { softmax } from "./Softmax.ts"
import { split } from "./Split.ts"
import { transpose } from "./Transpose.ts"

/** Raised whenever a kernel changes a bit of a result: it is part of the backend's version, so of every stage's key. */
export const revision = 1

const backendName = "webgpu"

/** A kernel of ours, given the stock one for the cases that it leaves to it. */
type Replacement = (tf: Tf) => (stock: KernelFunc) => KernelFunc

/** In either mode: faster than the stock kernels, or right where those are wrong. */
const always: Readonly<Record<string, Replacement>> = {
  BatchMatMul: () => emptyProduct,
  Softmax: () => softmax,
  SplitV: split,
  Sum: sum,
  Transpose: () => transpose,
  UnsortedSegmentSum: () => () => unsortedSegmentSum,
  _FusedMatMul: () => emptyProduct
}

/** The stock kernel adds or overwrites in whatever order the threads arrive, and nothing of ours needs it. */
const refused = (name: string): Replacement => () => () => () => {
  throw new Error(
    `The kernel ${name} of TensorFlow.js' webgpu backend gives other bits on each run, and was asked to be exact. ` +
      "Start the backend with determinism \"fast\" to allow it."
  )
}

/** Where the same inputs have to give the same bits: every stock kernel that works with atomics on floats. */
const exact: Readonly<Record<string, Replacement>> = {
  BatchMatMul: (tf) => (stock) => emptyProduct(orderlyProduct(tf)(stock)),
  ScatterNd: (tf) => () => scatterNd(tf),
  _FusedMatMul: (tf) => (stock) => emptyProduct(orderlyProduct(tf)(stock)),
  ...Object.fromEntries(
    [
      "Bincount",
      "DenseBincount",
      "Dilation2DBackpropFilter",
      "Dilation2DBackpropInput",
      "SparseSegmentMean",
      "SparseSegmentSum",
      "SparseToDense",
      "TensorScatterUpdate"
    ].map((name) => [name, refused(name)])
  )
}

/** Kernels that the stock backend lacks. */
const additions = (tf: Tf): Readonly<Record<string, KernelFunc>> => ({
  [names.crossEntropy]: crossEntropy,
  [names.crossEntropyGradient]: crossEntropyGradient,
  [names.dropoutFactors]: dropoutFactors,
  [names.gelu]: gelu,
  [names.geluGradient]: geluGradient,
  [names.layerNorm]: layerNorm,
  [names.layerNormGradient]: layerNormGradient,
  [names.linear]: linear(tf)
})

const register = (tf: Tf, config: KernelConfig): void => {
  if (tf.getKernel(config.kernelName, backendName) !== undefined) tf.unregisterKernel(config.kernelName, backendName)
  tf.registerKernel(config)
}

/** The stock kernels, as they were before the first of ours. */
const stock = new WeakMap<Tf, ReadonlyArray<KernelConfig>>()

const stockOf = (tf: Tf): ReadonlyArray<KernelConfig> => {
  let found = stock.get(tf)
  if (found === undefined) {
    found = [...new Set([...Object.keys(always), ...Object.keys(exact)])].flatMap((name) => {
      const config = tf.getKernel(name, backendName)
      if (config === undefined && name in always) {
        throw new Error(`The stock webgpu backend has no kernel ${name} to replace.`)
      }
      return config ?? []
    })
    stock.set(tf, found)
  }
  return found
}

/** Installs the kernels of a mode in the place of whatever was there. */
export const install = (tf: Tf, determinism: Determinism): void => {
  const replacements = determinism === "exact" ? { ...always, ...exact } : always
  for (const config of stockOf(tf)) {
    const replacement = replacements[config.kernelName]
    register(
      tf,
      replacement === undefined ? config : { ...config, kernelFunc: replacement(tf)(config.kernelFunc) }
    )
  }
  for (const [kernelName, kernelFunc] of Object.entries(additions(tf))) {
    register(tf, { backendName, kernelName, kernelFunc })
  }
}

/** Puts the stock kernels back, to measure against them. */
export const uninstall = (tf: Tf): void => {
  for (const config of stockOf(tf)) register(tf, config)
  for (const kernelName of Object.keys(additions(tf))) {
    if (tf.getKernel(kernelName, backendName) !== undefined) tf.unregisterKernel(kernelName, backendName)
  }
}
