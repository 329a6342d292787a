import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import * as Sobol from "../../../src/search/samplers/Sobol.ts"
import * as Space from "../../../src/search/space/Space.ts"
import { problem, proposals } from "./proposals.ts"

const fixture = (name: string) =>
  JSON.parse(readFileSync(new URL(`../../fixtures/search/${name}.json`, import.meta.url), "utf8"))

const reference: { readonly points: ReadonlyArray<ReadonlyArray<number>> } = fixture("sobol")

/** Far along the sequence and in every dimension of the table. */
const far: { readonly points: ReadonlyArray<{ readonly index: number; readonly point: ReadonlyArray<number> }> } =
  fixture("sobol-64")

/** Whether each of the boxes 2^-a by 2^-b holds exactly one of 2^(a + b) points. */
const oneInEachBox = (points: ReadonlyArray<readonly [number, number]>, a: number, b: number): boolean =>
  new Set(points.map(([x, y]) => Math.floor(x * 2 ** a) * 2 ** b + Math.floor(y * 2 ** b))).size === points.length

/** Gaussian elimination modulo 2 over rows of bits. */
const isRegular = (rows: ReadonlyArray<bigint>): boolean => {
  const rest = [...rows]
  for (let column = 0; column < rows.length; column++) {
    const bit = 1n << BigInt(column)
    const pivot = rest.findIndex((row) => (row & bit) !== 0n)
    if (pivot < 0) return false
    const [chosen] = rest.splice(pivot, 1)
    for (const [i, row] of rest.entries()) if ((row & bit) !== 0n) rest[i] = row ^ chosen!
  }
  return true
}

describe("Sobol", () => {
  it("gives the published points when it is not scrambled", () => {
    assert.strictEqual(reference.points.length, 64)
    for (const [index, point] of reference.points.entries()) {
      assert.deepStrictEqual([...Sobol.point(12, index)], [...point])
    }
    assert.strictEqual(far.points.length, 6)
    for (const { index, point } of far.points) assert.deepStrictEqual([...Sobol.point(64, index)], [...point])
  })

  // Joe and Kuo chose the table to have it; a wrong polynomial or number would break it.
  it("has Sobol's property A in its first 32 dimensions", () => {
    // Point 2^k in Gray-code order is direction number k xor k - 1: the halves that
    // these points fall into are the first bits of the direction numbers.
    const corner = (k: number) => Sobol.point(Sobol.maxDimensions, 2 ** k).map((x) => x >= 0.5)
    const directions: Array<Array<boolean>> = []
    for (let k = 0; k < 32; k++) {
      const previous = directions[k - 1]
      const point = corner(k)
      directions.push(previous === undefined ? point : point.map((bit, d) => bit !== previous[d]))
    }
    for (let dimensions = 1; dimensions <= 32; dimensions++) {
      const rows = Array.from(
        { length: dimensions },
        (_, d) => directions.slice(0, dimensions).reduce((row, bits, k) => bits[d] ? row | (1n << BigInt(k)) : row, 0n)
      )
      assert.isTrue(isRegular(rows), `${dimensions} dimensions`)
    }
  })

  for (const seed of [undefined, 0, 1, 12345678901]) {
    const name = seed === undefined ? "unscrambled" : `scrambled with seed ${seed}`

    it(`${name}: every aligned run of 2^k points has one in each of 2^k intervals, in all dimensions`, () => {
      const points = Array.from({ length: 128 }, (_, index) => Sobol.point(Sobol.maxDimensions, index, seed))
      for (let k = 0; k <= 7; k++) {
        for (let from = 0; from < 128; from += 2 ** k) {
          for (let d = 0; d < Sobol.maxDimensions; d++) {
            const cells = new Set(points.slice(from, from + 2 ** k).map((point) => Math.floor(point[d]! * 2 ** k)))
            assert.strictEqual(cells.size, 2 ** k, `dimension ${d}, points from ${from}`)
          }
        }
      }
    })

    // The first two dimensions are a (0,2)-sequence in base 2, and scrambling keeps it so.
    it(`${name}: the first two dimensions have one point in each box of any shape`, () => {
      const points = Array.from({ length: 256 }, (_, index) => {
        const [x, y] = Sobol.point(2, index, seed)
        return [x!, y!] as const
      })
      for (let k = 0; k <= 8; k++) {
        for (let a = 0; a <= k; a++) assert.isTrue(oneInEachBox(points.slice(0, 2 ** k), a, k - a), `${a} + ${k - a}`)
      }
    })
  }

  it("is uniform at every point over the seeds, and independent between dimensions", () => {
    const count = 500
    for (const index of [0, 1, 37]) {
      const draws = Array.from({ length: count }, (_, seed) => Sobol.point(3, index, seed))
      const mean = (f: (point: ReadonlyArray<number>) => number) => draws.reduce((sum, x) => sum + f(x), 0) / count
      for (const d of [0, 1, 2]) {
        assert.closeTo(mean((x) => x[d]!), 0.5, 5 * Math.sqrt(1 / 12 / count))
        assert.closeTo(mean((x) => (x[d]! - 0.5) ** 2), 1 / 12, 5 * Math.sqrt(1 / 180 / count))
      }
      assert.closeTo(mean((x) => (x[0]! - 0.5) * (x[1]! - 0.5)), 0, 5 / 12 / Math.sqrt(count))
    }
  })

  it("scrambles a digit by the digits above it, not by its place alone", () => {
    // Points 0 and 1 part at the first digit, so their second digits have coins of
    // their own; under a mere digital shift the two would always be as unscrambled.
    // Points 0 and 3 share the first digit, and with it the coin of the second.
    const seeds = Array.from({ length: 400 }, (_, seed) => seed)
    const digit = (index: number, seed: number) => Math.floor(Sobol.point(1, index, seed)[0]! * 4) % 2
    const apart = seeds.filter((seed) => digit(0, seed) !== digit(1, seed)).length
    assert.closeTo(apart / 400, 0.5, 5 * 0.5 / Math.sqrt(400))
    assert.isTrue(seeds.every((seed) => digit(0, seed) !== digit(3, seed)))
  })

  it("integrates a smooth function far better than random points would", () => {
    // The integral of the product of (1 + (x - 1/2)) is 1; random points at 1,024 have a standard error near 0.02.
    for (const seed of [3, 4, 5]) {
      let sum = 0
      for (let i = 0; i < 1024; i++) sum += Sobol.point(5, i, seed).reduce((product, x) => product * (0.5 + x), 1)
      assert.closeTo(sum / 1024, 1, 1e-3)
    }
  })

  it("proposes distinct points where values are discrete, until there are no more", () => {
    const space = Space.make({ a: Space.choice(["x", "y", "z"]), b: Space.integer(1, 7), c: Space.fixed(0) })
    const enqueued = [{ a: "y", b: 4, c: 0 }] as const
    for (const scramble of [true, false]) {
      const points = proposals(Sobol.make({ scramble }), space, Infinity, { enqueued })
      assert.strictEqual(points.length, 20)
      assert.strictEqual(new Set(points.map((params) => space.key(params))).size, 20)
    }
  })

  it("follows the seed, and does not when it is not scrambled", () => {
    const space = Space.make({ rate: Space.uniform(0, 1), size: Space.integer(1, 1000) })
    const draw = (scramble: boolean, seed: number) => proposals(Sobol.make({ scramble }), space, 8, { seed })
    assert.notDeepEqual(draw(true, 1), draw(true, 2))
    assert.deepStrictEqual(draw(true, 1), draw(true, 1))
    assert.deepStrictEqual(draw(false, 1), draw(false, 2))
    assert.deepStrictEqual(draw(false, 1)[0], { rate: 0, size: 1 })
  })

  it("refuses more dimensions than its table has", () => {
    const wide = Space.make(Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`x${i}`, Space.uniform(0, 1)])))
    assert.include(Sobol.make().check!(problem(wide))?.found, "65")
    assert.throws(() => Sobol.point(65, 0), RangeError)
    assert.throws(() => Sobol.point(2, 2 ** 32), RangeError)
  })
})
