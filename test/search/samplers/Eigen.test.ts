import { assert, describe, it } from "@effect/vitest"
import * as Random from "../../../src/random/Random.ts"
import * as Eigen from "../../../src/search/samplers/Eigen.ts"

const at = (matrix: Float64Array, size: number, row: number, column: number) => matrix[row * size + column]!

const indices = (size: number) => Array.from({ length: size }, (_, i) => i)

/** The sum over `k` of a product. */
const dot = (size: number, term: (k: number) => number) => indices(size).reduce((sum, k) => sum + term(k), 0)

describe("Eigen", () => {
  it("knows the eigenvalues of a path: 2 - 2 cos(pi k / (n + 1))", () => {
    const size = 7, matrix = new Float64Array(size * size)
    for (let i = 0; i < size; i++) {
      matrix[i * size + i] = 2
      if (i > 0) matrix[i * size + i - 1] = -1
    }
    const values = Eigen.symmetric(matrix, size).values.toSorted()
    for (const k of indices(size)) assert.closeTo(values[k]!, 2 - 2 * Math.cos(Math.PI * (k + 1) / (size + 1)), 1e-13)
  })

  it("takes a matrix apart into directions at right angles that give it back, whatever its scales", () => {
    for (const size of [1, 2, 3, 8, 20]) {
      const random = Random.make(size, "matrix")
      const root = Float64Array.from({ length: size * size }, () => random.normal())
      const scale = indices(size).map((i) => 10 ** (-6 * i / size))
      const matrix = new Float64Array(size * size)
      for (const i of indices(size)) {
        for (const j of indices(size)) {
          matrix[i * size + j] = scale[i]! * scale[j]! * dot(size, (k) => at(root, size, i, k) * at(root, size, j, k))
        }
      }
      const { values, vectors } = Eigen.symmetric(matrix, size)
      for (const i of indices(size)) {
        assert.isAtLeast(values[i]!, 0)
        for (const j of indices(size)) {
          const inner = dot(size, (k) => at(vectors, size, k, i) * at(vectors, size, k, j))
          assert.closeTo(inner, i === j ? 1 : 0, 1e-13)
          const again = dot(size, (k) => at(vectors, size, i, k) * values[k]! * at(vectors, size, j, k))
          assert.closeTo(again, at(matrix, size, i, j), 1e-12 * size)
        }
      }
    }
  })
})
