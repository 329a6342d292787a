/** Plain JavaScript, the reference that the other backends are tested against. Some forty times slower than `wasm`. */
import * as Effect from "effect/Effect"
import { activate, type Driver, loadTensorFlow, processor } from "../Driver.ts"
import { loadPackage } from "../TensorFlow.ts"

export const cpu: Driver<"cpu"> = {
  name: "cpu",
  start: Effect.fnUntraced(function*() {
    const tf = yield* loadTensorFlow("cpu")
    loadPackage("@tensorflow/tfjs-backend-cpu")
    yield* activate(tf, "cpu", "cpu", "Reinstall the packages with `npm ci`.")
    return { tf, determinism: "exact" as const, version: `tfjs-${tf.version_core}`, devices: [processor] as const }
  })
}
