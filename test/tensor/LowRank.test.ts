import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import type { Tensor, Tensor1D, Tensor2D, Tf } from "../../src/tensor/Backend.ts"
import type { Factors } from "../../src/tensor/Dropout.ts"
import * as LowRank from "../../src/tensor/operations/LowRank.ts"
import { equal } from "./Composition.ts"
import { on, tensor } from "./Parity.ts"

const extent = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 1, maximum }))
const runs = { arbitrary: { runs: 12 } }
const scaling = 1.7

/** Factors of dropout: every third number is dropped. */
const factorsFor = (tf: Tf, shape: ReadonlyArray<number>): Factors => {
  const size = shape.reduce((product, extent) => product * extent, 1)
  const values = Float32Array.from({ length: size }, (_, at) => at % 3 === 1 ? 0 : 1.5)
  return { values: tf.tensor(values, [...shape]), kept: 1.5 }
}

const flat = (tf: Tf, x: Tensor) => tf.reshape(x, [-1, x.shape.at(-1)!])

/** The same as plain compositions, differentiated operation by operation. */
const plain = {
  lowRank: (tf: Tf, x: Tensor, down: Tensor, up: Tensor) =>
    tf.mul(tf.matMul(tf.matMul(flat(tf, x), down, false, true), up, false, true), scaling),
  /** As PEFT's `DoraLinearLayer` adds it up; the lengths come from outside, so that no gradient goes through them. */
  decomposed: (
    tf: Tf,
    [x, down, up, magnitude]: [Tensor, Tensor, Tensor, Tensor],
    { bias, factors, lengths, weight }: { weight: Tensor; bias: Tensor; lengths: Tensor; factors: Tensor | undefined }
  ) => {
    const seen = factors === undefined ? x : tf.mul(x, factors)
    const stretch = tf.div(magnitude, lengths)
    const extra = tf.add(
      tf.mul(tf.sub(stretch, 1), tf.matMul(flat(tf, seen), weight)),
      tf.mul(stretch, plain.lowRank(tf, seen, down, up))
    )
    return tf.add(tf.add(tf.matMul(flat(tf, x), weight), bias), extra)
  }
}

describe("lowRank", () => {
  for (const drops of [false, true]) {
    it.effect.prop(
      `and its gradients equal the plain composition${drops ? ", where something is dropped" : ""}`,
      [Schema.Array(extent(4)).check(Schema.isMaxLength(2)), extent(9), extent(9), extent(4)],
      ([outer, inputs, outputs, rank]) =>
        equal(
          (tf, x: Tensor, down: Tensor2D, up: Tensor2D) =>
            LowRank.lowRank(tf, x, { down, up, scaling, factors: drops ? () => factorsFor(tf, x.shape) : undefined }),
          (tf, x: Tensor, down: Tensor2D, up: Tensor2D) => {
            const seen = drops ? tf.mul(x, factorsFor(tf, x.shape).values) : x
            return tf.reshape(plain.lowRank(tf, seen, down, up), [...outer, outputs])
          },
          [[...outer, inputs], [rank, inputs], [outputs, rank]]
        ),
      runs
    )
  }
})

describe("decomposed", () => {
  for (const transposed of [false, true]) {
    for (const drops of [false, true]) {
      it.effect.prop(
        `and its gradients equal the plain composition, the weight ${transposed ? "[out, in]" : "[in, out]"}` +
          (drops ? ", where something is dropped" : ""),
        [extent(3), extent(9), extent(9), extent(4)],
        ([time, inputs, outputs, rank]) => {
          const shapes = [[2, time, inputs], [rank, inputs], [outputs, rank], [outputs]] as const
          // Not around zero, so that no length is close to it.
          const weightOf = (tf: Tf): Tensor2D => tf.add(tensor(tf, [inputs, outputs], 5), 4)
          const biasOf = (tf: Tf) => tensor(tf, [outputs], 6) as Tensor1D
          return equal(
            (tf, x: Tensor, down: Tensor2D, up: Tensor2D, magnitude: Tensor1D) => {
              const weight = transposed ? tf.transpose(weightOf(tf)) : weightOf(tf)
              const factors = drops ? () => factorsFor(tf, x.shape) : undefined
              return LowRank.decomposed(tf, x, weight, biasOf(tf), {
                down,
                up,
                magnitude,
                scaling,
                transposed,
                factors
              })
            },
            (tf, x: Tensor, down: Tensor, up: Tensor, magnitude: Tensor) => {
              // The same numbers as the inputs, but no inputs: their gradients do not see the lengths.
              const change = tf.matMul(tensor(tf, shapes[1], 2), tensor(tf, shapes[2], 3), true, true)
              const composed = plain.decomposed(tf, [x, down, up, magnitude], {
                weight: weightOf(tf),
                bias: biasOf(tf),
                lengths: tf.norm(tf.add(weightOf(tf), tf.mul(change, scaling)), "euclidean", 0),
                factors: drops ? factorsFor(tf, x.shape).values : undefined
              })
              return tf.reshape(composed, [2, time, outputs])
            },
            shapes
          )
        },
        runs
      )
    }
  }
})

describe("an adapter of another size", () => {
  it.effect("is refused with the shapes that do not fit", () =>
    on("cpu", (tf) => {
      const x = tensor(tf, [2, 3])
      const matrices = { down: tensor(tf, [2, 4]) as Tensor2D, up: tensor(tf, [5, 2]) as Tensor2D, scaling: 1 }
      assert.throws(() => LowRank.lowRank(tf, x, matrices), /\[2, 3\].*\[2, 4\]/)
      const magnitude = tensor(tf, [6]) as Tensor1D, wide = tensor(tf, [2, 4])
      assert.throws(
        () =>
          LowRank.decomposed(tf, wide, tensor(tf, [4, 5]) as Tensor2D, undefined, {
            ...matrices,
            magnitude,
            transposed: false
          }),
        /magnitude \[6\]/
      )
      return [x]
    }))
})
