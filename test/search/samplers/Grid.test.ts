import { assert, describe, it } from "@effect/vitest"
import { InvalidStudy } from "../../../src/search/InvalidStudy.ts"
import * as Grid from "../../../src/search/samplers/Grid.ts"
import * as Space from "../../../src/search/space/Space.ts"
import { problem, proposals } from "./proposals.ts"

describe("Grid", () => {
  it("turns like an odometer, the last hyperparameter fastest", () => {
    const space = Space.make({
      optimizer: Space.choice(["adamw", "sgd"]),
      learningRate: Space.logUniform(1e-4, 1e-2),
      seed: Space.fixed(7)
    })
    const sampler = Grid.make()
    assert.strictEqual(sampler.size(space), 6)
    assert.deepStrictEqual(proposals(sampler, space, 100), [
      { optimizer: "adamw", learningRate: 1e-4, seed: 7 },
      { optimizer: "adamw", learningRate: 1e-3, seed: 7 },
      { optimizer: "adamw", learningRate: 1e-2, seed: 7 },
      { optimizer: "sgd", learningRate: 1e-4, seed: 7 },
      { optimizer: "sgd", learningRate: 1e-3, seed: 7 },
      { optimizer: "sgd", learningRate: 1e-2, seed: 7 }
    ])
  })

  it("takes as many values as asked, all of a choice, and each whole number once", () => {
    const space = Space.make({
      rate: Space.uniform(0, 1),
      few: Space.integer(1, 2),
      many: Space.integer(1, 100),
      crowded: Space.integer(1, 6, { scale: "log" }),
      kind: Space.choice(["a", "b", "c", "d", "e"])
    })
    const sampler = Grid.make({ resolution: 4, resolutions: { rate: 1, crowded: 5 } })
    const values = (name: keyof Space.Type<typeof space>) => [
      ...new Set(proposals(sampler, space, Infinity).map((params) => params[name]))
    ]
    assert.deepStrictEqual(values("rate"), [0.5])
    assert.deepStrictEqual(values("few"), [1, 2])
    assert.deepStrictEqual(values("many"), [1, 34, 67, 100])
    assert.deepStrictEqual(values("kind"), ["a", "b", "c", "d", "e"])
    assert.strictEqual(new Set(values("crowded")).size, values("crowded").length)
    assert.strictEqual(proposals(sampler, space, Infinity).length, sampler.size(space))
  })

  it("passes over points that a trial already has", () => {
    const space = Space.make({ a: Space.integer(1, 3), b: Space.integer(1, 3) })
    const enqueued = [{ a: 2, b: 2 }, { a: 1, b: 1 }]
    const points = proposals(Grid.make(), space, Infinity, { enqueued })
    assert.strictEqual(points.length, 7)
    assert.strictEqual(new Set([...points, ...enqueued].map((params) => space.key(params))).size, 9)
  })

  it("refuses a resolution that is no count, and one for a hyperparameter that is not there", () => {
    assert.throws(() => Grid.make({ resolution: 0 }), InvalidStudy, /resolution/)
    assert.throws(() => Grid.make({ resolutions: { rate: 1.5 } }), InvalidStudy, /rate/)
    const space = Space.make({ rate: Space.uniform(0, 1) })
    assert.include(Grid.make({ resolutions: { epochs: 2 } }).check!(problem(space))?.found, "epochs")
    assert.isUndefined(Grid.make({ resolutions: { rate: 2 } }).check!(problem(space)))
  })
})
