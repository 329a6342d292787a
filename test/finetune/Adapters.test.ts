import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Predict from "../../src/evaluate/Predict.ts"
import type { Hyperparameters } from "../../src/finetune/Hyperparameters.ts"
import * as Resume from "../../src/finetune/Resume.ts"
import * as Trainer from "../../src/finetune/Trainer.ts"
import * as Checkpoint from "../../src/model/Checkpoint.ts"
import { Backend } from "../../src/tensor/Backend.ts"
import { letters } from "./letters.ts"

/** The same run with an adapter. */
const small = Effect.map(letters, ({ hyperparameters, ...run }) => ({
  ...run,
  hyperparameters: {
    ...hyperparameters,
    learningRate: 0.02,
    schedule: "linear",
    dropout: 0.1,
    adapter: "lora",
    loraRank: 4,
    loraAlpha: 8,
    loraDropout: 0.1
  } as const satisfies Hyperparameters
}))

describe("training an adapter", () => {
  for (const adapter of ["lora", "dora"] as const) {
    it.effect(`learns, leaves the base as it was, and continues to the bit: ${adapter}`, () =>
      Effect.gen(function*() {
        const { hyperparameters, ...run } = yield* small
        const { tf } = yield* Backend
        const before = tf.memory().numTensors
        const losses: Array<number> = []
        const options = { ...run, hyperparameters: { ...hyperparameters, adapter, emaDecay: 0.5 } }
        const whole = yield* Trainer.train({ ...options, onStep: ({ loss }) => void losses.push(loss) })
        assert.strictEqual(tf.memory().numTensors, before)
        assert.isBelow(losses.at(-1)!, 0.7 * losses[0]!)
        const trained = [...whole.state.parameters.keys()]
        assert.isTrue(trained.every((name) => /lora_|score/.test(name)), trained.join())
        for (const [name, { data }] of run.model.tensors) {
          assert.deepStrictEqual(whole.checkpoint.tensors.get(name)!.data, data, name)
        }
        const first = yield* Trainer.train({ ...options, stopAfterEpochs: 2 })
        const stored = Checkpoint.parametersOf(first.checkpoint)
        const saved = yield* Resume.decode(Resume.encode(first.state, stored), stored)
        assert.deepStrictEqual(yield* Trainer.train({ ...options, resume: saved }), whole)

        // Through its files, and merged, it says the same.
        const files = yield* Checkpoint.fromFiles(Checkpoint.toFiles(whole.checkpoint))
        const answers = (checkpoint: Checkpoint.Checkpoint) =>
          Predict.classify({ checkpoint, examples: options.examples })
        const expected = yield* answers(whole.checkpoint)
        const merged = yield* answers(yield* Checkpoint.merged(files))
        assert.deepStrictEqual((yield* answers(files)).logits, expected.logits)
        expected.logits.forEach((logit, i) => assert.closeTo(merged.logits[i]!, logit, 1e-4))
        assert.isBelow(expected.meanLoss, 1)
      }).pipe(Effect.provide(Backend.layer("wasm"))))
  }

  it.effect("takes the same bits with gradient checkpointing", () =>
    Effect.gen(function*() {
      const { hyperparameters, ...run } = yield* small
      const train = (gradientCheckpointing: boolean) =>
        Trainer.train({ ...run, stopAfterEpochs: 1, hyperparameters: { ...hyperparameters, gradientCheckpointing } })
      assert.deepStrictEqual(yield* train(true), yield* train(false))
    }).pipe(Effect.provide(Backend.layer("wasm"))))

  it.effect("puts matrices beside the topmost layers only, where only they are trained", () =>
    Effect.gen(function*() {
      const { hyperparameters, ...run } = yield* small
      const { state } = yield* Trainer.train({
        ...run,
        stopAfterEpochs: 0.5,
        hyperparameters: { ...hyperparameters, trainedLayers: 1, loraTargets: "attention" }
      })
      assert.isTrue([...state.parameters.keys()].every((name) => /\.h\.1\.attn\.|score/.test(name)))
    }).pipe(Effect.provide(Backend.layer("wasm"))))

  it.effect("is refused where its targets are none of the model's", () =>
    Effect.gen(function*() {
      const { hyperparameters, ...run } = yield* small
      const error = yield* Effect.flip(
        Trainer.train({ ...run, hyperparameters: { ...hyperparameters, loraTargets: ["q_proj"] } })
      )
      assert.strictEqual(error._tag, "InvalidAdapter")
      assert.match(error.message, /q_proj/)
    }).pipe(Effect.provide(Backend.layer("wasm"))))
})
