/** Native TensorFlow on CPU or CUDA: `@tensorflow/tfjs-node-gpu` or `@tensorflow/tfjs-node`, if the user has one. */
import * as Effect from "effect/Effect"
import { activate, BackendUnavailable, type Driver, loadTensorFlow, processor, reasonOf } from "../Driver.ts"
import { loadOptionalPackage, loadPackage, type Tf } from "../TensorFlow.ts"

const packages = ["@tensorflow/tfjs-node-gpu", "@tensorflow/tfjs-node"] as const
const remedy = `Install one with \`npm install ${packages[0]}\` (CUDA) or \`npm install ${packages[1]}\` (CPU), ` +
  "or choose --backend wasm."

/** The binding behind the active backend, as far as it is read here. */
interface NativeBackend {
  readonly binding?: { readonly TF_Version?: string }
  readonly isGPUPackage?: boolean
  readonly isUsingGpuDevice?: boolean
}

/**
 * tfjs-node 4.22 calls predicates that `node:util` dropped in Node 23. They are put back on the module object, which is
 * what `require("util")` gives it.
 */
const restoreUtilPredicates = (): void => {
  const util = loadPackage<Record<string, unknown>>("node:util")
  util["isNullOrUndefined"] ??= (value: unknown) => value === null || value === undefined
  util["isUndefined"] ??= (value: unknown) => value === undefined
  util["isArray"] ??= Array.isArray
  util["isFunction"] ??= (value: unknown) => typeof value === "function"
  util["isNumber"] ??= (value: unknown) => typeof value === "number"
  util["isString"] ??= (value: unknown) => typeof value === "string"
  util["isObject"] ??= (value: unknown) => value !== null && typeof value === "object"
}

const unavailable = (reason: string) => new BackendUnavailable({ backend: "tensorflow", reason, remedy })

export const native: Driver<"tensorflow"> = {
  name: "tensorflow",
  description: "native TensorFlow on CPU or CUDA; an optional package",
  start: Effect.fnUntraced(function*() {
    const tf = yield* loadTensorFlow("tensorflow")
    restoreUtilPredicates()
    const found = yield* Effect.try({
      try: () => packages.find((specifier) => loadOptionalPackage(specifier) !== undefined),
      catch: (cause) => unavailable(`the native addon did not load: ${reasonOf(cause)}`)
    })
    if (found === undefined) return yield* unavailable(`neither ${packages[0]} nor ${packages[1]} is installed`)
    yield* activate(tf, "tensorflow", "tensorflow", remedy)
    const backend = tf.backend() as Tf["KernelBackend"]["prototype"] & NativeBackend
    const gpu = backend.isUsingGpuDevice === true
    const version = [
      `tfjs-${tf.version_core}`,
      `tensorflow-${backend.binding?.TF_Version ?? "unknown"}`,
      gpu ? "gpu" : "cpu",
      // oneDNN sums in another order than plain Eigen.
      `onednn-${process.env["TF_ENABLE_ONEDNN_OPTS"] ?? "default"}`
    ]
    return {
      tf,
      determinism: gpu && process.env["TF_DETERMINISTIC_OPS"] !== "1" ? "fast" as const : "exact" as const,
      version: version.join(" "),
      devices: [gpu ? { kind: "gpu", name: "GPU" } : processor] as const
    }
  })
}
