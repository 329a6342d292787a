import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Random from "../../../src/random/Random.ts"
import * as Tchebycheff from "../../../src/search/samplers/Tchebycheff.ts"

const integer = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

describe("Tchebycheff", () => {
  it("is the largest weighted loss and a twentieth of their sum, each objective on its own scale", () => {
    const losses = [Float64Array.from([0, 5, 10]), Float64Array.from([300, 100, 200])]
    const found = Tchebycheff.scalarise(losses, [0.25, 0.75])
    const expected = [0.75 + 0.05 * 0.75, 0.125 + 0.05 * 0.125, 0.375 + 0.05 * 0.625]
    for (const [i, value] of expected.entries()) assert.isAtMost(Math.abs(found[i]! - value), 1e-15)
  })

  it.prop(
    "never prefers a trial to one that is better in every objective",
    { seed: integer(0, 1_000_000), objectives: integer(2, 4) },
    ({ objectives, seed }) => {
      const random = Random.make(seed, "losses")
      const losses = Array.from({ length: objectives }, () => Float64Array.from({ length: 12 }, () => random.normal()))
      const weights = Tchebycheff.weights(objectives, random)
      assert.strictEqual(weights.length, objectives)
      assert.isAtMost(Math.abs(weights.reduce((sum, weight) => sum + weight, 0) - 1), 1e-12)
      assert.isTrue(weights.every((weight) => weight >= 0))
      const values = Tchebycheff.scalarise(losses, weights)
      for (let i = 0; i < 12; i++) {
        for (let j = 0; j < 12; j++) {
          if (losses.every((all) => all[i]! < all[j]!)) assert.isBelow(values[i]!, values[j]!)
        }
      }
    }
  )
})
