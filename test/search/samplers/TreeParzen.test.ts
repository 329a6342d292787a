import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Sampler from "../../../src/search/Sampler.ts"
import * as Sobol from "../../../src/search/samplers/Sobol.ts"
import * as TreeParzen from "../../../src/search/samplers/TreeParzen.ts"
import * as Space from "../../../src/search/space/Space.ts"
import { problem } from "./proposals.ts"

/** What a trial gives; nothing where it fails. */
type Result = { readonly losses: ReadonlyArray<number>; readonly violations?: ReadonlyArray<number> } | undefined

const observation = (trial: number, params: Space.Params, result: Result): Sampler.Observation =>
  result === undefined
    ? { trial, params, status: "failed", measurements: [] }
    : {
      trial,
      params,
      status: "completed",
      measurements: [{ rung: 0, budget: 1, losses: result.losses, violations: result.violations ?? [] }]
    }

const running = (trial: number, params: Space.Params): Sampler.Observation => ({
  trial,
  params,
  status: "running",
  measurements: []
})

const contextOf = <P extends Space.Params>(
  space: Space.Space<P>,
  observations: ReadonlyArray<Sampler.Observation>,
  options: { readonly seed?: number; readonly objectives?: number; readonly limits?: number } = {}
): Sampler.Context => ({
  ...problem(space, 1000),
  objectives: options.objectives ?? 1,
  limits: options.limits ?? 0,
  seed: options.seed ?? 1,
  index: observations.length,
  proposed: new Set(observations.map(({ params }) => space.key(params as P))),
  earlier: [],
  history: () => observations
})

/** The trials of a search, one at a time, until the sampler has no more. */
const search = <P extends Space.Params>(
  sampler: Sampler.Sampler,
  space: Space.Space<P>,
  count: number,
  objective: (params: P) => Result,
  options: { readonly seed?: number; readonly objectives?: number; readonly limits?: number } = {}
): ReadonlyArray<{ readonly params: P; readonly result: Result }> => {
  const trials: Array<{ readonly params: P; readonly result: Result }> = []
  const observations: Array<Sampler.Observation> = []
  while (trials.length < count) {
    const params = sampler.propose(contextOf(space, observations, options))?.params as P | undefined
    if (params === undefined) break
    const result = objective(params)
    trials.push({ params, result })
    observations.push(observation(observations.length, params, result))
  }
  return trials
}

const mean = (values: ReadonlyArray<number>): number => values.reduce((sum, value) => sum + value, 0) / values.length

const seeds = [1, 2, 3, 4, 5, 6]

const mixed = Space.make({
  rate: Space.logUniform(1e-6, 1e-1),
  layers: Space.integer(1, 16),
  optimizer: Space.choice(["sgd", "adamw", "lion"]),
  width: Space.ordinal([16, 32, 64, 128, 256])
})

const mixedLoss = ({ layers, optimizer, rate, width }: Space.Type<typeof mixed>): number =>
  (Math.log10(rate) + 3 + (optimizer === "lion" ? 1 : 0)) ** 2 + ((layers - 6) / 8) ** 2 +
  ((Math.log2(width) - 7) / 4) ** 2 + (optimizer === "sgd" ? 0.4 : 0)

const least = (trials: ReadonlyArray<{ readonly result: Result }>): number =>
  Math.min(...trials.map(({ result }) => result?.losses[0] ?? Infinity))

const square = Space.make({ x: Space.uniform(0, 1), y: Space.uniform(0, 1) })

const densities = ["joint", "independent"] as const

describe("TreeParzen", () => {
  it("looks after the second best of several kinds now and then", () => {
    const space = Space.make({ x: Space.uniform(0, 1), kind: Space.choice(["best", "second", "third"]) })
    const kinds = ["best", "second", "third"] as const
    // Each kind has a place of its own where it is best.
    const known = Array.from({ length: 45 }, (_, trial) => {
      const params = { x: (trial + 0.5) / 45, kind: kinds[trial % 3]! }
      return observation(trial, params, {
        losses: [(params.x - { best: 0.1, second: 0.9, third: 0.5 }[params.kind]) ** 2 + kinds.indexOf(params.kind)]
      })
    })
    const proposed = (sampler: Sampler.Sampler, remainder: number) =>
      Array.from(
        { length: 40 },
        (_, i) =>
          sampler.propose({ ...contextOf(space, known), index: 50 + 5 * i + remainder })!.params as Space.Type<
            typeof space
          >
      )
    for (const density of densities) {
      const detours = proposed(TreeParzen.make({ density }), 4)
      const second = detours.filter(({ kind }) => kind === "second")
      assert.isTrue(detours.every(({ kind }) => kind !== "best"), density)
      assert.isAbove(second.length, 10)
      assert.isAbove(mean(second.map(({ x }) => x)), 0.75)
      for (
        const usual of [
          proposed(TreeParzen.make({ density }), 2),
          proposed(TreeParzen.make({ density, detour: Infinity }), 4)
        ]
      ) {
        const best = usual.filter(({ kind }) => kind === "best")
        assert.isAbove(best.length, 30)
        assert.isBelow(mean(best.map(({ x }) => x)), 0.25)
      }
    }
  })

  it("comes much nearer to the best point than evenly spread points do", () => {
    const reached = (sampler: Sampler.Sampler) =>
      mean(
        seeds.map((seed) => least(search(sampler, mixed, 50, (params) => ({ losses: [mixedLoss(params)] }), { seed })))
      )
    const spread = reached(Sobol.make())
    for (const density of densities) {
      const found = reached(TreeParzen.make({ density }))
      assert.isBelow(found, spread / 2, density)
    }
  })

  it("begins with Sobol points, without waiting for a result", () => {
    const sampler = TreeParzen.make({ startup: 5 })
    const points: Array<Space.Params> = []
    for (let index = 0; index < 5; index++) {
      const context = {
        ...contextOf(mixed, []),
        index,
        proposed: new Set(points.map((params) => mixed.key(params as never)))
      }
      const history = () => assert.fail("asked for the history")
      const { params } = sampler.propose({ ...context, history })!
      assert.deepStrictEqual(params, Sobol.make().propose(context)!.params)
      points.push(params)
    }
  })

  it("proposes the same whatever else was proposed before, and something else under another seed", () => {
    const trials = search(TreeParzen.make(), mixed, 30, (params) => ({ losses: [mixedLoss(params)] }))
    const observations = trials.map(({ params, result }, trial) => observation(trial, params, result))
    for (const density of densities) {
      const sampler = TreeParzen.make({ density })
      const first = sampler.propose(contextOf(mixed, observations))
      sampler.propose(contextOf(mixed, observations.slice(0, 12)))
      assert.deepStrictEqual(sampler.propose(contextOf(mixed, observations)), first)
      assert.deepStrictEqual(TreeParzen.make({ density }).propose(contextOf(mixed, observations)), first)
      assert.notDeepEqual(sampler.propose(contextOf(mixed, observations, { seed: 2 })), first)
    }
  })

  it("uses up a small space without repeats, and keeps its constraints", () => {
    const space = Space.make(
      {
        a: Space.choice(["x", "y", "z"]),
        n: Space.integer(1, 4),
        b: Space.branches({ on: { k: Space.integer(1, 2) }, off: {} })
      },
      { constraints: { "y has n above 1": ({ a, n }) => a !== "y" || n > 1 } }
    )
    for (const density of densities) {
      const trials = search(TreeParzen.make({ density }), space, 100, ({ n }) => ({ losses: [n] }))
      assert.strictEqual(trials.length, 36 - 3)
      assert.strictEqual(new Set(trials.map(({ params }) => space.key(params))).size, 33)
      assert.isTrue(trials.every(({ params }) => space.allows(params)))
    }
  })

  it("proposes points of spaces with branches within branches and finds the best branch", () => {
    const space = Space.make({
      rate: Space.logUniform(1e-6, 1e-1),
      tune: Space.branches({
        full: { decay: Space.uniform(0.5, 1) },
        adapter: {
          rank: Space.integer(1, 128, { scale: "log" }),
          place: Space.branches({ attention: {}, everywhere: { dropout: Space.uniform(0, 0.5) } })
        }
      })
    })
    const loss = ({ rate, tune }: Space.Type<typeof space>): number =>
      (Math.log10(rate) + 3) ** 2 + (tune._tag === "full"
        ? 1 + (tune.decay - 0.9) ** 2
        : Math.abs(Math.log2(tune.rank) - 4) / 10 +
          (tune.place._tag === "attention" ? 0.4 : (tune.place.dropout - 0.1) ** 2))
    for (const density of densities) {
      const trials = seeds.map((seed) =>
        search(TreeParzen.make({ density }), space, 60, (params) => ({ losses: [loss(params)] }), { seed })
      )
      for (const { params } of trials.flat()) assert.isTrue(Schema.is(space.schema)(params))
      const late = trials.flatMap((each) => each.slice(30))
      const best = late.filter(({ params: { tune } }) => tune._tag === "adapter" && tune.place._tag === "everywhere")
      // A quarter of random points are there.
      assert.isAbove(best.length / late.length, 0.4, density)
      assert.isBelow(mean(trials.map(least)), density === "joint" ? 0.15 : 0.3, density)
    }
  })

  it("keeps away from where trials fail", () => {
    const late = seeds.flatMap((seed) =>
      search(TreeParzen.make(), square, 50, ({ x, y }) => x > 0.5 ? undefined : { losses: [(y - 0.5) ** 2] }, { seed })
        .slice(20)
    )
    // Nothing else speaks against that half of the space.
    assert.isBelow(late.filter(({ params: { x } }) => x > 0.5).length / late.length, 0.2)
  })

  it("goes on when every trial has failed", () => {
    const trials = search(TreeParzen.make(), square, 20, ({ x }) => x < 0.7 ? undefined : { losses: [x] })
    const only = search(TreeParzen.make(), square, 20, () => undefined)
    assert.strictEqual(trials.length, 20)
    assert.strictEqual(new Set(only.map(({ params }) => square.key(params))).size, 20)
  })

  it("does not pile up trials that run at once", () => {
    const apart = (tell: boolean) =>
      mean(seeds.map((seed) => {
        const known = search(
          TreeParzen.make(),
          square,
          24,
          ({ x, y }) => ({ losses: [(x - 0.7) ** 2 + (y - 0.3) ** 2] }),
          { seed }
        )
          .map(({ params, result }, trial) => observation(trial, params, result))
        const batch: Array<{ readonly x: number; readonly y: number }> = []
        for (let i = 0; i < 8; i++) {
          const busy = batch.map((params, i) => running(known.length + i, params))
          const context = contextOf(square, [...known, ...busy], { seed })
          batch.push(
            TreeParzen.make().propose({ ...context, history: () => tell ? [...known, ...busy] : known })!
              .params as never
          )
        }
        return mean(batch.flatMap((a, i) => batch.slice(0, i).map((b) => Math.hypot(a.x - b.x, a.y - b.y))))
      }))
    assert.isAbove(apart(true), 1.3 * apart(false))
  })

  it("looks where the prior of a dimension says, as long as the trials do not say otherwise", () => {
    const space = Space.make({
      x: Space.uniform(0, 1, { prior: { around: 0.8, width: 0.1 } }),
      kind: Space.choice(["a", "b", "c", "d"], { weights: [1, 1, 1, 7] })
    })
    // Losses that have nothing to do with the hyperparameters.
    const noise = ({ x }: { readonly x: number }): number => (x * 7919) % 1
    const trials = seeds.flatMap((seed) =>
      search(TreeParzen.make(), space, 30, (params) => ({ losses: [noise(params)] }), { seed })
    )
    assert.isAbove(trials.filter(({ params: { x } }) => x > 0.6).length / trials.length, 0.75)
    assert.isAbove(trials.filter(({ params: { kind } }) => kind === "d").length / trials.length, 0.4)
    // A loss that is the least far from there.
    const late = seeds.flatMap((seed) =>
      search(TreeParzen.make(), space, 60, ({ x }) => ({ losses: [x] }), { seed }).slice(40)
    )
    assert.isBelow(mean(late.map(({ params: { x } }) => x)), 0.5)
  })

  it("puts the limits on metrics before the loss", () => {
    const late = (limits: number) =>
      seeds.flatMap((seed) =>
        search(
          TreeParzen.make(),
          square,
          60,
          // The loss pulls towards x = 0, which breaks the limit from 0.5 down.
          ({ x, y }) => ({ losses: [x + (y - 0.5) ** 2], violations: limits === 1 ? [0.5 - x] : [] }),
          { seed, limits }
        ).slice(30).map(({ params }) => params.x)
      )
    const limited = late(1), kept = limited.filter((x) => x >= 0.5)
    assert.isBelow(mean(late(0)), 0.2)
    // The best place is the edge itself, so that a good share falls beyond it.
    assert.isAbove(kept.length / limited.length, 0.45)
    assert.isBelow(mean(kept), 0.68)
    assert.isAbove(mean(limited), 0.45)
  })

  it("learns from violations while no trial keeps the limit", () => {
    const seen = seeds.map((seed) =>
      search(TreeParzen.make(), square, 40, ({ x, y }) => ({ losses: [y], violations: [0.97 - x] }), {
        seed,
        limits: 1
      })
        .slice(20)
    ).flat()
    assert.isAbove(mean(seen.map(({ params: { x } }) => x)), 0.8)
  })

  it("moves to the front of several objectives, and to all of it", () => {
    const trials = seeds.map((seed) =>
      search(
        TreeParzen.make(),
        square,
        70,
        // The front is the line y = 0; x says where on it.
        ({ x, y }) => ({ losses: [x + 2 * y, (1 - x) ** 2 + 2 * y] }),
        { seed, objectives: 2 }
      ).slice(30)
    )
    assert.isBelow(mean(trials.flat().map(({ params: { y } }) => y)), 0.2)
    for (const late of trials) {
      const near = late.filter(({ params: { y } }) => y < 0.1).map(({ params: { x } }) => x)
      assert.isBelow(Math.min(...near), 0.3)
      assert.isAbove(Math.max(...near), 0.7)
    }
  })
})
