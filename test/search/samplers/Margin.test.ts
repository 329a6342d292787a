import { assert, describe, it } from "@effect/vitest"
import * as Random from "../../../src/random/Random.ts"
import * as Margin from "../../../src/search/samplers/Margin.ts"
import { type Dimension, indexAt } from "../../../src/search/space/Dimension.ts"
import * as Space from "../../../src/search/space/Space.ts"
import * as Normal from "../../../src/statistics/Normal.ts"

const dimensions: ReadonlyArray<Dimension<unknown>> = [
  Space.integer(0, 1),
  Space.choice(["a", "b"]),
  Space.ordinal(["small", "medium", "large"]),
  Space.integer(-10, 10),
  Space.integer(8, 64, { step: 8 }),
  Space.integer(1, 128, { scale: "log" }),
  Space.uniform(0, 0.5, { step: 0.1 })
]

/** How likely values below and above number `index` are. */
const sides = (dimension: Dimension<unknown>, index: number, { deviation, mean }: Margin.Marginal) => {
  const [lower, upper] = Margin.shareOf(dimension, index)
  return {
    below: index === 0 ? 0 : Normal.cumulative((lower - mean) / deviation),
    above: index === dimension.size - 1 ? 0 : Normal.cumulative((mean - upper) / deviation)
  }
}

describe("Margin", () => {
  it("knows the share of each value, which join without gaps", () => {
    for (const dimension of dimensions) {
      for (let index = 0; index < dimension.size; index++) {
        const [lower, upper] = Margin.shareOf(dimension, index)
        for (const inside of [0.01, 0.5, 0.99]) {
          assert.strictEqual(indexAt(dimension, lower + inside * (upper - lower)), index)
        }
        if (index > 0) assert.closeTo(lower, Margin.shareOf(dimension, index - 1)[1], 1e-14)
        assert.closeTo(index === 0 ? lower : index === dimension.size - 1 ? upper - 1 : 0, 0, 1e-14)
      }
    }
  })

  it("leaves no value so likely that the others are hardly ever tried", () => {
    const random = Random.make(1, "marginals")
    for (let i = 0; i < 3000; i++) {
      const dimension = dimensions[i % dimensions.length]!
      const margin = 10 ** (-0.5 - 3 * random.uniform())
      const before = { mean: random.uniform() * 1.4 - 0.2, deviation: 10 ** (-7 * random.uniform()) }
      const after = Margin.widen(dimension, before, margin)
      const index = indexAt(dimension, before.mean)
      assert.strictEqual(indexAt(dimension, after.mean), index, "the most likely value stays")
      const { above, below } = sides(dimension, index, after)
      // Within rounding, which is coarse where the deviation is a ten-millionth.
      const least = margin * (1 - 1e-6)
      assert.isAtLeast(below + above, least)
      if (index > 0 && index < dimension.size - 1) {
        assert.isAtLeast(below, least / 2)
        assert.isAtLeast(above, least / 2)
      }
    }
  })

  it("changes nothing where the others are likely enough", () => {
    for (const mean of [0.1, 0.5, 0.95]) {
      const before = { mean, deviation: 0.3 }
      for (const dimension of dimensions) assert.deepStrictEqual(Margin.widen(dimension, before, 0.02), before)
    }
  })

  it("moves only the mean at either end, to where the other value has just the margin", () => {
    const binary = Space.integer(0, 1)
    // The 0.98 quantile of the standard normal distribution, from tables.
    const away = 2.053748910631823 * 0.01
    const low = Margin.widen(binary, { mean: 0.2, deviation: 0.01 }, 0.02)
    assert.strictEqual(low.deviation, 0.01)
    assert.closeTo(low.mean, 0.5 - away, 1e-12)
    assert.closeTo(Margin.widen(binary, { mean: 0.9, deviation: 0.01 }, 0.02).mean, 0.5 + away, 1e-12)
  })

  it("widens a value in the middle so that either side has half the margin", () => {
    const { deviation, mean } = Margin.widen(Space.integer(1, 5), { mean: 0.5, deviation: 1e-4 }, 0.02)
    assert.closeTo(mean, 0.5, 1e-12)
    // Its share is a fifth, so its ends are a tenth away: the 0.99 quantile from tables.
    assert.closeTo(deviation, 0.1 / 2.3263478740408408, 1e-12)
  })
})
