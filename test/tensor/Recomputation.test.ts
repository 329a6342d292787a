import { assert, layer, type Vitest } from "@effect/vitest"
import { Effect } from "effect"
import { Backend, type Tensor, type Tf } from "../../src/tensor/Backend.ts"
import * as Backpropagation from "../../src/tensor/Backpropagation.ts"
import * as Recomputation from "../../src/tensor/Recomputation.ts"
import { everywhere, tensor } from "./Parity.ts"

const read = (tf: Tf, compute: () => ReadonlyArray<Tensor>) =>
  Effect.promise(async () => {
    const results = tf.tidy(() => [...compute()])
    const values = await Promise.all(results.map((result) => result.data()))
    tf.dispose(results)
    return values
  })

/** Loss and gradients of a chain of parts, each of which has a weight and shares a mask that ends with the forward pass. */
const chain = (tf: Tf, recompute: boolean, count: (calls: number) => void = () => {}) => {
  const weights = [0, 1, 2].map((seed) => tensor(tf, [6, 6], seed + 1))
  const input = tensor(tf, [4, 6], 9)
  let calls = 0
  const { gradients, value } = Backpropagation.valueAndGradients(
    tf,
    () => {
      const mask = tf.tensor2d([[0, 1, 1, 1, 0, 1]])
      const part = (weight: Tensor) => (x: Tensor, { mask }: { readonly mask: Tensor }) => {
        calls++
        return tf.add(x, tf.mul(tf.tanh(tf.matMul(x, weight)), mask))
      }
      let x = tf.add(input, 0)
      for (const weight of weights) {
        x = recompute
          ? Recomputation.recomputed(tf, x, [weight], { mask, absent: undefined }, part(weight))
          : part(weight)(x, { mask })
      }
      return tf.sum(tf.square(x))
    },
    [...weights, input]
  )
  count(calls)
  return [value, ...gradients]
}

const recomputation = (it: Vitest.MethodsNonLive<Backend>) => {
  it.effect("gives the gradients of the plain computation, to the bit where the backend is exact", () =>
    Effect.gen(function*() {
      const { determinism, tf } = yield* Backend
      const before = tf.memory().numTensors
      const plain = yield* read(tf, () => chain(tf, false))
      const found = yield* read(tf, () => chain(tf, true))
      if (determinism === "exact") assert.deepStrictEqual(found, plain)
      for (const [index, values] of plain.entries()) {
        for (const [at, value] of values.entries()) assert.closeTo(found[index]![at]!, value, 1e-4)
      }
      assert.strictEqual(tf.memory().numTensors, before)
    }))

  it.effect("computes each part once more, and only for gradients", () =>
    Effect.gen(function*() {
      const { tf } = yield* Backend
      const calls: Array<number> = []
      yield* read(tf, () => chain(tf, false, (count) => calls.push(count)))
      yield* read(tf, () => chain(tf, true, (count) => calls.push(count)))
      assert.deepStrictEqual(calls, [3, 6])
      let alone = 0
      yield* read(tf, () => [
        Recomputation.recomputed(tf, tensor(tf, [2], 1), [], {}, (x) => {
          alone++
          return tf.square(x)
        })
      ])
      assert.strictEqual(alone, 1)
    }))

  it.effect("gives zeros for a weight that the part does not use", () =>
    Effect.gen(function*() {
      const { tf } = yield* Backend
      const [, dUsed, dUnused] = yield* read(tf, () => {
        const x = tensor(tf, [3], 1), used = tensor(tf, [3], 2), unused = tensor(tf, [2], 3)
        const { gradients, value } = Backpropagation.valueAndGradients(
          tf,
          () => tf.sum(Recomputation.recomputed(tf, x, [used, unused], {}, (x) => tf.mul(x, used))),
          [used, unused]
        )
        return [value, ...gradients]
      })
      assert.isTrue(dUsed!.some((value) => value !== 0))
      assert.deepStrictEqual(Array.from(dUnused!), [0, 0])
    }))
}

for (const name of everywhere) layer(Backend.layer(name))(`recomputation on ${name}`, recomputation)
