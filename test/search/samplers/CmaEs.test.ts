import { assert, describe, it } from "@effect/vitest"
import * as Random from "../../../src/random/Random.ts"
import { InvalidStudy } from "../../../src/search/InvalidStudy.ts"
import type * as Sampler from "../../../src/search/Sampler.ts"
import * as CmaEs from "../../../src/search/samplers/CmaEs.ts"
import * as EvolutionStrategy from "../../../src/search/samplers/EvolutionStrategy.ts"
import * as Margin from "../../../src/search/samplers/Margin.ts"
import * as Space from "../../../src/search/space/Space.ts"
import { problem, proposals } from "./proposals.ts"

interface Options<P> {
  readonly sampler?: Sampler.Sampler
  readonly seed?: number
  /** How many trials run at once: a trial's result is known when as many more have started. Default 1. */
  readonly parallelism?: number
  readonly enqueued?: ReadonlyArray<P>
  /** By how much each trial is beyond its only limit. */
  readonly violation?: (params: P) => number
  /** What a trial gives at a quarter of the budget; every third goes on from there, six trials later. */
  readonly early?: (params: P) => number
}

/** A study without engine: `count` proposals and their losses, NaN for a failure. */
const study = <P extends Space.Params>(
  space: Space.Space<P>,
  count: number,
  loss: (params: P) => number,
  { early, enqueued = [], parallelism = 1, sampler = CmaEs.make(), seed = 1, violation }: Options<P> = {}
) => {
  const trials = [...enqueued], proposed = new Set(enqueued.map((params) => space.key(params)))
  const measure = (params: P, rung: number) => ({
    rung,
    budget: [1, 4][rung]!,
    losses: [rung === 0 && early !== undefined ? early(params) : loss(params)],
    violations: violation === undefined ? [] : [violation(params)]
  })
  const observe = (trial: number): Sampler.Observation => {
    const params = trials[trial]!
    const age = trials.length - trial
    if (age < parallelism) return { trial, params, status: "running", measurements: [] }
    if (Number.isNaN(loss(params))) return { trial, params, status: "failed", measurements: [] }
    const first = measure(params, 0)
    if (early === undefined) return { trial, params, status: "completed", measurements: [first] }
    return trial % 3 === 0 && age >= 6
      ? { trial, params, status: "completed", measurements: [first, measure(params, 1)] }
      : { trial, params, status: "waiting", measurements: [first] }
  }
  for (let index = 0; index < count; index++) {
    const proposal = sampler.propose({
      ...problem(space, count),
      limits: violation === undefined ? 0 : 1,
      seed,
      index,
      proposed,
      earlier: [],
      history: () => trials.map((_, trial) => observe(trial))
    })
    if (proposal === undefined) break
    const params = proposal.params as P
    proposed.add(space.key(params))
    trials.push(params)
  }
  const proposedTrials = trials.slice(enqueued.length)
  const losses = proposedTrials.map(loss)
  const best = losses.reduce((least, value) => value < least ? value : least, Infinity)
  return { trials: proposedTrials, losses, best, keys: proposedTrials.map((params) => space.key(params)) }
}

const seeds = [1, 2, 3, 4, 5]

const median = (values: ReadonlyArray<number>) => values.toSorted((a, b) => a - b)[values.length >> 1]!

const plane = Space.make({ x: Space.uniform(0, 1), y: Space.uniform(0, 1) })

const bowl = ({ x, y }: Space.Type<typeof plane>) => (x - 0.7) ** 2 + (y - 0.2) ** 2

const mixed = Space.make({
  rate: Space.logUniform(1e-5, 1),
  decay: Space.uniform(0, 10),
  layers: Space.integer(1, 20),
  rank: Space.integer(1, 128, { scale: "log" }),
  gate: Space.choice(["off", "on"]),
  size: Space.ordinal(["s", "m", "l", "xl"])
})

const mixedLoss = (params: Space.Type<typeof mixed>) =>
  (Math.log10(params.rate) + 2) ** 2 + (params.decay - 7) ** 2 / 10 + Math.abs(params.layers - 16) / 4 +
  Math.abs(Math.log2(params.rank / 40)) + (params.gate === "on" ? 0 : 1) +
  Math.abs(["s", "m", "l", "xl"].indexOf(params.size) - 2)

/** CMA-ES with margin as one writes it where the samples of a generation can be kept until it is over. */
const remembering = <P extends Space.Params>(
  space: Space.Space<P>,
  generations: number,
  loss: (params: P) => number,
  seed: number
): ReadonlyArray<P> => {
  const dimensions = space.axes.length
  const parameters = EvolutionStrategy.parameters(dimensions)
  const { population } = parameters
  let state = EvolutionStrategy.initial(space.toUnit(Space.defaults(space)), space.axes.map(() => 0.25))
  const spread = space.axes.map(() => 1)
  const guard = () => {
    for (const [axis, { dimension }] of space.axes.entries()) {
      const width = state.sigma * Math.sqrt(state.covariance[axis * dimensions + axis]!)
      if (dimension.size === Infinity) continue
      const marginal = { mean: state.mean[axis]!, deviation: width * spread[axis]! }
      const { deviation, mean } = Margin.widen(dimension, marginal, 1 / (dimensions * population))
      state = { ...state, mean: state.mean.with(axis, mean) }
      spread[axis] = deviation / width
    }
  }
  guard()
  const trials: Array<P> = []
  for (let generation = 0; generation < generations; generation++) {
    const samples = Array.from({ length: population }, (_, i) => {
      const random = Random.make(seed, "cma-es", generation * population + i)
      const drawn = EvolutionStrategy.step(state, space.axes.map(() => random.normal()))
      const scale = (axis: number) => state.sigma * spread[axis]!
      const position = drawn.map((y, axis) => Math.min(1, Math.max(0, state.mean[axis]! + scale(axis) * y)))
      const params = space.fromUnit(position)
      const isMoved = drawn.some((y, axis) => state.mean[axis]! + scale(axis) * y !== position[axis])
      const moved = position.map((x, axis) => (x - state.mean[axis]!) / scale(axis))
      return { params, y: isMoved ? EvolutionStrategy.shortened(state, moved) : drawn }
    })
    trials.push(...samples.map(({ params }) => params))
    const ranked = samples.toSorted((a, b) => loss(a.params) - loss(b.params))
    state = EvolutionStrategy.update(parameters, state, ranked.map(({ y }) => y))
    guard()
  }
  return trials
}

describe("CmaEs", () => {
  it("proposes from the trials alone what it would if it remembered every sample", () => {
    for (const seed of seeds) {
      const trials = remembering(mixed, 8, mixedLoss, seed)
      assert.deepStrictEqual(study(mixed, trials.length, mixedLoss, { seed }).trials, trials)
    }
  })

  it("finds the lowest point of a bowl, and of one that is narrow and at an angle", () => {
    for (const seed of seeds.slice(0, 3)) assert.isBelow(study(plane, 150, bowl, { seed }).best, 1e-4)
    const valley = ({ x, y }: Space.Type<typeof plane>) => 1000 * (x + y - 0.9) ** 2 + (x - y - 0.5) ** 2
    assert.isBelow(median(seeds.slice(0, 3).map((seed) => study(plane, 200, valley, { seed }).best)), 1e-3)
  })

  it("finds what lies on a bound or in a corner", () => {
    const edge = ({ x, y }: Space.Type<typeof plane>) => x + (y - 0.3) ** 2
    const corner = ({ x, y }: Space.Type<typeof plane>) => 2 - x - y
    for (const seed of seeds) {
      assert.isBelow(study(plane, 100, edge, { seed }).best, 2e-3)
      assert.strictEqual(study(plane, 60, corner, { seed }).best, 0)
    }
  })

  it("finds hyperparameters of all kinds together", () => {
    const results = seeds.slice(0, 3).map((seed) => study(mixed, 180, mixedLoss, { seed }).best)
    assert.isBelow(median(results), 0.6)
  })

  // Without the margin the distribution becomes narrower than a value's share, and the other value is never tried again.
  it("never stops trying other values of integers, ordinals and choices of two", () => {
    const space = Space.make({
      x: Space.uniform(0, 1),
      y: Space.uniform(0, 1),
      gate: Space.choice(["off", "on"]),
      layers: Space.integer(1, 3)
    })
    const loss = ({ gate, layers, x, y }: Space.Type<typeof space>) =>
      bowl({ x, y }) + (gate === "off" ? 0 : 1) + (layers === 2 ? 0 : 1)
    for (const seed of seeds.slice(0, 2)) {
      const { best, trials } = study(space, 240, loss, { seed })
      assert.isBelow(best, 1e-3)
      const late = trials.slice(140)
      const spread = late.map(({ x }) => x).toSorted((a, b) => a - b)
      assert.isBelow(spread[80]! - spread[40]!, 5e-2, "the rest has narrowed")
      assert.isAbove(late.filter(({ gate }) => gate === "on").length, 0)
      assert.isAbove(late.filter(({ layers }) => layers !== 2).length, 0)
    }
  })

  // Beyond the last value all samples are alike, so that nothing but the bound holds them.
  it("does not run away where the first or the last of many values is the best", () => {
    const space = Space.make({ gate: Space.integer(0, 1), layers: Space.integer(0, 30), x: Space.uniform(0, 1) })
    const loss = ({ gate, layers, x }: Space.Type<typeof space>) => gate + layers + (x - 0.5) ** 2 / 1000
    for (const seed of seeds) {
      const { trials } = study(space, 200, loss, { seed })
      assert.isTrue(trials.slice(120).every(({ layers }) => layers < 8))
    }
  })

  it("proposes the same for the same seed and history, and something else for another seed", () => {
    const run = (seed: number) => study(mixed, 60, mixedLoss, { seed }).keys
    assert.deepStrictEqual(run(3), run(3))
    assert.notDeepEqual(run(3).slice(0, 9), run(4).slice(0, 9))
  })

  it("goes by the order of the losses, not by their size", () => {
    const plain = study(mixed, 80, mixedLoss).keys
    assert.deepStrictEqual(study(mixed, 80, (params) => Math.exp(3 * mixedLoss(params)) - 1000).keys, plain)
  })

  it("never proposes a point twice, and every point of a small space once", () => {
    const small = Space.make({ a: Space.integer(1, 5), b: Space.choice(["x", "y"]), c: Space.ordinal([1, 2, 4]) })
    const loss = ({ a, b, c }: Space.Type<typeof small>) => Math.abs(a - 4) + (b === "x" ? 0 : 1) + c
    const { keys } = study(small, 100, loss, { enqueued: [{ a: 3, b: "x", c: 2 }] })
    assert.strictEqual(keys.length, 29)
    assert.strictEqual(new Set(keys).size, 29)
    const bits = Space.make(Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`b${i}`, Space.integer(0, 1)])))
    const many = study(bits, 150, (params) => -Object.values(params).reduce((sum, bit) => sum + bit, 0))
    assert.strictEqual(new Set(many.keys).size, 150)
    assert.isAtMost(many.best, -15)
    const fixed = Space.make({ a: Space.fixed(1) })
    assert.deepStrictEqual(proposals(CmaEs.make(), fixed, 3), [{ a: 1 }])
  })

  it("keeps the constraints of the space", () => {
    const space = Space.make({ x: Space.uniform(0, 1), y: Space.uniform(0, 1) }, {
      constraints: { "x + y at most 1.2": ({ x, y }) => x + y <= 1.2 }
    })
    const { best, trials } = study(space, 120, ({ x, y }) => 1.2 - x - y + (x - y) ** 2)
    assert.isTrue(trials.every(({ x, y }) => x + y <= 1.2))
    assert.isBelow(best, 0.01)
  })

  it("learns from trials that fail: it goes where they do not", () => {
    const fails = ({ x, y }: Space.Type<typeof plane>) => x < 0.45 || y > 0.6 ? NaN : bowl({ x, y })
    for (const seed of seeds) {
      const { best, losses } = study(plane, 120, fails, { seed })
      assert.isBelow(best, 1e-3)
      assert.isBelow(losses.slice(-30).filter(Number.isNaN).length, 5)
    }
    // With nothing but failures it still proposes.
    assert.strictEqual(new Set(study(plane, 60, () => NaN).keys).size, 60)
  })

  it("finds the best that keeps a limit", () => {
    for (const seed of seeds) {
      const violation = ({ x }: Space.Type<typeof plane>) => x - 0.4
      const { losses, trials } = study(plane, 150, bowl, { seed, violation })
      const kept = losses.filter((_, trial) => violation(trials[trial]!) <= 0)
      assert.isBelow(Math.min(...kept), 0.09 + 5e-3)
    }
  })

  it("proposes its first generation without waiting for results", () => {
    const context = { ...problem(plane, 20), seed: 1, proposed: new Set<string>(), earlier: [] }
    const history = () => assert.fail("a result was asked for")
    for (let index = 0; index < 6; index++) {
      assert.isDefined(CmaEs.make().propose({ ...context, index, history }))
    }
  })

  it("goes on with the distribution it has while a generation is not finished", () => {
    const alone = study(plane, 40, bowl)
    const observe = (finished: (trial: number) => boolean) =>
      alone.trials.slice(0, 6).map((params, trial): Sampler.Observation =>
        finished(trial)
          ? {
            trial,
            params,
            status: "completed",
            measurements: [{ rung: 0, budget: 1, losses: [bowl(params)], violations: [] }]
          }
          : { trial, params, status: "running", measurements: [] }
      )
    const propose = (finished: (trial: number) => boolean) =>
      CmaEs.make().propose({
        ...problem(plane, 20),
        seed: 1,
        index: 6,
        proposed: new Set(alone.keys.slice(0, 6)),
        earlier: [],
        history: () => observe(finished)
      })!.params
    const none = propose(() => false)
    for (let missing = 0; missing < 6; missing++) {
      assert.deepStrictEqual(propose((trial) => trial !== missing), none)
    }
    assert.deepStrictEqual(propose(() => true), alone.trials[6])
    assert.notDeepEqual(propose(() => true), none)
  })

  it("gets as far when trials overlap, and when higher rungs change what was thought of them", () => {
    for (const parallelism of [4, 20]) {
      const results = seeds.slice(0, 3).map((seed) => study(plane, 120, bowl, { seed, parallelism }).best)
      assert.isBelow(median(results), 1e-3, `${parallelism} at once`)
    }
    const early = ({ x, y }: Space.Type<typeof plane>) =>
      0.3 + bowl({ x, y }) + 0.05 * Math.sin(40 * x) * Math.cos(30 * y)
    for (const parallelism of [1, 4]) {
      const results = seeds.slice(0, 3).map((seed) => study(plane, 120, bowl, { seed, parallelism, early }).best)
      assert.isBelow(median(results), 5e-3)
    }
  })

  it("takes enqueued trials into account", () => {
    const narrow = ({ x, y }: Space.Type<typeof plane>) => Math.hypot(x - 0.95, y - 0.05)
    const distance = (enqueued: ReadonlyArray<Space.Type<typeof plane>>) =>
      median(seeds.map((seed) => median(study(plane, 12, narrow, { seed, enqueued }).losses.slice(6))))
    assert.isBelow(distance([{ x: 0.9, y: 0.1 }]), distance([]) - 0.05)
  })

  it("begins at the defaults, and where a prior says, with steps of its width", () => {
    const space = Space.make({
      rate: Space.logUniform(1e-6, 1, { prior: { around: 1e-4, width: 3 } }),
      depth: Space.uniform(0, 1, { default: 0.2 })
    })
    const first = Array.from({ length: 200 }, (_, seed) => proposals(CmaEs.make(), space, 1, { seed })[0]!)
    const rates = first.map(({ rate }) => Math.log10(rate))
    const deviation = Math.sqrt(rates.reduce((sum, rate) => sum + (rate + 4) ** 2, 0) / rates.length)
    assert.closeTo(median(rates), -4, 0.15)
    assert.closeTo(deviation, Math.log10(3), 0.1)
    // Half of a distribution around 0.2 whose lower part is reflected at 0.
    assert.closeTo(median(first.map(({ depth }) => depth)), 0.23, 0.05)
  })

  it("starts elsewhere with more trials a generation when it has narrowed down to a point", () => {
    const { losses, trials } = study(plane, 300, ({ x, y }) => Math.hypot(x - 0.45, y - 0.45))
    const settled = losses.findIndex((_, trial) => losses.slice(trial, trial + 12).every((loss) => loss < 1e-3))
    assert.isAbove(settled, 0)
    const away = losses.findIndex((loss, trial) => trial > settled && loss > 0.1)
    assert.isAbove(away, settled)
    // A generation has 6 trials at first and now 12, all of them from the new start.
    const { x, y } = trials[away]!
    const next = trials.slice(away, away + 8).map((params) => Math.hypot(params.x - x, params.y - y))
    assert.isAbove(Math.max(...next), 0.1)
    assert.isAbove(losses.slice(away, away + 24).filter((loss) => loss > 0.05).length, 12)
  })

  it("says which studies it cannot be used for, and what can", () => {
    const refusal = (space: Space.Space, changes: Partial<Sampler.Problem> = {}) =>
      CmaEs.make().check!({ ...problem(space), ...changes })
    assert.isUndefined(refusal(mixed))
    assert.isUndefined(refusal(mixed, { limits: 2 }))
    assert.strictEqual(refusal(mixed, { objectives: 2 })?.found, "2 objectives")
    const choice = refusal(Space.make({ optimizer: Space.choice(["sgd", "adamw", "lion"]) }))
    assert.strictEqual(choice?.found, "optimizer, a choice of 3 values without an order")
    assert.match(choice!.expected, /gp and tpe/)
    const branches = refusal(
      Space.make({ tune: Space.branches({ full: {}, lora: { rank: Space.integer(1, 64) } }) })
    )
    assert.match(branches!.found, /rank, which only some branches have/)
  })

  it("refuses options that make no sense", () => {
    for (const sigma of [0, -1, 1.5, NaN]) assert.throws(() => CmaEs.make({ sigma }), InvalidStudy)
    for (const population of [3, 4.5, NaN]) assert.throws(() => CmaEs.make({ population }), InvalidStudy)
    assert.match(CmaEs.make({ population: 12 }).description, /12 trials in a generation/)
  })
})
