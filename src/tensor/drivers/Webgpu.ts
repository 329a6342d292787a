/** A GPU of any vendor through Dawn, from the optional npm packages `webgpu` and `@tensorflow/tfjs-backend-webgpu`. */
import * as Effect from "effect/Effect"
import { activate, type Driver, loadTensorFlow, reasonOf } from "../Driver.ts"
import type { Tf } from "../TensorFlow.ts"
import * as Buffers from "../webgpu/Buffers.ts"
import * as Dawn from "../webgpu/Dawn.ts"
import { type Guard, guard } from "../webgpu/DeviceFailed.ts"
import type { WebgpuBackend } from "../webgpu/Gpu.ts"
import * as Kernels from "../webgpu/Kernels.ts"
import * as Program from "../webgpu/Program.ts"

const stockPackage = "@tensorflow/tfjs-backend-webgpu"

/** The stock backend's package, as far as it is used here. */
interface Stock {
  readonly WebGPUBackend: new(device: object, info: object) => WebgpuBackend
}

const remedy = "Reinstall the packages, or choose --backend wasm."

type Instance = Dawn.Running & Guard

/** A device is kept while the process lives: its shaders are compiled as they are first used. */
let instance: Instance | undefined

/** Registers a backend on a device of ours; the package would take one of its own, and has no way to watch it. */
const registered = (tf: Tf, stock: Stock, running: Dawn.Running): Instance => {
  // The stock backend refuses to be made where a browser would have no WebGPU.
  const navigator = globalThis.navigator as { readonly gpu?: object }
  const before = Object.getOwnPropertyDescriptor(navigator, "gpu")
  Object.defineProperty(navigator, "gpu", { value: running.gpu, configurable: true })
  let backend: WebgpuBackend
  try {
    backend = new stock.WebGPUBackend(running.device, running.info)
  } finally {
    if (before === undefined) Reflect.deleteProperty(navigator, "gpu")
    else Object.defineProperty(navigator, "gpu", before)
  }
  backend.bufferManager.dispose()
  backend.bufferManager = Buffers.make(running.device)
  const watch = guard(backend, Dawn.describe(running.info).name)
  if (tf.engine().registryFactory["webgpu"] !== undefined) tf.removeBackend("webgpu")
  tf.registerBackend("webgpu", () => backend as unknown as InstanceType<Tf["KernelBackend"]>)
  return { ...running, ...watch }
}

export const webgpu: Driver<"webgpu"> = {
  name: "webgpu",
  start: Effect.fnUntraced(function*(determinism) {
    const tf = yield* loadTensorFlow("webgpu")
    if (instance === undefined || instance.isLost()) {
      const stock = yield* Dawn.load<Stock>(stockPackage)
      const running = yield* Dawn.start()
      instance = yield* Effect.try({
        try: () => registered(tf, stock, running),
        catch: (cause) => Dawn.unavailable(`TensorFlow.js' backend did not start: ${reasonOf(cause)}`, remedy)
      })
    }
    const { forget, info, packageVersion } = instance
    yield* activate(tf, "webgpu", "webgpu", remedy)
    yield* Effect.promise(forget)
    // What is small is otherwise computed on the CPU while its numbers are still there, which rounds otherwise: then a
    // run that resumes would not give the bits of one that never stopped.
    tf.env().set("WEBGPU_CPU_FORWARD", determinism === "fast")
    tf.env().set("WEBGPU_DEFERRED_SUBMIT_BATCH_SIZE", Program.submitAfter)
    Kernels.install(tf, determinism)
    return {
      tf,
      determinism,
      version: `tfjs-${tf.version_core} dawn-${packageVersion} kernels-${Kernels.revision} (${Dawn.signature(info)})`,
      devices: [Dawn.describe(info)] as const
    }
  })
}
