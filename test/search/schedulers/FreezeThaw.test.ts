import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Random from "../../../src/random/Random.ts"
import * as Goal from "../../../src/search/Goal.ts"
import { InvalidStudy } from "../../../src/search/InvalidStudy.ts"
import * as RandomSampler from "../../../src/search/samplers/RandomSampler.ts"
import type * as Scheduler from "../../../src/search/Scheduler.ts"
import * as Asha from "../../../src/search/schedulers/Asha.ts"
import * as FreezeThaw from "../../../src/search/schedulers/FreezeThaw.ts"
import * as Space from "../../../src/search/space/Space.ts"
import type * as VirtualTime from "../../../src/search/VirtualTime.ts"
import { simulate } from "../simulate.ts"

const space = Space.make({ x: Space.uniform(0, 1) })
const scheduler = FreezeThaw.make({ min: 1, max: 16 })

const options = {
  space,
  sampler: RandomSampler.make(),
  scheduler,
  goal: Goal.single("minimize"),
  seed: 1,
  parallelism: 1
}

const completed = (...values: ReadonlyArray<number>): VirtualTime.Outcome => ({ _tag: "Completed", values })

const integer = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

type Job = VirtualTime.Job<{ readonly x: number }>

/** A power law in the budget that ends at `x`, with some noise. */
const powerLaw = (job: Job): number =>
  job.params.x + 2 * job.budgets.at(-1)! ** -0.5 +
  0.02 * Random.make(5, "noise", job.trial * 100 + job.rung).normal()

const learning = (job: Job) => completed(powerLaw(job))

/** With ties and with failures of every kind. */
const rough = (seed: number) => (job: Job): VirtualTime.Outcome => {
  const draw = Random.make(seed, "objective", job.trial * 100 + job.rung).integer(14)
  if (draw === 0) return { _tag: "Failed", reason: "out of memory" }
  if (draw === 1) return completed(NaN)
  return completed(draw < 5 ? draw : powerLaw(job))
}

/** One trial in five learns, the more the lower `x`; the others stay where they began. */
const plateau = (job: Job): number => {
  const end = Math.min(1, 0.2 + 4 * job.params.x)
  return end + (1 - end) * Math.exp(-job.budgets.at(-1)! / 5) +
    0.005 * Random.make(5, "noise", job.trial * 100 + job.rung).normal()
}

/** The budget that was spent when a trial ended below a loss. */
const spentUntil = (scheduler: Scheduler.Scheduler, seed: number, loss: number): number => {
  const { state } = simulate(
    { ...options, scheduler, seed, budget: 400 },
    (job) => completed(plateau(job)),
    { concurrency: 1 }
  )
  const found = state.jobs.filter((job) => job.budgets.at(-1) === 16 && plateau(job) < loss)
  return found.reduce((earliest, { finish }) => Math.min(earliest, finish), 400)
}

describe("FreezeThaw", () => {
  it("finds a good trial with less budget than halving does", () => {
    const total = (scheduler: Scheduler.Scheduler) =>
      Array.from({ length: 10 }, (_, seed) => spentUntil(scheduler, seed, 0.32)).reduce((sum, spent) => sum + spent, 0)
    const own = total(scheduler)
    for (const reduction of [2, 3, 4]) {
      assert.isBelow(own, 0.9 * total(Asha.make({ min: 1, max: 16, reduction })), `reduction ${reduction}`)
    }
  })

  it("continues a paused trial when the curves of others show that it will end well", () => {
    // Twenty trials have been to the end, in the order in which they began.
    const ended = Array.from({ length: 20 }, (_, i) => [1 + i / 40, 0.9 + i / 40, 0.8 + i / 40])
    const decide = (paused: number) => {
      const curves = [...ended, [paused]]
      const trials = curves.map((curve, index) => ({
        index,
        firstRung: 0,
        rung: curve.length - 1,
        running: false,
        stopped: false
      }))
      return FreezeThaw.make({ budgets: [1, 2, 4] }).decide({
        direction: "minimize",
        planned: Infinity,
        remaining: Infinity,
        now: 100,
        trials,
        mayStart: true,
        loss: (trial, rung) => curves[trial]![rung]!,
        ranking: () => []
      })
    }
    assert.deepStrictEqual(decide(0.95), { _tag: "Promote", trial: 20, rung: 1 })
    assert.deepStrictEqual(decide(1.4), { _tag: "Start" })
  })

  it.prop(
    "decides the same whatever really happens",
    {
      seed: integer(0, 1_000_000),
      trials: integer(1, 24),
      parallelism: integer(1, 6),
      concurrency: integer(1, 8),
      crashes: Schema.Array(integer(0, 12)).check(Schema.isMaxLength(3))
    },
    ({ concurrency, crashes, parallelism, seed, trials }) => {
      const study = { ...options, seed, trials, parallelism }
      const expected = simulate(study, rough(seed), { concurrency: 1 })
      const found = simulate(study, rough(seed), { concurrency, delays: seed, crashes })
      assert.deepStrictEqual(found.log, expected.log)
      assert.deepStrictEqual(found.summary, expected.summary)
    },
    { arbitrary: { runs: 40 } }
  )

  it.prop(
    "takes a trial to the end within the budget if any trial can go there",
    { seed: integer(0, 1_000_000), budget: integer(16, 120), parallelism: integer(1, 4) },
    ({ budget, parallelism, seed }) => {
      const { summary } = simulate({ ...options, seed, budget, parallelism }, learning, { concurrency: 2 })
      assert.isAtLeast(summary.completed, 1)
      assert.isAtMost(summary.spent, budget)
      // What is left would not have been enough for another new trial.
      assert.isAbove(summary.spent, budget - 16)
    },
    { arbitrary: { runs: 40 } }
  )

  it.prop(
    "sends on at least one in three from every rung, and never one that failed",
    { seed: integer(0, 1_000_000), trials: integer(6, 40) },
    ({ seed, trials }) => {
      const { state } = simulate({ ...options, seed, trials }, rough(seed), { concurrency: 1 })
      if (!state.trials.some((trial) => trial.rung === 4)) return
      for (let rung = 0; rung < 4; rung++) {
        const there = state.trials.filter((trial) => trial.rung >= rung)
        const failed = there.filter((trial) => {
          const outcome = state.outcomes[trial.jobs[rung]!.index]!
          return outcome._tag !== "Completed" || !Number.isFinite(outcome.values[0])
        })
        const gone = there.filter((trial) => trial.rung > rung)
        assert.isAtLeast(gone.length, Math.min(Math.floor(there.length / 3), there.length - failed.length))
        assert.deepStrictEqual(failed.filter((trial) => trial.rung > rung), [])
      }
    },
    { arbitrary: { runs: 40 } }
  )

  it("says of each trial that it gives up what it was expected to end at", () => {
    const { summary } = simulate({ ...options, trials: 30 }, learning, { concurrency: 1 })
    const reasons = summary.trials.flatMap((trial) => trial.stop === undefined ? [] : [trial.stop.reason])
    assert.isAbove(reasons.length, 15)
    for (const reason of reasons) {
      assert.match(reason, /^a final loss of [\d.]+ is expected, which promises too little against the best, [\d.]+$/)
    }
    assert.strictEqual(summary.completed + reasons.length, 30)
  })

  it("does not depend on the unit of the losses, and maximizes as it minimizes", () => {
    const plain = simulate({ ...options, trials: 30 }, learning, { concurrency: 1 })
    const scaled = simulate({ ...options, trials: 30 }, (job) => completed(2 ** -20 * powerLaw(job)), {
      concurrency: 1
    })
    const turned = simulate(
      { ...options, trials: 30, goal: Goal.single("maximize") },
      (job) => completed(-powerLaw(job)),
      { concurrency: 1 }
    )
    const jobs = ({ state }: typeof plain) => state.jobs.map(({ rung, trial }) => [trial, rung])
    assert.deepStrictEqual(jobs(scaled), jobs(plain))
    assert.deepStrictEqual(jobs(turned), jobs(plain))
  })

  it("ends when all trials fail, when all are alike, and when only one rung exists", () => {
    const failing = simulate({ ...options, trials: 10 }, () => ({ _tag: "Failed", reason: "x" }), { concurrency: 1 })
    assert.strictEqual(failing.summary.failed, 10)
    const alike = simulate({ ...options, trials: 10 }, () => completed(1), { concurrency: 1 })
    assert.isAtLeast(alike.summary.completed, 1)
    const single = simulate(
      { ...options, trials: 4, scheduler: FreezeThaw.make({ budgets: [3] }) },
      learning,
      { concurrency: 1 }
    )
    assert.strictEqual(single.summary.completed, 4)
    const endless = simulate(
      { ...options, trials: 20 },
      (job) => job.rung === 4 ? completed(-Infinity) : learning(job),
      { concurrency: 1 }
    )
    assert.strictEqual(endless.summary.completed, 0)
  })

  it("lays out rungs in a ratio of 2, and refuses options that cannot be used", () => {
    assert.deepStrictEqual(FreezeThaw.make({ min: 1, max: 50 }).budgets, [2, 3, 6, 13, 25, 50])
    // Every epoch would be too many: they are thinned out from the last one down.
    const epochs = Array.from({ length: 20 }, (_, i) => i + 1)
    assert.deepStrictEqual(FreezeThaw.make({ budgets: epochs }).budgets, [1, 2, 4, 6, 9, 14, 20])
    assert.match(FreezeThaw.make({ min: 3, max: 27, ratio: 3, unit: "epochs" }).description, /at 3, 9, 27 epochs/)
    assert.throws(() => FreezeThaw.make({ min: 1, max: 9, ratio: 1 }), InvalidStudy, /ratio: found 1/)
    assert.throws(() => FreezeThaw.make({ min: 1, max: 9, atLeastOneIn: NaN }), InvalidStudy, /atLeastOneIn: found NaN/)
    assert.throws(() => FreezeThaw.make({ budgets: [2, 1] }), InvalidStudy, /budgets/)
  })
})
