/** Native TensorFlow on CPU or CUDA: `@tensorflow/tfjs-node-gpu` or `@tensorflow/tfjs-node`, if the user has one. */
import * as Effect from "effect/Effect"
import * as path from "node:path"
import { activate, BackendUnavailable, type Determinism, type Device, type Driver } from "../Driver.ts"
import { loadTensorFlow, processor, reasonOf } from "../Driver.ts"
import * as Addon from "../native/Addon.ts"
import * as Cuda from "../native/Cuda.ts"
import * as Environment from "../native/Environment.ts"
import * as Processor from "../native/Processor.ts"
import { resolveOptionalPackage, type Tf } from "../TensorFlow.ts"

/** The first that is there is taken: who installed both wants CUDA. */
const packages = ["@tensorflow/tfjs-node-gpu", "@tensorflow/tfjs-node"] as const

const install = "Build it with `npx attune doctor --explain tensorflow > build.sh; sh build.sh`, " +
  "or choose --backend wasm."
const rebuild = "Build it again with `npx attune doctor --explain tensorflow > build.sh; sh build.sh`, " +
  "or choose --backend wasm."

const unavailable = (reason: string, remedy: string) =>
  new BackendUnavailable({ backend: "tensorflow", reason, remedy })

/** TensorFlow is loaded once in the life of a process, and keeps the settings that it was loaded with. */
interface Loaded {
  readonly addon: Addon.Addon
  readonly gpus: ReadonlyArray<Cuda.Visible>
  /** The environment as it was then. */
  readonly given: Environment.Variables
}

let loaded: Loaded | undefined

const load = (folder: string, tf: Tf, determinism: Determinism): Loaded => {
  const gpus = Cuda.visible(Cuda.list(), process.env["CUDA_VISIBLE_DEVICES"])
  Object.assign(process.env, Environment.wanted(determinism, process.env))
  const addon = seeingOnly(gpus[0], () => Addon.load(folder, tf))
  // A pipeline that loads the package itself has registered a backend that lacks what Node no longer has.
  if (tf.engine().registryFactory["tensorflow"] !== undefined) tf.removeBackend("tensorflow")
  tf.registerBackend("tensorflow", addon.makeBackend)
  return { addon, gpus, given: { ...process.env } }
}

/**
 * Loads the addon with one GPU in its sight: it computes on the last one that it sees, and TensorFlow takes memory on
 * all of them. CUDA looks once; processes that this one starts see them all again.
 */
const seeingOnly = <A>(gpu: Cuda.Visible | undefined, load: () => A): A => {
  const before = process.env["CUDA_VISIBLE_DEVICES"]
  if (gpu === undefined) return load()
  process.env["CUDA_VISIBLE_DEVICES"] = gpu.id
  try {
    return load()
  } finally {
    if (before === undefined) delete process.env["CUDA_VISIBLE_DEVICES"]
    else process.env["CUDA_VISIBLE_DEVICES"] = before
  }
}

export const native: Driver<"tensorflow"> = {
  name: "tensorflow",
  start: Effect.fnUntraced(function*(determinism) {
    const manifest = packages.flatMap((name) => resolveOptionalPackage(`${name}/package.json`) ?? [])[0]
    if (manifest === undefined) {
      return yield* unavailable(`neither ${packages[0]} nor ${packages[1]} is installed`, install)
    }
    const tf = yield* loadTensorFlow("tensorflow")
    const { addon, given, gpus } = yield* Effect.try({
      try: () => loaded ??= load(path.dirname(manifest), tf, determinism),
      catch: (cause) => unavailable(`the native addon did not load: ${reasonOf(cause)}`, rebuild)
    })
    yield* activate(tf, "tensorflow", "tensorflow", rebuild)
    const backend = tf.backend() as ReturnType<Addon.Addon["makeBackend"]>
    const version = [`tfjs-${tf.version_core}`, `tensorflow-${addon.tensorflowVersion}`]
    if (!backend.isUsingGpuDevice) {
      // On a processor every kernel of TensorFlow adds up in an order that its number of threads decides.
      version.push("cpu", `threads-${Environment.threads(given)}`)
      version.push(...Environment.arithmetic(given), Processor.identity())
      return { tf, determinism: "exact" as const, version: version.join(" "), devices: [processor] as const }
    }
    const repeats = Environment.isDeterministic(given)
    if (determinism === "exact" && !repeats) {
      return yield* unavailable(
        "TensorFlow was loaded in this process for results that need not repeat, and reads that setting once",
        "Run this work in a process of its own."
      )
    }
    const [first = unnamed, ...rest] = gpus.map((gpu): Device => ({ kind: "gpu", name: Cuda.nameOf(gpu) }))
    version.push("gpu", Environment.tensorFloat32(given), `driver-${gpus[0]?.gpu?.driver ?? "unknown"}`)
    if (addon.libraries !== undefined) version.push(`libraries-${addon.libraries}`)
    return {
      tf,
      determinism: repeats ? "exact" as const : "fast" as const,
      version: `${version.join(" ")} (${first.name})`,
      devices: [first, ...rest] as const
    }
  })
}

/** TensorFlow found a GPU, and there is no `nvidia-smi` to ask what it is. */
const unnamed: Device = { kind: "gpu", name: "CUDA device" }
