import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Goal from "../../../src/search/Goal.ts"
import { InvalidStudy } from "../../../src/search/InvalidStudy.ts"
import * as Rehearsal from "../../../src/search/Rehearsal.ts"
import * as RandomSampler from "../../../src/search/samplers/RandomSampler.ts"
import * as Hyperband from "../../../src/search/schedulers/Hyperband.ts"
import * as Space from "../../../src/search/space/Space.ts"
import * as VirtualTime from "../../../src/search/VirtualTime.ts"
import { simulate } from "../simulate.ts"

const space = Space.make({ x: Space.uniform(0, 1) })

const options = (scheduler: ReturnType<typeof Hyperband.make>, trials: number) => ({
  space,
  sampler: RandomSampler.make(),
  scheduler,
  goal: Goal.single("minimize"),
  seed: 1,
  trials
})

const completed = (value: number): VirtualTime.Outcome => ({ _tag: "Completed", values: [value] })

const integer = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** For each rung that trials started on, how many ran to each budget from there. */
const brackets = (jobs: ReadonlyArray<VirtualTime.Job>) => {
  const counts: Record<number, Record<number, number>> = {}
  for (const { budgets } of jobs) {
    const bracket = counts[budgets[0]!] ??= {}
    bracket[budgets.at(-1)!] = (bracket[budgets.at(-1)!] ?? 0) + 1
  }
  return counts
}

describe("Hyperband", () => {
  it("runs as many trials to each budget as algorithm 1 says for R = 81 and eta = 3", () => {
    const scheduler = Hyperband.make({ min: 1, max: 81 })
    assert.deepStrictEqual(Hyperband.sizes(5), [81, 34, 15, 8, 5])
    const { state, summary } = simulate(options(scheduler, 143), (job) => completed(job.params.x), { concurrency: 4 })
    assert.deepStrictEqual(brackets(state.jobs), {
      1: { 1: 81, 3: 27, 9: 9, 27: 3, 81: 1 },
      3: { 3: 34, 9: 11, 27: 3, 81: 1 },
      9: { 9: 15, 27: 5, 81: 1 },
      27: { 27: 8, 81: 2 },
      81: { 81: 5 }
    })
    assert.strictEqual(summary.completed, 10)
    assert.strictEqual(summary.spent, Hyperband.cost(143, scheduler.budgets))
  })

  it("agrees with the table that mlr3hyperband documents for budgets 1 to 8 and eta = 2", () => {
    const scheduler = Hyperband.make({ min: 1, max: 8, reduction: 2 })
    const { state } = simulate(options(scheduler, 22), (job) => completed(job.params.x), { concurrency: 4 })
    assert.deepStrictEqual(brackets(state.jobs), {
      1: { 1: 8, 2: 4, 4: 2, 8: 1 },
      2: { 2: 6, 4: 3, 8: 1 },
      4: { 4: 4, 8: 2 },
      8: { 8: 4 }
    })
  })

  it("compares trials only within their bracket", () => {
    // Every trial of the first bracket is worse than every other one.
    const scheduler = Hyperband.make({ min: 1, max: 9 })
    assert.deepStrictEqual(Hyperband.sizes(3), [9, 5, 3])
    const { log, state, summary } = simulate(
      options(scheduler, 17),
      (job) => completed(job.trial < 9 ? 100 + job.trial : job.trial),
      { concurrency: 2 }
    )
    assert.deepStrictEqual(state.trials.map((trial) => trial.firstRung), [
      ...Array.from({ length: 9 }, () => 0),
      ...Array.from({ length: 5 }, () => 1),
      ...Array.from({ length: 3 }, () => 2)
    ])
    const promoted = (rung: number) => log.flatMap((d) => d._tag === "Promote" && d.rung === rung ? [d.trial] : [])
    assert.deepStrictEqual(promoted(1), [0, 1, 2])
    assert.sameMembers(promoted(2), [0, 9])
    assert.strictEqual(summary.trials[10]!.stop?.reason, "place 2 of 5 at rung 1 (budget 3); the best one went on")
    assert.strictEqual(summary.best?.trial, 9)
  })

  it("goes round again with more trials, and shares what makes no full round among the brackets", () => {
    const scheduler = Hyperband.make({ min: 1, max: 9 })
    const starts = (trials: number) => {
      const { state } = simulate(options(scheduler, trials), (job) => completed(job.params.x), { concurrency: 2 })
      return [0, 1, 2].map((rung) => state.trials.filter((trial) => trial.firstRung === rung).length)
    }
    assert.deepStrictEqual(starts(17), [9, 5, 3])
    assert.deepStrictEqual(starts(34), [18, 10, 6])
    // Of 6 trials 6 * 9/17 = 3.2, 1.8 and 1.1.
    assert.deepStrictEqual(starts(6), [3, 2, 1])
    assert.deepStrictEqual(starts(40), [21, 12, 7])
    assert.deepStrictEqual(starts(1), [1, 0, 0])
  })

  it("starts the next bracket with workers that an earlier one leaves idle", () => {
    // Four workers and one trial at a time left at the end of the first bracket.
    const { state } = simulate(
      { ...options(Hyperband.make({ min: 1, max: 9 }), 17), parallelism: 4 },
      (job) => completed(job.trial),
      { concurrency: 4 }
    )
    const lastStart = Math.max(...state.trials.map((trial) => trial.jobs[0]!.start))
    for (const { start } of state.jobs.filter(({ start }) => start < lastStart)) {
      assert.strictEqual(state.jobs.filter((job) => job.start <= start && start < job.finish).length, 4)
    }
  })

  it.prop(
    "completes trials within any budget that is enough for one, and spends most of it",
    { budget: integer(9, 300), parallelism: integer(1, 6), given: Schema.NullOr(integer(1, 60)) },
    ({ budget, parallelism, given }) => {
      const { trials: _, ...unlimited } = options(Hyperband.make({ min: 1, max: 9 }), 1)
      const study = { ...unlimited, budget, parallelism, ...(given === null ? {} : { trials: given }) }
      const { summary } = simulate(study, (job) => completed(job.params.x), { concurrency: 2 })
      assert.isAtLeast(summary.completed, 1)
      assert.isAtMost(summary.spent, budget)
      // The trial that is left out would have cost at most a full training, its bracket's promotions included.
      if (given === null) assert.isAbove(summary.spent, budget - 18)
      // Nothing is cut off for want of budget: all of it was planned.
      for (const { stop } of summary.trials) assert.notMatch(stop?.reason ?? "", /budget .* was left/)
    }
  )

  it("tells beforehand what it costs", () => {
    for (const trials of [1, 5, 17, 30, 60]) {
      const scheduler = Hyperband.make({ min: 1, max: 9 })
      const expected = Rehearsal.expectedCost(options(scheduler, trials))
      assert.strictEqual(expected, Hyperband.cost(trials, scheduler.budgets))
      assert.isAtLeast(scheduler.affordable!(expected), trials)
    }
  })

  it("says what it does, and refuses what makes no sense", () => {
    assert.strictEqual(
      Hyperband.make({ min: 1, max: 9, unit: "epochs" }).description,
      "Hyperband at 1, 3, 9 epochs, the best 1 in 3 go on, brackets of 9, 5, 3 trials from the lowest rung to the last"
    )
    assert.throws(() => Hyperband.make({ min: 1, max: 9, reduction: 0.5 }), InvalidStudy, /reduction/)
    assert.throws(() => Hyperband.make({ min: 0, max: 9 }), InvalidStudy, /study, min/)
  })
})
