import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import * as Normal from "../../src/statistics/Normal.ts"

const { distributions: { normal, normalQuantile } }: {
  distributions: { normal: Array<[number, number]>; normalQuantile: Array<[number, number]> }
} = JSON.parse(readFileSync(new URL("../fixtures/metrics/statistics.json", import.meta.url), "utf8"))

describe("Normal", () => {
  it("gives the probabilities of scipy, far tails included", () => {
    for (const [z, probability] of normal) assert.closeTo(Normal.cumulative(z) / probability, 1, 1e-12, `at ${z}`)
    assert.closeTo(Normal.twoSided(-8) / (2 * normal[0]![1]), 1, 1e-12)
  })

  it("gives the quantiles of scipy", () => {
    for (const [probability, z] of normalQuantile) {
      assert.closeTo(Normal.quantile(probability), z, 1e-12 * (1 + Math.abs(z)), `at ${probability}`)
    }
    assert.deepStrictEqual([0, 1, 2, -1].map(Normal.quantile), [-Infinity, Infinity, NaN, NaN])
  })
})
