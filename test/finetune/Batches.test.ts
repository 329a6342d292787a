import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Batches from "../../src/finetune/Batches.ts"

const Lengths = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 40 }))).check(
  Schema.isMaxLength(200)
)
const Size = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 17 }))

describe("Batches", () => {
  it.prop("shows each example once an epoch, in batches of one size but for one", [Lengths, Size, Schema.Boolean], ([
    lengths,
    batchSize,
    groupByLength
  ]) => {
    const batches = Batches.plan(lengths, { batchSize, groupByLength, seed: 3, epoch: 1 })
    assert.strictEqual(batches.length, Batches.stepsPerEpoch(lengths.length, batchSize))
    assert.deepStrictEqual(batches.flatMap((batch) => [...batch]).toSorted((a, b) => a - b), [...lengths.keys()])
    assert.isAtMost(batches.filter((batch) => batch.length !== batchSize).length, 1)
  })

  const lengths = Array.from({ length: 500 }, (_, i) => 1 + (i * 7919) % 37)
  const plan = (options: Partial<Batches.PlanOptions>) =>
    Batches.plan(lengths, { batchSize: 10, seed: 1, epoch: 0, groupByLength: true, ...options }).map((
      batch
    ) => [...batch])

  it("is a function of the seed and the epoch", () => {
    assert.deepStrictEqual(plan({}), plan({}))
    assert.notDeepEqual(plan({ epoch: 1 }), plan({}))
    assert.notDeepEqual(plan({ seed: 2 }), plan({}))
  })

  it("saves most padding when it groups by length, without sorting the epoch", () => {
    const padded = (batches: ReadonlyArray<ReadonlyArray<number>>) =>
      batches.reduce((sum, batch) => sum + batch.length * Math.max(...batch.map((i) => lengths[i]!)), 0)
    const real = lengths.reduce((sum, length) => sum + length, 0)
    const waste = (groupByLength: boolean) => padded(plan({ groupByLength })) - real
    assert.isBelow(waste(true), 0.25 * waste(false))
    const means = plan({}).map((batch) => batch.reduce((sum, i) => sum + lengths[i]!, 0) / batch.length)
    assert.isAbove(means.filter((mean, i) => i > 0 && mean < means[i - 1]!).length, 10)
  })
})
