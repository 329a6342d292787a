import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import * as Classification from "../../src/evaluate/Classification.ts"
import * as ClassProbabilities from "../../src/evaluate/ClassProbabilities.ts"

const read = (name: string) =>
  JSON.parse(readFileSync(new URL(`../fixtures/metrics/${name}.json`, import.meta.url), "utf8"))

const scores: {
  labels: Array<number>
  logits: Array<Array<number>>
  classification: { logLoss: number; topTwo: number; rocAucOvrMacro: number; accuracy: number }
} = read("scores")

const { probabilities: small }: {
  probabilities: {
    labels: Array<number>
    probabilities: Array<Array<number>>
    logLoss: number
    rocAuc: Array<number>
    rocAucMacro: number
  }
} = read("sklearn")

const softmax = (row: ReadonlyArray<number>) => {
  const largest = Math.max(...row)
  const exponentials = row.map((logit) => Math.exp(logit - largest))
  const sum = exponentials.reduce((a, b) => a + b, 0)
  return exponentials.map((exponential) => exponential / sum)
}
const probabilities = Float64Array.from(scores.logits.flatMap(softmax))

describe("ClassProbabilities", () => {
  it("gives the log loss, the accuracy of the top two and the area under the curve of scikit-learn", () => {
    const { labels } = scores
    // Made before the logits were rounded to six digits for the file.
    assert.closeTo(ClassProbabilities.logLoss(labels, probabilities), scores.classification.logLoss, 1e-8)
    assert.closeTo(ClassProbabilities.topAccuracy(labels, probabilities, 2), scores.classification.topTwo, 1e-12)
    assert.closeTo(ClassProbabilities.topAccuracy(labels, probabilities, 1), scores.classification.accuracy, 1e-12)
    assert.closeTo(ClassProbabilities.rocAucMacro(labels, probabilities), scores.classification.rocAucOvrMacro, 1e-12)
  })

  it("gives them where a label had no chance at all and where probabilities are equal", () => {
    const rows = small.probabilities.flat()
    assert.closeTo(ClassProbabilities.logLoss(small.labels, rows), small.logLoss, 1e-12)
    for (const [index, area] of ClassProbabilities.rocAucPerClass(small.labels, rows).entries()) {
      assert.closeTo(area, small.rocAuc[index]!, 1e-12)
    }
    assert.closeTo(ClassProbabilities.rocAucMacro(small.labels, rows), small.rocAucMacro, 1e-12)
  })

  it("takes the first of classes that are equally probable", () => {
    assert.strictEqual(ClassProbabilities.topAccuracy([0], [0.5, 0.5], 1), 1)
    assert.strictEqual(ClassProbabilities.topAccuracy([1], [0.5, 0.5], 1), 0)
    assert.strictEqual(ClassProbabilities.topAccuracy([1], [0.5, 0.5], 2), 1)
  })

  it("scores listed examples as often as they are listed", () => {
    const { labels } = scores
    const listed = [5, 5, 5, 9, 200, 17, 18, 19, 20, 21, 22, 8, 10, 95]
    const chosen = listed.map((index) => labels[index]!)
    const rows = listed.flatMap((index) => softmax(scores.logits[index]!))
    for (
      const score of [
        ClassProbabilities.logLoss,
        (...[a, b, c]: Parameters<typeof ClassProbabilities.logLoss>) => ClassProbabilities.topAccuracy(a, b, 2, c),
        (...arguments_: Parameters<typeof ClassProbabilities.logLoss>) =>
          ClassProbabilities.rocAucPerClass(...arguments_)[0]!
      ]
    ) assert.closeTo(score(labels, probabilities, listed), score(chosen, rows), 1e-14)
  })

  it("has no area for a class that no example has", () => {
    assert.isNaN(ClassProbabilities.rocAucMacro([0, 0], [0.6, 0.4, 0.7, 0.3]))
  })

  it("is the accuracy of the most probable class, whatever the order of classes", () => {
    const predicted = scores.logits.map((row) => row.indexOf(Math.max(...row)))
    const accuracy = Classification.evaluate(scores.labels, predicted, 6).accuracy
    assert.closeTo(ClassProbabilities.topAccuracy(scores.labels, probabilities, 1), accuracy, 1e-15)
  })

  it("refuses probabilities that do not fit the labels", () => {
    assert.throws(() => ClassProbabilities.logLoss([0, 1], [0.5, 0.5, 1]), /3 probabilities are not a row/)
    assert.throws(() => ClassProbabilities.logLoss([0, 2], [0.5, 0.5, 0.5, 0.5]), /Example 1 has label 2/)
    assert.throws(() => ClassProbabilities.logLoss([], []), /0 labels/)
  })
})
