import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import * as Random from "../../../src/random/Random.ts"
import * as ParzenEstimator from "../../../src/search/samplers/ParzenEstimator.ts"
import * as Space from "../../../src/search/space/Space.ts"

interface Reference {
  readonly points: ReadonlyArray<Record<string, unknown>>
  readonly weights: ReadonlyArray<number>
  readonly queries: ReadonlyArray<Record<string, unknown>>
  readonly cases: ReadonlyArray<{
    readonly options: ParzenEstimator.Options
    readonly logDensities: ReadonlyArray<number>
  }>
}

const reference: Reference = JSON.parse(
  readFileSync(new URL("../../fixtures/search/parzen-estimator.json", import.meta.url), "utf8")
)

const space = Space.make({
  rate: Space.logUniform(1e-5, 1e-1),
  dropout: Space.uniform(0, 1, { prior: { around: 0.3, width: 0.2 } }),
  layers: Space.integer(1, 16),
  rank: Space.integer(1, 128, { scale: "log" }),
  optimizer: Space.choice(["sgd", "adamw", "lion"], { weights: [1, 2, 1] }),
  width: Space.ordinal([16, 32, 64, 128], { weights: [1, 1, 4, 2] }),
  epochs: Space.integer(1, 9, { prior: { around: 3, width: 2 } }),
  steps: Space.integer(0, 999),
  tune: Space.branches({
    lora: { alpha: Space.integer(1, 8) },
    full: { decay: Space.uniform(0.5, 1, { prior: { around: 0.9, width: 0.1 } }) }
  })
})

/** The fixture has the hyperparameters of branches by their path. */
const unitOf = (flat: Record<string, unknown>): ReadonlyArray<number> =>
  space.toUnit({
    ...flat,
    tune: flat["tune"] === "lora"
      ? { _tag: "lora", alpha: flat["tune.lora.alpha"] }
      : { _tag: "full", decay: flat["tune.full.decay"] }
  } as Space.Type<typeof space>)

const every = (space: Space.Space): ReadonlyArray<number> => space.axes.map((_, axis) => axis)

const options: ParzenEstimator.Options = {
  bandwidth: { rule: "scott", factor: 1, minimum: 0.01, clipping: 1 },
  priorWeight: 1,
  categorical: 1
}

const equal = (points: ReadonlyArray<ReadonlyArray<number>>): ParzenEstimator.Data => ({
  points,
  weights: points.map(() => 1)
})

const random = (step: number) => Random.make(1, "parzen-estimator-test", step)

/** Every kind of value that can be counted, and branches within branches. */
const finite = Space.make({
  layers: Space.integer(1, 5, { prior: { around: 4, width: 1 } }),
  rank: Space.integer(1, 6, { scale: "log" }),
  tune: Space.branches({
    full: {},
    adapter: {
      width: Space.ordinal([1, 2, 4], { weights: [1, 2, 3] }),
      kind: Space.branches({ a: {}, b: { depth: Space.integer(1, 3), norm: Space.choice(["x", "y", "z"]) } }, {
        weights: { a: 1, b: 3 }
      })
    }
  })
})

const all = Array.from({ length: finite.size }, (_, index) => finite.toUnit(Space.at(finite, index)))

const some = [3, 100, 17, 200, 251, 252, 80].map((index) => all[index]!)

describe("ParzenEstimator", () => {
  for (const { logDensities, options } of reference.cases) {
    it(`has the density of its sum of truncated normals (${options.bandwidth.rule})`, () => {
      const estimator = ParzenEstimator.make(space, every(space), {
        points: reference.points.map(unitOf),
        weights: reference.weights
      }, options)
      assert.strictEqual(logDensities.length, 40)
      for (const [i, query] of reference.queries.entries()) {
        // Narrow shares of the axis are taken as flat, hence the tolerance.
        assert.closeTo(estimator.logDensity(unitOf(query)), logDensities[i]!, 3e-4)
      }
    })
  }

  it("gives all points of a tree of branches a probability of 1 together", () => {
    for (const rule of ["scott", "shrinking", "neighbours"] as const) {
      for (const points of [[], some.slice(0, 1), some]) {
        const estimator = ParzenEstimator.make(finite, every(finite), equal(points), {
          ...options,
          bandwidth: { ...options.bandwidth, rule }
        })
        const sum = all.reduce((sum, point) => sum + Math.exp(estimator.logDensity(point)), 0)
        assert.closeTo(sum, 1, 1e-7)
      }
    }
  })

  it("integrates to 1 over a continuous axis and over thousands of values", () => {
    const narrow = { ...options, bandwidth: { ...options.bandwidth, minimum: 0.002, clipping: Infinity, factor: 0.1 } }
    const line = Space.make({ x: Space.uniform(0, 1, { prior: { around: 0.9, width: 0.05 } }) })
    const points = [[0], [0.02], [0.5], [1]]
    const density = ParzenEstimator.make(line, [0], equal(points), narrow)
    const steps = 20_000
    let integral = 0
    for (let i = 0; i < steps; i++) integral += Math.exp(density.logDensity([(i + 0.5) / steps])) / steps
    assert.closeTo(integral, 1, 1e-4)
    for (const scale of ["linear", "log"] as const) {
      const many = Space.make({ n: Space.integer(1, 3000, { scale }) })
      const centres = [1, 2, 40, 2999].map((n) => many.toUnit({ n }))
      const mass = ParzenEstimator.make(many, [0], equal(centres), narrow)
      let sum = 0
      for (let n = 1; n <= 3000; n++) sum += Math.exp(mass.logDensity(many.toUnit({ n })))
      assert.closeTo(sum, 1, 3e-4)
    }
  })

  it("draws points as often as their probability says", () => {
    const estimator = ParzenEstimator.make(finite, every(finite), equal(some), options)
    const draws = 40_000, counts = new Map<string, number>()
    const stream = random(0), point = new Float64Array(finite.axes.length)
    for (let i = 0; i < draws; i++) {
      estimator.draw(stream, point)
      const key = point.join()
      counts.set(key, (counts.get(key) ?? 0) + 1)
    }
    let chiSquared = 0
    for (const point of all) {
      const expected = draws * Math.exp(estimator.logDensity(point))
      chiSquared += ((counts.get(point.join()) ?? 0) - expected) ** 2 / expected
    }
    // As many degrees of freedom as points, less one; their deviation is the root of twice that.
    assert.isBelow(chiSquared, all.length + 5 * Math.sqrt(2 * all.length))
    assert.isTrue([...counts.keys()].every((key) => all.some((point) => point.join() === key)))
  })

  it("draws continuous values by their density, at the ends of the axis too", () => {
    const line = Space.make({ x: Space.uniform(0, 1) })
    const estimator = ParzenEstimator.make(line, [0], { points: [[0], [0.7]], weights: [3, 1] }, options)
    const draws = 40_000, bins = 20, counts = new Float64Array(bins)
    const stream = random(1), point = new Float64Array(1)
    for (let i = 0; i < draws; i++) {
      estimator.draw(stream, point)
      counts[Math.min(bins - 1, Math.floor(point[0]! * bins))]!++
    }
    for (let bin = 0; bin < bins; bin++) {
      let mass = 0
      for (let i = 0; i < 50; i++) mass += Math.exp(estimator.logDensity([(bin + (i + 0.5) / 50) / bins])) / 50 / bins
      assert.closeTo(counts[bin]! / draws, mass, 5 * Math.sqrt(mass / draws))
    }
  })

  it("is the prior of the space before any trial", () => {
    const estimator = ParzenEstimator.make(finite, every(finite), equal([]), options)
    const probability = (keep: (params: Space.Type<typeof finite>) => boolean) =>
      all.reduce((sum, point) => sum + (keep(finite.fromUnit(point)) ? Math.exp(estimator.logDensity(point)) : 0), 0)
    assert.closeTo(probability(({ tune }) => tune._tag === "adapter"), 1 / 2, 1e-9)
    assert.closeTo(probability(({ tune }) => tune._tag === "adapter" && tune.width === 4), 1 / 4, 1e-9)
    assert.closeTo(probability(({ tune }) => tune._tag === "adapter" && tune.kind._tag === "b"), 3 / 8, 1e-9)
    assert.isAbove(probability(({ layers }) => layers === 4), 2 * probability(({ layers }) => layers === 2))
  })

  it("learns a shared hyperparameter from trials of every branch", () => {
    const shared = Space.make({
      rate: Space.uniform(0, 1),
      tune: Space.branches({ full: {}, adapter: { alpha: Space.uniform(0, 1) } })
    })
    const full = (rate: number) => shared.toUnit({ rate, tune: { _tag: "full" } })
    const estimator = ParzenEstimator.make(shared, every(shared), equal([0.2, 0.22, 0.24].map(full)), options)
    const adapter = (rate: number, alpha: number) =>
      estimator.logDensity(shared.toUnit({ rate, tune: { _tag: "adapter", alpha } }))
    assert.isAbove(adapter(0.22, 0.5), adapter(0.9, 0.5) + 1)
    // Of what no trial had it says nothing.
    assert.closeTo(adapter(0.22, 0.1), adapter(0.22, 0.9), 1e-9)
  })
})
