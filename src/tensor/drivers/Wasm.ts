/** WebAssembly: the default. Needs nothing but npm, runs on one core. */
import * as Effect from "effect/Effect"
import { dirname, sep } from "node:path"
import { activate, type Driver, loadTensorFlow, processor } from "../Driver.ts"
import { loadPackage, resolvePackage } from "../TensorFlow.ts"
import * as Heap from "../wasm/Heap.ts"
import * as Kernels from "../wasm/Kernels.ts"

const packageName = "@tensorflow/tfjs-backend-wasm"

export const wasm: Driver<"wasm"> = {
  name: "wasm",
  start: Effect.fnUntraced(function*() {
    const remedy = "Reinstall the packages with `npm ci`; WebAssembly needs a Node without --jitless."
    const tf = yield* loadTensorFlow("wasm")
    const backend = loadPackage<typeof import("@tensorflow/tfjs-backend-wasm")>(packageName)
    backend.setWasmPaths(dirname(resolvePackage(packageName)) + sep)
    yield* activate(tf, "wasm", "wasm", remedy)
    Kernels.install(tf)
    const simd = yield* Effect.promise(async () => Boolean(await tf.env().getAsync("WASM_HAS_SIMD_SUPPORT")))
    return {
      tf,
      determinism: "exact" as const,
      version: `tfjs-${tf.version_core} wasm-${simd ? "simd" : "scalar"} ${Kernels.version(tf)}`,
      devices: [processor] as const,
      memoryLimit: Heap.capacity
    }
  })
}
