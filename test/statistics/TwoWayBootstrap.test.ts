import { assert, describe, it } from "@effect/vitest"
import * as Classification from "../../src/evaluate/Classification.ts"
import * as Random from "../../src/random/Random.ts"
import * as Bootstrap from "../../src/statistics/Bootstrap.ts"
import * as TwoWayBootstrap from "../../src/statistics/TwoWayBootstrap.ts"

/** A score for every seed and example: of the seed, of the example, and of neither, with these standard deviations. */
const table = (stream: string, seeds: number, examples: number, ofSeed: number, ofExample: number, ofBoth: number) => {
  const random = Random.make(1, stream)
  const normals = (length: number, deviation: number) => Array.from({ length }, () => deviation * random.normal())
  const bySeed = normals(seeds, ofSeed), byExample = normals(examples, ofExample)
  return bySeed.map((seed) => byExample.map((example) => example + seed + ofBoth * random.normal()))
}

const zeros = (seeds: number, examples: number) =>
  Array.from({ length: seeds }, () => Array.from({ length: examples }, () => 0))

/** The variance of the bootstrap of n numbers' mean, which divides by n twice. */
const varianceOfMean = (values: ReadonlyArray<number>) => {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  return values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length ** 2
}

describe("TwoWayBootstrap", () => {
  const seeds = 12, examples = 60

  it("is the paired bootstrap of the seeds' means when only examples are drawn", () => {
    const first = table("first", 3, 30, 1, 1, 1), second = table("second", 3, 30, 1, 1, 1)
    const meansOf = (rows: ReadonlyArray<ReadonlyArray<number>>) =>
      rows[0]!.map((_, i) => rows.reduce((sum, row) => sum + row[i]!, 0) / rows.length)
    const options = { seed: 3, resamples: 400 }
    const found = TwoWayBootstrap.meanDifference(first, second, { ...options, seeds: "paired", resample: "examples" })
    const plain = Bootstrap.pairedMeanDifference(meansOf(first), meansOf(second), options)
    for (const name of ["estimate", "lower", "upper", "standardError", "pValue"] as const) {
      assert.closeTo(found[name], plain[name], 1e-12, name)
    }
  })

  it("has the variance between seeds when only seeds are drawn", () => {
    const scores = table("seeds", seeds, examples, 1, 1, 1)
    const found = TwoWayBootstrap.meanDifference(scores, zeros(seeds, examples), {
      seed: 1,
      resamples: 4000,
      seeds: "paired",
      resample: "seeds"
    })
    const means = scores.map((row) => row.reduce((sum, value) => sum + value, 0) / examples)
    assert.closeTo(found.standardError ** 2 / varianceOfMean(means), 1, 0.1)
  })

  it("adds the variances between examples and between seeds, and counts what is neither three times", () => {
    for (
      const [ofSeed, ofExample, ofBoth] of [[1, 0, 0], [0, 1, 0], [0.3, 1, 0], [0, 0, 1]] as const
    ) {
      const scores = table("both", seeds, examples, ofSeed, ofExample, ofBoth)
      const found = TwoWayBootstrap.meanDifference(scores, zeros(seeds, examples), {
        seed: 1,
        resamples: 3000,
        seeds: "paired"
      })
      const bySeed = varianceOfMean(scores.map((row) => row.reduce((sum, value) => sum + value, 0) / examples))
      const byExample = varianceOfMean(
        scores[0]!.map((_, i) => scores.reduce((sum, row) => sum + row[i]!, 0) / seeds)
      )
      const expected = ofBoth === 0 ? bySeed + byExample : 3 / (seeds * examples)
      assert.closeTo(
        found.standardError ** 2 / expected,
        1,
        ofBoth === 0 ? 0.1 : 0.25,
        `${ofSeed} ${ofExample} ${ofBoth}`
      )
    }
  })

  it("lets seeds that belong together cancel, and those that do not add up", () => {
    const shared = table("shared", seeds, examples, 1, 0, 0)
    const better = shared.map((row) => row.map((value) => value + 0.1))
    const options = { seed: 2, resamples: 500 }
    const paired = TwoWayBootstrap.meanDifference(better, shared, { ...options, seeds: "paired" })
    const apart = TwoWayBootstrap.meanDifference(better, shared, { ...options, seeds: "independent" })
    assert.closeTo(paired.estimate, 0.1, 1e-12)
    assert.closeTo(paired.lower, 0.1, 1e-12)
    assert.isTrue(paired.pValue < 0.01 && apart.pValue > 0.2, `${paired.pValue} ${apart.pValue}`)
    assert.isTrue(apart.lower < 0 && apart.upper > 0.1)
  })

  it("warns of a winner that one seed made, where a bootstrap of the examples alone is sure", () => {
    const base = zeros(3, 200).map((row) => row.map((_, i) => i % 2))
    const lucky = base.map((row, seed) => row.map((value, i) => seed === 0 && i % 5 === 0 ? 1 : value))
    const options = { seed: 1, resamples: 1000, seeds: "independent" } as const
    assert.isTrue(TwoWayBootstrap.meanDifference(lucky, base, { ...options, resample: "examples" }).pValue < 0.01)
    assert.isTrue(TwoWayBootstrap.meanDifference(lucky, base, options).pValue > 0.2)
  })

  it("takes any score of each seed's model, and another number of seeds for each", () => {
    const labels = Array.from({ length: 90 }, (_, i) => i % 3)
    const system = (seeds: number, every: number): TwoWayBootstrap.System => ({
      seeds,
      statistic: (seed, examples) =>
        Classification.f1Macro(
          Classification.confusion(
            labels,
            labels.map((label, i) => (i + seed) % every === 0 ? (label + 1) % 3 : label),
            3,
            examples
          )
        )
    })
    const options = { seed: 8, resamples: 300, seeds: "independent" } as const
    const found = TwoWayBootstrap.difference(90, system(3, 10), system(2, 4), options)
    assert.isTrue(found.lower > 0 && found.upper < 0.3, `${found.lower} to ${found.upper}`)
    assert.deepStrictEqual(TwoWayBootstrap.difference(90, system(3, 10), system(2, 4), options), found)
    assert.notStrictEqual(
      TwoWayBootstrap.difference(90, system(3, 10), system(2, 4), { ...options, seed: 9 }).lower,
      found.lower
    )
  })

  it("refuses tables that do not fit", () => {
    const options = { seed: 1, seeds: "paired" } as const
    assert.throws(() => TwoWayBootstrap.meanDifference([[1, 2]], [[1, 2], [1, 2]], options), /1 seeds cannot be paired/)
    assert.throws(
      () => TwoWayBootstrap.meanDifference([[1, 2]], [[1, 2, 3]], options),
      /Seed 0 of the second has 3 values, not one for each of 2/
    )
    assert.throws(() => TwoWayBootstrap.meanDifference([], [], options), /at least one/)
  })
})
