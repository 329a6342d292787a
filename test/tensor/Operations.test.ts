import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Random from "../../src/random/Random.ts"
import { Backend, type Scalar, type Tensor, type Tensor1D, type Tensor2D, type Tf } from "../../src/tensor/Backend.ts"
import * as Dropout from "../../src/tensor/Dropout.ts"
import * as Operations from "../../src/tensor/Operations.ts"
import { equal, valueAndGradients } from "./Composition.ts"
import { everywhere, numbers, on, parity, tensor } from "./Parity.ts"

/** The same operations as plain compositions, differentiated operation by operation. */
const plain = {
  linear: (tf: Tf, x: Tensor, weight: Tensor, bias?: Tensor) => {
    const product = tf.matMul(tf.reshape(x, [-1, weight.shape[0]!]), weight)
    return tf.reshape(bias === undefined ? product : tf.add(product, bias), [...x.shape.slice(0, -1), weight.shape[1]!])
  },
  layerNorm: (tf: Tf, x: Tensor, gain: Tensor, bias: Tensor, epsilon: number) => {
    const centred = tf.sub(x, tf.mean(x, -1, true))
    const deviation = tf.sqrt(tf.add(tf.mean(tf.square(centred), -1, true), epsilon))
    return tf.add(tf.mul(tf.div(centred, deviation), gain), bias)
  },
  gelu: (tf: Tf, x: Tensor) =>
    tf.mul(
      tf.mul(x, 0.5),
      tf.add(1, tf.tanh(tf.mul(Math.sqrt(2 / Math.PI), tf.add(x, tf.mul(0.044715, tf.pow(x, 3))))))
    ),
  attention: (tf: Tf, q: Tensor, k: Tensor, v: Tensor, mask?: Tensor, factors?: Tensor) => {
    const scores = tf.div(tf.matMul(q, k, false, true), Math.sqrt(q.shape.at(-1)!))
    const weights = tf.softmax(mask === undefined ? scores : tf.add(scores, mask))
    return tf.matMul(factors === undefined ? weights : tf.mul(weights, factors), v)
  },
  selfAttention: (tf: Tf, qkv: Tensor, heads: number, mask?: Tensor, factors?: Tensor) => {
    const [batch, time, joint] = qkv.shape as [number, number, number]
    const parts = tf.unstack(tf.reshape(qkv, [batch, time, 3, heads, joint / 3 / heads]), 2)
    const [q, k, v] = parts.map((part) => tf.transpose(part, [0, 2, 1, 3])) as [Tensor, Tensor, Tensor]
    return tf.reshape(tf.transpose(plain.attention(tf, q, k, v, mask, factors), [0, 2, 1, 3]), [batch, time, joint / 3])
  },
  crossEntropy: (tf: Tf, logits: Tensor, labels: Tensor, weights: Tensor) => {
    const classes = logits.shape.at(-1)!
    const ones = tf.oneHot(tf.cast(tf.reshape(labels, [-1]), "int32") as Tensor1D, classes)
    const losses = tf.neg(tf.sum(tf.mul(tf.logSoftmax(tf.reshape(logits, [-1, classes])), ones), -1))
    return tf.sum(tf.mul(losses, tf.reshape(weights, [-1])))
  }
}

const extent = (maximum: number, minimum = 1) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
const runs = { arbitrary: { runs: 15 } }

/** 0 up to the diagonal, and out of reach above it. */
const causal = (tf: Tf, queries: number, keys = queries): Tensor =>
  tf.tensor2d(
    Float32Array.from({ length: queries * keys }, (_, at) => at % keys > Math.floor(at / keys) ? -1e9 : 0),
    [queries, keys]
  )

describe("linear", () => {
  it.effect.prop(
    "and its gradients equal the plain composition",
    [Schema.Array(extent(5)).check(Schema.isMaxLength(3)), extent(17), extent(17)],
    ([outer, inputs, outputs]) =>
      Effect.all([
        equal(Operations.linear, plain.linear, [[...outer, inputs], [inputs, outputs], [outputs]]),
        equal(Operations.linear, plain.linear, [[...outer, inputs], [inputs, outputs]])
      ]),
    runs
  )

  it.effect.each(everywhere)("takes an empty batch on %s", (name) =>
    Effect.gen(function*() {
      const [value, dx, dWeight, dBias] = yield* on(
        name,
        valueAndGradients(Operations.linear, [[0, 3], [3, 2], [2]])
      )
      assert.deepStrictEqual([value!.shape, dx!.shape], [[0, 2], [0, 3]])
      assert.deepStrictEqual(dWeight!.values, [0, 0, 0, 0, 0, 0])
      assert.deepStrictEqual(dBias!.values, [0, 0])
    }))

  it.effect("names shapes that do not fit", () =>
    Effect.gen(function*() {
      const { tf } = yield* Backend
      tf.tidy(() =>
        assert.throws(
          () => Operations.linear(tf, tf.ones([2, 3]), tf.ones([4, 5]) as Tensor2D),
          "linear: x [2, 3] does not fit weight [4, 5]"
        )
      )
    }).pipe(Effect.provide(Backend.layer("wasm"))))
})

describe("layerNorm", () => {
  it.effect.prop(
    "and its gradients equal the plain composition",
    [Schema.Array(extent(5)).check(Schema.isMaxLength(2)), extent(40, 2)],
    ([outer, width]) =>
      equal(
        (tf, x, gain, bias) => Operations.layerNorm(tf, x, gain, bias, 1e-2),
        (tf, x, gain, bias) => plain.layerNorm(tf, x, gain, bias, 1e-2),
        [[...outer, width], [width], [width]]
      ),
    runs
  )

  it.effect.each(everywhere)("brings rows to mean 0 and variance 1 on %s", (name) =>
    Effect.gen(function*() {
      const [value] = yield* on(name, (tf) => [
        Operations.layerNorm(
          tf,
          tf.add(tf.mul(tensor(tf, [1, 64]), 300), 1000),
          tf.ones([64]) as Tensor1D,
          tf.zeros([64]) as Tensor1D,
          1e-5
        )
      ])
      const mean = value!.values.reduce((sum, x) => sum + x, 0) / 64
      const variance = value!.values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / 64
      assert.closeTo(mean, 0, 1e-5)
      assert.closeTo(variance, 1, 1e-5)
    }))
})

describe("gelu", () => {
  it.effect.prop(
    "and its gradient equal the plain composition",
    [Schema.Array(extent(6)).check(Schema.isMaxLength(3))],
    ([shape]) =>
      equal(
        (tf, x) => Operations.gelu(tf, tf.mul(x, 4)),
        (tf, x) => plain.gelu(tf, tf.mul(x, 4)),
        [shape]
      ),
    runs
  )

  it.effect.each(everywhere)(
    "goes to 0 and to x far out, with finite gradients, on %s",
    (name) =>
      Effect.gen(function*() {
        const far = [-1e4, -30, 0, 30, 1e4]
        const [value, gradient] = yield* on(name, (tf) => {
          const x = tf.tensor1d(far)
          return [Operations.gelu(tf, x), tf.grad((x) => Operations.gelu(tf, x))(x)]
        })
        for (const [at, limit] of [0, 0, 0, 30, 1e4].entries()) assert.closeTo(value!.values[at]!, limit, 1e-20)
        for (const [at, limit] of [0, 0, 0.5, 1, 1].entries()) assert.closeTo(gradient!.values[at]!, limit, 1e-20)
      })
  )
})

describe("attention", () => {
  it.effect.prop(
    "and its gradients equal the plain composition",
    [extent(3), extent(3), extent(9), extent(9), extent(9), extent(9)],
    ([batch, heads, queries, keys, size, valueSize]) =>
      equal(Operations.attention, plain.attention, [
        [batch, heads, queries, size],
        [batch, heads, keys, size],
        [batch, heads, keys, valueSize]
      ]),
    runs
  )

  it.effect("with a mask equals the plain composition with it", () => {
    const shape = [2, 3, 11, 6]
    return equal(
      (tf, q, k, v) => Operations.attention(tf, q, k, v, causal(tf, 11)),
      (tf, q, k, v) => plain.attention(tf, q, k, v, causal(tf, 11)),
      [shape, shape, shape]
    )
  })

  it.effect("takes any mask that broadcasts to the scores", () =>
    Effect.forEach(
      [[11, 11], [2, 1, 11, 11], [1, 3, 1, 11], [11, 1], [1, 1, 1, 1], [2, 3, 11, 11], [11]],
      (shape) =>
        equal(
          (tf, q, k, v) => Operations.attention(tf, q, k, v, tf.mul(tensor(tf, shape, 9), 3)),
          (tf, q, k, v) => plain.attention(tf, q, k, v, tf.mul(tensor(tf, shape, 9), 3)),
          [[2, 3, 11, 6], [2, 3, 11, 6], [2, 3, 11, 6]]
        )
    ))

  it.effect("refuses shapes that do not fit", () =>
    Effect.gen(function*() {
      const { tf } = yield* Backend
      tf.tidy(() => {
        const x = tf.ones([2, 1, 3, 4])
        assert.throws(
          () => Operations.attention(tf, x, x, x, tf.ones([3, 1, 3, 3])),
          RangeError,
          "mask [3, 1, 3, 3] does not broadcast to [2, 1, 3, 3]"
        )
      })
      tf.tidy(() =>
        assert.throws(
          () => Operations.attention(tf, tf.ones([1, 2, 3, 4]), tf.ones([1, 2, 3, 5]), tf.ones([1, 2, 3, 4])),
          RangeError,
          "[1, 2, 3, 5]"
        )
      )
    }).pipe(Effect.provide(Backend.layer("wasm"))))
})

describe("selfAttention", () => {
  it.effect.prop(
    "and its gradient equal the plain composition, rank 5 and all",
    [extent(3), extent(12), extent(3), extent(9)],
    ([batch, time, heads, size]) =>
      equal(
        (tf, qkv) => Operations.selfAttention(tf, qkv, heads, { mask: causal(tf, time) }),
        (tf, qkv) => plain.selfAttention(tf, qkv, heads, causal(tf, time)),
        [[batch, time, 3 * heads * size]]
      ),
    runs
  )

  it.effect.prop(
    "and its gradient equal the plain composition with dropout of the weights",
    [extent(3), extent(12), extent(3), extent(9), Schema.Literals([0.1, 0.5, 0.99])],
    ([batch, time, heads, size, rate]) => {
      const draw = (tf: Tf) => Dropout.factors(tf, Random.address(7, "here", time), [batch, heads, time, time], rate)
      return equal(
        (tf, qkv) => Operations.selfAttention(tf, qkv, heads, { mask: causal(tf, time), dropout: draw(tf) }),
        (tf, qkv) => plain.selfAttention(tf, qkv, heads, causal(tf, time), draw(tf).values),
        [[batch, time, 3 * heads * size]]
      )
    },
    runs
  )

  it.effect.each(everywhere)(
    "is not moved by what comes later, under a causal mask, on %s",
    (name) =>
      Effect.gen(function*() {
        const compute = (last: number) => (tf: Tf) => {
          const values = numbers(5 * 12, 1)
          values.fill(last, 4 * 12)
          const qkv = tf.tensor3d(values, [1, 5, 12])
          return [tf.slice(Operations.selfAttention(tf, qkv, 2, { mask: causal(tf, 5) }), [0, 0, 0], [1, 4, 4])]
        }
        assert.deepStrictEqual(yield* on(name, compute(3)), yield* on(name, compute(-50)))
      })
  )
})

describe("crossEntropy", () => {
  const labelled = (
    f: (tf: Tf, logits: Tensor, labels: Tensor, weights: Tensor) => Tensor,
    labels: ReadonlyArray<number>,
    scale = 1
  ) =>
  (tf: Tf, logits: Tensor) =>
    f(
      tf,
      tf.mul(logits, scale),
      tf.tensor1d([...labels], "int32"),
      tf.tensor1d(numbers(labels.length, 5).map((x) => x < -0.5 ? 0 : x + 1))
    )

  it.effect.prop(
    "and its gradient equal the composition with one-hot labels",
    [Schema.Array(extent(1000, 0)).check(Schema.isMinLength(1), Schema.isMaxLength(9)), extent(40, 2)],
    ([picks, classes]) => {
      const labels = picks.map((pick) => pick % classes)
      return equal(
        labelled(Operations.crossEntropy, labels, 5),
        labelled(plain.crossEntropy, labels, 5),
        [[labels.length, classes]]
      )
    },
    runs
  )

  it.effect.each(everywhere)("stays finite for logits far apart on %s", (name) =>
    Effect.gen(function*() {
      const compute = (tf: Tf) => {
        const loss = (logits: Tensor): Scalar =>
          Operations.crossEntropy(tf, logits, tf.tensor1d([1, 0], "int32"), tf.tensor1d([1, 1]))
        const logits = tf.tensor2d([[1000, -1000], [1000, -1000]])
        return [loss(logits), tf.grad(loss)(logits)]
      }
      const [value, gradient] = yield* on(name, compute)
      assert.deepStrictEqual(value!.values, [2000])
      assert.deepStrictEqual(gradient!.values.map((x) => x + 0), [1, -1, 0, 0])
    }))

  it.effect("takes labels and weights of the logits' leading shape", () =>
    parity((tf) => [
      Operations.crossEntropy(
        tf,
        tensor(tf, [2, 3, 7]),
        tf.tensor2d([[0, 6, 3], [2, 2, 5]], [2, 3], "int32"),
        tf.tensor2d([[1, 0, 1], [0.5, 1, 2]])
      )
    ]))

  it.effect("refuses labels that are not indices, or of no class", () =>
    Effect.gen(function*() {
      const { tf } = yield* Backend
      for (const label of [-1, 3]) {
        tf.tidy(() =>
          assert.throws(
            () => Operations.crossEntropy(tf, tf.ones([2, 3]), tf.tensor1d([0, label], "int32"), tf.ones([2])),
            `there is no class ${label} among 3`
          )
        )
      }
      tf.tidy(() =>
        assert.throws(
          () => Operations.crossEntropy(tf, tf.ones([2, 3]), tf.ones([2]), tf.ones([2])),
          "crossEntropy: logits [2, 3] do not fit float32 labels [2]"
        )
      )
    }).pipe(Effect.provide(Backend.layer("wasm"))))
})
