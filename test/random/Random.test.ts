import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Random from "../../src/random/Random.ts"

describe("Random", () => {
  // Known answers published with Random123 (kat_vectors, philox4x32 10).
  it("gives the published known answers of Philox4x32-10", () => {
    const max = 0xffffffff
    assert.deepStrictEqual(Random.philox4x32([0, 0, 0, 0], [0, 0]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8])
    assert.deepStrictEqual(
      Random.philox4x32([max, max, max, max], [max, max]),
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]
    )
    assert.deepStrictEqual(
      Random.philox4x32([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]),
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]
    )
  })

  it("draws the same at a step whatever was drawn at others", () => {
    const first = Random.make(7, "dropout", 500).uniform()
    for (let step = 0; step < 500; step++) Random.make(7, "dropout", step).uniform()
    assert.strictEqual(Random.make(7, "dropout", 500).uniform(), first)
    assert.notStrictEqual(Random.make(7, "shuffle", 500).uniform(), first)
    assert.notStrictEqual(Random.make(8, "dropout", 500).uniform(), first)
    assert.notStrictEqual(Random.make(7, "dropout", 500 + 2 ** 32).uniform(), first)
  })

  it("has the moments of its distributions", () => {
    const random = Random.make(1, "moments")
    const count = 50_000
    let sum = 0, squares = 0, uniforms = 0
    for (let i = 0; i < count; i++) {
      const x = random.normal()
      sum += x
      squares += x * x
      uniforms += random.uniform()
    }
    // Five standard errors.
    assert.isBelow(Math.abs(sum / count), 5 / Math.sqrt(count))
    assert.isBelow(Math.abs(squares / count - 1), 5 * Math.sqrt(2 / count))
    assert.isBelow(Math.abs(uniforms / count - 0.5), 5 * Math.sqrt(1 / 12 / count))
  })

  it.prop(
    "permutes without losing anything",
    [Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 300 }))],
    ([length]) => {
      const order = [...Random.make(length, "order").permutation(length)]
      assert.deepStrictEqual(order.toSorted((a, b) => a - b), Array.from({ length }, (_, i) => i))
    }
  )
})
