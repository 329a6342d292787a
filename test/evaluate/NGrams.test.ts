import { assert, describe, it } from "@effect/vitest"
import * as NGrams from "../../src/evaluate/NGrams.ts"

describe("NGrams", () => {
  it("counts overlapping runs", () => {
    assert.deepStrictEqual([...NGrams.count(["a", "a", "a"], 2).values()], [2])
    assert.strictEqual(NGrams.count(["a"], 2).size, 0)
    assert.deepStrictEqual([NGrams.total(5, 2), NGrams.total(1, 2), NGrams.total(0, 1)], [4, 0, 0])
  })

  it("shares a run as often as the side that has it less often", () => {
    assert.strictEqual(NGrams.overlap(NGrams.count(["a", "a", "b"], 1), NGrams.count(["a", "c", "a", "a"], 1)), 2)
  })

  it("takes no token for parts of two others", () => {
    for (const [one, other] of [[["ab", "c"], ["a", "bc"]], [["1:a", "b"], ["1", "a1:b"]]] as const) {
      assert.strictEqual(NGrams.overlap(NGrams.count(one, 2), NGrams.count(other, 2)), 0)
    }
  })
})
