import { assert, describe, it } from "@effect/vitest"
import * as OptimalStopping from "../../../src/search/schedulers/OptimalStopping.ts"

describe("OptimalStopping", () => {
  it("is the expected improvement where one rung is left", () => {
    const plan = OptimalStopping.plan({ budgets: [1, 4], variances: [0.04, 0], incumbent: 1, lowest: 0.5 }, 0)
    // scipy.stats.norm: (f - m) cdf((f - m) / s) + s pdf((f - m) / s), for m = 1, 1.2 and 0.7 with s = 0.2.
    for (
      const [mean, expected] of [[1, 0.07978845608028655], [1.2, 0.016663094117537275], [
        0.7,
        0.30586135875252096
      ]] as const
    ) {
      const { cost, improvement } = plan.after(0, mean, 0.04)
      assert.closeTo(improvement, expected, 1e-12)
      assert.strictEqual(cost, 3)
    }
  })

  it("agrees with the same game played by fine summation", () => {
    const budgets = [1, 2, 4, 8], variances = [0.09, 0.05, 0.02, 0], incumbent = 0, price = 0.012
    // Backward induction on 2,001 losses with steps that fall on them, nothing interpolated.
    const step = 0.004, size = 2001, from = -4
    const density = (x: number, deviation: number) => Math.exp(-((x / deviation) ** 2) / 2)
    let value = Float64Array.from({ length: size }, (_, i) => Math.max(0, incumbent - (from + i * step)))
    for (let rung = 2; rung >= 0; rung--) {
      const deviation = Math.sqrt(variances[rung]! - variances[rung + 1]!)
      const reach = Math.round(4.5 * deviation / step)
      const next = new Float64Array(size)
      for (let i = reach; i < size - reach; i++) {
        let sum = 0, mass = 0
        for (let j = -reach; j <= reach; j++) {
          const weight = density(j * step, deviation)
          sum += weight * value[i + j]!
          mass += weight
        }
        next[i] = Math.max(0, sum / mass - price * (budgets[rung + 1]! - budgets[rung]!))
      }
      value = next
    }
    const plan = OptimalStopping.plan({ budgets, variances, incumbent, lowest: -0.3 }, price)
    for (const mean of [-0.3, -0.15, 0, 0.1, 0.2, 0.3]) {
      const { cost, improvement } = plan.at(0, mean)
      assert.closeTo(improvement - price * cost, value[Math.round((mean - from) / step)]!, 0.004, `mean ${mean}`)
    }
  })

  it("gives up sooner the dearer budget is", () => {
    const problem = { budgets: [1, 2, 4, 8], variances: [0.09, 0.05, 0.02, 0], incumbent: 0, lowest: -0.2 }
    const worst = [0.001, 0.01, 0.03].map((price) => {
      const plan = OptimalStopping.plan(problem, price)
      const means = Array.from({ length: 100 }, (_, i) => -0.2 + i * 0.01)
      return means.findLast((mean) => plan.at(0, mean).improvement > 0)!
    })
    assert.isAbove(worst[0]!, worst[1]!)
    assert.isAbove(worst[1]!, worst[2]!)
  })

  it("finds the price at which a new trial is just worth its cost", () => {
    const problem = { budgets: [2, 10], variances: [1e-12, 0], incumbent: 1, lowest: 0.2 }
    // After the lowest rung the end is known: one trial in four gains 0.8 for 10, the others cost 2 each.
    const plan = OptimalStopping.atIndexOfNew(problem, [0.2, 3, 3, 3])
    assert.closeTo(plan.price, 0.8 / (4 * 2 + 8), 1e-4)
    assert.strictEqual(OptimalStopping.atIndexOfNew(problem, [3, 3]).price, 0)
  })
})
