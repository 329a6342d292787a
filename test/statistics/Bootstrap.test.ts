import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import * as Classification from "../../src/evaluate/Classification.ts"
import * as Random from "../../src/random/Random.ts"
import * as Bootstrap from "../../src/statistics/Bootstrap.ts"

const reference: { a: Array<number>; b: Array<number>; pairedT: number; bcaMeanDifference: [number, number] } = JSON
  .parse(readFileSync(new URL("../fixtures/metrics/tests.json", import.meta.url), "utf8"))

const corrected: {
  cases: Array<{
    what: "mean" | "variance" | "ratio"
    x: Array<number>
    y?: Array<number>
    level: number
    seed: number
    resamples: number
    BCa: [number, number]
    percentile: [number, number]
  }>
} = JSON.parse(readFileSync(new URL("../fixtures/metrics/bca.json", import.meta.url), "utf8"))

const statistics = ({ what, x, y }: (typeof corrected.cases)[number]) => (examples: Uint32Array) => {
  const mean = (valueOf: (index: number) => number) =>
    examples.reduce((sum, index) => sum + valueOf(index), 0) / examples.length
  if (what === "mean") return mean((i) => x[i]!)
  if (what === "ratio") return mean((i) => x[i]!) / mean((i) => y![i]!)
  const center = mean((i) => x[i]!)
  return mean((i) => (x[i]! - center) ** 2)
}

describe("Bootstrap", () => {
  for (const [index, example] of corrected.cases.entries()) {
    const { level, resamples, seed, what, x } = example
    for (const method of ["percentile", "BCa"] as const) {
      it(`ends a ${method} interval where scipy does for the same draws: ${what}, case ${index}`, () => {
        const found = Bootstrap.interval(x.length, statistics(example), { seed, resamples, level, method })
        assert.closeTo(found.lower, example[method][0], 1e-12)
        assert.closeTo(found.upper, example[method][1], 1e-12)
      })
    }
  }

  it("gives percentile intervals unless asked, and the same p-value whichever is asked for", () => {
    const options = { seed: 4, resamples: 300 }
    const plain = Bootstrap.pairedMeanDifference(reference.a, reference.b, options)
    const percentile = Bootstrap.pairedMeanDifference(reference.a, reference.b, { ...options, method: "percentile" })
    const bca = Bootstrap.pairedMeanDifference(reference.a, reference.b, { ...options, method: "BCa" })
    assert.deepStrictEqual(plain, percentile)
    assert.notStrictEqual(bca.lower, plain.lower)
    assert.deepStrictEqual([bca.pValue, bca.standardError], [plain.pValue, plain.standardError])
  })

  it("comes close to scipy's BCa interval of a paired difference, drawn by another generator", () => {
    const result = Bootstrap.pairedMeanDifference(reference.b, reference.a, {
      seed: 3,
      resamples: 10_000,
      method: "BCa"
    })
    assert.closeTo(result.lower, reference.bcaMeanDifference[0], 0.005)
    assert.closeTo(result.upper, reference.bcaMeanDifference[1], 0.005)
  })

  it("covers a skewed mean more evenly with BCa than without", () => {
    const missed = { percentile: { below: 0, above: 0 }, BCa: { below: 0, above: 0 } }
    for (let sample = 0; sample < 250; sample++) {
      const random = Random.make(9, "skewed", sample)
      const values = Array.from({ length: 30 }, () => -Math.log(1 - random.uniform()))
      for (const method of ["percentile", "BCa"] as const) {
        const { lower, upper } = Bootstrap.mean(values, { seed: sample, resamples: 400, level: 0.9, method })
        if (upper < 1) missed[method].below++
        if (lower > 1) missed[method].above++
      }
    }
    // The exponential's long tail makes intervals end too low, far more often than too high.
    assert.isTrue(missed.BCa.below < missed.percentile.below, JSON.stringify(missed))
    assert.isTrue(missed.BCa.below + missed.BCa.above < 250 * 0.17, JSON.stringify(missed))
  })

  it("has no BCa interval where every draw lies on one side, and a point where nothing varies", () => {
    const maximum = (examples: Uint32Array) => examples.reduce((largest, i) => Math.max(largest, i), 0)
    // No draw exceeds the maximum, but many equal it: that much bias can be corrected.
    assert.isTrue(Bootstrap.interval(20, maximum, { seed: 1, method: "BCa" }).upper <= 19)
    const first = (examples: Uint32Array) => examples.length === 20 && examples.every((e, i) => e === i) ? 1 : 0
    const none = Bootstrap.interval(20, first, { seed: 1, resamples: 100, method: "BCa" })
    assert.deepStrictEqual([none.estimate, none.lower, none.upper], [1, NaN, NaN])
    const point = Bootstrap.mean([0.5, 0.5, 0.5, 0.5], { seed: 1, method: "BCa" })
    assert.deepStrictEqual([point.lower, point.upper], [0.5, 0.5])
    assert.strictEqual(Bootstrap.mean([3], { seed: 1, method: "BCa" }).upper, 3)
  })

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
