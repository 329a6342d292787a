import { assert, describe, it } from "@effect/vitest"
import * as Dropout from "../../src/model/Dropout.ts"

describe("Dropout", () => {
  for (const rate of [0.1, 0.5, 0.9]) {
    it(`drops a share of ${rate} and keeps the mean`, () => {
      const size = 40_001
      const values = Dropout.factors({ seed: 1, step: 0 }, "here", size, rate)
      assert.strictEqual(values.length, size)
      const dropped = values.filter((value) => value === 0).length / size
      // Five standard errors.
      assert.isBelow(Math.abs(dropped - rate), 5 * Math.sqrt(rate * (1 - rate) / size))
      const kept = values.find((value) => value !== 0)!
      assert.closeTo(kept, 1 / (1 - rate), 1e-3)
      assert.isTrue(values.every((value) => value === 0 || value === kept))
    })
  }

  it("draws anew at another place, step and seed", () => {
    const draw = (seed: number, step: number, place: string) => Dropout.factors({ seed, step }, place, 100, 0.5).join()
    assert.strictEqual(draw(1, 2, "a"), draw(1, 2, "a"))
    assert.strictEqual(new Set([draw(1, 2, "a"), draw(1, 2, "b"), draw(1, 3, "a"), draw(2, 2, "a")]).size, 4)
  })
})
