import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as Stage from "../../src/pipeline/Stage.ts"
import * as FullBudget from "../../src/search/schedulers/FullBudget.ts"
import * as SuccessiveHalving from "../../src/search/schedulers/SuccessiveHalving.ts"
import * as Space from "../../src/search/space/Space.ts"
import * as Study from "../../src/search/Study.ts"
import { observe, TestLayer } from "../pipeline/stages.ts"

const fresh = <A, E, R>(effect: Effect.Effect<A, E, R>) => effect.pipe(Effect.provide(TestLayer, { local: true }))
const errorOf = <A, E>(exit: Exit.Exit<A, E>): unknown => Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
const valueOf = <A, E>(exit: Exit.Exit<A, E>): A => {
  if (Exit.isFailure(exit)) throw new Error(Cause.pretty(exit.cause))
  return exit.value
}

/** Larger models are better and slower; the seed adds a little of either. */
const Measure = Stage.make("measure", {
  inputs: {},
  params: { size: Schema.Finite, seed: Schema.Int, budget: Schema.Finite },
  output: Schema.Struct({ accuracy: Schema.Finite, cost: Schema.Struct({ latency: Schema.Finite }) }),
  run: (_, { seed, size }) =>
    Effect.succeed({ accuracy: size + 0.01 * seed * (1 - size), cost: { latency: 100 * size } })
})

const Slow = Stage.make("slow", {
  inputs: {},
  params: { size: Schema.Finite },
  output: Schema.Struct({ accuracy: Schema.Finite }),
  run: (_, { size }) => Effect.as(Effect.sleep(size < 0.5 ? "1 minute" : "1 day"), { accuracy: size })
})

const space = Space.make({ size: Space.uniform(0, 1) })
const options = {
  space,
  scheduler: SuccessiveHalving.make({ budgets: [1, 3] }),
  trials: 9,
  trial: ({ size }: { readonly size: number }, { budgets, seed }: Study.Rung) =>
    Measure({}, { size, seed, budget: budgets.at(-1)! })
}

describe("Study", () => {
  it.effect("with several objectives puts out a front, and chooses by the first", () =>
    Effect.gen(function*() {
      const { events, exit } = yield* observe(
        Study.make("several", { ...options, objectives: { accuracy: "maximize", "cost.latency": "minimize" } })
      )
      const { best, front, hypervolume, search, trials } = valueOf(exit)
      // More accuracy is more latency, so no trial surpasses another: all that reached the last rung are on the front.
      const completed = trials.filter(({ status }) => status === "completed")
      assert.strictEqual(completed.length, 3)
      assert.sameMembers([...front], completed.map(({ trial }) => trial))
      assert.strictEqual(best.trial, front[0])
      assert.strictEqual(best.value, Math.max(...completed.map(({ value }) => value!)))
      assert.isAbove(hypervolume!, 0)
      assert.deepStrictEqual(search.objectives.map(({ metric }) => metric), ["accuracy", "cost.latency"])
      const { outcome } = events.find((event) => event._tag === "study.completed")!
      assert.deepStrictEqual(outcome.metrics, ["accuracy", "cost.latency"])
      assert.sameMembers(
        outcome.trials.filter(({ onFront }: { readonly onFront: boolean }) => onFront).map((
          { trial }: { readonly trial: number }
        ) => trial),
        [...front]
      )
    }).pipe(fresh))

  it.effect("chooses among the trials that keep its limits, and names the nearest where none does", () =>
    Effect.gen(function*() {
      const within = (max: number) =>
        observe(Study.make("limited", { ...options, maximize: "accuracy", limits: { "cost.latency": { max } } }))
      const { best, trials } = valueOf((yield* within(60)).exit)
      assert.isAtMost(best.output.cost.latency, 60)
      assert.isTrue(trials.some(({ feasible }) => feasible === false))
      const error = errorOf((yield* within(-1)).exit)
      assert.instanceOf(error, Study.NoFeasibleTrial)
      assert.match(
        error.message,
        /None of the 9 trials .*"limited".*\(cost\.latency at most -1\)\. Trial \d+ comes nearest, with cost\.latency /
      )
    }).pipe(fresh))

  it.effect("trains finalists again with seeds of their own, and chooses by them", () =>
    Effect.gen(function*() {
      const seeds: Array<number> = []
      const { exit } = yield* observe(Study.make("finals", {
        ...options,
        maximize: "accuracy",
        seed: 40,
        finalists: { trials: 2, repeats: 3 },
        trial: (params, rung) => {
          seeds.push(rung.seed)
          return options.trial(params, rung)
        }
      }))
      const { best, finalists, spent, trials } = valueOf(exit)
      assert.sameMembers([...new Set(seeds)], [40, 41, 42, 43])
      assert.strictEqual(finalists.length, 2)
      assert.strictEqual(best.trial, finalists[0]!.trial)
      const { size } = trials[best.trial]!.params
      assert.deepStrictEqual(finalists[0]!.values, [41, 42, 43].map((seed) => size + 0.01 * seed * (1 - size)))
      // What it puts out is still the training that it was chosen from.
      assert.strictEqual(best.value, size + 0.4 * (1 - size))
      assert.strictEqual(spent, 9 + 3 * 2 + 2 * 3 * 3)
    }).pipe(fresh))

  it.effect("ends when its time is up, with what has finished by then", () =>
    Effect.gen(function*() {
      const study = Study.make("hurried", {
        space,
        scheduler: FullBudget.make(1),
        trials: 8,
        maximize: "accuracy",
        wallClock: "1 hour",
        trial: ({ size }) => Slow({}, { size })
      })
      const fiber = yield* Effect.forkChild(observe(study))
      // Minute by minute: what starts in between sleeps from then on.
      for (let minute = 0; minute < 90; minute++) yield* TestClock.adjust("1 minute")
      const { best, ended, trials } = valueOf((yield* Fiber.join(fiber)).exit)
      assert.strictEqual(ended, "the time of 1h was up")
      assert.isBelow(best.params.size, 0.5)
      // A long one may have kept a short one from starting.
      for (const { params, status } of trials) if (status === "completed") assert.isBelow(params.size, 0.5)
      assert.isTrue(trials.some(({ status }) => status === "stopped"))
    }).pipe(fresh))

  it.effect("gives a trial the branch that it is in", () =>
    Effect.gen(function*() {
      const conditional = Space.make({
        model: Space.branches({
          small: { size: Space.uniform(0, 0.4) },
          large: { size: Space.uniform(0.6, 1) },
          none: {}
        })
      })
      const { exit } = yield* observe(Study.make("branches", {
        ...options,
        space: conditional,
        maximize: "accuracy",
        trial: ({ model }, { budgets, seed }) =>
          Measure({}, { size: model._tag === "none" ? 0 : model.size, seed, budget: budgets.at(-1)! })
      }))
      const { best, trials } = valueOf(exit)
      assert.strictEqual(best.params.model._tag, "large")
      assert.sameMembers([...new Set(trials.map(({ params }) => params.model._tag))], ["small", "large", "none"])
    }).pipe(fresh))

  it("refuses limits and objectives that make no sense", () => {
    const unchecked = (aim: object) => () =>
      Study.make("bad", { ...options, ...aim as { readonly maximize: "accuracy" } })
    assert.throws(unchecked({ maximize: "accuracy", limits: { latency: { max: 1 } } }), /limits: found "latency"/)
    assert.throws(
      unchecked({ maximize: "accuracy", limits: { "cost.latency": {} } }),
      /limits, cost.latency: found min \(none\)/
    )
    assert.throws(
      unchecked({ maximize: "accuracy", limits: { "cost.latency": { min: 2, max: 1 } } }),
      /min not above max/
    )
    assert.throws(unchecked({ objectives: {} }), /objective: found none/)
    assert.throws(unchecked({ objectives: { precision: "maximize" } }), /objectives: found "precision"/)
  })
})
