import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Metrics from "../../src/pipeline/Metrics.ts"
import { Store } from "../../src/store/Store.ts"

describe("the progress of a stage", () => {
  it.effect("may be without values, and then leaves no table", () =>
    Effect.gen(function*() {
      const told: Array<Metrics.Entry> = []
      const metrics = yield* Metrics.open("b".repeat(64), (entry) => told.push(entry))
      metrics.log({ step: 3, steps: 9, split: "validation", values: {} })
      assert.isNull(yield* metrics.seal)
      assert.deepStrictEqual(told, [{ step: 3, steps: 9, split: "validation", values: {} }])
    }).pipe(Effect.provide(Store.layerMemory)))

  it.effect("tells the loss on validation data from that on training data", () =>
    Effect.gen(function*() {
      const told: Array<Metrics.Entry> = []
      const metrics = yield* Metrics.open("a".repeat(64), (entry) => told.push(entry))
      metrics.log({ step: 1, steps: 9, split: "validation", values: { loss: 4 } })
      yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 250)))
      metrics.log({ step: 2, steps: 9, split: "train", values: { loss: 2, norm: 1 } })
      yield* metrics.abandon
      assert.deepStrictEqual(told.map(({ step, values }) => [step, Object.entries(values)]), [
        [1, [["validation loss", 4]]],
        [2, [["validation loss", 4], ["loss", 2], ["norm", 1]]]
      ])
    }).pipe(Effect.provide(Store.layerMemory)))
})
