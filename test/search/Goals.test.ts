import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Random from "../../src/random/Random.ts"
import type * as Goal from "../../src/search/Goal.ts"
import type * as Sampler from "../../src/search/Sampler.ts"
import * as FullBudget from "../../src/search/schedulers/FullBudget.ts"
import * as SuccessiveHalving from "../../src/search/schedulers/SuccessiveHalving.ts"
import * as Space from "../../src/search/space/Space.ts"
import * as VirtualTime from "../../src/search/VirtualTime.ts"
import { simulate } from "./simulate.ts"

const space = Space.make({ x: Space.uniform(0, 1) })
type Params = Space.Type<typeof space>

/** Proposes these one after the other, and says what it expects of each. */
const listed = (points: ReadonlyArray<number>, expected?: ReadonlyArray<number>): Sampler.Sampler => ({
  name: "listed",
  description: "for tests",
  size: () => points.length,
  expectsImprovement: expected !== undefined,
  propose: ({ index }) => {
    const x = points[index]
    if (x === undefined) return undefined
    return expected === undefined ? { params: { x } } : { params: { x }, expectedImprovement: expected[index]! }
  }
})

const points = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]

/** Accuracy rises with x, and so does latency; a third metric has its best in the middle. */
const values = (x: number) => [x, 10 * x, (x - 0.5) ** 2]
const measured = (job: VirtualTime.Job<Params>): VirtualTime.Outcome => ({
  _tag: "Completed",
  values: values(job.params.x)
})

const goal = (
  objectives: Goal.Goal["objectives"],
  limits: Goal.Goal["limits"] = []
): Goal.Goal => ({ objectives, limits })

const accuracy = { metric: "accuracy", direction: "maximize" } as const
const latency = { metric: "latency", direction: "minimize" } as const

const base = { space, sampler: listed(points), scheduler: FullBudget.make(1), seed: 1, trials: 9 }
const play = (options: Omit<VirtualTime.Options<Params>, "space" | "seed">, outcome = measured) =>
  simulate({ space, seed: 1, ...options }, outcome, { concurrency: 2 })

describe("several objectives", () => {
  it("have a front instead of one best, by the first objective, and a hypervolume", () => {
    const two = goal([accuracy, { metric: "middle", direction: "minimize" }])
    const { summary } = play({ ...base, goal: two }, (job) => ({
      _tag: "Completed",
      values: [job.params.x, (job.params.x - 0.5) ** 2]
    }))
    // Below the middle more accuracy costs nothing.
    assert.deepStrictEqual(summary.front.map(({ params }) => params.x), [0.9, 0.8, 0.7, 0.6, 0.5])
    assert.strictEqual(summary.best?.params.x, 0.9)
    // Rectangles between the steps of the front, up to the worst accuracy 0.1 and the worst distance 0.16.
    const steps = [0.5, 0.6, 0.7, 0.8, 0.9]
    const volume = steps.reduce((sum, x, i) => sum + (x - (steps[i - 1] ?? 0.1)) * (0.16 - (x - 0.5) ** 2), 0)
    assert.closeTo(summary.hypervolume!, volume, 1e-12)
  })

  it("promote whoever is surpassed by no one, not the best of the first alone", () => {
    const two = goal([accuracy, latency])
    // All are on the front, but for two that are slower for nothing.
    const outcome = (job: VirtualTime.Job<Params>): VirtualTime.Outcome => {
      const slow = job.params.x === 0.8 || job.params.x === 0.9
      return { _tag: "Completed", values: [slow ? 0.05 : job.params.x, 10 * job.params.x] }
    }
    const scheduler = SuccessiveHalving.make({ budgets: [1, 2], reduction: 2 })
    const { summary } = play({ ...base, scheduler, goal: two }, outcome)
    const promoted = summary.trials.filter(({ status }) => status === "completed").map(({ params }) => params.x)
    assert.strictEqual(promoted.length, 4)
    assert.notInclude(promoted, 0.8)
    assert.notInclude(promoted, 0.9)
    assert.include(promoted, 0.1)
  })

  it("are all shown to the sampler as losses, with how far limits are broken", () => {
    let seen: ReadonlyArray<Sampler.Observation> = []
    const sampler: Sampler.Sampler = {
      ...listed(points),
      propose: (context) => {
        if (context.index === 8) seen = context.history()
        return { params: { x: points[context.index]! } }
      }
    }
    play({
      ...base,
      sampler,
      parallelism: 1,
      goal: goal([accuracy, latency], [{ metric: "middle", max: 0.04, min: 0 }])
    })
    const { measurements } = seen[0]!
    assert.deepStrictEqual(measurements[0]!.losses, [-0.1, 1])
    assert.closeTo(measurements[0]!.violations[0]!, 0.16 - 0.04, 1e-12)
    assert.isBelow(seen[4]!.measurements[0]!.violations[0]!, 1e-12)
  })
})

describe("limits", () => {
  const limited = (limits: Goal.Goal["limits"]) =>
    play({ ...base, goal: goal([accuracy], limits) }, (job) => ({
      _tag: "Completed",
      values: [job.params.x, ...limits.map(({ metric }) => metric === "latency" ? 10 * job.params.x : -job.params.x)]
    })).summary

  it("leave out of the choice whatever breaks one", () => {
    const summary = limited([{ metric: "latency", max: 5.5 }])
    assert.strictEqual(summary.best?.params.x, 0.5)
    assert.deepStrictEqual(summary.trials.map(({ feasible }) => feasible), points.map((x) => x <= 0.55))
    assert.strictEqual(limited([{ metric: "latency", max: 5.5 }, { metric: "other", min: -0.35 }]).best?.params.x, 0.3)
  })

  it("that nothing keeps leave nothing to choose, and no trial failed", () => {
    const summary = limited([{ metric: "latency", max: 0.5 }])
    assert.isUndefined(summary.best)
    assert.deepStrictEqual(summary.front, [])
    assert.strictEqual(summary.completed, 9)
  })

  it("count a metric that is no number as a failure that names it", () => {
    const { summary } = play({ ...base, goal: goal([accuracy], [{ metric: "latency", max: 5 }]) }, (job) => ({
      _tag: "Completed",
      values: [job.params.x, Number.NaN]
    }))
    assert.strictEqual(summary.failed, 9)
    assert.strictEqual(summary.trials[0]!.failure?.reason, "the metric latency was NaN")
  })
})

describe("the end of a study", () => {
  const one = goal([accuracy])

  it.prop(
    "never spends more than its budget, whatever the scheduler",
    {
      budget: Schema.Int.check(Schema.isBetween({ minimum: 9, maximum: 60 })),
      parallelism: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 5 })),
      seed: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1000 }))
    },
    ({ budget, parallelism, seed }) => {
      const many = Array.from({ length: 80 }, (_, i) => Random.make(seed, "x", i).uniform())
      const schedulers = [FullBudget.make(4), SuccessiveHalving.make({ budgets: [1, 3, 9] })]
      for (const scheduler of schedulers) {
        const { trials: _, ...rest } = base
        const { summary } = play({ ...rest, sampler: listed(many), scheduler, goal: one, budget, parallelism })
        assert.isAtMost(summary.spent, budget)
        assert.isAbove(summary.completed, 0)
        for (const trial of summary.trials) assert.notStrictEqual(trial.status, "running")
      }
    }
  )

  it("comes when the sampler expects too little, the last time in a row", () => {
    const expected = [1, 0.001, 1, 0.001, 0.002, 1, 0, 0, 0]
    const until = { expectedImprovementBelow: 0.01, proposals: 2 }
    const { summary } = play({ ...base, sampler: listed(points, expected), goal: one, until })
    assert.strictEqual(summary.trials.length, 4)
    assert.strictEqual(
      summary.ended,
      "the expected improvement was 0.00200, below 0.01 for 2 proposals in a row"
    )
    assert.throws(() => play({ ...base, goal: one, until }), /until: found the sampler listed, which expects no/)
  })

  it("says when there were no more points, and nothing when all trials ran", () => {
    assert.strictEqual(play({ ...base, trials: 20, goal: one }).summary.ended, "the sampler had no more points")
    assert.isUndefined(play({ ...base, goal: one }).summary.ended)
  })

  it("at a moment of someone else's choice keeps what there is, and says so of the rest", () => {
    let state = VirtualTime.make({ ...base, goal: one, scheduler: SuccessiveHalving.make({ budgets: [1, 3] }) })
    const { jobs, state: asked } = VirtualTime.next(state)
    state = VirtualTime.tell(asked, jobs[3]!, measured(jobs[3]!))
    state = VirtualTime.close(state, "the time was up")
    assert.deepStrictEqual(VirtualTime.next(state).jobs, [])
    for (const job of jobs) {
      if (job.index !== 3) state = VirtualTime.tell(state, job, { _tag: "Cancelled", reason: "the time was up" })
    }
    assert.isTrue(VirtualTime.isDone(state))
  })

  it("needs a number of trials or a budget, and one that is enough", () => {
    const { trials: _, ...rest } = base
    assert.throws(() => play({ ...rest, goal: one }), /trials: found neither `trials` nor `budget`/)
    assert.throws(
      () => play({ ...rest, goal: one, budget: 0.5 }),
      /budget: found 0.5; expected at least 1, so that a trial reaches the last rung/
    )
  })
})
