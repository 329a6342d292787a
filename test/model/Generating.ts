/**
 * What tests of generation share.
 */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import * as Checkpoint from "../../src/model/Checkpoint.ts"
import * as Gpt2 from "../../src/model/Gpt2.ts"
import * as Tokenizer from "../../src/model/Tokenizer.ts"
import { Backend } from "../../src/tensor/Backend.ts"

/** Nothing stays on the backend, however the effect ends. */
export const cleanly = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const { tf } = yield* Backend
    const before = [tf.memory().numTensors, tf.memory().numBytes]
    const exit = yield* Effect.exit(effect)
    assert.deepStrictEqual([tf.memory().numTensors, tf.memory().numBytes], before, "left behind on the backend")
    return yield* exit
  })

/** A model over bytes with random weights. */
export const untrained = (overrides: Readonly<Record<string, unknown>> = {}) =>
  Checkpoint.untrained(
    {
      ...Gpt2.config({
        vocabularySize: 257,
        positions: 64,
        width: 32,
        layers: 2,
        heads: 2,
        endOfTextId: 256,
        initializerRange: 0.3
      }),
      ...overrides
    },
    Tokenizer.byteLevel(),
    5
  )
