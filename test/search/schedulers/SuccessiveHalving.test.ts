import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Random from "../../../src/random/Random.ts"
import * as Goal from "../../../src/search/Goal.ts"
import { InvalidStudy } from "../../../src/search/InvalidStudy.ts"
import * as RandomSampler from "../../../src/search/samplers/RandomSampler.ts"
import * as FullBudget from "../../../src/search/schedulers/FullBudget.ts"
import * as SuccessiveHalving from "../../../src/search/schedulers/SuccessiveHalving.ts"
import * as Space from "../../../src/search/space/Space.ts"
import type * as VirtualTime from "../../../src/search/VirtualTime.ts"
import { simulate } from "../simulate.ts"

const space = Space.make({ x: Space.uniform(0, 1) })
const small = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 40 }))
const seed = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 }))

const options = (
  scheduler: VirtualTime.Options<{ readonly x: number }>["scheduler"],
  trials: number,
  direction: Goal.Direction = "minimize"
) => ({ space, sampler: RandomSampler.make(), scheduler, seed: 1, trials, goal: Goal.single(direction) })

const completed = (value: number): VirtualTime.Outcome => ({ _tag: "Completed", values: [value] })

describe("SuccessiveHalving", () => {
  it("promotes the best third from their checkpoints, rung by rung", () => {
    // The objective of trial t is the same at every rung.
    const values = [0.5, 0.1, 0.9, 0.2, 0.8, 0.3, 0.7, 0.4, 0.6]
    const scheduler = SuccessiveHalving.make({ budgets: [1, 3, 9] })
    const { log, state, summary } = simulate(
      options(scheduler, 9),
      (job) => completed(values[job.trial]!),
      { concurrency: 1 }
    )
    const promotions = log.filter((decision) => decision._tag === "Promote")
    assert.deepStrictEqual(promotions.map(({ trial, rung }) => [trial, rung]), [[1, 1], [3, 1], [5, 1], [1, 2]])
    const last = state.jobs.at(-1)!
    assert.deepStrictEqual([last.trial, last.budgets, last.horizon], [1, [1, 3, 9], 9])
    assert.strictEqual(summary.best?.trial, 1)
    assert.strictEqual(summary.spent, 9 * 1 + 3 * 2 + 1 * 6)
    assert.strictEqual(summary.spent, SuccessiveHalving.cost(9, [1, 3, 9]))
    assert.strictEqual(summary.fullCost, 81)
    assert.deepStrictEqual(summary.trials.map((trial) => trial.status), [
      "stopped",
      "completed",
      "stopped",
      "stopped",
      "stopped",
      "stopped",
      "stopped",
      "stopped",
      "stopped"
    ])
    assert.strictEqual(summary.trials[3]!.stop?.reason, "place 2 of 3 at rung 1 (budget 3); the best one went on")
    assert.deepStrictEqual(summary.trials[3]!.values.map(({ budget }) => budget), [1, 3])
  })

  it("maximizes as it minimizes", () => {
    const scheduler = SuccessiveHalving.make({ budgets: [1, 3] })
    const up = simulate(options(scheduler, 6, "maximize"), (job) => completed(job.trial), { concurrency: 2 })
    assert.deepStrictEqual(up.log.filter(({ _tag }) => _tag === "Promote").map((d) => "trial" in d && d.trial), [5, 4])
    assert.strictEqual(up.summary.best?.trial, 5)
  })

  it.prop(
    "promotes exactly the best of those that did not fail, ties to the earlier trial, and keeps to its budget",
    { trials: small, seed },
    ({ trials, seed }) => {
      const budgets = [1, 2, 5, 9]
      const reduction = [1.5, 2, 3, 4][seed % 4]!
      // Few different values make many ties; some jobs fail in each of the ways there are.
      const table = Array.from({ length: trials }, (_, trial) =>
        budgets.map((_, rung): VirtualTime.Outcome => {
          const draw = Random.make(seed, "outcome", trial * 10 + rung).integer(10)
          if (draw === 0) return { _tag: "Failed", reason: "out of memory" }
          return completed(draw === 1 ? Number.NaN : draw === 2 ? -Infinity : draw)
        }))
      const { log, summary } = simulate(
        options(SuccessiveHalving.make({ budgets, reduction }), trials),
        (job) => table[job.trial]![job.rung]!,
        { concurrency: 3, delays: seed }
      )
      let entrants = Array.from({ length: trials }, (_, trial) => trial)
      for (let rung = 0; rung < budgets.length; rung++) {
        const promoted = log.flatMap((d) => d._tag === "Promote" && d.rung === rung ? [d.trial] : [])
        if (rung > 0) assert.deepStrictEqual(promoted, entrants, `rung ${rung}`)
        const value = (trial: number) => {
          const outcome = table[trial]![rung]!
          return outcome._tag === "Completed" && Number.isFinite(outcome.values[0]) ? outcome.values[0] : undefined
        }
        const alive = entrants.filter((trial) => value(trial) !== undefined)
        const places = Math.max(1, Math.floor(trials / reduction ** (rung + 1)))
        entrants = alive.toSorted((a, b) => value(a)! - value(b)! || a - b).slice(0, places)
      }
      assert.isAtMost(summary.spent, SuccessiveHalving.cost(trials, budgets, reduction))
      assert.strictEqual(summary.completed + summary.stopped + summary.failed, trials)
      assert.strictEqual(summary.running, 0)
    }
  )

  it("sizes its rungs by trials / reduction^rung, at least one", () => {
    assert.deepStrictEqual([0, 1, 2, 3].map((rung) => SuccessiveHalving.reaching(27, rung)), [27, 9, 3, 1])
    assert.deepStrictEqual([0, 1, 2].map((rung) => SuccessiveHalving.reaching(16, rung)), [16, 5, 1])
    assert.deepStrictEqual([0, 1, 2].map((rung) => SuccessiveHalving.reaching(2, rung)), [2, 1, 1])
    const { summary } = simulate(
      options(SuccessiveHalving.make({ budgets: [1, 3, 9] }), 1),
      () => completed(1),
      { concurrency: 1 }
    )
    assert.deepStrictEqual([summary.completed, summary.spent], [1, 9])
  })

  it("lays out rungs from a smallest and a largest budget", () => {
    const budgets = (min: number, max: number, reduction?: number) =>
      SuccessiveHalving.make(reduction === undefined ? { min, max } : { min, max, reduction }).budgets
    assert.deepStrictEqual(budgets(1, 9), [1, 3, 9])
    assert.deepStrictEqual(budgets(1, 243), [1, 3, 9, 27, 81, 243])
    assert.deepStrictEqual(budgets(1, 10), [1, 3, 10])
    assert.deepStrictEqual(budgets(2, 16, 4), [4, 16])
    assert.deepStrictEqual(budgets(0.25, 1, 2), [0.25, 0.5, 1])
    assert.deepStrictEqual(budgets(5, 5), [5])
    assert.deepStrictEqual(budgets(1, 3, 1.2), [1, 2, 3])
  })

  it("starts no more trials than a limited budget can halve", () => {
    const scheduler = SuccessiveHalving.make({ budgets: [1, 3, 9] })
    // Nine trials cost 21: 9 at the first rung, 3 * 2 at the second, 6 at the last.
    for (const [budget, trials, spent] of [[9, 1, 9], [10, 2, 10], [20.9, 8, 18], [21, 9, 21], [42, 18, 42]] as const) {
      const { trials: _, ...unlimited } = options(scheduler, 1)
      const { summary } = simulate({ ...unlimited, budget }, (job) => completed(job.params.x), { concurrency: 2 })
      assert.deepStrictEqual([summary.trials.length, summary.spent], [trials, spent], `a budget of ${budget}`)
      assert.isAtLeast(summary.completed, 1)
      // The same holds where the study asks for more trials than that.
      const asked = simulate({ ...unlimited, budget, trials: 50 }, () => completed(1), { concurrency: 2 })
      assert.strictEqual(asked.summary.trials.length, trials)
    }
  })

  it("says what it does, in the unit of its budgets", () => {
    assert.strictEqual(
      SuccessiveHalving.make({ min: 1, max: 9, unit: "epochs" }).description,
      "successive halving at 1, 3, 9 epochs, the best 1 in 3 go on"
    )
    assert.strictEqual(
      SuccessiveHalving.make({ min: 1, max: 1000, reduction: 1.5 }).description,
      "successive halving at 1, 2, ..., 1000, the best 1 in 1.5 go on"
    )
    const { summary } = simulate(
      options(SuccessiveHalving.make({ min: 100 / 9, max: 100, unit: "percent of the data" }), 9),
      (job) => completed(job.trial),
      { concurrency: 1 }
    )
    assert.strictEqual(
      summary.trials[8]!.stop?.reason,
      "place 9 of 9 at rung 0 (11.1111 of 100 percent of the data); the best 3 went on"
    )
  })

  it("refuses budgets and reductions that make no sense", () => {
    for (const budgets of [[], [0, 1], [1, 1], [3, 1], [1, Number.NaN], [1, Infinity]]) {
      assert.throws(() => SuccessiveHalving.make({ budgets }), InvalidStudy, /budgets/)
    }
    for (const min of [0, -1, 2, Number.NaN, 1e-300]) {
      assert.throws(() => SuccessiveHalving.make({ min, max: 1, reduction: 1.01 }), InvalidStudy, /study, min/)
    }
    for (const max of [0, Infinity, Number.NaN]) {
      assert.throws(() => SuccessiveHalving.make({ min: 1, max }), InvalidStudy, /study, max/)
    }
    for (const reduction of [1, 0, -3, Number.NaN, Infinity]) {
      assert.throws(() => SuccessiveHalving.make({ budgets: [1, 3], reduction }), InvalidStudy, /reduction/)
    }
    for (const budget of [0, -1, Number.NaN, Infinity]) {
      assert.throws(() => FullBudget.make(budget), InvalidStudy, /budget/)
    }
  })
})
