import { assert, describe, it } from "@effect/vitest"
import type * as Sampler from "../../../src/search/Sampler.ts"
import * as Auto from "../../../src/search/samplers/Auto.ts"
import * as Space from "../../../src/search/space/Space.ts"
import { problem, proposals } from "./proposals.ts"

const continuous = Space.make({ rate: Space.logUniform(1e-5, 1), optimizer: Space.choice(["adamw", "sgd"]) })
const small = Space.make({ layers: Space.integer(1, 3), optimizer: Space.choice(["adamw", "sgd"]) })

const chosen = (space: Space.Space, changes: Partial<Sampler.Problem> = {}) =>
  Auto.make().resolve!({ ...problem(space), ...changes })

describe("Auto", () => {
  it("says what it chose, and why", () => {
    assert.match(
      chosen(continuous, { trials: 40 }).description,
      /^Gaussian process.*; from 20 trials on every 3rd proposal by a tree-structured Parzen.*\(chosen: at most 40 trials\)$/
    )
    assert.match(
      chosen(continuous, { trials: 20 }).description,
      /^Gaussian process with.*\(chosen: at most 20 trials\)$/
    )
    assert.match(
      chosen(continuous, { trials: 2000 }).description,
      /^Gaussian process.*; after 300 trials by it alone \(chosen: 2000 trials, and .* takes too long\)$/
    )
    assert.match(chosen(continuous, { trials: Infinity }).description, /no limit to the trials/)
    assert.match(chosen(small, { trials: 6 }).description, /^every combination \(chosen: the space has 6 points\)$/)
  })

  it("does not take every combination for what a study of a limited budget can try", () => {
    assert.match(chosen(small, { trials: Infinity }).description, /^Gaussian process/)
    assert.match(chosen(small, { trials: 5 }).description, /^Gaussian process/)
  })

  it("expects improvements where its choice does, and listens to earlier studies", () => {
    assert.isTrue(chosen(continuous).expectsImprovement)
    assert.isTrue(chosen(continuous).usesEarlier)
    assert.isTrue(chosen(small, { trials: 6 }).usesEarlier)
  })

  it("uses up a small space, each point once", () => {
    const found = proposals(Auto.make(), small, 20)
    assert.strictEqual(new Set(found.map(small.key)).size, 6)
  })
})
