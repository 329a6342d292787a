import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import type { Tensor } from "../../src/tensor/Backend.ts"
import { relu } from "../../src/tensor/operations/Relu.ts"
import { equal } from "./Composition.ts"
import { everywhere, on } from "./Parity.ts"

describe("relu", () => {
  it.effect.prop(
    "and its gradient equal the stock operation's",
    [Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 6 }))).check(Schema.isMaxLength(3))],
    ([shape]) => equal((tf, x) => relu(tf, x), (tf, x) => tf.relu(x), [shape]),
    { arbitrary: { runs: 15 } }
  )

  it.effect.each(["cpu", ...everywhere] as const)(
    "has the gradient 0 at 0, as PyTorch's, on %s",
    (name) =>
      Effect.gen(function*() {
        const [value, gradient] = yield* on(name, (tf) => {
          const x = tf.tensor1d([-2, 0, 3])
          return [relu(tf, x), tf.grads((x: Tensor) => relu(tf, x))([x])[0]!]
        })
        assert.deepStrictEqual(value!.values.map((x) => x + 0), [0, 0, 3])
        assert.deepStrictEqual(gradient!.values.map((x) => x + 0), [0, 0, 1])
      })
  )
})
