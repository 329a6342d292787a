import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import * as Bootstrap from "../../src/evaluate/Bootstrap.ts"
import * as Classification from "../../src/evaluate/Classification.ts"
import * as Random from "../../src/random/Random.ts"

const reference: { a: Array<number>; b: Array<number>; pairedT: number; bcaMeanDifference: [number, number] } = JSON
  .parse(readFileSync(new URL("../fixtures/metrics/tests.json", import.meta.url), "utf8"))

describe("Bootstrap", () => {
  it("agrees with scipy on a paired difference of means", () => {
    const result = Bootstrap.pairedMeanDifference(reference.b, reference.a, { seed: 3, resamples: 10_000 })
    const differences = reference.b.map((b, i) => b - reference.a[i]!)
    const mean = differences.reduce((sum, d) => sum + d, 0) / differences.length
    const deviation = Math.sqrt(differences.reduce((sum, d) => sum + (d - mean) ** 2, 0) / (differences.length - 1))
    assert.closeTo(result.estimate, mean, 1e-12)
    // The bootstrap estimates the standard error with n in the place of n - 1.
    assert.closeTo(result.standardError, deviation / Math.sqrt(differences.length), 0.002)
    // scipy's interval is corrected for bias and skewness, ours is the plain one: they differ by less than a
    // twentieth of their width here.
    assert.closeTo(result.lower, reference.bcaMeanDifference[0], 0.01)
    assert.closeTo(result.upper, reference.bcaMeanDifference[1], 0.01)
    assert.closeTo(result.pValue, reference.pairedT, 0.015)
  })

  it("gives the same interval for a seed and another for another", () => {
    const interval = (seed: number) => Bootstrap.mean(reference.a, { seed })
    assert.deepStrictEqual(interval(1), interval(1))
    assert.notStrictEqual(interval(1).lower, interval(2).lower)
  })

  it("covers the true mean about as often as it says", () => {
    let covered = 0
    for (let sample = 0; sample < 200; sample++) {
      const random = Random.make(5, "sample", sample)
      const values = Array.from({ length: 60 }, () => random.normal() + 2)
      const { lower, upper } = Bootstrap.mean(values, { seed: sample, resamples: 300, level: 0.9 })
      if (lower <= 2 && 2 <= upper) covered++
    }
    // Binomial with 200 draws of 0.9: five standard deviations are 21.
    assert.isTrue(covered > 180 - 22 && covered <= 200, `${covered} of 200`)
  })

  it("bounds a score of the whole set, such as macro-F1", () => {
    const labels = Array.from({ length: 120 }, (_, i) => i % 3)
    const predictions = labels.map((label, i) => i % 4 === 0 ? (label + 1) % 3 : label)
    const f1 = (examples: Uint32Array) =>
      Classification.f1Macro(Classification.confusion(labels, predictions, 3, examples))
    const { estimate, lower, upper } = Bootstrap.interval(labels.length, f1, { seed: 1, resamples: 500 })
    assert.closeTo(estimate, 0.75, 1e-12)
    assert.isTrue(lower > 0.6 && lower < estimate && estimate < upper && upper < 0.85, `${lower} to ${upper}`)
  })

  it("finds no difference between a thing and itself", () => {
    const result = Bootstrap.pairedMeanDifference(reference.a, reference.a, { seed: 1, resamples: 100 })
    assert.deepStrictEqual([result.estimate, result.lower, result.upper, result.pValue], [0, 0, 0, 1])
  })
})
