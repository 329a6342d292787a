/** Holds an operation of ours to the same mathematics composed of plain operations, differentiated one by one. */
import { Effect } from "effect"
import type { Tensor, Tf } from "../../src/tensor/Backend.ts"
import { assertClose, everywhere, numbers, on, parity, tensor, toleranceOf } from "./Parity.ts"

/** The value and all gradients of an operation, each element of the result weighted differently. */
export const valueAndGradients = (
  f: (tf: Tf, ...inputs: Array<any>) => Tensor,
  shapes: ReadonlyArray<ReadonlyArray<number>>
) =>
(tf: Tf): Array<Tensor> => {
  const inputs = shapes.map((shape, at) => tensor(tf, shape, at + 1))
  const value = f(tf, ...inputs)
  const gradients = tf.grads((...xs: Array<Tensor>) => {
    const result = f(tf, ...xs)
    return tf.sum(tf.mul(tf.reshape(result, [-1]), tf.tensor1d(numbers(result.size, 77))))
  })(inputs)
  return [value, ...gradients]
}

/** Ours on every backend against the plain composition on the reference; every exact backend twice to the bit. */
export const equal = Effect.fnUntraced(function*(
  ours: (tf: Tf, ...inputs: Array<any>) => Tensor,
  composed: (tf: Tf, ...inputs: Array<any>) => Tensor,
  shapes: ReadonlyArray<ReadonlyArray<number>>
) {
  const expected = yield* on("cpu", valueAndGradients(composed, shapes))
  yield* parity(valueAndGradients(ours, shapes))
  assertClose(yield* on("cpu", valueAndGradients(ours, shapes)), expected)
  for (const name of everywhere) {
    assertClose(yield* on(name, valueAndGradients(ours, shapes)), expected, toleranceOf(name), `on ${name}`)
  }
})
