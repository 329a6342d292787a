/**
 * A run that takes a fraction of a second and learns something.
 */
import { Effect } from "effect"
import { defaults, type Hyperparameters } from "../../src/finetune/Hyperparameters.ts"
import * as Checkpoint from "../../src/model/Checkpoint.ts"
import type { Example } from "../../src/model/Examples.ts"
import * as Gpt2 from "../../src/model/Gpt2.ts"
import * as Tokenizer from "../../src/model/Tokenizer.ts"
import * as Random from "../../src/random/Random.ts"

export const labels = ["a", "b", "c"]
export const task = { head: "sequence-classification", labels } as const

/** A tiny untrained model and texts whose class is the letter that they begin with. */
export const letters = Effect.gen(function*() {
  const config = Gpt2.config({
    vocabularySize: 257,
    positions: 16,
    width: 16,
    layers: 2,
    heads: 2,
    endOfTextId: 256,
    initializerRange: 0.1
  })
  const model = yield* Checkpoint.untrained(config, Tokenizer.byteLevel(), 1)
  const random = Random.make(3, "texts")
  const examples = Array.from({ length: 26 }, (_, i): Example => ({
    tokens: Int32Array.from({ length: 1 + random.integer(9) }, (_, j) => j === 0 ? 64 + i % 3 : random.integer(256)),
    label: i % 3
  }))
  const hyperparameters: Hyperparameters = {
    ...defaults,
    learningRate: 0.01,
    epochs: 6,
    weightDecay: 0.1,
    warmupRatio: 0.1,
    schedule: "cosine",
    seed: 7
  }
  return { model, task, examples, hyperparameters }
})
