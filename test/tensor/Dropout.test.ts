import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Random from "../../src/random/Random.ts"
import type { Tf } from "../../src/tensor/Backend.ts"
import * as Dropout from "../../src/tensor/Dropout.ts"
import { everywhere, on } from "./Parity.ts"

const drawn = (seed: number, step: number, purpose: string, shape: ReadonlyArray<number>, rate: number) => (tf: Tf) => [
  Dropout.factors(tf, Random.address(seed, purpose, step), shape, rate).values
]

const Natural = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 53 - 1 }))
const Size = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 300 }))
const Rate = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1, exclusiveMaximum: true }))

describe("factors", () => {
  it.effect.prop("are the same to the bit with a kernel and without", [Natural, Natural, Size, Rate], (
    [seed, step, size, rate]
  ) =>
    Effect.gen(function*() {
      const compute = drawn(seed, step, "here", [size], rate)
      const onCpu = yield* on("cpu", compute)
      for (const name of everywhere) assert.deepStrictEqual(yield* on(name, compute), onCpu, name)
    }), { arbitrary: { runs: 60 } })

  for (const rate of [0.1, 0.5, 0.9]) {
    it.effect(`drop a share of ${rate} and keep the mean`, () =>
      Effect.gen(function*() {
        const [found] = yield* on("wasm", drawn(1, 0, "here", [7, 5715], rate))
        const { shape, values } = found!
        assert.deepStrictEqual(shape, [7, 5715])
        const dropped = values.filter((value) => value === 0).length / values.length
        // Five standard errors.
        assert.isBelow(Math.abs(dropped - rate), 5 * Math.sqrt(rate * (1 - rate) / values.length))
        const kept = values.find((value) => value !== 0)!
        assert.closeTo(kept, 1 / (1 - rate), 1e-3)
        assert.isTrue(values.every((value) => value === 0 || value === kept))
      }))
  }

  it.effect("are drawn anew for another purpose, step and seed", () =>
    Effect.gen(function*() {
      const draw = (seed: number, step: number, purpose: string) =>
        Effect.map(on("wasm", drawn(seed, step, purpose, [100], 0.5)), ([found]) => found!.values.join())
      assert.strictEqual(yield* draw(1, 2, "a"), yield* draw(1, 2, "a"))
      const all = [yield* draw(1, 2, "a"), yield* draw(1, 2, "b"), yield* draw(1, 3, "a"), yield* draw(2, 2, "a")]
      assert.strictEqual(new Set(all).size, 4)
    }))
})
