import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { readFileSync } from "node:fs"
import * as Random from "../../../src/random/Random.ts"
import * as Cholesky from "../../../src/search/samplers/Cholesky.ts"
import * as GaussianProcess from "../../../src/search/samplers/GaussianProcess.ts"
import * as MixedKernel from "../../../src/search/samplers/MixedKernel.ts"

interface Reference {
  readonly x: ReadonlyArray<ReadonlyArray<number>>
  readonly y: ReadonlyArray<number>
  readonly lengthScales: ReadonlyArray<number>
  readonly variance: number
  readonly noise: number
  readonly query: ReadonlyArray<ReadonlyArray<number>>
  readonly mean: ReadonlyArray<number>
  readonly std: ReadonlyArray<number>
  readonly logMarginalLikelihood: number
}

const reference: Reference = JSON.parse(
  readFileSync(new URL("../../fixtures/search/gaussian-process.json", import.meta.url), "utf8")
)

const integer = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const normal = (mean: number, deviation: number): GaussianProcess.LogNormal => ({ mean, deviation })

const axes = 4

/** A number, a choice of three, a number, and one that only some points have. */
const mixed = (random: Random.Random, size: number): MixedKernel.Points => ({
  size,
  coordinates: Float64Array.from({ length: size * axes }, (_, i) => {
    if (i % axes === 1) return (random.integer(3) + 0.5) / 3
    const u = random.uniform()
    return i % axes === 3 && random.uniform() < 0.5 ? Number.NaN : u
  })
})

const kernel: MixedKernel.Kernel = { axes, categorical: Uint8Array.from([0, 1, 0, 0]) }

const draw = (random: Random.Random): MixedKernel.Parameters =>
  Float64Array.from({ length: MixedKernel.parameterCount(kernel) }, () => random.normal())

const regression = (seed: number, mean?: GaussianProcess.Mean) => {
  const random = Random.make(seed, "regression")
  const points = mixed(random, 12)
  const data: GaussianProcess.Data = {
    kernel,
    points,
    targets: Float64Array.from({ length: points.size }, () => random.normal()),
    doubts: Float64Array.from({ length: points.size }, () => random.uniform()),
    ...(mean === undefined ? {} : { mean })
  }
  const parameters = { kernel: draw(random), logNoise: -2 + random.normal(), logDoubt: -1 + random.normal() }
  return { data, parameters, random }
}

const bowl: GaussianProcess.Mean = (point, slopes) => {
  if (slopes !== undefined) {
    slopes.fill(0)
    slopes[0] = 2 * (point[0]! - 0.3)
  }
  return (point[0]! - 0.3) ** 2
}

describe("GaussianProcess", () => {
  it("agrees with scikit-learn on posterior means, deviations and the likelihood", () => {
    const { lengthScales, logMarginalLikelihood, mean, noise, query, std, variance, x, y } = reference
    const fixed = GaussianProcess.of({
      kernel: { axes, categorical: new Uint8Array(axes) },
      points: { size: x.length, coordinates: Float64Array.from(x.flat()) },
      targets: Float64Array.from(y)
    }, {
      kernel: Float64Array.from([...lengthScales.map(Math.log), 0, 0, 0, 0, Math.log(variance), -Infinity, -Infinity]),
      logNoise: Math.log(noise),
      logDoubt: -Infinity
    })!
    assert.isAtMost(Math.abs(fixed.logMarginalLikelihood - logMarginalLikelihood), 1e-10)
    const posterior = GaussianProcess.posterior(fixed)
    for (const [i, point] of query.entries()) {
      const found = posterior(point)
      assert.isAtMost(Math.abs(found.mean - mean[i]!), 1e-10)
      assert.isAtMost(Math.abs(found.deviation - std[i]!), 1e-10)
    }
  })

  it.prop(
    "has a covariance without negative eigenvalues, whatever the parameters and the inactive axes",
    { seed: integer(0, 1_000_000) },
    ({ seed }) => {
      const random = Random.make(seed, "covariance")
      const points = mixed(random, 15), parameters = draw(random)
      const distances = MixedKernel.distances(kernel, points), gram = MixedKernel.gramOf(kernel, distances)
      MixedKernel.write(kernel, parameters, distances, gram)
      const cross = MixedKernel.crossOf(kernel, parameters), row = new Float64Array(points.size)
      const matrix = new Float64Array(points.size ** 2)
      for (let i = 0, pair = 0; i < points.size; i++) {
        const point = points.coordinates.subarray(i * axes, (i + 1) * axes)
        MixedKernel.cross(cross, point, points, row)
        for (let j = 0; j <= i; j++, pair++) {
          matrix[i * points.size + j] = gram.covariance[pair]!
          assert.isAtMost(Math.abs(gram.covariance[pair]! - row[j]!), 1e-12 * (1 + Math.abs(row[j]!)))
        }
        assert.isAtMost(Math.abs(MixedKernel.varianceAt(cross, point) - row[i]!), 1e-12 * (1 + row[i]!))
        matrix[i * (points.size + 1)]! += 1e-9 * MixedKernel.variance(kernel, parameters)
      }
      assert.isTrue(Cholesky.factor(matrix, points.size))
    },
    { arbitrary: { runs: 50 } }
  )

  for (const mean of [undefined, bowl]) {
    it.prop(
      `has the gradients that differences show, ${mean === undefined ? "with mean zero" : "about a given mean"}`,
      { seed: integer(0, 1_000_000) },
      ({ seed }) => {
        const { data, parameters, random } = regression(seed, mean)
        const close = (found: number, expected: number) =>
          assert.isAtMost(Math.abs(found - expected), 1e-4 * (1 + Math.abs(expected)))
        const count = MixedKernel.parameterCount(kernel)
        const objective = GaussianProcess.objective(data, {
          kernel: Array.from({ length: count }, (_, i) => normal(i / 10, 1)),
          noise: normal(-2, 1),
          doubt: normal(-1, 2)
        })
        const flat = Float64Array.from([...parameters.kernel, parameters.logNoise, parameters.logDoubt])
        const gradient = new Float64Array(flat.length), scratch = new Float64Array(flat.length)
        objective(flat, gradient)
        const h = 1e-5
        for (let i = 0; i < flat.length; i++) {
          const above = objective(flat.with(i, flat[i]! + h), scratch)
          const below = objective(flat.with(i, flat[i]! - h), scratch)
          close(gradient[i]!, (above - below) / (2 * h))
        }
        const posterior = GaussianProcess.posterior(GaussianProcess.of(data, parameters)!)
        const point = Float64Array.from([random.uniform(), 0.5, random.uniform(), random.uniform()])
        const { byDeviation, byMean } = posterior(point, true)
        const slopes = { byDeviation: Float64Array.from(byDeviation), byMean: Float64Array.from(byMean) }
        for (const axis of [0, 2, 3]) {
          const above = { ...posterior(point.with(axis, point[axis]! + h)) }
          const below = { ...posterior(point.with(axis, point[axis]! - h)) }
          close(slopes.byMean[axis]!, (above.mean - below.mean) / (2 * h))
          close(slopes.byDeviation[axis]!, (above.deviation - below.deviation) / (2 * h))
        }
      },
      { arbitrary: { runs: 25 } }
    )
  }

  it("finds again, by the most probable parameters, which axes matter", () => {
    const random = Random.make(5, "relevance")
    const size = 40
    const coordinates = Float64Array.from({ length: size * 3 }, () => random.uniform())
    const data: GaussianProcess.Data = {
      kernel: { axes: 3, categorical: new Uint8Array(3) },
      points: { size, coordinates },
      targets: Float64Array.from({ length: size }, (_, i) => 2 * Math.sin(6 * coordinates[3 * i]!))
    }
    const priors = {
      kernel: [...Array.from({ length: 6 }, () => normal(0, 1.5)), normal(0, 1), normal(-20, 0), normal(-20, 0)],
      noise: normal(-8, 2),
      doubt: normal(0, 0)
    }
    const start = { kernel: Float64Array.from(priors.kernel, ({ mean }) => mean), logNoise: -4, logDoubt: 0 }
    const [best] = GaussianProcess.fit(data, { priors, starts: [start], follow: 1, steps: 50 })
    const [first, second, third] = best!.parameters.kernel
    assert.isBelow(first!, second! - 1)
    assert.isBelow(first!, third! - 1)
    // What is fixed stays as it was.
    assert.deepStrictEqual(Array.from(best!.parameters.kernel.slice(-2)), [-20, -20])
    const posterior = GaussianProcess.posterior(GaussianProcess.of(data, best!.parameters)!)
    for (let i = 0; i < 20; i++) {
      const point = [0.1 + 0.04 * i, random.uniform(), random.uniform()]
      assert.isAtMost(Math.abs(posterior(point).mean - 2 * Math.sin(6 * point[0]!)), 0.1)
    }
  })

  it("models what the targets differ from a given mean by", () => {
    const { data, parameters } = regression(3)
    const shifted = { ...data, targets: data.targets.map((target) => target + 100), mean: () => 100 }
    const plain = GaussianProcess.of(data, parameters)!, about = GaussianProcess.of(shifted, parameters)!
    assert.isAtMost(Math.abs(plain.logMarginalLikelihood - about.logMarginalLikelihood), 1e-9)
    const point = [0.2, 0.5, 0.9, Number.NaN]
    const difference = GaussianProcess.posterior(about)(point).mean - GaussianProcess.posterior(plain)(point).mean
    assert.isAtMost(Math.abs(difference - 100), 1e-9)
  })

  it("survives the same point twice without noise", () => {
    const points: MixedKernel.Points = { size: 3, coordinates: Float64Array.from([0.2, 0.2, 0.8]) }
    const data = { kernel: { axes: 1, categorical: new Uint8Array(1) }, points, targets: Float64Array.from([1, 1, -1]) }
    const found = GaussianProcess.of(data, { kernel: new Float64Array(5), logNoise: -80, logDoubt: -80 })!
    const posterior = GaussianProcess.posterior(found)
    assert.isAtMost(Math.abs(posterior([0.2]).mean - 1), 1e-3)
    assert.isAtMost(posterior([0.2]).deviation, 0.01)
  })

  it("says so when there is nothing to compute", () => {
    const points: MixedKernel.Points = { size: 2, coordinates: Float64Array.from([0.2, Infinity]) }
    const data = { kernel: { axes: 1, categorical: new Uint8Array(1) }, points, targets: Float64Array.from([1, 0]) }
    assert.isUndefined(
      GaussianProcess.of(data, { kernel: Float64Array.from([0, 0, NaN, 0, 0]), logNoise: 0, logDoubt: 0 })
    )
  })
})
