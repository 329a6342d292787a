/**
 * How fast a backend trains: tokens a second of whole training steps (forward, backward, AdamW) of one small GPT-2, the
 * same on every backend. `attune doctor` has it measured in a process of its own for each.
 */
import * as Effect from "effect/Effect"
import type * as Probe from "../executor/Probe.ts"
import { defaults } from "../finetune/Hyperparameters.ts"
import * as Step from "../finetune/Step.ts"
import { initialize } from "../model/Architecture.ts"
import * as Examples from "../model/Examples.ts"
import * as Gpt2 from "../model/Gpt2.ts"

const shape = { vocabularySize: 256, positions: 64, width: 128, layers: 4, heads: 4, dropout: 0 }

/** What is trained, in words. */
export const subject = `a GPT-2 of ${shape.layers} layers, width ${shape.width}, on texts of ${shape.positions} tokens`

const batchSize = 16

/** Milliseconds of steps that are timed, at least. */
const enough = 1_000

/**
 * Times steps for a second after one that is not counted, in which a GPU compiles its shaders. In batches of 16; of 1
 * where the second would not do for one of those.
 */
export const measure: Probe.Measure = Effect.fnUntraced(function*(tf) {
  const model = yield* Gpt2.family.make(Gpt2.config(shape), "causal-language-modeling")
  const examples = Array.from({ length: batchSize }, (_, row) => ({
    tokens: Int32Array.from(
      { length: shape.positions },
      (_, position) => (31 * row + 7 * position) % shape.vocabularySize
    )
  }))
  const batchOf = (size: number) => Examples.collate(model, examples, Array.from({ length: size }, (_, row) => [row]))
  return yield* Effect.acquireUseRelease(
    Effect.sync(() =>
      Step.make(tf, {
        model,
        parameters: initialize(model, 0),
        hyperparameters: { ...defaults, dropout: 0 },
        totalSteps: 1_000_000
      })
    ),
    Effect.fnUntraced(function*(stepper) {
      let step = 0
      /** Milliseconds of one step. */
      const time = (batch: Examples.Batch) =>
        Effect.promise(async () => {
          const before = performance.now()
          await stepper.take([batch], step++)
          return performance.now() - before
        })
      const one = batchOf(1), full = batchOf(batchSize)
      yield* time(one)
      const first = yield* time(one)
      const isSlow = first * batchSize > 2 * enough
      if (!isSlow) yield* time(full)
      let millis = isSlow ? first : 0, steps = isSlow ? 1 : 0
      const batch = isSlow ? one : full
      for (; millis < enough; steps++) millis += yield* time(batch)
      return { tokensPerSecond: steps * batch.tokens * 1_000 / millis, batchSize: batch.batch, steps }
    }),
    (stepper) => Effect.sync(stepper.dispose)
  )
})
