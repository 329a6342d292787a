import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Random from "../../../src/random/Random.ts"
import * as PedAnova from "../../../src/search/importance/PedAnova.ts"

const near = (found: number, expected: number, tolerance: number) =>
  assert.isAtMost(Math.abs(found - expected), tolerance, `${found} is not ${expected}`)

const integer = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const lattice = (size: number) => Array.from({ length: size }, (_, index) => (index + 0.5) / size)

describe("PedAnova", () => {
  it("gives each of a few values a point of its own, from one end of the grid to the other", () => {
    for (const kind of ["numeric", "categorical"] as const) {
      const grid = PedAnova.gridOf(kind, 7, lattice(7))
      assert.strictEqual(grid.size, 7)
      assert.deepStrictEqual(lattice(7).map(grid.indexOf), [0, 1, 2, 3, 4, 5, 6])
    }
    const two = PedAnova.gridOf("numeric", 2, lattice(2))
    assert.deepStrictEqual(lattice(2).map(two.indexOf), [0, 1])
  })

  it("puts many values, and continuous ones, on fifty points", () => {
    const continuous = PedAnova.gridOf("numeric", Infinity, [0.3])
    assert.strictEqual(continuous.size, 50)
    // A point of the grid takes what is nearest to it, so those at the ends take half.
    assert.deepStrictEqual([0, 0.5 / 49 - 1e-9, 0.5 / 49 + 1e-9, 0.5, 1].map(continuous.indexOf), [0, 0, 1, 24, 49])
    const many = PedAnova.gridOf("numeric", 200, lattice(200))
    assert.strictEqual(many.size, 50)
    assert.deepStrictEqual([many.indexOf(0.5 / 200), many.indexOf(199.5 / 200)], [0, 49])
  })

  it("gives whole numbers on a log scale as many points as they have doublings, and one", () => {
    const positions = Array.from({ length: 128 }, (_, i) => Math.log(i + 1) / Math.log(128))
    const grid = PedAnova.gridOf("numeric", 128, positions)
    assert.strictEqual(grid.size, 8)
    assert.deepStrictEqual([1, 2, 4, 8, 16, 32, 64, 128].map((v) => grid.indexOf(positions[v - 1]!)), [
      0,
      1,
      2,
      3,
      4,
      5,
      6,
      7
    ])
  })

  it.prop(
    "estimates densities that sum to one, whatever was tried",
    { seed: integer(0, 1_000_000), size: integer(2, 80), trials: integer(1, 60) },
    ({ seed, size, trials }) => {
      const random = Random.make(seed, "ped-anova")
      for (const kind of ["numeric", "categorical"] as const) {
        const positions = Array.from({ length: trials }, () => (random.integer(size) + 0.5) / size)
        const density = PedAnova.density(PedAnova.gridOf(kind, size, positions), positions)
        near(density.reduce((sum, each) => sum + each, 0), 1, 1e-12)
        assert.isTrue(density.every((each) => each > 0))
      }
    }
  )

  it("weighs the prior as one trial of a category", () => {
    const grid = PedAnova.gridOf("categorical", 4, [])
    // One kernel for the category that holds three trials, (1/2 + 1, 1/2, 1/2, 1/2) / 3, and one for the prior.
    const density = PedAnova.density(grid, [0.125, 0.125, 0.125])
    for (const [index, each] of [0.75 * 0.5 + 0.25 / 4, 0.75 / 6 + 0.25 / 4, 0.75 / 6 + 0.25 / 4].entries()) {
      near(density[index]!, each, 1e-15)
    }
  })

  it("finds no divergence of a density from itself, and more the further it lies", () => {
    const grid = PedAnova.gridOf("numeric", Infinity, [])
    const base = PedAnova.density(grid, lattice(100))
    assert.strictEqual(PedAnova.divergence(base, base), 0)
    const from = [0.5, 0.25, 0.1].map((width) =>
      PedAnova.divergence(PedAnova.density(grid, lattice(20).map((u) => u * width)), base)
    )
    assert.isTrue(0.3 < from[0]! && from[0]! < from[1]! && from[1]! < from[2]!, String(from))
    // Of a discrete density, by hand: 0.5 (0.5 / 0.5 - 1)^2 + 0.25 (0.1 / 0.25 - 1)^2 + 0.25 (0.4 / 0.25 - 1)^2.
    near(PedAnova.divergence(Float64Array.of(0.5, 0.1, 0.4), Float64Array.of(0.5, 0.25, 0.25)), 0.18, 1e-10)
  })
})
