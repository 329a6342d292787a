/**
 * Muon (Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024): the momentum of a matrix, made
 * nearly orthogonal by Newton-Schulz iterations, in the arithmetic of PyTorch's `torch.optim.Muon`.
 *
 * It is for the matrices of hidden layers alone. Embeddings, heads, biases and norms want another optimizer beside it.
 */
import * as Schema from "effect/Schema"
import type { Tensor, Tensor2D, Tf } from "../../tensor/Backend.ts"
import * as Rule from "./Rule.ts"
import { BelowOne, NonNegative, Positive, withDefault } from "./Setting.ts"

export const Muon = Schema.Struct({
  name: Schema.tag("muon"),
  momentum: withDefault(BelowOne, 0.95),
  /** Look one step of momentum ahead. */
  nesterov: withDefault(Schema.Boolean, true),
  newtonSchulzSteps: withDefault(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 99 })), 5),
  /**
   * What the learning rate of a matrix is multiplied with, by its stored shape: `original` is the root of rows over
   * columns where there are more rows; `match-rms-adamw` gives updates the root mean square that AdamW's usually have
   * (Liu et al., "Muon is scalable for LLM training", 2025, equation 4), so that its learning rates and decays suit Muon
   * as they are, and the parameters beside the matrices.
   */
  rateAdjustment: withDefault(Schema.Literals(["match-rms-adamw", "original"]), "match-rms-adamw"),
  /**
   * How Newton-Schulz rounds: PyTorch rounds to bfloat16, for speed on GPUs. Here that takes longer, and serves to
   * reproduce what PyTorch does.
   */
  precision: withDefault(Schema.Literals(["float32", "bfloat16"]), "float32"),
  /** Decoupled, as in AdamW, by the learning rate as it is before its adjustment. Also of the other parameters. */
  weightDecay: withDefault(NonNegative, 0.1),
  /** Of AdamW, for the other parameters. */
  beta1: withDefault(BelowOne, 0.9),
  /** Of AdamW, for the other parameters. */
  beta2: withDefault(BelowOne, 0.999),
  /** Of AdamW, for the other parameters. */
  epsilon: withDefault(Positive, 1e-8),
  /** The learning rate of the other parameters, as a multiple of that of the matrices. */
  rateOfOthers: withDefault(Positive, 1)
})

/** Of the quintic: Jordan et al. chose them for the steepest slope at zero, not for convergence to 1. */
const a = 3.4445, b = -4.775, c = 2.0315

/** The least norm that a matrix is divided by. */
const epsilon = 1e-7

/**
 * To the eight significant bits of a bfloat16, by Veltkamp's splitting (Dekker, "A floating-point technique for extending
 * the available precision", 1971, section 5).
 */
const toBfloat16 = <T extends Tensor2D>(tf: Tf, x: T): T =>
  tf.tidy(() => {
    const spread = tf.mul(x, 2 ** 16 + 1)
    return tf.sub(spread, tf.sub(spread, x)) as T
  })

/**
 * A matrix with the same singular vectors, and singular values of some 0.7 to 1.2, but for those that were next to none.
 * The given one is disposed of.
 */
const orthogonalize = (tf: Tf, matrix: Tensor2D, steps: number, precision: "float32" | "bfloat16"): Tensor2D => {
  const rounded = (compute: () => Tensor2D): Tensor2D =>
    tf.tidy(() => precision === "bfloat16" ? toBfloat16(tf, tf.tidy(compute)) : compute())
  // The smaller of the two Gram matrices: that of the columns has its place on the other side.
  const isTall = matrix.shape[0] > matrix.shape[1]
  const start = rounded(() => tf.clone(matrix))
  matrix.dispose()
  let x = tf.tidy(() => {
    const norm = rounded(() => tf.reshape(tf.sqrt(tf.sum(tf.sum(tf.square(start), 1))), [1, 1]))
    return rounded(() => tf.div(start, tf.maximum(norm, epsilon)))
  })
  start.dispose()
  for (let step = 0; step < steps; step++) {
    const last = x
    x = tf.tidy(() => {
      const gram = rounded(() => tf.matMul(last, last, isTall, !isTall))
      const factor = rounded(() => tf.add(tf.mul(gram, b), tf.mul(tf.matMul(gram, gram), c)))
      gram.dispose()
      return rounded(() => tf.add(tf.mul(last, a), isTall ? tf.matMul(last, factor) : tf.matMul(factor, last)))
    })
    last.dispose()
  }
  return x
}

export const rule = (settings: typeof Muon.Type): Rule.Rule => {
  const { momentum, nesterov, newtonSchulzSteps, precision, rateAdjustment, weightDecay } = settings
  const adjustment = ([rows = 1, columns = 1]: Rule.Shape): number =>
    rateAdjustment === "original"
      ? Math.sqrt(Math.max(1, rows / columns))
      : 0.2 * Math.sqrt(Math.max(rows, columns))
  return {
    elementwise: false,
    slots: Rule.alike("momentum"),
    temporaries: ([rows = 1, columns = 1]) => {
      const square = Math.min(rows, columns) ** 2
      return rows * columns + Math.max(5 * square, (precision === "bfloat16" ? 4 : 3) * rows * columns + square)
    },
    update: (tf, held, flat, { decays, learningRate, scale }) => {
      const direction = tf.tidy(() => {
        const gradient = Rule.scaled(tf, tf.reshape(flat, [...held.shape]) as Tensor, scale) as Tensor2D
        const mean = Rule.setSlot(tf, held, "momentum", (mean) => Rule.lerp(tf, mean, gradient, 1 - momentum))
        const ahead = nesterov ? Rule.lerp(tf, gradient, mean as Tensor2D, momentum) : tf.clone(mean) as Tensor2D
        gradient.dispose()
        return orthogonalize(tf, ahead, newtonSchulzSteps, precision)
      })
      Rule.setValues(tf, held, (values) =>
        tf.sub(
          decays && weightDecay !== 0 ? tf.mul(values, 1 - learningRate * weightDecay) : values,
          tf.mul(direction, learningRate * adjustment(held.shape))
        ))
    }
  }
}
