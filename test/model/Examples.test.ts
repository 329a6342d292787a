import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Examples from "../../src/model/Examples.ts"
import * as Gpt2 from "../../src/model/Gpt2.ts"

const config = Gpt2.config({ vocabularySize: 10, positions: 8, width: 4, layers: 1, heads: 1, endOfTextId: 9 })

describe("Examples", () => {
  it.effect("pads on the right, and reads a class from the last token", () =>
    Effect.gen(function*() {
      const model = yield* Gpt2.family.make({ ...config, num_labels: 3 }, "sequence-classification")
      const examples = [
        { tokens: Int32Array.of(1, 2, 3), label: 2 },
        { tokens: Int32Array.of(8), label: 0 },
        { tokens: Int32Array.of(4, 5, 9), label: 1 }
      ]
      assert.deepStrictEqual(Examples.collate(model, examples, [[2], [1]]), {
        batch: 2,
        time: 3,
        inputIds: Int32Array.of(4, 5, 9, 8, 9, 9),
        lengths: Int32Array.of(3, 1),
        rows: Int32Array.of(1, 3),
        targets: Int32Array.of(1, 0),
        scores: Float32Array.of(0, 0),
        tokens: 4
      })
    }))

  it.effect("predicts each supervised token from the position before it", () =>
    Effect.gen(function*() {
      const model = yield* Gpt2.family.make(config, "causal-language-modeling")
      const examples = [
        { tokens: Int32Array.of(1, 2) },
        { tokens: Int32Array.of(3, 4, 5, 6), labels: Int32Array.of(3, Examples.ignored, 5, 6) }
      ]
      const batch = Examples.collate(model, examples, [[0], [1]])
      assert.deepStrictEqual(batch.rows, Int32Array.of(0, 5, 6))
      assert.deepStrictEqual(batch.targets, Int32Array.of(2, 5, 6))
      yield* Examples.check(model, examples)
      const outside = { tokens: Int32Array.of(1, 2), labels: Int32Array.of(1, 10) }
      assert.match(
        (yield* Effect.flip(Examples.check(model, [outside]))).message,
        /label 10 at 1 is not in the vocabulary/
      )
      const uneven = { tokens: Int32Array.of(1, 2), labels: Int32Array.of(1) }
      assert.match((yield* Effect.flip(Examples.check(model, [uneven]))).message, /1 labels for 2 tokens/)
    }))
})
