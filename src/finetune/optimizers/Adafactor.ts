/**
 * Adafactor (Shazeer and Stern, "Adafactor: adaptive learning rates with sublinear memory cost", ICML 2018, algorithms 4
 * and 5): the second moment of a matrix is kept as its rows' and its columns' means, so that its memory is that of the
 * parameters and little more. In the arithmetic of transformers' `Adafactor`, with a learning rate that is given: its
 * `relative_step` is off.
 */
import * as Schema from "effect/Schema"
import type { Tensor, Tf } from "../../tensor/Backend.ts"
import * as Rule from "./Rule.ts"
import { BelowOne, NonNegative, Positive, Share, withDefault } from "./Setting.ts"

export const Adafactor = Schema.Struct({
  name: Schema.tag("adafactor"),
  /** Update t keeps 1 - t^-decayExponent of the second moment (section 7.2): transformers' `decay_rate`, positive. */
  decayExponent: withDefault(Share, 0.8),
  /** How large, as a root mean square over a parameter, an update may be before the learning rate (section 6). */
  clipThreshold: withDefault(Positive, 1),
  /** Multiply the learning rate by the root mean square of the parameter (section 8). */
  scaleParameter: withDefault(Schema.Boolean, false),
  /** Added to squared gradients. */
  epsilon1: withDefault(Positive, 1e-30),
  /** The least that a parameter's root mean square counts as, where it is multiplied with. */
  epsilon2: withDefault(Positive, 1e-3),
  /** Of a running mean of the updates; with 0 there is none, and no memory for it. */
  beta1: withDefault(BelowOne, 0),
  /** Decoupled, as in AdamW. */
  weightDecay: withDefault(NonNegative, 0)
})

const sizeOf = (shape: Rule.Shape): number => shape.reduce((size, extent) => size * extent, 1)

/** Over all numbers: a vector of sums first, so that a float32 does not add up too many of them one by one. */
const rootMeanSquare = (tf: Tf, x: Tensor): Tensor =>
  tf.tidy(() => {
    const squares = tf.square(x)
    return tf.sqrt(tf.div(tf.sum(x.rank > 1 ? tf.sum(squares, -1) : squares), x.size))
  })

export const rule = (settings: typeof Adafactor.Type): Rule.Rule => {
  const { beta1, clipThreshold, decayExponent, epsilon1, epsilon2, scaleParameter, weightDecay } = settings

  /** One over the root of the second moment, as of this gradient. */
  const inverseDeviation = (tf: Tf, held: Rule.Held, gradient: Tensor, decay: number): Tensor => {
    const squares = tf.tidy(() => tf.add(tf.square(gradient), epsilon1))
    const fold = (name: string, mean: () => Tensor): Tensor =>
      Rule.setSlot(tf, held, name, (old) => tf.add(tf.mul(old, decay), tf.mul(mean(), 1 - decay)))
    if (gradient.rank < 2) return tf.rsqrt(fold("second", () => squares))
    const rows = gradient.shape.at(-2)!, columns = gradient.shape.at(-1)!
    const row = fold("row", () => tf.div(tf.sum(squares, -1), columns))
    const column = fold("column", () => tf.div(tf.sum(squares, -2), rows))
    squares.dispose()
    return tf.tidy(() => {
      const byRow = tf.rsqrt(tf.div(row, tf.div(tf.sum(row, -1, true), rows)))
      return tf.mul(tf.expandDims(byRow, -1), tf.expandDims(tf.rsqrt(column), -2))
    })
  }

  return {
    elementwise: false,
    slots: (shape) => {
      const slots = new Map<string, Rule.Shape>()
      if (shape.length >= 2) {
        slots.set("row", shape.slice(0, -1)).set("column", [...shape.slice(0, -2), ...shape.slice(-1)])
      } else slots.set("second", shape)
      return beta1 === 0 ? slots : slots.set("first", shape)
    },
    temporaries: (shape) => 4 * sizeOf(shape) + 4 * sizeOf(shape.slice(0, -1)) + 4 * (shape.at(-1) ?? 1),
    update: (tf, held, flat, { decays, learningRate, scale, step }) => {
      const direction = tf.tidy(() => {
        const gradient = Rule.scaled(tf, tf.reshape(flat, [...held.shape]), scale)
        const direction = tf.mul(inverseDeviation(tf, held, gradient, 1 - (step + 1) ** -decayExponent), gradient)
        return tf.div(direction, tf.maximum(tf.div(rootMeanSquare(tf, direction), clipThreshold), 1))
      })
      // On the backend like all else: what a parameter's size is need not be waited for.
      const rate = scaleParameter
        ? tf.tidy(() => tf.mul(tf.maximum(rootMeanSquare(tf, held.values), epsilon2), learningRate))
        : tf.scalar(learningRate)
      let change: Tensor = tf.mul(direction, rate)
      direction.dispose()
      if (beta1 !== 0) {
        const latest = change
        change = Rule.setSlot(tf, held, "first", (mean) => tf.add(tf.mul(mean, beta1), tf.mul(latest, 1 - beta1)))
        latest.dispose()
      }
      Rule.setValues(tf, held, (values) => {
        if (!decays || weightDecay === 0) return tf.sub(values, change)
        const kept = tf.sub(1, tf.mul(rate, weightDecay))
        return tf.sub(tf.mul(values, kept), change)
      })
    }
  }
}
