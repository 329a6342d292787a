/**
 * The package `@tensorflow/tfjs-node` on our copy of TensorFlow.js.
 *
 * Its main module would load `@tensorflow/tfjs` besides: gradients that replace ours, kernels of other backends that are
 * registered already, a message for each of them, and where npm has put it into another folder a second copy of the
 * core. (Copies share one engine and one registry, through the global object.) So the main module is left alone: the
 * kernels, the backend's class and the addon are loaded one by one, and where they ask for TensorFlow.js they are handed
 * ours. All that they take from it is in the core.
 */
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import { createRequire, Module } from "node:module"
import * as path from "node:path"
import * as util from "node:util"
import type { Tf } from "../TensorFlow.ts"
import * as Kernels from "./Kernels.ts"

/** The functions of the addon that are read here; the kernels call the others. */
interface Binding {
  /** The version of the TensorFlow that it is linked with. */
  readonly TF_Version?: string
}

export interface Addon {
  /** Makes the backend; there is one TensorFlow in a process, so make one. */
  readonly makeBackend: () => InstanceType<Tf["KernelBackend"]> & { readonly isUsingGpuDevice: boolean }
  readonly tensorflowVersion: string
  /** The first digits of the digest of the list of NVIDIA's libraries that the build laid out, if it did. */
  readonly libraries: string | undefined
}

/** The part of the package's manifest that is read here. */
export interface Manifest {
  readonly name: string
  readonly version: string
  readonly binary?: {
    readonly module_name: string
    readonly module_path: string
    readonly napi_versions?: ReadonlyArray<number>
  }
}

/** Where the package's manifest says that the addon is: in the folder of the newest Node-API that this Node knows. */
export const addonPath = (folder: string, { binary }: Manifest, napi = Number(process.versions.napi ?? 0)): string => {
  const known = (binary?.napi_versions ?? []).filter((version) => version <= napi)
  const { module_name = "tfjs_binding", module_path = "./lib/napi-v{napi_build_version}" } = binary ?? {}
  const modulePath = module_path.replaceAll("{napi_build_version}", String(Math.max(...known, 0)))
  return path.join(folder, modulePath, `${module_name}.node`)
}

/**
 * Loads the package in `folder`: registers its kernels with `tf` and gives what makes its backend. Throws what the
 * dynamic loader or the package throws.
 */
export const load = (folder: string, tf: Tf): Addon => {
  const inPackage = createRequire(path.join(folder, "package.json"))
  const manifest = JSON.parse(fs.readFileSync(path.join(folder, "package.json"), "utf8")) as Manifest
  if (manifest.version !== tf.version_core) {
    throw new Error(`${manifest.name} is of version ${manifest.version} and has to be of ${tf.version_core}`)
  }
  const file = addonPath(folder, manifest)
  if (!fs.existsSync(file)) throw new Error(`${manifest.name} is installed and not built: there is no ${file}`)
  // Made by our own build: keeps TensorFlow from printing before it has read how much it is to print.
  const quiet = path.join(path.dirname(file), "tensorflow_log_level.node")
  if (fs.existsSync(quiet)) inPackage(quiet)
  // The addon first: what may be wrong is most likely wrong with it, and then nothing has been registered.
  const binding = inPackage(file) as Binding
  restoreMethods(tf)
  return withOurCore(folder, tf, () => {
    inPackage("./dist/register_all_kernels.js")
    Kernels.install(tf)
    const { NodeJSKernelBackend } = inPackage("./dist/nodejs_kernel_backend.js") as {
      readonly NodeJSKernelBackend: new(binding: Binding, packageName: string) => ReturnType<Addon["makeBackend"]>
    }
    return {
      makeBackend: () => new NodeJSKernelBackend(binding, manifest.name),
      tensorflowVersion: binding.TF_Version ?? "unknown",
      libraries: librariesOf(folder)
    }
  })
}

const librariesOf = (folder: string): string | undefined => {
  try {
    const list = fs.readFileSync(path.join(folder, "deps/libraries.txt"))
    return createHash("sha256").update(list).digest("hex").slice(0, 8)
  } catch {
    return undefined
  }
}

/**
 * Runs `load` while modules in `folder` that require TensorFlow.js get `tf`, and those that require `util` get one with
 * the predicates that tfjs-node 4.22 calls and Node dropped in version 23 or is about to drop. Leaves the cache of
 * modules as it found it, for a pipeline that uses the package in its own way.
 */
const withOurCore = <A>(folder: string, tf: Tf, load: () => A): A => {
  const require = createRequire(path.join(folder, "package.json"))
  const own = path.join(folder, "dist") + path.sep
  const ownModules = () => Object.keys(require.cache).filter((file) => file.startsWith(own))
  const standIns = new Map<string, unknown>([["util", {
    ...util,
    isNullOrUndefined: (value: unknown) => value === null || value === undefined,
    isArray: Array.isArray
  }]])
  for (const name of ["@tensorflow/tfjs", "@tensorflow/tfjs-core"]) {
    try {
      standIns.set(require.resolve(name), tf)
    } catch {
      // Not installed, so nothing stands in its way; the kernels will say that they miss it.
    }
  }
  const before = new Map([...ownModules(), ...standIns.keys()].map((key) => [key, require.cache[key]]))
  for (const key of before.keys()) delete require.cache[key]
  for (const [key, exports] of standIns) {
    // The cache is asked before Node's own modules, too.
    require.cache[key] = Object.assign(new Module(key), { filename: key, loaded: true, exports })
  }
  try {
    return load()
  } finally {
    for (const key of ownModules()) delete require.cache[key]
    for (const [key, module] of before) {
      if (module === undefined) delete require.cache[key]
      else require.cache[key] = module
    }
  }
}

/** Some kernels call operations as methods of tensors, which the core leaves to `@tensorflow/tfjs` to add. */
const restoreMethods = (tf: Tf): void => {
  const methods: Readonly<Record<string, (this: never, argument: never) => unknown>> = {
    toInt() {
      return tf.cast(this, "int32")
    },
    toFloat() {
      return tf.cast(this, "float32")
    },
    add(other) {
      return tf.add(this, other)
    },
    sub(other) {
      return tf.sub(this, other)
    },
    mul(other) {
      return tf.mul(this, other)
    }
  }
  for (const [name, value] of Object.entries(methods)) {
    if (!(name in tf.Tensor.prototype)) {
      Object.defineProperty(tf.Tensor.prototype, name, { value, configurable: true, writable: true })
    }
  }
}
