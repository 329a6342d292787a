import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Random from "../../../src/random/Random.ts"
import type * as Sampler from "../../../src/search/Sampler.ts"
import * as GaussianProcessSampler from "../../../src/search/samplers/GaussianProcessSampler.ts"
import * as RandomSampler from "../../../src/search/samplers/RandomSampler.ts"
import * as Space from "../../../src/search/space/Space.ts"

const integer = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

interface Result {
  /** One an objective; a number that is not finite is a failure. */
  readonly losses: ReadonlyArray<number>
  readonly violations?: ReadonlyArray<number>
}

const one = (loss: number): Result => ({ losses: [loss] })

interface Options<P> {
  readonly sampler?: Sampler.Sampler
  readonly trials?: number
  readonly seed?: number
  readonly limits?: number
  readonly objectives?: number
  /** How many trials run at once: the results of the last ones are not known yet. */
  readonly parallelism?: number
  readonly enqueued?: ReadonlyArray<P>
}

interface Trial<P> extends Result {
  readonly params: P
  readonly proposal: Sampler.Proposal
}

const observation = (trial: number, params: Space.Params, result: Result | undefined): Sampler.Observation => {
  if (result === undefined) return { trial, params, status: "running", measurements: [] }
  const failed = !result.losses.every(Number.isFinite)
  const { losses, violations = [] } = result
  return {
    trial,
    params,
    status: failed ? "failed" : "completed",
    measurements: failed ? [] : [{ rung: 0, budget: 1, losses, violations }]
  }
}

const contextOf = (
  space: Space.Space,
  observations: ReadonlyArray<Sampler.Observation>,
  context: Partial<Sampler.Context> = {}
): Sampler.Context => ({
  space,
  trials: 100,
  objectives: 1,
  limits: 0,
  budgets: [1],
  seed: 1,
  index: observations.length,
  proposed: new Set(observations.map(({ params }) => space.key(params))),
  earlier: [],
  history: () => observations,
  ...context
})

const run = <P extends Space.Params>(
  space: Space.Space<P>,
  evaluate: (params: P) => Result,
  options: Options<P> = {}
): ReadonlyArray<Trial<P>> => {
  const {
    limits = 0,
    objectives = 1,
    parallelism = 1,
    sampler = GaussianProcessSampler.make(),
    seed = 1,
    trials = 25
  } = options
  const done: Array<Trial<P>> = []
  while (done.length < trials) {
    const known = done.length - parallelism
    const observations = done.map(({ params, ...result }, trial) =>
      observation(trial, params, trial <= known ? result : undefined)
    )
    const proposal = sampler.propose(
      contextOf(space as unknown as Space.Space, observations, { limits, objectives, seed, trials })
    )
    if (proposal === undefined) break
    const params = proposal.params as P
    done.push({ params, proposal, ...evaluate(params) })
  }
  return done
}

const best = (trials: ReadonlyArray<Result>): number =>
  trials.reduce((least, { losses }) => Math.min(least, Number.isFinite(losses[0]) ? losses[0]! : Infinity), Infinity)

const mean = (values: ReadonlyArray<number>): number => values.reduce((sum, value) => sum + value, 0) / values.length

const seeds = [1, 2, 3]

const tuning = Space.make({
  learningRate: Space.logUniform(1e-5, 1),
  layers: Space.integer(1, 12),
  activation: Space.choice(["relu", "gelu", "tanh"]),
  optimizer: Space.branches({
    sgd: { momentum: Space.uniform(0, 1) },
    adamw: { decay: Space.logUniform(1e-4, 1) }
  })
})

/** At least 0; the best learning rate depends on the optimizer. */
const loss = ({ activation, layers, learningRate, optimizer }: Space.Type<typeof tuning>): number => {
  const rate = Math.log10(learningRate) + (optimizer._tag === "sgd" ? 1 : 3)
  return rate ** 2 + ((layers - 5) / 4) ** 2 + { relu: 0.3, gelu: 0, tanh: 0.8 }[activation] +
    (optimizer._tag === "sgd" ? 0.5 + (optimizer.momentum - 0.9) ** 2 : 0.2 * (Math.log10(optimizer.decay) + 2) ** 2)
}

const square = Space.make({ x: Space.uniform(0, 1), y: Space.uniform(0, 1) })

describe("GaussianProcessSampler", () => {
  it("finds what random search does not find, with numbers, choices and branches", () => {
    const reached = (sampler: Sampler.Sampler) =>
      mean(seeds.map((seed) => best(run(tuning, (params) => one(loss(params)), { sampler, seed, trials: 40 }))))
    const random = reached(RandomSampler.make())
    assert.isBelow(reached(GaussianProcessSampler.make()), 0.2 * random)
  })

  it("begins with even points, whose number counts enqueued ones, and asks for no results until then", () => {
    const asked: Array<number> = []
    const evenly = GaussianProcessSampler.make({ startup: 4 })
    for (let index = 0; index < 6; index++) {
      const observations = Array.from(
        { length: index },
        (_, i) => observation(i, { x: (i + 0.5) / 7, y: ((3 * i) % 7 + 0.5) / 7 }, one(i))
      )
      evenly.propose(contextOf(square as unknown as Space.Space, observations, {
        index: 0,
        history: () => {
          asked.push(index)
          return observations
        }
      }))
    }
    assert.deepStrictEqual(asked, [4, 5])
  })

  it("proposes the same for the same trials, and on another scale of the losses too", () => {
    const evaluate = (params: Space.Type<typeof tuning>) => one(loss(params))
    const first = run(tuning, evaluate, { trials: 14 })
    assert.deepStrictEqual(run(tuning, evaluate, { trials: 14 }), first)
    const observations = first.map(({ losses, params }, trial) => observation(trial, params, { losses }))
    const next = (scale: number) =>
      GaussianProcessSampler.make().propose(contextOf(
        tuning as unknown as Space.Space,
        observations.map((each) => ({
          ...each,
          measurements: each.measurements.map((measurement) => ({
            ...measurement,
            losses: measurement.losses.map((loss) => scale * loss - scale)
          }))
        }))
      ))!
    // A power of two, so that not even the last digits change.
    const plain = next(1), scaled = next(1024)
    assert.deepStrictEqual(scaled.params, plain.params)
    assert.isAbove(plain.expectedImprovement!, 0)
    assert.isAtMost(Math.abs(scaled.expectedImprovement! / plain.expectedImprovement! / 1024 - 1), 1e-6)
  })

  it("expects less improvement the nearer the best is, in units of the loss", () => {
    const trials = run(square, ({ x, y }) => one(100 * ((x - 0.3) ** 2 + (y - 0.8) ** 2)), { trials: 20 })
    const expected = trials.map(({ proposal }) => proposal.expectedImprovement)
    assert.deepStrictEqual(expected.slice(0, 5), Array.from({ length: 5 }, () => undefined))
    for (const each of expected.slice(5)) {
      assert.isAtLeast(each!, 0)
      assert.isBelow(each!, 200)
    }
    assert.isBelow(expected.at(-1)!, 0.1)
    assert.isAbove(expected[5]!, 10 * expected.at(-1)!)
  })

  it.prop(
    "proposes every point of a finite space once and then none, and never breaks a constraint",
    { seed: integer(0, 1_000_000) },
    ({ seed }) => {
      const space = Space.make({ n: Space.integer(1, 4), kind: Space.choice(["a", "b", "c"]) }, {
        constraints: { "no c above 2": ({ kind, n }) => kind !== "c" || n <= 2 }
      })
      const trials = run(space, ({ kind, n }) => one(n + kind.length), { seed, trials: 20 })
      assert.strictEqual(trials.length, 10)
      assert.strictEqual(new Set(trials.map(({ params }) => space.key(params))).size, 10)
      assert.isTrue(trials.every(({ params }) => space.allows(params)))
    },
    { arbitrary: { runs: 5 } }
  )

  it("stops going where trials always fail, though the losses fall towards there", () => {
    const evaluate = ({ x, y }: Space.Type<typeof square>) => one(x > 0.5 ? Number.NaN : (0.6 - x) + (y - 0.3) ** 2)
    const late = seeds.flatMap((seed) => run(square, evaluate, { seed, trials: 30 }).slice(10))
    assert.isAtMost(late.filter(({ params }) => params.x > 0.5).length / late.length, 0.35)
    assert.isBelow(mean(seeds.map((seed) => best(run(square, evaluate, { seed, trials: 30 })))), 0.12)
  })

  it("goes on when every trial has failed, or when all losses are equal", () => {
    for (const value of [Number.NaN, 2]) {
      const trials = run(tuning, () => one(value), { trials: 15 })
      assert.strictEqual(trials.length, 15)
      // It still looks for something else: no corner of the learning rate is left out.
      const rates = trials.map(({ params }) => params.learningRate)
      assert.isBelow(Math.min(...rates), 1e-3)
      assert.isAbove(Math.max(...rates), 1e-2)
    }
  })

  it("works with a single hyperparameter, and with none that varies", () => {
    const line = Space.make({ x: Space.uniform(0, 1), unused: Space.fixed("value") })
    assert.isBelow(best(run(line, ({ x }) => one((x - 0.37) ** 2), { trials: 12 })), 1e-5)
    assert.strictEqual(run(Space.make({ only: Space.fixed(1) }), () => one(1), { trials: 3 }).length, 1)
  })

  it("spreads the trials that run at the same time", () => {
    const wavy = ({ x, y }: Space.Type<typeof square>) => one(Math.sin(20 * x) + Math.cos(17 * y) + x)
    const observations = run(square, wavy, { trials: 8 })
      .map(({ losses, params }, trial) => observation(trial, params, { losses }))
    const together: Array<Space.Type<typeof square>> = []
    for (let worker = 0; worker < 4; worker++) {
      const running = together.map((params, i) => observation(observations.length + i, params, undefined))
      const context = contextOf(square as unknown as Space.Space, [...observations, ...running])
      const { x, y } = GaussianProcessSampler.make().propose(context)!.params as Space.Type<typeof square>
      for (const other of together) assert.isAbove(Math.hypot(x - other.x, y - other.y), 0.02)
      together.push({ x, y })
    }
    const trials = run(square, ({ x, y }) => one((x - 0.5) ** 2 + (y - 0.5) ** 2), { trials: 24, parallelism: 6 })
    assert.isBelow(best(trials), 0.001)
  })

  it("keeps limits on metrics, also where the best loss lies beyond them", () => {
    // The loss falls with x; the limit allows x up to 0.6 where y is 0, less elsewhere. At best 0.4.
    const evaluate = ({ x, y }: Space.Type<typeof square>): Result => ({
      losses: [1 - x + 0.5 * y],
      violations: [x + y - 0.6]
    })
    for (const seed of seeds) {
      const trials = run(square, evaluate, { seed, trials: 20, limits: 1 })
      const kept = trials.filter(({ violations }) => violations![0]! <= 0)
      assert.isBelow(best(kept), 0.43)
      // Until nothing is left to gain it stays within the limit: a quarter of random points is.
      assert.isAtLeast(trials.slice(5, 11).filter(({ violations }) => violations![0]! <= 0.02).length, 4)
    }
  })

  it("finds a point that keeps a limit where none of the first does", () => {
    const evaluate = ({ x, y }: Space.Type<typeof square>): Result => ({
      losses: [x],
      violations: [(x - 0.93) ** 2 + (y - 0.07) ** 2 - 0.01]
    })
    for (const seed of seeds) {
      const trials = run(square, evaluate, { seed, trials: 25, limits: 1 })
      assert.isTrue(trials.some(({ violations }) => violations![0]! <= 0))
    }
  })

  it("covers the whole Pareto front of two objectives", () => {
    const evaluate = ({ x, y }: Space.Type<typeof square>): Result => ({
      losses: [x ** 2 + y, 10 * ((1 - x) ** 2 + y)]
    })
    const trials = run(square, evaluate, { trials: 35, objectives: 2 })
    const front = trials.slice(10).filter(({ params }) => params.y < 0.05).map(({ params }) => params.x)
    assert.isAtLeast(front.length, 12)
    for (const [low, high] of [[0, 0.25], [0.25, 0.5], [0.5, 0.75], [0.75, 1]] as const) {
      assert.isTrue(front.some((x) => x >= low && x <= high), `between ${low} and ${high}`)
    }
    assert.isTrue(trials.every(({ proposal }) => proposal.expectedImprovement === undefined))
  })

  it("begins where good values are expected, and gives the expectation up when it was wrong", () => {
    const dimensions = (around: number) => ({
      x: Space.uniform(0, 1, { prior: { around, width: 0.08 } }),
      y: Space.uniform(0, 1, { prior: { around, width: 0.08 } })
    })
    const evaluate = ({ x, y }: { readonly x: number; readonly y: number }) => one((x - 0.2) ** 2 + (y - 0.2) ** 2)
    const after = (around: number, trials: number) =>
      mean(seeds.map((seed) => best(run(Space.make(dimensions(around)), evaluate, { seed, trials }))))
    assert.isBelow(after(0.2, 6), 0.003)
    assert.isBelow(after(0.8, 45), 0.01)
  })

  it("trusts a loss that was only expected from a lower rung less than a measured one", () => {
    const random = Random.make(4, "rungs")
    // The lower rung tells the loss with much noise.
    const observations = Array.from({ length: 40 }, (_, trial): Sampler.Observation => {
      const params = { x: random.uniform(), y: random.uniform() }
      const value = (params.x - 0.7) ** 2 + (params.y - 0.4) ** 2
      const low = { rung: 0, budget: 1, losses: [value + 0.3 * random.normal()], violations: [] }
      const measurements = trial % 2 === 0 ? [low, { rung: 1, budget: 9, losses: [value], violations: [] }] : [low]
      return { trial, params, status: trial % 2 === 0 ? "completed" : "stopped", measurements }
    })
    const next = GaussianProcessSampler.make().propose(
      contextOf(square as unknown as Space.Space, observations, { budgets: [1, 9] })
    )!.params as Space.Type<typeof square>
    assert.isAtMost(Math.hypot(next.x - 0.7, next.y - 0.4), 0.15)
  })

  it("stands noise", () => {
    const noisy = (seed: number) => {
      const random = Random.make(seed, "noise")
      return ({ x, y }: Space.Type<typeof square>) => one((x - 0.3) ** 2 + (y - 0.7) ** 2 + 0.05 * random.normal())
    }
    const distance = mean(seeds.map((seed) => {
      const late = run(square, noisy(seed), { seed, trials: 40 }).slice(20)
      return mean(late.map(({ params }) => Math.hypot(params.x - 0.3, params.y - 0.7)))
    }))
    assert.isBelow(distance, 0.3)
  })
})
