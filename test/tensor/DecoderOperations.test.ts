import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Random from "../../src/random/Random.ts"
import { Backend, type Tensor, type Tensor1D, type Tf } from "../../src/tensor/Backend.ts"
import * as Dropout from "../../src/tensor/Dropout.ts"
import * as Operations from "../../src/tensor/Operations.ts"
import { embedding } from "../../src/tensor/operations/Embedding.ts"
import { gatedSilu } from "../../src/tensor/operations/GatedSilu.ts"
import { groupedAttention, groupedSelfAttention } from "../../src/tensor/operations/GroupedAttention.ts"
import { rmsNorm } from "../../src/tensor/operations/RmsNorm.ts"
import { rotary, type Turns } from "../../src/tensor/operations/Rotary.ts"
import { equal } from "./Composition.ts"
import { assertClose, everywhere, on, tensor, toleranceOf } from "./Parity.ts"

const extent = (maximum: number, minimum = 1) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
const runs = { arbitrary: { runs: 15 } }

/** The same in the textbook's formulas. */
const plain = {
  rmsNorm: (tf: Tf, x: Tensor, gain: Tensor, epsilon: number) =>
    tf.mul(tf.div(x, tf.sqrt(tf.add(tf.mean(tf.square(x), -1, true), epsilon))), gain),
  gatedSilu: (tf: Tf, gate: Tensor, up: Tensor) => tf.mul(tf.div(gate, tf.add(1, tf.exp(tf.neg(gate)))), up),
  /** Each pair as a complex number times that of its angle. */
  rotary: (tf: Tf, x: Tensor, heads: number, angles: Tensor) => {
    const [batch, time, width] = x.shape as [number, number, number]
    const size = width / heads
    const [first, second] = tf.split(tf.reshape(x, [batch, time, heads, size]), 2, 3) as [Tensor, Tensor]
    const cosines = tf.cos(angles), sines = tf.sin(angles)
    const real = tf.sub(tf.mul(first, cosines), tf.mul(second, sines))
    const imaginary = tf.add(tf.mul(second, cosines), tf.mul(first, sines))
    return tf.reshape(tf.concat([real, imaginary], 3), x.shape)
  },
  /** Keys and values written out for each of the heads that share them. */
  grouped: (tf: Tf, q: Tensor, k: Tensor, v: Tensor, mask?: Tensor, factors?: Tensor) => {
    const groups = q.shape[1]! / k.shape[1]!
    const repeat = (x: Tensor) => {
      const [batch, shared, keys, size] = x.shape as [number, number, number, number]
      return tf.reshape(tf.tile(tf.reshape(x, [batch, shared, 1, keys, size]), [1, 1, groups, 1, 1]), [
        batch,
        shared * groups,
        keys,
        size
      ])
    }
    const scores = tf.div(tf.matMul(q, repeat(k), false, true), Math.sqrt(q.shape[3]!))
    const weights = tf.softmax(mask === undefined ? scores : tf.add(scores, mask))
    return tf.matMul(factors === undefined ? weights : tf.mul(weights, factors), repeat(v))
  },
  groupedSelf: (
    tf: Tf,
    [q, k, v]: [Tensor, Tensor, Tensor],
    heads: number,
    shared: number,
    mask?: Tensor,
    factors?: Tensor
  ) => {
    const [batch, time, width] = q.shape as [number, number, number]
    const part = (x: Tensor, count: number) =>
      tf.transpose(tf.reshape(x, [batch, time, count, width / heads]), [0, 2, 1, 3])
    const value = plain.grouped(tf, part(q, heads), part(k, shared), part(v, shared), mask, factors)
    return tf.reshape(tf.transpose(value, [0, 2, 1, 3]), [batch, time, width])
  }
}

/** Angles `[rows, time, 1, size / 2]`, and the turns by them. */
const turned = (tf: Tf, rows: number, time: number, size: number) => {
  const angles = tf.mul(tensor(tf, [rows, time, 1, size / 2], 50), 7)
  const cosines = tf.cos(angles), sines = tf.sin(angles)
  const turns: Turns = { cosines: tf.concat([cosines, cosines], 3), sines: tf.concat([tf.neg(sines), sines], 3) }
  return { angles, turns }
}

/** 0 up to the diagonal, and out of reach above it. */
const causal = (tf: Tf, time: number): Tensor =>
  tf.tensor2d(
    Float32Array.from({ length: time * time }, (_, at) => at % time > Math.floor(at / time) ? -1e9 : 0),
    [time, time]
  )

describe("rmsNorm", () => {
  it.effect.prop(
    "and its gradients equal the plain composition",
    [Schema.Array(extent(5)).check(Schema.isMaxLength(2)), extent(40)],
    ([outer, width]) =>
      equal(
        (tf, x, gain) => rmsNorm(tf, x, gain, 1e-2),
        (tf, x, gain) => plain.rmsNorm(tf, x, gain, 1e-2),
        [[...outer, width], [width]]
      ),
    runs
  )

  it.effect.each(everywhere)(
    "brings rows to a mean square of 1, whatever their size, on %s",
    (name) =>
      Effect.gen(function*() {
        const [value] = yield* on(name, (tf) => [
          rmsNorm(tf, tf.mul(tensor(tf, [1, 64]), 1e4), tf.ones([64]) as Tensor1D, 1e-6)
        ])
        assert.closeTo(value!.values.reduce((sum, x) => sum + x * x, 0) / 64, 1, 1e-5)
      })
  )

  it.effect("names shapes that do not fit", () =>
    Backend.use(({ tf }) =>
      Effect.sync(() =>
        tf.tidy(() =>
          assert.throws(
            () => rmsNorm(tf, tf.ones([2, 3]), tf.ones([4]) as Tensor1D, 1e-6),
            "x [2, 3] does not fit gain [4]"
          )
        )
      )
    ).pipe(Effect.provide(Backend.layer("wasm"))))
})

describe("gatedSilu", () => {
  it.effect.prop(
    "and its gradients equal the plain composition",
    [Schema.Array(extent(6)).check(Schema.isMaxLength(3))],
    ([shape]) =>
      equal(
        (tf, gate, up) => gatedSilu(tf, tf.mul(gate, 4), up),
        (tf, gate, up) => plain.gatedSilu(tf, tf.mul(gate, 4), up),
        [shape, shape]
      ),
    runs
  )

  it.effect.each(everywhere)(
    "goes to 0 and to the product far out, with finite gradients, on %s",
    (name) =>
      Effect.gen(function*() {
        const far = [-1e4, -30, 0, 30, 1e4]
        const [value, slope] = yield* on(name, (tf) => {
          const gate = tf.tensor1d(far), up = tf.mul(tf.onesLike(gate), 2)
          return [
            gatedSilu(tf, gate, up),
            tf.grads((gate: Tensor, up: Tensor) => gatedSilu(tf, gate, up))([gate, up])[0]!
          ]
        })
        for (const [at, limit] of [0, 0, 0, 60, 2e4].entries()) assert.closeTo(value!.values[at]!, limit, 1e-10)
        for (const [at, limit] of [0, 0, 1, 2, 2].entries()) assert.closeTo(slope!.values[at]!, limit, 1e-10)
      })
  )
})

describe("rotary", () => {
  it.effect.prop(
    "and its gradient equal the product of complex numbers",
    [extent(3), extent(6), extent(3), extent(5), Schema.Boolean],
    ([batch, time, heads, pairs, alike]) =>
      equal(
        (tf, x) => rotary(tf, x, heads, turned(tf, alike ? 1 : batch, time, 2 * pairs).turns),
        (tf, x) => plain.rotary(tf, x, heads, turned(tf, alike ? 1 : batch, time, 2 * pairs).angles),
        [[batch, time, heads * 2 * pairs]]
      ),
    runs
  )

  it.effect("names shapes that do not fit", () =>
    Backend.use(({ tf }) =>
      Effect.sync(() =>
        tf.tidy(() => {
          const { turns } = turned(tf, 2, 4, 6)
          for (const shape of [[2, 4, 13], [2, 5, 12], [3, 4, 12]]) {
            assert.throws(() => rotary(tf, tf.ones(shape), 2, turns), /rotary: x .* of 2 heads does not fit/)
          }
        })
      )
    ).pipe(Effect.provide(Backend.layer("wasm"))))
})

describe("grouped attention", () => {
  it.effect.prop(
    "of a sequence to itself and its gradients equal the plain composition with keys and values repeated",
    [extent(3), extent(9), extent(3), extent(3), extent(6), Schema.Boolean],
    ([batch, time, shared, groups, size, masked]) => {
      const heads = shared * groups
      return equal(
        (tf, q, k, v) =>
          groupedSelfAttention(tf, q, k, v, { heads, shared, mask: masked ? causal(tf, time) : undefined }),
        (tf, q, k, v) => plain.groupedSelf(tf, [q, k, v], heads, shared, masked ? causal(tf, time) : undefined),
        [[batch, time, heads * size], [batch, time, shared * size], [batch, time, shared * size]]
      )
    },
    runs
  )

  it.effect("with a mask of each text and dropout equals the plain composition with them", () => {
    const [batch, time, shared, heads, size] = [2, 7, 2, 6, 5]
    const mask = (tf: Tf) =>
      tf.tensor4d(
        Float32Array.from(
          { length: batch * time * time },
          (_, at) => at % time > (at < time * time ? 6 : 3) ? -1e9 : 0
        ),
        [batch, 1, time, time]
      )
    const factors = (tf: Tf) =>
      Dropout.factors(tf, Random.address(3, "dropout of a test", 1), [batch, heads, time, time], 0.3)
    return equal(
      (tf, q, k, v) => groupedSelfAttention(tf, q, k, v, { heads, shared, mask: mask(tf), dropout: factors(tf) }),
      (tf, q, k, v) => plain.groupedSelf(tf, [q, k, v], heads, shared, mask(tf), factors(tf).values),
      [[batch, time, heads * size], [batch, time, shared * size], [batch, time, shared * size]]
    )
  })

  it.effect("with as many heads of keys as of queries is attention", () => {
    const shape = [2, 6, 12]
    return equal(
      (tf, q, k, v) => groupedSelfAttention(tf, q, k, v, { heads: 3, shared: 3, mask: causal(tf, 6) }),
      (tf, q, k, v) => Operations.selfAttention(tf, tf.concat([q, k, v], 2), 3, { mask: causal(tf, 6) }),
      [shape, shape, shape]
    )
  })

  it.effect.each(everywhere)(
    "of a few queries to many keys equals the plain composition on %s",
    (name) =>
      Effect.gen(function*() {
        for (const [queries, masked] of [[1, false], [1, true], [3, true]] as const) {
          const inputs = (tf: Tf) =>
            [tensor(tf, [2, 6, queries, 4], 1), tensor(tf, [2, 2, 9, 4], 2), tensor(tf, [2, 2, 9, 4], 3)] as const
          const mask = (tf: Tf) =>
            masked
              ? tf.tensor4d(Float32Array.from({ length: 2 * queries * 9 }, (_, at) => at % 4 === 1 ? -1e9 : 0), [
                2,
                1,
                queries,
                9
              ])
              : undefined
          const expected = yield* on("cpu", (tf) => [plain.grouped(tf, ...inputs(tf), mask(tf))])
          assertClose(
            yield* on(name, (tf) => [groupedAttention(tf, ...inputs(tf), mask(tf))]),
            expected,
            toleranceOf(name)
          )
        }
      })
  )

  it.effect("names shapes that do not fit", () =>
    Backend.use(({ tf }) =>
      Effect.sync(() =>
        tf.tidy(() => {
          const q = tf.ones([2, 4, 12])
          assert.throws(
            () => groupedSelfAttention(tf, q, tf.ones([2, 4, 5]), tf.ones([2, 4, 5]), { heads: 4, shared: 2 }),
            "q [2, 4, 12], k [2, 4, 5] and v [2, 4, 5] do not fit 4 heads over 2"
          )
          assert.throws(
            () => groupedSelfAttention(tf, q, q, q, { heads: 4, shared: 4, mask: tf.ones([3, 4]) }),
            /mask \[3, 4\] does not broadcast to \[2, 4, 4, 4\]/
          )
          assert.throws(
            () => groupedAttention(tf, tf.ones([1, 3, 1, 4]), tf.ones([1, 2, 5, 4]), tf.ones([1, 2, 5, 4])),
            RangeError
          )
        })
      )
    ).pipe(Effect.provide(Backend.layer("wasm"))))
})

describe("embedding", () => {
  const ids = Int32Array.of(2, 0, 2, 3, 1, 2)

  it.effect("and its gradient are those of gather", () =>
    equal(
      (tf, table) => embedding(tf, table, ids),
      (tf, table) => tf.gather(table, tf.tensor1d(ids, "int32")),
      [[5, 3]]
    ))

  it.effect("keeps the padding's row, and its gradient away from it", () =>
    equal(
      (tf, table) => embedding(tf, table, ids, 2),
      (tf, table) => {
        const learned = tf.tensor2d([1, 1, 0, 1, 1], [5, 1])
        // A detour around the gradient: the row's own value minus its learned part, taken as a constant.
        const constant = tf.tensor(table.dataSync(), table.shape)
        return tf.gather(
          tf.add(tf.mul(table, learned), tf.mul(constant, tf.sub(1, learned))),
          tf.tensor1d(ids, "int32")
        )
      },
      [[5, 3]]
    ))
})
