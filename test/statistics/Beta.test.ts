import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import * as Beta from "../../src/statistics/Beta.ts"

type Row = [number, number, number]
const { distributions: { coin, student } }: { distributions: { coin: Array<Row>; student: Array<Row> } } = JSON.parse(
  readFileSync(new URL("../fixtures/metrics/statistics.json", import.meta.url), "utf8")
)

describe("Beta", () => {
  it("gives the p-values of Student's t of scipy, down to the smallest", () => {
    for (const [t, degreesOfFreedom, p] of student) {
      assert.closeTo(Beta.studentTwoSided(t, degreesOfFreedom) / p, 1, 1e-11, `t ${t} of ${degreesOfFreedom}`)
    }
  })

  it("gives the binomial probabilities of scipy for a fair coin", () => {
    for (const [successes, tosses, p] of coin) {
      assert.closeTo(Beta.fairCoinAtMost(successes, tosses) / p, 1, 1e-11, `${successes} of ${tosses}`)
    }
  })

  it("is a cumulative probability: symmetric, and 0 and 1 at the ends", () => {
    assert.deepStrictEqual([Beta.regularized(0, 2, 3), Beta.regularized(1, 2, 3)], [0, 1])
    for (const [x, a, b] of [[0.1, 0.5, 7], [0.5, 3, 3], [0.93, 20, 4]] as const) {
      assert.closeTo(Beta.regularized(x, a, b) + Beta.regularized(1 - x, b, a), 1, 1e-14)
    }
    // I_x(1, b) = 1 - (1 - x)^b.
    assert.closeTo(Beta.regularized(0.3, 1, 4), 1 - 0.7 ** 4, 1e-14)
  })
})
