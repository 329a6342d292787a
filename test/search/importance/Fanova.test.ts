import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Random from "../../../src/random/Random.ts"
import * as Fanova from "../../../src/search/importance/Fanova.ts"
import * as RegressionForest from "../../../src/search/importance/RegressionForest.ts"

type Feature = RegressionForest.Feature

const integer = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** A point in each cell of an axis that the tree does not tell apart, with the cell's width. */
const cellsOf = (tree: RegressionForest.Tree, feature: Feature, f: number) => {
  if (feature.kind === "categorical") {
    return Array.from({ length: feature.size }, (_, category) => ({ at: category, width: 1 / feature.size }))
  }
  const cuts = [...tree.threshold].filter((_, node) => tree.feature[node] === f)
  const edges = [...new Set([0, ...cuts, 1])].toSorted((a, b) => a - b)
  return edges.slice(1).map((edge, cell) => ({ at: (edge + edges[cell]!) / 2, width: edge - edges[cell]! }))
}

/** The decomposition by its definition: predictions at every cell of the whole grid, averaged. */
const byDefinition = (tree: RegressionForest.Tree, features: ReadonlyArray<Feature>) => {
  const axes = features.map((feature, f) => cellsOf(tree, feature, f))
  interface Cell {
    readonly cells: ReadonlyArray<number>
    readonly weight: number
    readonly value: number
  }
  const grid: Array<Cell> = []
  const visit = (cells: ReadonlyArray<number>, weight: number): void => {
    if (cells.length < axes.length) {
      for (const [cell, { width }] of axes[cells.length]!.entries()) visit([...cells, cell], weight * width)
      return
    }
    const point = cells.map((cell, f) => axes[f]![cell]!.at)
    grid.push({ cells, weight, value: RegressionForest.predict(tree, features, point) })
  }
  visit([], 1)
  const mean = grid.reduce((sum, { value, weight }) => sum + weight * value, 0)
  const varianceOf = (subset: ReadonlyArray<number>) => {
    const marginal = new Map<string, { weight: number; sum: number }>()
    for (const { cells, value, weight } of grid) {
      const key = subset.map((f) => cells[f]).join()
      const entry = marginal.get(key) ?? { weight: 0, sum: 0 }
      entry.weight += weight
      entry.sum += weight * (value - mean)
      marginal.set(key, entry)
    }
    return [...marginal.values()].reduce((total, { sum, weight }) => total + sum ** 2 / weight, 0)
  }
  const all = features.map((_, f) => f)
  const variance = varianceOf(all)
  const main = all.map((f) => varianceOf([f]))
  return {
    main: main.map((each) => each / variance),
    pairs: all.flatMap((a) => all.slice(a + 1).map((b) => (varianceOf([a, b]) - main[a]! - main[b]!) / variance))
  }
}

describe("Fanova", () => {
  it.prop(
    "is the decomposition of variance of each tree, exactly",
    { seed: integer(0, 1_000_000), rows: integer(5, 40), leaf: integer(1, 3) },
    ({ leaf, rows, seed }) => {
      const draw = Random.make(seed, "test")
      const column = (next: () => number, inactive = 0) =>
        Array.from({ length: rows }, () => draw.uniform() < inactive ? NaN : next())
      const features: ReadonlyArray<Feature> = [
        { kind: "numeric", values: column(draw.uniform) },
        { kind: "categorical", size: 5, values: column(() => draw.integer(4)) },
        { kind: "numeric", values: column(() => (draw.integer(4) + 0.5) / 4, 0.4) },
        { kind: "categorical", size: 2, values: column(() => draw.integer(2), 0.3) }
      ]
      const forest = RegressionForest.fit(features, column(draw.normal), {
        seed,
        trees: 1,
        features: 3,
        leaf,
        depth: 9
      })
      const found = Fanova.decompose(forest, features, true)
      if (forest[0]!.feature.length === 1) return assert.strictEqual(found.trees, 0)
      const expected = byDefinition(forest[0]!, features)
      for (const [f, share] of found.main.entries()) {
        assert.isAtMost(Math.abs(share.mean - expected.main[f]!), 1e-9)
      }
      for (const [pair, share] of found.pairs.entries()) {
        assert.isAtMost(Math.abs(share.mean - expected.pairs[pair]!), 1e-9)
      }
      assert.strictEqual(found.pairs.length, 6)
    },
    { arbitrary: { runs: 40 } }
  )

  it("reports the mean and the spread of the trees, those left out that are constant", () => {
    const constant: RegressionForest.Tree = {
      feature: Int32Array.of(-1),
      threshold: new Float64Array(1),
      left: new Int32Array(1),
      right: new Int32Array(1),
      value: Float64Array.of(3),
      goesLeft: new Uint8Array()
    }
    const splitOn = (feature: number, threshold: number): RegressionForest.Tree => ({
      feature: Int32Array.of(feature, -1, -1),
      threshold: Float64Array.of(threshold, 0, 0),
      left: Int32Array.of(1, 0, 0),
      right: Int32Array.of(2, 0, 0),
      value: Float64Array.of(0, 1, 2),
      goesLeft: new Uint8Array()
    })
    const features: ReadonlyArray<Feature> = [{ kind: "numeric", values: [] }, { kind: "numeric", values: [] }]
    const forest = [splitOn(0, 0.2), constant, splitOn(1, 0.5), splitOn(0, 0.9), splitOn(0, 0.5)]
    const found = Fanova.decompose(forest, features, true)
    assert.strictEqual(found.trees, 4)
    assert.deepStrictEqual(found.main.map(({ mean }) => mean), [0.75, 0.25])
    for (const { deviation } of found.main) assert.isAtMost(Math.abs(deviation - Math.sqrt(3) / 4), 1e-12)
    assert.deepStrictEqual(found.pairs, [{ mean: 0, deviation: 0 }])
    assert.deepStrictEqual(Fanova.decompose(forest, features, false).pairs, [])
    assert.deepStrictEqual(Fanova.decompose([constant], features, true).trees, 0)
  })
})
