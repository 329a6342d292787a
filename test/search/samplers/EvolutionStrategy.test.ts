import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import * as Random from "../../../src/random/Random.ts"
import * as EvolutionStrategy from "../../../src/search/samplers/EvolutionStrategy.ts"

type Vector = ReadonlyArray<number>

/** What the Python package `cma` has: see the fields `version` and `note` of the file. */
const reference: {
  readonly parameters: ReadonlyArray<
    & { readonly dimensions: number; readonly population: number; readonly weights: Vector }
    & Record<"mueff" | "c1" | "cmu" | "cc" | "cs" | "damps" | "chiN", number>
  >
  readonly trajectories: ReadonlyArray<{
    readonly dimensions: number
    readonly population: number
    readonly mean: Vector
    readonly sigma: number
    /** `x` are the samples of a generation, the best first; the rest is the state after it. */
    readonly generations: ReadonlyArray<
      & { readonly x: ReadonlyArray<Vector>; readonly C: ReadonlyArray<Vector>; readonly sigma: number }
      & Record<
        "mean" | "ps" | "pc",
        Vector
      >
    >
  }>
  readonly evaluations: ReadonlyArray<{
    readonly function: "sphere" | "ellipsoid" | "rosenbrock"
    readonly dimensions: number
    readonly mean: number
    readonly sigma: number
    readonly target: number
    readonly median: number
  }>
} = JSON.parse(readFileSync(new URL("../../fixtures/search/cma-es.json", import.meta.url), "utf8"))

const assertClose = (found: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number) => {
  assert.strictEqual(found.length, expected.length)
  for (let i = 0; i < found.length; i++) assert.closeTo(found[i]!, expected[i]!, tolerance)
}

const functions: Record<"sphere" | "ellipsoid" | "rosenbrock", (x: Float64Array) => number> = {
  sphere: (x) => x.reduce((sum, value) => sum + value * value, 0),
  ellipsoid: (x) => x.reduce((sum, value, i) => sum + 10 ** (6 * i / (x.length - 1)) * value * value, 0),
  rosenbrock: (x) => {
    let sum = 0
    for (let i = 0; i + 1 < x.length; i++) sum += 100 * (x[i]! ** 2 - x[i + 1]!) ** 2 + (x[i]! - 1) ** 2
    return sum
  }
}

describe("EvolutionStrategy", () => {
  it("has the default parameters of the reference implementation", () => {
    assert.deepStrictEqual(reference.parameters.map(({ dimensions }) => dimensions), [2, 3, 5, 10, 20, 40])
    for (const expected of reference.parameters) {
      const found = EvolutionStrategy.parameters(expected.dimensions)
      assert.strictEqual(found.population, expected.population)
      assertClose(found.weights, expected.weights, 1e-14)
      assertClose(
        [found.effective, found.c1, found.cMu, found.cC, found.chi],
        [expected.mueff, expected.c1, expected.cmu, expected.cc, expected.chiN],
        1e-14
      )
      // The package divides by n + mueff + 3 where the tutorial has 5, and takes no more than a half.
      const { dimensions, mueff } = expected
      const itsOwn = found.cSigma * (dimensions + mueff + 5) / (dimensions + mueff + 3)
      assert.closeTo(Math.min(0.5, itsOwn), expected.cs, 1e-14)
      assert.closeTo(found.dSigma - found.cSigma, expected.damps - expected.cs, 1e-14)
    }
  })

  it("goes where the reference implementation goes from the same samples", () => {
    assert.strictEqual(reference.trajectories.length, 3)
    for (const { dimensions, generations, mean, population, sigma } of reference.trajectories) {
      const parameters = EvolutionStrategy.parameters(dimensions, population)
      let state = EvolutionStrategy.initial(mean, mean.map(() => sigma))
      for (const [number, expected] of generations.entries()) {
        const { mean: before, sigma: scale } = state
        const steps = expected.x.map((x) => Float64Array.from(x, (value, i) => (value - before[i]!) / scale))
        state = EvolutionStrategy.update(parameters, state, steps)
        assert.strictEqual(state.generation, number + 1)
        assertClose(state.mean, expected.mean, 1e-12)
        assert.closeTo(state.sigma / expected.sigma, 1, 1e-8)
        assertClose(state.covariance, expected.C.flat(), 1e-7)
        assertClose(state.sigmaPath, expected.ps, 1e-7)
        assertClose(state.covariancePath, expected.pc, 1e-7)
      }
    }
  })

  it("needs as many evaluations as the reference implementation", () => {
    for (const { dimensions, function: name, mean, median, sigma, target } of reference.evaluations) {
      const parameters = EvolutionStrategy.parameters(dimensions)
      const counts = Array.from({ length: 15 }, (_, seed) => {
        const start = Array.from({ length: dimensions }, () => mean)
        let state = EvolutionStrategy.initial(start, start.map(() => sigma)), best = Infinity, count = 0
        while (best > target && count < 10 * median) {
          const random = Random.make(seed, "samples", count)
          const samples = Array.from({ length: parameters.population }, () => {
            const y = EvolutionStrategy.step(state, start.map(() => random.normal()))
            return { y, value: functions[name](y.map((each, i) => state.mean[i]! + state.sigma * each)) }
          }).toSorted((a, b) => a.value - b.value)
          best = samples[0]!.value
          count += samples.length
          state = EvolutionStrategy.update(parameters, state, samples.map(({ y }) => y))
        }
        return count
      }).toSorted((a, b) => a - b)
      assert.isBelow(Math.abs(Math.log(counts[7]! / median)), Math.log(1.25), `${name}: ${counts[7]} against ${median}`)
    }
  })

  it("begins with a deviation of its own along each axis", () => {
    const state = EvolutionStrategy.initial([0, 0, 0], [0.1, 0.4, 0.2])
    const draws = Array.from({ length: 4000 }, (_, i) => {
      const random = Random.make(3, "draw", i)
      return EvolutionStrategy.step(state, [random.normal(), random.normal(), random.normal()])
    })
    for (const [axis, deviation] of [0.1, 0.4, 0.2].entries()) {
      const variance = draws.reduce((sum, y) => sum + (state.sigma * y[axis]!) ** 2, 0) / draws.length
      assert.closeTo(Math.sqrt(variance) / deviation, 1, 0.05)
    }
  })

  it("is pulled nowhere by trials that are all equal, whatever their order", () => {
    const parameters = EvolutionStrategy.parameters(2)
    const state = EvolutionStrategy.initial([0.5, 0.5], [0.2, 0.2])
    const steps = [[1, 0], [0, 1], [-1, 0], [0, -1], [1, 1], [-1, -1]].map((y) => Float64Array.from(y))
    const ties = steps.map(() => [0, 5] as const)
    const next = EvolutionStrategy.update(parameters, state, steps, ties)
    assertClose(next.mean, [0.5, 0.5], 1e-15)
    const other = EvolutionStrategy.update(parameters, state, steps.toReversed(), ties)
    assertClose(other.covariance, next.covariance, 1e-15)
    // Of two that tie for the first place neither counts more.
    const pairs = steps.map((_, rank): readonly [number, number] => rank < 2 ? [0, 1] : [rank, rank])
    const [first, second, ...rest] = steps
    const one = EvolutionStrategy.update(parameters, state, [first!, second!, ...rest], pairs)
    const two = EvolutionStrategy.update(parameters, state, [second!, first!, ...rest], pairs)
    assertClose(one.mean, two.mean, 1e-15)
    assertClose(one.covariance, two.covariance, 1e-15)
  })

  it("shortens a step that it cannot have drawn, and no other", () => {
    const state = EvolutionStrategy.initial([0, 0], [0.1, 0.2])
    const likely = Float64Array.from([0.5, 1])
    assert.deepStrictEqual(EvolutionStrategy.shortened(state, likely), likely)
    // In units of the distribution, the second of which is 1 here: sqrt(2) + 4 / 4 long.
    assertClose(EvolutionStrategy.shortened(state, Float64Array.from([0, 50])), [0, Math.SQRT2 + 1], 1e-12)
    assertClose(EvolutionStrategy.shortened(state, Float64Array.from([50, 0])), [(Math.SQRT2 + 1) / 2, 0], 1e-12)
  })
})
