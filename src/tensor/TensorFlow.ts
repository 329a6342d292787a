/**
 * TensorFlow.js itself: its types under our names, and the one place that loads it.
 *
 * Nothing here runs when the module is imported. The library is read from disk by {@link load}, once a process, when a
 * backend starts.
 */
import type * as Core from "@tensorflow/tfjs-core"
import { createRequire } from "node:module"
import { pathToFileURL } from "node:url"

/** The namespace of TensorFlow.js: what a backend hands out as `tf`. */
export type Tf = typeof Core

export type {
  DataType,
  GradConfig,
  GradSaveFunc,
  KernelConfig,
  KernelFunc,
  NamedTensorMap,
  Rank,
  Scalar,
  Tensor,
  Tensor1D,
  Tensor2D,
  Tensor3D,
  Tensor4D,
  TensorInfo,
  Variable
} from "@tensorflow/tfjs-core"

const require = createRequire(import.meta.url)

/** Loads a CommonJS package that comes with us. Faster than `import()`, which scans the file for its exports first. */
export const loadPackage = <A>(specifier: string): A => require(specifier) as A

/** The path of a file of a package that comes with us. */
export const resolvePackage = (specifier: string): string => require.resolve(specifier)

/** The path of a file of an optional package: beside us, or else in the project in the current folder. */
export const resolveOptionalPackage = (specifier: string): string | undefined => {
  const fromProject = createRequire(pathToFileURL(`${process.cwd()}/package.json`))
  for (const attempt of [require, fromProject]) {
    try {
      return attempt.resolve(specifier)
    } catch {
      continue
    }
  }
  return undefined
}

/**
 * Loads an optional package: from beside us, or else from the project in the current folder. `undefined` when neither
 * has it; throws what the package throws when it is there and does not load.
 */
export const loadOptionalPackage = <A>(specifier: string): A | undefined => {
  const path = resolveOptionalPackage(specifier)
  return path === undefined ? undefined : require(path) as A
}

let loaded: Tf | undefined

/** The namespace, loaded on first use and the same object ever after. */
export const load = (): Tf => {
  if (loaded === undefined) {
    const tf = loadPackage<Tf>("@tensorflow/tfjs-core")
    // TensorFlow.js prints a banner and registry warnings unless told that this is production.
    tf.enableProdMode()
    loaded = tf
  }
  return loaded
}
