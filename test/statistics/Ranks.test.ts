import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Ranks from "../../src/statistics/Ranks.ts"

const Values = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: -4, maximum: 4 })))

describe("Ranks", () => {
  it("shares the mean of the places among equal numbers", () => {
    const { ranks, ties } = Ranks.average([3, 1, 3, -2, 3])
    assert.deepStrictEqual([...ranks], [4, 2, 4, 1, 4])
    assert.deepStrictEqual(ties, [1, 1, 3])
  })

  it.prop("ranks each number by how many are smaller and how many are equal", [Values], ([values]) => {
    const { ranks, ties } = Ranks.average(values)
    for (const [index, value] of values.entries()) {
      const smaller = values.filter((other) => other < value).length
      const equal = values.filter((other) => other === value).length
      assert.strictEqual(ranks[index], smaller + (equal + 1) / 2)
    }
    assert.strictEqual(ties.reduce((sum, size) => sum + size, 0), values.length)
  })
})
