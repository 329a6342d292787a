/** A GPU of any vendor through Dawn, from the optional npm packages `webgpu` and `@tensorflow/tfjs-backend-webgpu`. */
import * as Effect from "effect/Effect"
import { activate, BackendUnavailable, type Driver, loadTensorFlow, reasonOf } from "../Driver.ts"
import { loadOptionalPackage } from "../TensorFlow.ts"

/** The part of the npm package `webgpu` that is used here. */
interface Dawn {
  readonly create: (options: ReadonlyArray<string>) => {
    readonly requestAdapter: () => Promise<
      | { readonly info?: { readonly vendor: string; readonly architecture: string; readonly description: string } }
      | null
    >
  }
  readonly globals: Record<string, unknown>
}

const install = "Install it with `npm install webgpu @tensorflow/tfjs-backend-webgpu@4.22.0`, or choose --backend wasm."
const noAdapter =
  "Install a Vulkan driver for the GPU (in a container, expose its graphics capability), or choose --backend wasm."

const unavailable = (reason: string, remedy: string) => new BackendUnavailable({ backend: "webgpu", reason, remedy })

const loadOrFail = <A>(specifier: string) =>
  Effect.try({
    try: () => loadOptionalPackage<A>(specifier),
    catch: (cause) => unavailable(`the package ${specifier} did not load: ${reasonOf(cause)}`, install)
  }).pipe(Effect.filterOrFail(
    (found): found is NonNullable<typeof found> => found !== undefined,
    () => unavailable(`the package ${specifier} is not installed`, install)
  ))

export const webgpu: Driver<"webgpu"> = {
  name: "webgpu",
  description: "a GPU of any vendor through Vulkan, Metal or Direct3D; optional packages",
  start: Effect.fnUntraced(function*() {
    const dawn = yield* loadOrFail<Dawn>("webgpu")
    const tf = yield* loadTensorFlow("webgpu")
    const gpu = yield* Effect.try({
      try: () => {
        // The backend reads `navigator.gpu` and the WebGPU constants from the global object while it loads.
        Object.assign(globalThis, dawn.globals)
        const gpu = dawn.create([])
        Object.defineProperty(globalThis.navigator, "gpu", { value: gpu, configurable: true })
        return gpu
      },
      catch: (cause) => unavailable(`Dawn did not start: ${reasonOf(cause)}`, noAdapter)
    })
    const adapter = yield* Effect.tryPromise({
      try: () => gpu.requestAdapter(),
      catch: (cause) => unavailable(`Dawn refused an adapter: ${reasonOf(cause)}`, noAdapter)
    })
    if (adapter === null) return yield* unavailable("Dawn found no usable adapter", noAdapter)
    yield* loadOrFail("@tensorflow/tfjs-backend-webgpu")
    yield* activate(tf, "webgpu", "webgpu", noAdapter)
    const device = adapter.info === undefined ? "unknown" : `${adapter.info.vendor} ${adapter.info.description}`.trim()
    // Segment sums add with atomics in whatever order the threads arrive, so bits vary from run to run.
    return {
      tf,
      determinism: "fast" as const,
      version: `tfjs-${tf.version_core} webgpu (${device})`,
      devices: [{ kind: "gpu", name: device }] as const
    }
  })
}
