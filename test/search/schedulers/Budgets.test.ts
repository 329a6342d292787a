import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { InvalidStudy } from "../../../src/search/InvalidStudy.ts"
import * as Budgets from "../../../src/search/schedulers/Budgets.ts"

describe("Budgets", () => {
  it("steps evenly to the last budget, in whole numbers and in fractions", () => {
    assert.deepStrictEqual(Budgets.even({ every: 1, max: 4 }), [1, 2, 3, 4])
    assert.deepStrictEqual(Budgets.even({ every: 3, max: 10 }), [3, 6, 9, 10])
    assert.deepStrictEqual(Budgets.even({ every: 0.1, max: 0.3 }), [0.1, 0.2, 0.3])
    assert.deepStrictEqual(Budgets.even({ every: 5, max: 5 }), [5])
    assert.deepStrictEqual(Budgets.even({ budgets: [1, 5, 6] }), [1, 5, 6])
  })

  it.prop(
    "ascends to `max` in steps of no more than `every`",
    {
      every: Schema.Finite.check(Schema.isBetween({ minimum: 0.01, maximum: 50 })),
      ratio: Schema.Finite.check(Schema.isBetween({ minimum: 1, maximum: 60 }))
    },
    ({ every, ratio }) => {
      const max = every * ratio
      const budgets = Budgets.even({ every, max })
      assert.strictEqual(budgets.at(-1), max)
      for (const [rung, budget] of budgets.entries()) {
        const step = budget - (budgets[rung - 1] ?? 0)
        assert.isAbove(step, 0)
        assert.isAtMost(step, every * (1 + 1e-9))
      }
    }
  )

  it("refuses steps that make no sense, and names the option", () => {
    for (const every of [0, -1, 11, Number.NaN, Infinity]) {
      assert.throws(() => Budgets.even({ every, max: 10 }), InvalidStudy, /study, every/)
    }
    for (const max of [0, -3, Number.NaN, Infinity]) {
      assert.throws(() => Budgets.even({ every: 1, max }), InvalidStudy, /study, max/)
    }
    assert.throws(() => Budgets.even({ every: 1e-9, max: 1 }), InvalidStudy, /no more than 10000 rungs/)
    assert.throws(() => Budgets.even({ budgets: [2, 1] }), InvalidStudy, /study, budgets: found \[2, 1\]/)
  })

  it("says budgets in words, of many only the ends", () => {
    assert.strictEqual(Budgets.inWords([1, 3, 9], undefined), "1, 3, 9")
    assert.strictEqual(Budgets.inWords([100 / 3, 100], "percent of the data"), "33.3333, 100 percent of the data")
    assert.strictEqual(Budgets.inWords(Budgets.even({ every: 1, max: 30 }), "epochs"), "1, 2, ..., 30 epochs")
  })
})
