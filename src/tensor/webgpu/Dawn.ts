/**
 * The GPU of any vendor, through Dawn in the npm package `webgpu`: finds an adapter, and starts a device on it.
 */
import * as Effect from "effect/Effect"
import { execFile } from "node:child_process"
import { BackendUnavailable, type Device, reasonOf } from "../Driver.ts"
import { loadOptionalPackage, resolveOptionalPackage } from "../TensorFlow.ts"
import type { Adapter, AdapterInfo, GpuDevice } from "./Gpu.ts"

/** The npm package. */
interface Dawn {
  readonly create: (options: ReadonlyArray<string>) => {
    readonly requestAdapter: (options: { readonly powerPreference: "high-performance" }) => Promise<Adapter | null>
  }
  /** The classes and constants that a browser has as globals. */
  readonly globals: Readonly<Record<string, unknown>>
}

/** A device that works, and what keeps it working. */
export interface Running {
  readonly device: GpuDevice
  readonly info: AdapterInfo
  /** What `navigator.gpu` is in a browser. Dawn works on as long as somebody refers to it. */
  readonly gpu: object
  readonly packageVersion: string
}

const packageName = "webgpu"

const install = "Install it with `npm install webgpu @tensorflow/tfjs-backend-webgpu@4.22.0`, or choose --backend wasm."

/** The environment variable that names the adapter to use, as Dawn calls it. */
const adapterVariable = "ATTUNE_WEBGPU_ADAPTER"

const noAdapter =
  "Install a Vulkan driver for the GPU, 2023 or newer for Mesa (in a container, expose the GPU's graphics " +
  "capability), or choose --backend wasm."

export const unavailable = (reason: string, remedy: string): BackendUnavailable =>
  new BackendUnavailable({ backend: "webgpu", reason, remedy })

/** An optional package, or why there is none. */
export const load = <A>(specifier: string): Effect.Effect<A, BackendUnavailable> =>
  Effect.try({
    try: () => loadOptionalPackage<A>(specifier),
    catch: (cause) => unavailable(`the package ${specifier} did not load: ${reasonOf(cause)}`, install)
  }).pipe(Effect.filterOrFail(
    (found): found is NonNullable<typeof found> => found !== undefined,
    () => unavailable(`the package ${specifier} is not installed`, install)
  ))

/**
 * Why Dawn has no adapter to offer. It tells that to the error stream of its process and to nobody else, so another
 * process asks it again. Empty if nothing is to be learnt.
 */
const refusal = (options: ReadonlyArray<string>): Effect.Effect<string> =>
  Effect.callback<string>((resume) => {
    const path = resolveOptionalPackage(packageName)
    if (path === undefined) return resume(Effect.succeed(""))
    const code = `require(${JSON.stringify(path)}).create(${JSON.stringify(options)}).requestAdapter()`
    const child = execFile(process.execPath, ["--eval", code], { timeout: 20_000 }, (_error, _stdout, stderr) => {
      // Lines that begin with "at" say where in Dawn's source it found out.
      const words = stderr.split("\n").filter((line) => !/^\s*at /.test(line)).map((line) =>
        line.replace(/^(Warning|Error): /, "").trim()
      )
      resume(Effect.succeed([...new Set(words.filter((line) => line !== ""))].join("; ").replace(/\.$/, "")))
    })
    return Effect.sync(() => void child.kill("SIGKILL"))
  })

/** The limits that matter to kernels; the others stay at their defaults. */
const wanted = [
  "maxBufferSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupsPerDimension",
  "maxComputeWorkgroupStorageSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage"
] as const

/** Starts the device that performs best, or the one that the environment names. */
export const start = Effect.fnUntraced(function*(): Effect.fn.Return<Running, BackendUnavailable> {
  const dawn = yield* load<Dawn>(packageName)
  const chosen = process.env[adapterVariable]
  const options = chosen === undefined || chosen === "" ? [] : [`adapter=${chosen}`]
  const remedy = options.length === 0
    ? noAdapter
    : `Name another in ${adapterVariable} (now "${chosen}"), or unset it.`
  const gpu = yield* Effect.try({
    try: () => {
      Object.assign(globalThis, dawn.globals)
      return dawn.create(options)
    },
    catch: (cause) => unavailable(`Dawn did not start: ${reasonOf(cause)}`, noAdapter)
  })
  const adapter = yield* Effect.tryPromise({
    try: () => gpu.requestAdapter({ powerPreference: "high-performance" }),
    catch: (cause) => {
      // With a list of the adapters there are, an asterisk before each.
      const words = reasonOf(cause).replaceAll(":; * ", ": ").replaceAll("; * ", ", ")
      return unavailable(`Dawn refused the adapter: ${words}`, remedy)
    }
  })
  if (adapter === null) {
    const words = yield* refusal(options)
    return yield* unavailable(`Dawn found no usable adapter${words === "" ? "" : `: ${words}`}`, remedy)
  }
  const device = yield* Effect.tryPromise({
    try: () =>
      adapter.requestDevice({
        requiredFeatures: adapter.features.has("timestamp-query") ? ["timestamp-query"] : [],
        requiredLimits: Object.fromEntries(wanted.map((limit) => [limit, adapter.limits[limit]!]))
      }),
    catch: (cause) => unavailable(`Dawn refused the device: ${reasonOf(cause)}`, remedy)
  })
  const { version = "unknown" } = loadOptionalPackage<{ readonly version?: string }>(`${packageName}/package.json`) ??
    {}
  return { device, info: adapter.info, gpu, packageVersion: version }
})

/** Drivers that compute on the CPU. */
const software = /llvmpipe|lavapipe|swiftshader|software|basic render|softpipe/i

/** The adapter as a person knows it. */
export const describe = (info: AdapterInfo): Device => {
  const words = [info.vendor, info.architecture, info.device, info.description].join(" ")
  const isSoftware = info.isFallbackAdapter === true || software.test(words)
  const name = [info.description, info.device, info.vendor].find((text) => text !== "") ?? "unknown device"
  return { kind: isSoftware ? "software" : "gpu", name }
}

/** All that the adapter says of itself: another driver may round otherwise. */
export const signature = ({ architecture, description, device, vendor }: AdapterInfo): string =>
  [vendor, architecture, device, description].filter((text) => text !== "").join(", ")
