import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import * as Regression from "../../src/evaluate/Regression.ts"

const read = (name: string) =>
  JSON.parse(readFileSync(new URL(`../fixtures/metrics/${name}.json`, import.meta.url), "utf8"))

type Names = Exclude<keyof Regression.Scores, "examples">
type Case = { what: string; targets: Array<number>; predictions: Array<number> } & Record<Names, number | null>

const large: Case = read("scores").regression
const cases: Array<Case> = read("sklearn").regression

describe("Regression", () => {
  it("gives the errors, R² and correlations of scikit-learn and scipy on 400 examples", () => {
    const scores = Regression.evaluate(large.targets, large.predictions)
    assert.strictEqual(scores.examples, 400)
    for (const name of ["meanSquaredError", "meanAbsoluteError", "r2", "pearson", "spearman"] as const) {
      assert.closeTo(scores[name], large[name]!, 1e-12, name)
    }
  })

  for (const { predictions, targets, what, ...expected } of cases) {
    it(`gives them for ${what}`, () => {
      const scores = Regression.evaluate(targets, predictions)
      for (const name of Object.keys(expected) as Array<Names>) {
        const value = expected[name]
        if (value === null) assert.isNaN(scores[name], name)
        // Around 1e8 the mean itself is rounded to 1e-8.
        else assert.closeTo(scores[name], value, what === "scale" ? 1e-7 : 1e-12, name)
      }
      assert.deepStrictEqual(scores, {
        examples: targets.length,
        meanSquaredError: Regression.meanSquaredError(targets, predictions),
        rootMeanSquaredError: Regression.rootMeanSquaredError(targets, predictions),
        meanAbsoluteError: Regression.meanAbsoluteError(targets, predictions),
        r2: Regression.r2(targets, predictions),
        pearson: Regression.pearson(targets, predictions),
        spearman: Regression.spearman(targets, predictions)
      })
    })
  }

  it("sees that targets are constant where their mean is rounded", () => {
    const targets = Array.from({ length: 30 }, () => 0.1)
    assert.strictEqual(Regression.r2(targets, targets.map((_, i) => i)), 0)
    assert.strictEqual(Regression.r2(targets, targets), 1)
    assert.isNaN(Regression.pearson(targets, targets.map((_, i) => i)))
  })

  it("scores listed examples as often as they are listed", () => {
    const listed = [3, 3, 8, 1, 0, 25, 8]
    const pick = (values: ReadonlyArray<number>) => listed.map((index) => values[index]!)
    const { predictions, targets } = cases[0]!
    assert.deepStrictEqual(
      Regression.evaluate(targets, predictions, listed),
      Regression.evaluate(pick(targets), pick(predictions))
    )
  })

  it("refuses what it cannot compare", () => {
    assert.throws(() => Regression.evaluate([1, 2], [1]), /2 targets cannot be compared with 1/)
    assert.throws(() => Regression.pearson([1, 2], [1, NaN]), /Example 1 has target 2 and prediction NaN/)
  })
})
