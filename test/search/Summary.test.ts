import { assert, describe, it } from "@effect/vitest"
import * as Goal from "../../src/search/Goal.ts"
import * as RandomSampler from "../../src/search/samplers/RandomSampler.ts"
import * as FullBudget from "../../src/search/schedulers/FullBudget.ts"
import * as SuccessiveHalving from "../../src/search/schedulers/SuccessiveHalving.ts"
import * as Space from "../../src/search/space/Space.ts"
import * as Summary from "../../src/search/Summary.ts"
import * as VirtualTime from "../../src/search/VirtualTime.ts"
import { simulate } from "./simulate.ts"

const space = Space.make({ x: Space.uniform(0, 1) })
const halving = SuccessiveHalving.make({ budgets: [1, 3, 9] })
const options = (trials: number, scheduler = halving) =>
  ({ space, sampler: RandomSampler.make(), scheduler, seed: 1, trials, goal: Goal.single("minimize") }) as const

const completed = (value: number): VirtualTime.Outcome => ({ _tag: "Completed", values: [value] })
const failed = (reason: string): VirtualTime.Outcome => ({ _tag: "Failed", reason })

describe("Summary", () => {
  it("takes the best at the highest rung, though a lower one showed a better value", () => {
    // Objectives rise with the budget, so that rung 0 has the lowest of all.
    const { summary } = simulate(options(9), (job) => completed(job.trial + 100 * job.rung), { concurrency: 1 })
    assert.strictEqual(summary.best?.trial, 0)
    assert.deepStrictEqual([summary.best?.rung, summary.best?.budget, summary.best?.value], [2, 9, 200])
    assert.deepStrictEqual(summary.best?.values.map(({ value }) => value), [0, 100, 200])
  })

  it("has no best when every trial fails, and says why of each", () => {
    for (const scheduler of [halving, FullBudget.make(9)]) {
      const { summary, state } = simulate(options(5, scheduler), (job) => failed(`trial ${job.trial} diverged`), {
        concurrency: 2
      })
      assert.isTrue(VirtualTime.isDone(state))
      assert.isUndefined(summary.best)
      assert.deepStrictEqual([summary.failed, summary.completed, summary.stopped, summary.running], [5, 0, 0, 0])
      assert.deepStrictEqual(summary.trials[3]!.failure, { rung: 0, reason: "trial 3 diverged" })
      assert.isUndefined(summary.trials[3]!.value)
    }
  })

  it("counts an objective that is no finite number as a failure", () => {
    for (const value of [Number.NaN, Infinity, -Infinity]) {
      const { summary } = simulate(
        options(3, FullBudget.make(1)),
        (job) => completed(job.trial === 1 ? value : job.trial),
        { concurrency: 1 }
      )
      assert.strictEqual(summary.trials[1]!.status, "failed")
      assert.deepStrictEqual(summary.trials[1]!.failure, { rung: 0, reason: `the objective was ${value}` })
      assert.strictEqual(summary.best?.trial, 0)
    }
  })

  it("falls back to the best of the rung below when all that went on failed", () => {
    const { summary } = simulate(
      options(9),
      (job) => job.rung === 1 ? failed("out of memory") : completed(job.trial),
      { concurrency: 3 }
    )
    assert.deepStrictEqual([summary.failed, summary.stopped, summary.completed], [3, 6, 0])
    // Trials 0, 1 and 2 were better, but cannot be trained to the end.
    assert.strictEqual(summary.best?.trial, 3)
    assert.strictEqual(summary.best?.rung, 0)
    assert.strictEqual(summary.spent, 9 * 1 + 3 * 2)
  })

  it("prefers the trial that started first among equals", () => {
    const { summary } = simulate(options(9), () => completed(1), { concurrency: 4, delays: 3 })
    assert.strictEqual(summary.best?.trial, 0)
  })

  it("shows the state of things during a study", () => {
    const started = VirtualTime.next(VirtualTime.make(options(3)))
    const none = Summary.make(started.state)
    assert.deepStrictEqual([none.running, none.best, none.spent], [3, undefined, 0])
    const one = Summary.make(VirtualTime.tell(started.state, started.jobs[2]!, completed(0.5)))
    assert.deepStrictEqual([one.running, one.best?.trial, one.spent], [3, 2, 1])
  })

  it("is empty before anything started", () => {
    const summary = Summary.make(VirtualTime.make(options(3)))
    assert.deepStrictEqual([summary.trials.length, summary.best, summary.fullCost], [0, undefined, 0])
  })
})
