import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Random from "../../../src/random/Random.ts"
import * as Goal from "../../../src/search/Goal.ts"
import { InvalidStudy } from "../../../src/search/InvalidStudy.ts"
import * as RandomSampler from "../../../src/search/samplers/RandomSampler.ts"
import * as Asha from "../../../src/search/schedulers/Asha.ts"
import * as Space from "../../../src/search/space/Space.ts"
import type * as VirtualTime from "../../../src/search/VirtualTime.ts"
import { simulate } from "../simulate.ts"

const space = Space.make({ x: Space.uniform(0, 1) })

const options = (trials: number, parallelism = 1) => ({
  space,
  sampler: RandomSampler.make(),
  scheduler: Asha.make({ budgets: [1, 3, 9] }),
  goal: Goal.single("minimize"),
  seed: 1,
  trials,
  parallelism
})

const completed = (...values: ReadonlyArray<number>): VirtualTime.Outcome => ({ _tag: "Completed", values })

const integer = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const lines = (log: ReadonlyArray<VirtualTime.Logged>) =>
  log.map((decision) =>
    decision._tag === "Start"
      ? `start ${decision.trial}`
      : decision._tag === "Promote"
      ? `promote ${decision.trial} to ${decision.rung}`
      : decision._tag === "Stop"
      ? `stop ${decision.trial}: ${decision.reason}`
      : decision._tag
  )

describe("Asha", () => {
  it("promotes whoever is among the best third so far, from the top rung down, before it starts another", () => {
    // One worker; trial t has the same loss at every rung.
    const losses = [0.5, 0.1, 0.9, 0.2, 0.3, 0.4, 0.8, 0.7, 0.05]
    const { log, summary } = simulate(options(9), (job) => completed(losses[job.trial]!), { concurrency: 1 })
    assert.deepStrictEqual(lines(log), [
      "start 0",
      "start 1",
      "start 2",
      // The best of three.
      "promote 1 to 1",
      "start 3",
      "start 4",
      "start 5",
      // The second best of six, the best is there already.
      "promote 3 to 1",
      "start 6",
      "start 7",
      "start 8",
      // A new best one of nine, and then of the three at the rung above.
      "promote 8 to 1",
      "promote 8 to 2",
      "stop 1: place 2 of 3 at rung 1 (budget 3); only the best one goes on",
      "stop 3: place 3 of 3 at rung 1 (budget 3); only the best one goes on",
      "stop 4: place 4 of 9 at rung 0 (budget 1); only the best 3 go on",
      "stop 5: place 5 of 9 at rung 0 (budget 1); only the best 3 go on",
      "stop 0: place 6 of 9 at rung 0 (budget 1); only the best 3 go on",
      "stop 7: place 7 of 9 at rung 0 (budget 1); only the best 3 go on",
      "stop 6: place 8 of 9 at rung 0 (budget 1); only the best 3 go on",
      "stop 2: place 9 of 9 at rung 0 (budget 1); only the best 3 go on",
      "Done"
    ])
    assert.strictEqual(summary.spent, 9 * 1 + 3 * 2 + 6)
    assert.strictEqual(summary.best?.trial, 8)
  })

  it("promotes on the highest rung first, when several trials finish at once", () => {
    const { log } = simulate(
      { ...options(8, 3), scheduler: Asha.make({ budgets: [1, 2, 3], reduction: 2 }) },
      (job) => completed(job.trial),
      { concurrency: 1 }
    )
    const at = (time: number) => lines(log.filter((decision) => decision.at === time))
    assert.deepStrictEqual(at(1), ["promote 0 to 1", "start 3", "start 4"])
    assert.deepStrictEqual(at(2), ["promote 1 to 1", "start 5", "start 6"])
    // Trials 0 and 1 have finished rung 1, seven have finished rung 0.
    assert.deepStrictEqual(at(3), ["promote 0 to 2", "promote 2 to 1", "start 7"])
  })

  it("counts failures among the finished, and promotes none of them", () => {
    // Two of six fail: the best two of six still go on, though only four are left.
    const { log } = simulate(
      options(6),
      (job) => job.trial < 2 ? { _tag: "Failed", reason: "diverged" } : completed(job.trial),
      { concurrency: 1 }
    )
    const promotions = lines(log).filter((line) => line.startsWith("promote"))
    assert.deepStrictEqual(promotions, ["promote 2 to 1", "promote 3 to 1", "promote 2 to 2"])
  })

  it("brings one trial to the last rung however few there are", () => {
    for (const trials of [1, 2, 5]) {
      const { summary } = simulate(options(trials, 4), (job) => completed(job.trial), { concurrency: 2 })
      assert.deepStrictEqual([summary.completed, summary.best?.trial], [1, 0], `${trials} trials`)
    }
    const { summary } = simulate(options(2), (job) => completed(job.trial), { concurrency: 1 })
    assert.strictEqual(
      summary.trials[1]!.stop?.reason,
      "place 2 of 2 at rung 0 (budget 1); of fewer than 3 none goes on"
    )
  })

  it("takes the next best when those that went on failed", () => {
    const { log, summary } = simulate(
      options(4),
      (job) => job.rung === 2 && job.trial < 2 ? completed(Number.NaN) : completed(job.trial),
      { concurrency: 1 }
    )
    assert.deepStrictEqual(
      [summary.failed, summary.completed, summary.best?.trial],
      [2, 1, 2],
      lines(log).join("\n")
    )
  })

  it.prop(
    "completes a trial unless all have failed, and none waits for a whole rung",
    { seed: integer(0, 1_000_000), trials: integer(1, 40), parallelism: integer(1, 6) },
    ({ seed, trials, parallelism }) => {
      const { log, summary, state } = simulate(
        { ...options(trials, parallelism), seed },
        (job) => {
          const draw = Random.make(seed, "outcome", job.trial * 10 + job.rung).integer(8)
          return draw === 0 ? { _tag: "Failed", reason: "out of memory" } : completed(draw)
        },
        { concurrency: 3, delays: seed }
      )
      assert.strictEqual(summary.running, 0)
      assert.isTrue(summary.completed > 0 || summary.failed === trials)
      // Every worker is busy at every moment at which a trial may start.
      const lastStart = log.findLast((decision) => decision._tag === "Start")!.at
      for (const { at } of log) {
        if (at >= lastStart) continue
        assert.strictEqual(state.jobs.filter((job) => job.start <= at && at < job.finish).length, parallelism)
      }
    }
  )

  it.prop(
    "puts budget aside for one trial to reach the last rung",
    { seed: integer(0, 1_000_000), budget: integer(9, 60), parallelism: integer(1, 6) },
    ({ seed, budget, parallelism }) => {
      const { trials: _, ...unlimited } = options(1, parallelism)
      const { summary } = simulate({ ...unlimited, seed, budget }, (job) => completed(job.params.x), { concurrency: 2 })
      assert.isAtLeast(summary.completed, 1)
      assert.isAtMost(summary.spent, budget)
      // A new trial costs 1, a promotion at most 6: little is left over.
      assert.isAbove(summary.spent, budget - 6)
    }
  )

  it("promotes by several objectives and by limits", () => {
    const goal: Goal.Goal = {
      objectives: [{ metric: "loss", direction: "minimize" }, { metric: "latency", direction: "minimize" }],
      limits: [{ metric: "size", max: 10 }]
    }
    // Trial 2 is best in everything but too large; 1 is on the front with 0, and 0 dominates the others.
    const values = [[1, 2, 5], [2, 1, 5], [0, 0, 11], [3, 3, 5], [4, 4, 5], [5, 5, 5]]
    const { log } = simulate({ ...options(6, 6), goal }, (job) => completed(...values[job.trial]!), { concurrency: 1 })
    const toFirst = log.flatMap((decision) =>
      decision._tag === "Promote" && decision.rung === 1 ? [decision.trial] : []
    )
    assert.sameMembers(toFirst, [0, 1])
  })

  it("says what it does, and refuses what makes no sense", () => {
    assert.strictEqual(
      Asha.make({ min: 1, max: 9, unit: "epochs" }).description,
      "asynchronous successive halving at 1, 3, 9 epochs, the best 1 in 3 so far go on"
    )
    assert.throws(() => Asha.make({ min: 1, max: 9, reduction: 1 }), InvalidStudy, /reduction/)
    assert.throws(() => Asha.make({ budgets: [] }), InvalidStudy, /budgets/)
    assert.throws(() => Asha.make({ min: 2, max: 1 }), InvalidStudy, /study, min/)
  })
})
