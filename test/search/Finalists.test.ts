import { assert, describe, it } from "@effect/vitest"
import * as Random from "../../src/random/Random.ts"
import * as Finalists from "../../src/search/Finalists.ts"
import * as Goal from "../../src/search/Goal.ts"
import * as RandomSampler from "../../src/search/samplers/RandomSampler.ts"
import * as FullBudget from "../../src/search/schedulers/FullBudget.ts"
import * as SuccessiveHalving from "../../src/search/schedulers/SuccessiveHalving.ts"
import * as Space from "../../src/search/space/Space.ts"
import type * as VirtualTime from "../../src/search/VirtualTime.ts"
import { simulate } from "./simulate.ts"

const space = Space.make({ x: Space.uniform(0, 1) })
const completed = (value: number): VirtualTime.Outcome => ({ _tag: "Completed", values: [value] })

describe("Finalists", () => {
  it("chooses by the mean less its standard error, and says who cannot be told from the winner", () => {
    const { finalists, indistinguishable } = Finalists.choose([
      { trial: 4, values: [0.80, 0.82, 0.81, 0.83] },
      { trial: 7, values: [0.81, 0.83, 0.82, 0.83] },
      { trial: 2, values: [0.60, 0.61, 0.62, 0.60] }
    ], "maximize")
    assert.deepStrictEqual(finalists.map(({ trial }) => trial), [7, 4, 2])
    const [winner, second, third] = finalists
    assert.closeTo(winner!.mean!, 0.8225, 1e-12)
    // The spread within all three: sums of squares 5e-4, 2.75e-4 and 2.75e-4 over nine degrees of freedom.
    assert.closeTo(winner!.standardError!, Math.sqrt(0.00105 / 9 / 4), 1e-12)
    assert.closeTo(winner!.bound!, winner!.mean! - winner!.standardError!, 1e-12)
    assert.isUndefined(winner!.pValue)
    // numpy and scipy.stats.t, with the residual of rows and columns over six degrees of freedom; the smaller counts twice.
    assert.closeTo(second!.pValue!, 0.28201209676057987, 1e-9)
    assert.closeTo(third!.pValue!, 2 * 4.4047833981373115e-8, 1e-12)
    assert.deepStrictEqual(indistinguishable, [4])
  })

  it("puts a finalist that failed with a seed behind those that never did, and one that always failed last", () => {
    const { finalists, indistinguishable } = Finalists.choose([
      { trial: 0, values: [undefined, undefined] },
      { trial: 1, values: [0.1, undefined] },
      { trial: 2, values: [0.5, 0.6] }
    ], "minimize")
    assert.deepStrictEqual(finalists.map(({ trial }) => trial), [2, 1, 0])
    assert.isUndefined(finalists[2]!.mean)
    // With one seed in common nothing can be said.
    assert.deepStrictEqual(indistinguishable, [1])
  })

  it("compares two by the paired t test", () => {
    const { finalists } = Finalists.choose([
      { trial: 0, values: [0.81, 0.83, 0.82, 0.83] },
      { trial: 1, values: [0.80, 0.82, 0.81, 0.83] }
    ], "maximize")
    // scipy.stats.ttest_rel
    assert.closeTo(finalists[1]!.pValue!, 0.05766888562243727, 1e-9)
  })

  it("takes equal values for no difference", () => {
    const { finalists } = Finalists.choose([{ trial: 0, values: [1, 1] }, { trial: 1, values: [1, 1] }], "minimize")
    assert.strictEqual(finalists[1]!.pValue, 1)
  })
})

describe("a study with finalists", () => {
  const options = {
    space,
    sampler: RandomSampler.make(),
    scheduler: SuccessiveHalving.make({ budgets: [1, 3], reduction: 2 }),
    goal: Goal.single("minimize"),
    seed: 1,
    trials: 8,
    finalists: { trials: 2, repeats: 3 }
  } satisfies VirtualTime.Options<Space.Type<typeof space>>

  /** The first training flatters trial by trial; the further ones show what is behind it. */
  const noisy = (job: VirtualTime.Job<{ readonly x: number }>) => {
    const noise = Random.make(9, `noise ${job.trial}`, job.repeat).uniform()
    return completed(job.params.x + noise * (job.repeat === 0 ? 1 : 0.01))
  }

  it("trains the best again from the beginning, one seed for all before the next", () => {
    const { state, summary } = simulate(options, noisy, { concurrency: 2 })
    const again = state.jobs.filter(({ repeat }) => repeat > 0)
    const best = state.finalists!
    assert.strictEqual(best.length, 2)
    assert.deepStrictEqual(
      again.map(({ repeat, trial }) => [repeat, trial]),
      [1, 2, 3].flatMap((repeat) => best.map((trial) => [repeat, trial]))
    )
    for (const job of again) assert.deepStrictEqual([job.budgets, job.cost], [[1, 3], 3])
    // All searched trials had ended by then.
    assert.isAtLeast(
      again[0]!.start,
      Math.max(...state.jobs.filter(({ repeat }) => repeat === 0).map(({ finish }) => finish))
    )
    const means = best.map((trial) =>
      [1, 2, 3].reduce((sum, repeat) => sum + Random.make(9, `noise ${trial}`, repeat).uniform() * 0.01, 0) / 3 +
      state.trials[trial]!.params.x
    )
    const expected = means[0]! <= means[1]! ? best[0] : best[1]
    assert.strictEqual(summary.best!.trial, expected)
    assert.strictEqual(summary.spent, 8 + 4 * 2 + 2 * 3 * 3)
    assert.strictEqual(summary.spentOnFinalists, 18)
  })

  it("decides the same on any number of workers, killed and resumed", () => {
    const expected = simulate(options, noisy, { concurrency: 1 })
    for (const concurrency of [2, 8]) {
      const found = simulate(options, noisy, { concurrency, delays: concurrency, crashes: [3, 14, 1] })
      assert.deepStrictEqual(found.log, expected.log)
      assert.deepStrictEqual(found.summary, expected.summary)
    }
  })

  it("keeps a budget, the further trainings included", () => {
    for (const budget of [20, 25, 31, 60]) {
      const { trials: _, ...unlimited } = { ...options, scheduler: FullBudget.make(3) }
      const { state, summary } = simulate({ ...unlimited, budget, finalists: { trials: 2, repeats: 2 } }, noisy, {
        concurrency: 3
      })
      assert.isAtMost(summary.spent, budget)
      assert.strictEqual(summary.trials.length, Math.floor((budget - 12) / 3))
      assert.strictEqual(state.jobs.filter(({ repeat }) => repeat > 0).length, 4)
    }
    assert.throws(
      () => simulate({ ...options, budget: 20 }, noisy, { concurrency: 1 }),
      /budget: found 20; expected at least 21, so that a trial reaches the last rung and the finalists are trained again/
    )
  })

  it("has no finalists when every trial fails", () => {
    const { state, summary } = simulate(options, () => ({ _tag: "Failed", reason: "x" }), { concurrency: 2 })
    assert.deepStrictEqual(state.finalists, [])
    assert.isUndefined(summary.best)
    assert.isTrue(state.ended)
  })
})
