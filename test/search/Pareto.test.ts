import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import * as Random from "../../src/random/Random.ts"
import * as Pareto from "../../src/search/Pareto.ts"

const fixture: {
  readonly cases: ReadonlyArray<{
    readonly points: ReadonlyArray<ReadonlyArray<number>>
    readonly reference: ReadonlyArray<number>
    readonly hypervolume: number
  }>
} = JSON.parse(readFileSync(new URL("../fixtures/search/hypervolume.json", import.meta.url), "utf8"))

/** `levels` makes ties and equal points likely. */
const cloud = (seed: number, count: number, losses: number, levels = Infinity) => {
  const random = Random.make(seed, "cloud")
  const draw = () => levels === Infinity ? random.uniform() : random.integer(levels) / levels
  return Array.from({ length: count }, () => Array.from({ length: losses }, draw))
}

const ones = (losses: number) => Array.from({ length: losses }, () => 1)

/** By inclusion and exclusion over all subsets: exact, and unlike the method under test. */
const byInclusion = (points: ReadonlyArray<ReadonlyArray<number>>, reference: ReadonlyArray<number>): number => {
  let sum = 0
  for (let subset = 1; subset < 2 ** points.length; subset++) {
    const members = points.filter((_, i) => (subset >> i) & 1)
    const shared = reference.reduce((v, r, d) => v * Math.max(0, r - Math.max(...members.map((p) => p[d]!))), 1)
    sum += members.length % 2 === 1 ? shared : -shared
  }
  return sum
}

const clouds = [2, 3, 4, 5].flatMap((losses) =>
  [Infinity, 4].flatMap((levels) => [1, 2, 3].map((seed) => ({ losses, levels, seed })))
)

describe("Pareto", () => {
  it("knows which point surpasses which", () => {
    assert.isTrue(Pareto.dominates([1, 2], [1, 3]))
    assert.isFalse(Pareto.dominates([1, 3], [1, 2]))
    assert.isFalse(Pareto.dominates([1, 2], [1, 2]))
    assert.isFalse(Pareto.dominates([0, 3], [1, 2]))
  })

  it("sorts points into fronts: each once, none surpassed within its front, each surpassed by the front before", () => {
    for (const { levels, losses, seed } of clouds) {
      const points = cloud(seed, 40, losses, levels)
      const fronts = Pareto.fronts(points)
      assert.deepStrictEqual(fronts.flat().toSorted((a, b) => a - b), points.map((_, index) => index))
      for (const [rank, front] of fronts.entries()) {
        for (const index of front) {
          const isSurpassed = (by: ReadonlyArray<number>) =>
            by.some((other) => Pareto.dominates(points[other]!, points[index]!))
          assert.isFalse(isSurpassed(front))
          if (rank > 0) assert.isTrue(isSurpassed(fronts[rank - 1]!))
        }
      }
    }
    assert.deepStrictEqual(Pareto.fronts([]), [])
    assert.deepStrictEqual(Pareto.fronts([[2, 2], [1, 3], [3, 3], [2, 2], [3, 1]]), [[0, 1, 3, 4], [2]])
  })

  it("measures the room of each point of a front", () => {
    const points = [[0, 10], [9, 9], [1, 6], [4, 2], [10, 0]]
    // Between (0, 10) and (4, 2), and between (1, 6) and (10, 0), on ranges of 10.
    assert.deepStrictEqual([...Pareto.crowding(points, [0, 2, 3, 4])], [Infinity, 0.4 + 0.8, 0.9 + 0.6, Infinity])
    assert.deepStrictEqual([...Pareto.crowding([[1, 2], [1, 2]], [0, 1])], [0, 0])
    assert.deepStrictEqual([...Pareto.crowding([], [])], [])
  })

  it("finds the reference hypervolumes", () => {
    assert.strictEqual(fixture.cases.length, 2)
    for (const { hypervolume, points, reference } of fixture.cases) {
      assert.closeTo(Pareto.hypervolume(points, reference), hypervolume, 1e-12)
    }
  })

  it("finds the hypervolume of any number of objectives, and what each point adds to it", () => {
    for (const losses of [1, 2, 3, 4, 5, 6]) {
      for (const levels of [Infinity, 4]) {
        const points = cloud(losses, 10, losses, levels)
        const reference = ones(losses)
        const whole = byInclusion(points, reference)
        assert.closeTo(Pareto.hypervolume(points, reference), whole, 1e-12)
        for (const [index, contribution] of Pareto.contributions(points, reference).entries()) {
          assert.closeTo(contribution, whole - byInclusion(points.toSpliced(index, 1), reference), 1e-12)
        }
      }
    }
  })

  it("never covers less with a point more, nor anything else in another order", () => {
    for (const { levels, losses, seed } of clouds) {
      const points = cloud(seed, 30, losses, levels)
      const volume = (count: number) => Pareto.hypervolume(points.slice(0, count), ones(losses))
      for (let count = 1; count < 30; count++) assert.isAtLeast(volume(count + 1), volume(count) - 1e-12)
      const shuffled = Array.from(Random.make(seed, "order").permutation(30), (index) => points[index]!)
      assert.closeTo(Pareto.hypervolume(shuffled, ones(losses)), volume(30), 1e-12)
    }
  })

  it("counts nothing beyond the reference, and nothing twice", () => {
    assert.strictEqual(Pareto.hypervolume([], [1, 1]), 0)
    assert.strictEqual(Pareto.hypervolume([[0, 1], [2, 0], [2, 2]], [1, 1]), 0)
    assert.strictEqual(Pareto.hypervolume([[0.5, 0.5], [0.5, 0.5]], [1, 1]), 0.25)
    assert.deepStrictEqual(
      [...Pareto.contributions([[0.5, 0.5], [0.5, 0.5], [0.75, 0.75], [0, 2], [0, 0.75]], [1, 1])],
      [0, 0, 0, 0, 0.125]
    )
    assert.throws(() => Pareto.hypervolume([[0, 0, 0]], [1, 1]), RangeError)
  })
})
