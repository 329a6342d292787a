import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { readFileSync } from "node:fs"
import * as LogExpectedImprovement from "../../../src/search/samplers/LogExpectedImprovement.ts"
import * as Normal from "../../../src/statistics/Normal.ts"

interface Row {
  readonly mean: number
  readonly std: number
  readonly best: number
  readonly logEI: number
}

const { rows }: { readonly rows: ReadonlyArray<Row> } = JSON.parse(
  readFileSync(new URL("../../fixtures/search/log-expected-improvement.json", import.meta.url), "utf8")
)

const finite = (minimum: number, maximum: number) => Schema.Finite.check(Schema.isBetween({ minimum, maximum }))

describe("LogExpectedImprovement", () => {
  it("is right to twelve digits where the expected improvement itself is far too small for a number", () => {
    assert.isTrue(rows.some(({ logEI }) => logEI < -1e6))
    for (const { best, logEI, mean, std } of rows) {
      const found = LogExpectedImprovement.of(mean, std, best)
      assert.isAtMost(Math.abs(found / logEI - 1), 1e-12, `mean ${mean}, deviation ${std}`)
    }
  })

  it.prop(
    "falls where the mean rises, and rises with the deviation",
    { z: finite(-200, 20), deviation: finite(1e-3, 10), step: finite(1e-3, 1) },
    ({ deviation, step, z }) => {
      const of = (mean: number, deviation: number) => LogExpectedImprovement.of(mean, deviation, 0)
      const mean = -z * deviation
      assert.isBelow(of(mean + step * deviation, deviation), of(mean, deviation))
      // Far above the best the deviation no longer shows, but in the last digit.
      assert.isAtLeast(of(mean, deviation * (1 + step)), of(mean, deviation) - 1e-14 * Math.abs(of(mean, deviation)))
    }
  )

  it.prop(
    "has the slopes that differences show",
    { z: finite(-60, 8), deviation: finite(0.1, 3) },
    ({ deviation, z }) => {
      const mean = -z * deviation, h = 1e-6 * deviation
      const { byDeviation, byMean, value } = LogExpectedImprovement.withSlopes(mean, deviation, 0)
      const of = (mean: number, deviation: number) => LogExpectedImprovement.of(mean, deviation, 0)
      assert.strictEqual(value, of(mean, deviation))
      const close = (found: number, expected: number) =>
        assert.isAtMost(Math.abs(found - expected), 1e-4 * Math.abs(expected) + 1e-6)
      close(byMean, (of(mean + h, deviation) - of(mean - h, deviation)) / (2 * h))
      close(byDeviation, (of(mean, deviation + h) - of(mean, deviation - h)) / (2 * h))
    }
  )

  it("knows the chance of a draw below z also where it underflows", () => {
    for (let z = -35; z <= 8; z += 0.25) {
      const expected = Math.log(Normal.cumulative(z))
      assert.isAtMost(Math.abs(LogExpectedImprovement.logCumulative(z) - expected), 1e-11 * (1 + Math.abs(expected)))
    }
    // Abramowitz and Stegun 26.2.13: the chance is the density times (1/x)(1 - 1/x^2 + 3/x^4 - ...).
    const far = -5000 - 0.5 * Math.log(2 * Math.PI) - Math.log(100) + Math.log1p(-1e-4 + 3e-8)
    assert.isAtMost(Math.abs(LogExpectedImprovement.logCumulative(-100) - far), 1e-9)
  })
})
