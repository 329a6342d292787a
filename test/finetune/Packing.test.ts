import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Packing from "../../src/finetune/Packing.ts"

const Lengths = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 50 }))).check(
  Schema.isMaxLength(300)
)

describe("Packing", () => {
  it.prop("puts each text into one row, within the capacity, in few rows", [Lengths], ([lengths]) => {
    const rows = Packing.pack(lengths, 50).map((row) => Array.from(row))
    assert.deepStrictEqual(rows.flat().toSorted((a, b) => a - b), [...lengths.keys()])
    const sums = rows.map((row) => row.reduce((sum, index) => sum + lengths[index]!, 0))
    assert.isTrue(sums.every((sum) => sum <= 50))
    // No two rows would fit in one, so all but one are more than half full; and 11/9 of the fewest and a few.
    assert.isAtMost(sums.filter((sum) => sum <= 25).length, 1)
    const fewest = Math.ceil(lengths.reduce((sum, length) => sum + length, 0) / 50)
    assert.isAtMost(rows.length, Math.max((11 / 9) * fewest + 4, sums.filter((sum) => sum > 25).length + 1))
  })

  it("fits tightly", () => {
    assert.deepStrictEqual(Packing.pack([6, 5, 5, 4, 9, 1], 10).map((row) => Array.from(row)), [[0, 3], [1, 2], [4, 5]])
  })
})
