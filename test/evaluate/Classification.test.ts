import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import * as Classification from "../../src/evaluate/Classification.ts"

const reference: {
  labels: Array<number>
  logits: Array<Array<number>>
  classification: Record<string, number> & { f1PerClass: Array<number>; confusion: Array<Array<number>> }
} = JSON.parse(readFileSync(new URL("../fixtures/metrics/scores.json", import.meta.url), "utf8"))

type Averages = Exclude<keyof Classification.Scores, "perClass" | "confusion">

const others: {
  classification: Array<
    { classes: number; labels: Array<number>; predictions: Array<number> } & Record<Averages, number | null>
  >
} = JSON.parse(readFileSync(new URL("../fixtures/metrics/sklearn.json", import.meta.url), "utf8"))

const predictions = reference.logits.map((row) => row.indexOf(Math.max(...row)))

describe("Classification", () => {
  it("gives the scores of scikit-learn", () => {
    const expected = reference.classification
    const scores = Classification.evaluate(reference.labels, predictions, 6)
    assert.strictEqual(scores.examples, 400)
    for (
      const name of [
        "accuracy",
        "balancedAccuracy",
        "kappa",
        "matthews",
        "precisionMacro",
        "recallMacro",
        "f1Macro",
        "precisionMicro",
        "recallMicro",
        "f1Micro",
        "precisionWeighted",
        "recallWeighted",
        "f1Weighted"
      ] as const
    ) assert.closeTo(scores[name], expected[name]!, 1e-12, name)
    assert.deepStrictEqual(scores.confusion, expected.confusion)
    for (const [index, f1] of expected.f1PerClass.entries()) assert.closeTo(scores.perClass[index]!.f1, f1, 1e-12)
    const matrix = Classification.confusion(reference.labels, predictions, 6)
    assert.strictEqual(Classification.f1Macro(matrix), scores.f1Macro)
    assert.strictEqual(Classification.accuracy(matrix), scores.accuracy)
    assert.strictEqual(Classification.f1Weighted(matrix), scores.f1Weighted)
    assert.strictEqual(Classification.balancedAccuracy(matrix), scores.balancedAccuracy)
  })

  for (const [index, { classes, labels, predictions, ...expected }] of others.classification.entries()) {
    it(`gives the scores of scikit-learn where classes are missing or only predicted, case ${index}`, () => {
      const scores = Classification.evaluate(labels, predictions, classes)
      for (const [name, value] of Object.entries(expected)) {
        // scikit-learn's kappa is NaN, here null, where chance alone agrees on everything; ours is 0 as any such ratio.
        assert.closeTo(scores[name as Averages], value ?? 0, 1e-12, name)
      }
    })
  }

  it("leaves classes that occur nowhere out of macro averages, and counts one that is only predicted", () => {
    // By hand: class 0 has precision 1/1, recall 1/2, F1 2/3; class 1 has 0; class 2 does not occur.
    const scores = Classification.evaluate([0, 0], [0, 1], 3)
    assert.closeTo(scores.f1Macro, 1 / 3, 1e-15)
    assert.strictEqual(scores.precisionMacro, 0.5)
    assert.strictEqual(scores.recallMacro, 0.25)
    assert.deepStrictEqual(scores.perClass[2], { class: 2, precision: 0, recall: 0, f1: 0, support: 0 })
  })

  it("scores a constant and an empty list without dividing by zero", () => {
    assert.strictEqual(Classification.evaluate([0, 1], [0, 0], 2).matthews, 0)
    for (const [name, value] of Object.entries(Classification.evaluate([], [], 2))) {
      if (typeof value === "number") assert.strictEqual(value, 0, name)
    }
  })

  it("counts listed examples as often as they are listed", () => {
    const matrix = Classification.confusion([0, 1, 1], [0, 1, 0], 2, [2, 2, 0])
    assert.deepStrictEqual([...matrix.counts], [1, 0, 2, 0])
  })

  it("refuses a label outside the classes", () => {
    assert.throws(() => Classification.evaluate([0, 2], [0, 0], 2), /Example 1 has label 2/)
    assert.throws(() => Classification.evaluate([0], [0, 0], 2), /1 labels cannot be compared with 2/)
  })
})
