import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Random from "../../src/random/Random.ts"
import * as Goal from "../../src/search/Goal.ts"
import { InvalidStudy } from "../../src/search/InvalidStudy.ts"
import { finiteValues } from "../../src/search/Job.ts"
import type * as Sampler from "../../src/search/Sampler.ts"
import * as Grid from "../../src/search/samplers/Grid.ts"
import * as RandomSampler from "../../src/search/samplers/RandomSampler.ts"
import * as Sobol from "../../src/search/samplers/Sobol.ts"
import type * as Scheduler from "../../src/search/Scheduler.ts"
import * as Asha from "../../src/search/schedulers/Asha.ts"
import * as FullBudget from "../../src/search/schedulers/FullBudget.ts"
import * as Hyperband from "../../src/search/schedulers/Hyperband.ts"
import * as MedianStopping from "../../src/search/schedulers/MedianStopping.ts"
import * as Patience from "../../src/search/schedulers/Patience.ts"
import * as PercentileStopping from "../../src/search/schedulers/PercentileStopping.ts"
import * as StoppingRules from "../../src/search/schedulers/StoppingRules.ts"
import * as SuccessiveHalving from "../../src/search/schedulers/SuccessiveHalving.ts"
import * as Threshold from "../../src/search/schedulers/Threshold.ts"
import * as Space from "../../src/search/space/Space.ts"
import * as VirtualTime from "../../src/search/VirtualTime.ts"
import { simulate } from "./simulate.ts"

const space = Space.make({ x: Space.uniform(0, 1), n: Space.integer(1, 4), kind: Space.choice(["a", "b"]) })
type Params = Space.Type<typeof space>

const base = {
  space,
  sampler: RandomSampler.make(),
  scheduler: FullBudget.make(4),
  goal: Goal.single("minimize"),
  seed: 1,
  trials: 6
} satisfies VirtualTime.Options<Params>

const completed = (value: number): VirtualTime.Outcome => ({ _tag: "Completed", values: [value] })

/** Proposes a point that depends on every bit of the history, as a model-based sampler does. */
const sensitive = (seen?: (context: Sampler.Context, history: ReadonlyArray<Sampler.Observation>) => void) =>
  ({
    name: "sensitive",
    description: "for tests",
    size: (space) => space.size,
    propose: (context) => {
      const history = context.history()
      seen?.(context, history)
      const draw = Random.make(context.seed, JSON.stringify(history), context.index)
      return { params: context.space.fromUnit(context.space.axes.map(() => draw.uniform())) }
    }
  }) satisfies Sampler.Sampler

/** An objective with ties and with failures of every kind, which depends on the hyperparameters and the rung. */
const rough = (seed: number) => (job: VirtualTime.Job<Params>): VirtualTime.Outcome => {
  const draw = Random.make(seed, "objective", job.trial * 100 + job.rung).integer(12)
  if (draw === 0) return { _tag: "Failed", reason: "diverged" }
  if (draw === 1) return completed(Number.NaN)
  if (draw === 2) return completed(Infinity)
  return completed(draw < 6 ? draw : job.params.x + job.params.n / (1 + job.rung))
}

const schedulers: ReadonlyArray<Scheduler.Scheduler> = [
  FullBudget.make(5),
  SuccessiveHalving.make({ budgets: [1, 3, 9] }),
  SuccessiveHalving.make({ budgets: [1, 1.7, 4], reduction: 2 }),
  Asha.make({ min: 1, max: 9 }),
  Asha.make({ budgets: [0.3, 1, 2.5], reduction: 2 }),
  Hyperband.make({ budgets: [1, 2.5, 7], reduction: 2 }),
  MedianStopping.make({ every: 1, max: 4, after: 2 }),
  PercentileStopping.make({ every: 0.1, max: 0.4, percentile: 25, after: 1, from: 0.2 }),
  StoppingRules.make({ every: 2, max: 8, rules: [Patience.rule({ rungs: 2 }), Threshold.rule({ above: 4 })] }),
  StoppingRules.make({ scheduler: Asha.make({ min: 1, max: 4, reduction: 2 }), rules: [Threshold.rule({ above: 4 })] })
]
const samplers: ReadonlyArray<Sampler.Sampler> = [
  RandomSampler.make(),
  Sobol.make(),
  Grid.make({ resolution: 2 }),
  sensitive()
]

const integer = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

describe("VirtualTime", () => {
  for (const sampler of samplers) {
    for (const scheduler of schedulers) {
      it.prop(
        `decides the same whatever really happens: ${sampler.name}, ${scheduler.description}`,
        {
          seed: integer(0, 1_000_000),
          trials: integer(1, 24),
          // In quarters of a full training beyond the first, or none.
          budget: Schema.NullOr(integer(0, 20)),
          parallelism: integer(1, 6),
          concurrency: integer(1, 8),
          crashes: Schema.Array(integer(0, 12)).check(Schema.isMaxLength(3))
        },
        ({ seed, trials, budget, parallelism, concurrency, crashes }) => {
          const limit = budget === null ? {} : { budget: scheduler.budgets.at(-1)! * (1 + budget / 4) }
          const options = { ...base, sampler, scheduler, seed, trials, parallelism, ...limit }
          const expected = simulate(options, rough(seed), { concurrency: 1 })
          const found = simulate(options, rough(seed), { concurrency, delays: seed, crashes })
          assert.deepStrictEqual(found.log, expected.log)
          assert.deepStrictEqual(found.summary, expected.summary)
          // A result that was stored before a crash is not computed again.
          assert.strictEqual(found.results, expected.state.jobs.length)
          assert.isTrue(VirtualTime.isDone(found.state))
          assert.isUndefined(VirtualTime.awaiting(found.state))
        },
        { arbitrary: { runs: 25 } }
      )
    }
  }

  it.prop(
    "never runs more than `parallelism` jobs at a virtual moment, and no rung of a trial twice",
    { seed: integer(0, 1_000_000), trials: integer(1, 24), parallelism: integer(1, 6) },
    ({ seed, trials, parallelism }) => {
      for (const scheduler of schedulers) {
        const { state } = simulate({ ...base, scheduler, seed, trials, parallelism }, rough(seed), { concurrency: 2 })
        for (const { start } of state.jobs) {
          assert.isAtMost(state.jobs.filter((job) => job.start <= start && start < job.finish).length, parallelism)
        }
        assert.strictEqual(new Set(state.jobs.map((job) => `${job.trial}/${job.rung}`)).size, state.jobs.length)
        for (const trial of state.trials) {
          for (const [i, job] of trial.jobs.entries()) {
            assert.isAtLeast(job.start, trial.jobs[i - 1]?.finish ?? 0)
            assert.deepStrictEqual(job.budgets, scheduler.budgets.slice(trial.firstRung, job.rung + 1))
          }
        }
      }
    },
    { arbitrary: { runs: 40 } }
  )

  it.prop(
    "ends every trial in one way, goes on with none that failed, and keeps to its budget",
    { seed: integer(0, 1_000_000), trials: integer(1, 24), parallelism: integer(1, 6), quarters: integer(0, 40) },
    ({ seed, trials, parallelism, quarters }) => {
      for (const scheduler of schedulers) {
        const budget = scheduler.budgets.at(-1)! * (1 + quarters / 4)
        const options = { ...base, scheduler, seed, trials, parallelism, budget }
        const { state, summary } = simulate(options, rough(seed), { concurrency: 2 })
        assert.isAtMost(summary.spent, budget * (1 + 1e-9), scheduler.description)
        assert.strictEqual(summary.completed + summary.stopped + summary.failed, summary.trials.length)
        for (const trial of state.trials) {
          const values = trial.jobs.map((job) => finiteValues(VirtualTime.outcomeOf(state, job)!))
          assert.isFalse(values.slice(0, -1).includes(undefined), scheduler.description)
        }
        for (const { status, stop } of summary.trials) {
          if (status === "stopped") assert.notStrictEqual(stop?.reason, "the study ended", scheduler.description)
        }
        // Rules may stop every trial, but none of these schedulers does where nothing fails.
        if (/until|stops/.test(scheduler.description)) continue
        const calm = simulate(options, (job) => completed(job.params.x), { concurrency: 2 })
        assert.isAtLeast(calm.summary.completed, 1, scheduler.description)
      }
    },
    { arbitrary: { runs: 25 } }
  )

  it.prop(
    "shows a sampler exactly the results that precede it in virtual time",
    { seed: integer(0, 1_000_000), trials: integer(1, 20), parallelism: integer(1, 5) },
    ({ seed, trials, parallelism }) => {
      const seen: Array<ReadonlyArray<Sampler.Observation>> = []
      const sampler = sensitive((context, history) => seen[context.index] = history)
      const options = { ...base, sampler, scheduler: Asha.make({ min: 1, max: 9 }), seed, trials, parallelism }
      const { state } = simulate(options, rough(seed), { concurrency: 8, delays: seed })
      const starts = state.log.filter((decision) => decision._tag === "Start")
      assert.strictEqual(seen.length, trials)
      for (const [index, history] of seen.entries()) {
        const now = starts[index]!.at
        assert.strictEqual(history.length, index)
        for (const observation of history) {
          const over = state.trials[observation.trial]!.jobs.filter((job) => job.finish <= now)
          const values = over.flatMap((job) => {
            const losses = finiteValues(VirtualTime.outcomeOf(state, job)!)
            return losses === undefined ? [] : [{ rung: job.rung, budget: job.budgets.at(-1)!, losses, violations: [] }]
          })
          assert.deepStrictEqual(observation.measurements, values)
          assert.strictEqual(observation.status === "failed", values.length < over.length)
        }
      }
    }
  )

  it("lays jobs on virtual workers by their cost", () => {
    const { state } = simulate({ ...base, trials: 5, parallelism: 2 }, () => completed(1), { concurrency: 5 })
    assert.deepStrictEqual(
      state.jobs.map((job) => [job.trial, job.start, job.finish]),
      [[0, 0, 4], [1, 0, 4], [2, 4, 8], [3, 4, 8], [4, 8, 12]]
    )
  })

  it("starts at once whatever does not depend on results, and no more", () => {
    const first = (options: Partial<VirtualTime.Options<Params>>) =>
      VirtualTime.next(VirtualTime.make({ ...base, trials: 9, parallelism: 2, ...options }))
    // Random points at full budget depend on nothing.
    assert.strictEqual(first({}).jobs.length, 9)
    assert.isTrue(first({}).state.ended)
    // The lowest rung of halving does not either; what follows depends on all of it.
    const halving = first({ scheduler: SuccessiveHalving.make({ budgets: [1, 3, 9] }) })
    assert.strictEqual(halving.jobs.length, 9)
    assert.strictEqual(VirtualTime.awaiting(halving.state)?.trial, 0)
    // A sampler that learns waits for the results of its two virtual workers.
    const learning = first({ sampler: sensitive() })
    assert.deepStrictEqual(learning.jobs.map((job) => job.trial), [0, 1])
    const late = VirtualTime.next(VirtualTime.tell(learning.state, { trial: 1, rung: 0 }, completed(1)))
    assert.deepStrictEqual(late.jobs, [])
    assert.strictEqual(VirtualTime.awaiting(late.state)?.trial, 0)
    const both = VirtualTime.next(VirtualTime.tell(late.state, { trial: 0, rung: 0 }, completed(2)))
    assert.deepStrictEqual(both.jobs.map((job) => job.trial), [2, 3])
  })

  it("leaves a state as it was", () => {
    const before = VirtualTime.make({
      ...base,
      scheduler: Asha.make({ budgets: [1, 3], reduction: 2 }),
      sampler: sensitive()
    })
    const { state, jobs } = VirtualTime.next(before)
    const again = VirtualTime.next(before)
    assert.deepStrictEqual(again.jobs, jobs)
    const told = VirtualTime.tell(state, jobs[0]!, completed(1))
    assert.isUndefined(VirtualTime.outcomeOf(state, jobs[0]!))
    assert.deepStrictEqual(VirtualTime.outcomeOf(told, jobs[0]!), completed(1))
    assert.strictEqual(before.jobs.length, 0)
  })

  it("tries the enqueued points first, once each, and the sampler's after them", () => {
    const defaults = Space.defaults(space)
    const enqueued: ReadonlyArray<Params> = [defaults, { x: 0.25, n: 1, kind: "b" }, defaults]
    const { state } = simulate({ ...base, trials: 5, enqueued }, () => completed(1), { concurrency: 2 })
    assert.deepStrictEqual(state.trials.slice(0, 2).map((trial) => trial.params), [defaults, enqueued[1]])
    assert.deepStrictEqual(
      state.trials.map((trial) => trial.origin),
      ["enqueued", "enqueued", "sampler", "sampler", "sampler"]
    )
    const without = simulate({ ...base, trials: 3 }, () => completed(1), { concurrency: 2 })
    assert.deepStrictEqual(
      state.trials.slice(2).map((trial) => trial.params),
      without.state.trials.map((trial) => trial.params)
    )
  })

  it("ends early when the space is used up, and halves what there was", () => {
    const finite = Space.make({ n: Space.integer(1, 3), kind: Space.choice(["a", "b"]) })
    for (const sampler of [RandomSampler.make(), Grid.make(), Sobol.make()]) {
      const { summary } = simulate(
        {
          ...base,
          space: finite,
          sampler,
          trials: 50,
          scheduler: SuccessiveHalving.make({ budgets: [1, 3] }),
          enqueued: [Space.defaults(finite)]
        },
        (job) => completed(job.params.n),
        { concurrency: 3 }
      )
      assert.strictEqual(summary.trials.length, 6)
      assert.strictEqual(summary.completed, 2)
      assert.strictEqual(summary.best?.params.n, 1)
    }
  })

  it("starts a trial on a higher rung when the scheduler says so", () => {
    const direct: Scheduler.Scheduler = {
      name: "direct",
      description: "for tests",
      budgets: [1, 3, 9],
      decide: (view) =>
        view.mayStart
          ? { _tag: "Start", rung: 1 }
          : view.trials[0]!.running
          ? { _tag: "Wait" }
          : view.trials[0]!.rung === 1
          ? { _tag: "Promote", trial: 0, rung: 2 }
          : { _tag: "Done" }
    }
    const { state } = simulate({ ...base, trials: 1, scheduler: direct }, () => completed(1), { concurrency: 1 })
    assert.deepStrictEqual(state.jobs.map((job) => [job.rung, job.budgets, job.start, job.finish]), [
      [1, [3], 0, 3],
      [2, [3, 9], 3, 9]
    ])
  })

  it("refuses options that cannot be used, before anything runs", () => {
    const refuse = (options: Partial<VirtualTime.Options<Params>>, message: RegExp) =>
      assert.throws(() => VirtualTime.make({ ...base, ...options }), InvalidStudy, message)
    refuse({ trials: 0 }, /trials: found 0/)
    refuse({ trials: 2.5 }, /trials: found 2.5/)
    refuse({ parallelism: 0 }, /parallelism/)
    refuse({ seed: -1 }, /seed/)
    refuse({ sampler: Grid.make({ resolutions: { y: 2 } }) }, /sampler.*for y/)
    refuse({ enqueued: [{ x: 2, n: 1, kind: "a" }] }, /enqueued\[0\].*x/s)
    refuse({ enqueued: [{ x: 0.5, n: 1, kind: "a", y: 1 } as Params] }, /enqueued\[0\].*y/s)
    refuse({ trials: 1, enqueued: [{ x: 0, n: 1, kind: "a" }, { x: 1, n: 1, kind: "a" }] }, /2 enqueued points/)
  })

  it("refuses a result that nobody asked for, and one told twice", () => {
    const { state, jobs } = VirtualTime.next(VirtualTime.make(base))
    assert.throws(() => VirtualTime.tell(state, { trial: 0, rung: 1 }, completed(1)), /not started at rung 1/)
    assert.throws(() => VirtualTime.tell(state, { trial: 99, rung: 0 }, completed(1)), /not started/)
    const told = VirtualTime.tell(state, jobs[0]!, completed(1))
    assert.throws(() => VirtualTime.tell(told, jobs[0]!, completed(1)), /known already/)
  })

  it("names the scheduler or sampler that breaks the rules", () => {
    const run = (decide: Scheduler.Scheduler["decide"], outcome = completed(1)) => () =>
      simulate(
        { ...base, scheduler: { name: "broken", description: "", budgets: [1, 2], decide } },
        () => outcome,
        { concurrency: 1 }
      )
    const thenPromote: Scheduler.Scheduler["decide"] = (view) =>
      view.trials.length === 0
        ? { _tag: "Start" }
        : view.trials[0]!.running
        ? { _tag: "Wait" }
        : { _tag: "Promote", trial: 0, rung: 1 }
    assert.throws(run(() => ({ _tag: "Wait" })), /broken waits though no trial is running/)
    assert.throws(run(() => ({ _tag: "Promote", trial: 3, rung: 1 })), /broken cannot promote trial 3/)
    assert.throws(run(() => ({ _tag: "Stop", trial: 3, reason: "" })), /broken cannot stop trial 3/)
    assert.throws(run(() => ({ _tag: "Start", rung: 2 })), /broken has no rung 2/)
    assert.throws(run(thenPromote, { _tag: "Failed", reason: "x" }), /broken promotes trial 0, which failed/)
    assert.throws(
      run((view) =>
        view.trials.length === 0 ? { _tag: "Start" } : view.loss(0, 0) > 0 ? { _tag: "Wait" } : { _tag: "Done" }
      ),
      /broken asks for trial 0 at rung 0, not finished yet/
    )
    const outside = { ...RandomSampler.make(), name: "outside", propose: () => ({ params: { x: 7, n: 1, kind: "a" } }) }
    assert.throws(
      () => VirtualTime.next(VirtualTime.make({ ...base, sampler: outside })),
      /outside proposed .*not in the space/
    )
  })
})
