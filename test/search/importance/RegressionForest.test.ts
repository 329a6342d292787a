import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import * as Random from "../../../src/random/Random.ts"
import * as RegressionForest from "../../../src/search/importance/RegressionForest.ts"

const { problems }: {
  readonly problems: {
    readonly hartmann6: {
      readonly rows: ReadonlyArray<ReadonlyArray<number>>
      readonly forest: { readonly mean: number; readonly deviation: number }
    }
  }
} = JSON.parse(readFileSync(new URL("../../fixtures/search/importance.json", import.meta.url), "utf8"))

const options = { seed: 1, trees: 64, features: Infinity, leaf: 1, depth: 64 }

const numeric = (values: ReadonlyArray<number>): RegressionForest.Feature => ({ kind: "numeric", values })

const mean = (values: ReadonlyArray<number>) => values.reduce((sum, each) => sum + each, 0) / values.length

const predictAll = (
  forest: ReadonlyArray<RegressionForest.Tree>,
  features: ReadonlyArray<RegressionForest.Feature>,
  point: ReadonlyArray<number>
) => forest.map((tree) => RegressionForest.predict(tree, features, point))

describe("RegressionForest", () => {
  it("predicts what it has not seen as well as scikit-learn's forest does", () => {
    const { forest: reference, rows } = problems.hartmann6
    const [train, test] = [rows.slice(0, 200), rows.slice(200)]
    const features = [0, 1, 2, 3, 4, 5].map((f) => numeric(train.map((row) => row[f]!)))
    const errors = [1, 2, 3, 4].map((seed) => {
      const forest = RegressionForest.fit(features, train.map((row) => row[6]!), { ...options, seed })
      return Math.sqrt(mean(test.map((row) => (mean(predictAll(forest, features, row)) - row[6]!) ** 2)))
    })
    assert.isAtMost(Math.abs(mean(errors) - reference.mean), 2 * reference.deviation, `${errors}`)
  })

  it("tells the categories apart that matter, by one split", () => {
    const draw = Random.make(1, "test")
    const category = Array.from({ length: 200 }, () => draw.integer(5))
    const odd = category.map((each) => each % 2)
    const features: ReadonlyArray<RegressionForest.Feature> = [{ kind: "categorical", size: 5, values: category }]
    for (const tree of RegressionForest.fit(features, odd, options)) {
      assert.strictEqual(tree.feature.length, 3)
      assert.deepStrictEqual(
        [0, 1, 2, 3, 4].map((each) => RegressionForest.predict(tree, features, [each])),
        [0, 1, 0, 1, 0]
      )
    }
  })

  it("sends a category that it has not seen to either side", () => {
    const category = Array.from({ length: 40 }, (_, row) => row % 2)
    const features: ReadonlyArray<RegressionForest.Feature> = [{ kind: "categorical", size: 3, values: category }]
    const predictions = predictAll(RegressionForest.fit(features, category, options), features, [2])
    assert.deepStrictEqual([...new Set(predictions)].toSorted(), [0, 1])
  })

  it("finds what two features do only together, where neither helps by itself", () => {
    const corners = [[0, 0], [0, 1], [1, 0], [1, 1]]
    const features = [numeric([0, 0, 1, 1]), numeric([0, 1, 0, 1])]
    // Of four rows each bootstrap sample with a right tree has every one once, and then no split gains anything.
    const right = RegressionForest.fit(features, [0, 1, 1, 0], options).filter((tree) =>
      corners.every(([a, b], row) => RegressionForest.predict(tree, features, [a!, b!]) === [0, 1, 1, 0][row])
    )
    assert.isAbove(right.length, 0)
  })

  it("keeps to the size of leaves and the depth it is given", () => {
    const draw = Random.make(2, "test")
    const values = Array.from({ length: 300 }, () => draw.uniform())
    const targets = values.map((value) => Math.sin(9 * value) + draw.normal())
    const sizes = [1, 5, 50].map((leaf) =>
      mean(RegressionForest.fit([numeric(values)], targets, { ...options, leaf }).map((tree) => tree.feature.length))
    )
    // Some 63 of 100 rows are in a bootstrap sample; a leaf of 5 or more leaves at most 60 of 300, so 119 nodes.
    assert.isAbove(sizes[0]!, 300)
    assert.isBelow(sizes[1]!, 120)
    assert.isBelow(sizes[2]!, 12)
    const shallow = RegressionForest.fit([numeric(values)], targets, { ...options, depth: 2 })
    for (const tree of shallow) assert.isAtMost(tree.feature.length, 7)
  })

  it("splits between neighbouring doubles, and never on a feature that is constant", () => {
    const next = 0.5 + Number.EPSILON / 2
    const values = Array.from({ length: 20 }, (_, i) => i % 2 === 0 ? 0.5 : next)
    const features = [numeric(values.map(() => 0.25)), numeric(values)]
    const forest = RegressionForest.fit(features, values.map((value) => value === 0.5 ? 1 : 2), options)
    for (const tree of forest) {
      assert.deepStrictEqual([...tree.feature], [1, -1, -1])
      assert.strictEqual(RegressionForest.predict(tree, features, [0.25, 0.5]), 1)
      assert.strictEqual(RegressionForest.predict(tree, features, [0.25, next]), 2)
    }
  })

  it("gives the same trees for the same seed, and others for another", () => {
    const draw = Random.make(3, "test")
    const values = Array.from({ length: 50 }, () => draw.uniform() < 0.2 ? NaN : draw.uniform())
    const features: ReadonlyArray<RegressionForest.Feature> = [
      numeric(values),
      { kind: "categorical", size: 9, values: values.map(() => draw.integer(9)) }
    ]
    const targets = values.map(() => draw.normal())
    const fit = (seed: number) => RegressionForest.fit(features, targets, { ...options, trees: 4, features: 1, seed })
    assert.deepStrictEqual(fit(7), fit(7))
    assert.notDeepEqual(fit(7), fit(8))
  })
})
