import { assert, describe, it } from "@effect/vitest"
import * as Random from "../../src/random/Random.ts"
import * as Pareto from "../../src/search/Pareto.ts"
import * as Ranking from "../../src/search/Ranking.ts"

const entry = (losses: ReadonlyArray<number>, violations: ReadonlyArray<number> = []) => ({ losses, violations })

describe("Ranking", () => {
  it("orders one objective by its loss, and equal trials by when they started", () => {
    assert.deepStrictEqual(Ranking.order([3, 1, 2, 1, -5].map((loss) => entry([loss]))), [4, 1, 3, 2, 0])
    assert.deepStrictEqual(Ranking.order([]), [])
  })

  it("puts trials that keep every limit first, then those that break them less", () => {
    const order = Ranking.order([
      entry([0], [0.1, -5]),
      entry([9], [0, 0]),
      entry([1], [-3, 40]),
      entry([8], [-1, -1]),
      entry([2], [0.05, 10])
    ])
    // In units of the worst violations, 0.1 and 40: 1, kept, 1, kept, 0.5 + 0.25.
    assert.deepStrictEqual(order, [3, 1, 4, 0, 2])
  })

  it("does not depend on the units of a limit or of an objective", () => {
    const random = Random.make(1, "entries")
    const entries = Array.from(
      { length: 30 },
      () => entry([random.uniform(), random.uniform()], [random.normal(), random.normal()])
    )
    const rescaled = entries.map(({ losses: [a, b], violations: [c, d] }) => entry([a! * 1024, b! - 4], [c!, d! * 64]))
    assert.deepStrictEqual(Ranking.order(rescaled), Ranking.order(entries))
  })

  it("orders several objectives by front", () => {
    for (const seed of [1, 2, 3]) {
      const random = Random.make(seed, "entries")
      const points = Array.from({ length: 40 }, () => [random.integer(8), random.integer(8), random.integer(8)])
      const order = Ranking.order(points.map((losses) => entry(losses)))
      const rank = new Map(Pareto.fronts(points).flatMap((front, rank) => front.map((index) => [index, rank] as const)))
      assert.strictEqual(new Set(order).size, 40)
      for (let i = 1; i < 40; i++) assert.isAtLeast(rank.get(order[i]!)!, rank.get(order[i - 1]!)!)
    }
  })

  it("spreads the first of a front over it: the compromise, the ends, then the widest gaps", () => {
    // Ten trials crowd at one end; one is alone in the middle and one at the other end.
    const crowd = Array.from({ length: 10 }, (_, i) => entry([i / 1000, 1 - i / 1000]))
    const order = Ranking.order([...crowd, entry([0.45, 0.45]), entry([1, 0])])
    assert.deepStrictEqual(order.slice(0, 3), [10, 0, 11])
    const equal = Ranking.order([entry([1, 1]), entry([1, 1]), entry([1, 1])])
    assert.deepStrictEqual(equal, [0, 1, 2])
  })

  it("orders trials that break limits equally by their objectives", () => {
    const order = Ranking.order([entry([2, 2], [1]), entry([1, 1], [1]), entry([5, 5], [-1]), entry([1, 0.5], [1])])
    assert.deepStrictEqual(order, [2, 3, 1, 0])
  })
})
