import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import type { Tensor, Tf } from "../../src/tensor/Backend.ts"
import { exactGelu } from "../../src/tensor/operations/ExactGelu.ts"
import { equal } from "./Composition.ts"
import { everywhere, on } from "./Parity.ts"

/** x, x Φ(x) and its derivative, by SciPy 1.17.1's `ndtr` in double precision. */
const known: ReadonlyArray<readonly [number, number, number]> = [
  [-12.5, -4.6657053735971423e-35, -5.831668554480156e-34],
  [-8, -4.976768459417392e-15, -3.9796072610867965e-14],
  [-5.25, -3.9926042711565674e-7, -2.091397663865862e-6],
  [-3, -0.00404969409489028, -0.011945647204183929],
  [-1.5, -0.1002108019032871, -0.12746919222997954],
  [-0.25, -0.10032341857926907, 0.30462664511636395],
  [-0.0010000000474974513, -0.0004996010814969171, 0.49920211566726114],
  [0, 0, 0.5],
  [0.0010000000474974513, 0.0005003989660005341, 0.5007978843327388],
  [0.5, 0.34573123063700656, 0.8674951246561629],
  [1, 0.8413447460685429, 1.0833154705876864],
  [2.25, 2.2224949365261493, 1.059189743975207],
  [4, 3.9998733150326675, 1.0005036496612265],
  [9, 9, 1]
]

const plain = (tf: Tf, x: Tensor): Tensor => tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.div(x, Math.sqrt(2))), 1))

const valueAndGradient = (points: ReadonlyArray<number>) => (tf: Tf) => {
  const x = tf.tensor1d([...points])
  return [exactGelu(tf, x), tf.grads((x: Tensor) => exactGelu(tf, x))([x])[0]!]
}

describe("exactGelu", () => {
  it.effect.prop(
    "and its gradient equal the plain composition",
    [Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 6 }))).check(Schema.isMaxLength(3))],
    ([shape]) => equal((tf, x) => exactGelu(tf, tf.mul(x, 4)), (tf, x) => plain(tf, tf.mul(x, 4)), [shape]),
    { arbitrary: { runs: 15 } }
  )

  it.effect.each(["cpu", ...everywhere] as const)("is that of SciPy on %s", (name) =>
    Effect.gen(function*() {
      const [value, gradient] = yield* on(name, valueAndGradient(known.map(([x]) => x)))
      // Our own kernel is exact relative to each value, also to the smallest; an error function only relative to 1.
      const [relative, absolute] = name === "wasm" ? [1e-6, 0] : [0, 3e-6]
      for (const [at, [x, y, slope]] of known.entries()) {
        const close = (found: number, expected: number) =>
          assert.isAtMost(Math.abs(found - expected), relative * Math.abs(expected) + absolute, `at ${x}`)
        close(value!.values[at]!, y)
        close(gradient!.values[at]!, slope)
      }
    }))

  it.effect.each(["cpu", ...everywhere] as const)(
    "goes to 0 and to x far out, with finite gradients, on %s",
    (name) =>
      Effect.gen(function*() {
        const [value, gradient] = yield* on(name, valueAndGradient([-1e30, -1e4, -30, 30, 1e4, 1e30]))
        assert.deepStrictEqual(value!.values.map(Math.abs), [0, 0, 0, 30, 1e4, Math.fround(1e30)])
        assert.deepStrictEqual(gradient!.values.map(Math.abs), [0, 0, 0, 1, 1, 1])
      })
  )
})
