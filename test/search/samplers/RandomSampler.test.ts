import { assert, describe, it } from "@effect/vitest"
import * as RandomSampler from "../../../src/search/samplers/RandomSampler.ts"
import * as Space from "../../../src/search/space/Space.ts"
import { proposals } from "./proposals.ts"

const sampler = RandomSampler.make()

describe("RandomSampler", () => {
  const space = Space.make({ rate: Space.uniform(0, 1), size: Space.integer(1, 1000) })

  it("depends on the seed and the index, and on nothing else", () => {
    assert.deepStrictEqual(proposals(sampler, space, 20), proposals(sampler, space, 40).slice(0, 20))
    assert.notDeepEqual(proposals(sampler, space, 20, { seed: 2 }), proposals(sampler, space, 20))
  })

  it("leaves the values of the others alone when a hyperparameter comes or changes", () => {
    const wider = Space.make({ added: Space.uniform(5, 6), size: Space.integer(1, 9), rate: Space.uniform(0, 1) })
    assert.deepStrictEqual(
      proposals(sampler, wider, 20).map((params) => params.rate),
      proposals(sampler, space, 20).map((params) => params.rate)
    )
  })

  it("is uniform in every hyperparameter and independent between them", () => {
    const count = 4000
    const points = proposals(sampler, space, count).map((params) => space.toUnit(params) as [number, number])
    const mean = (f: (point: [number, number]) => number) => points.reduce((sum, point) => sum + f(point), 0) / count
    // Five standard errors of a uniform mean, and of the product of two independent ones.
    for (const axis of [0, 1] as const) assert.closeTo(mean((point) => point[axis]), 0.5, 5 * Math.sqrt(1 / 12 / count))
    assert.closeTo(mean((point) => (point[0] - 0.5) * (point[1] - 0.5)), 0, 5 / 12 / Math.sqrt(count))
  })

  it("uses up a space of finite size without a repeat, then has no more", () => {
    const small = Space.make({
      a: Space.choice(["x", "y"]),
      b: Space.integer(1, 200, { scale: "log" }),
      c: Space.fixed(1)
    })
    const enqueued = [{ a: "x", b: 1, c: 1 }] as const
    const points = proposals(sampler, small, Infinity, { enqueued })
    assert.strictEqual(points.length, 399)
    assert.strictEqual(new Set([...points, ...enqueued].map((params) => small.key(params))).size, 400)
  })
})
