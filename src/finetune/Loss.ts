/**
 * The loss of a batch: the mean over its supervised positions, of the cross-entropy or, for a regression, of the squared
 * error.
 */
import type { Model, Weights } from "../model/Architecture.ts"
import type { Dropout } from "../model/Dropout.ts"
import type { Batch } from "../model/Examples.ts"
import type { Scalar, Tensor2D, Tf } from "../tensor/Backend.ts"
import * as Operations from "../tensor/Operations.ts"

export interface Options {
  readonly dropout?: Dropout
  readonly recompute?: boolean
  /** How many positions the mean is over: those of the batch unless given. A part of a batch counts by its share. */
  readonly positions?: number
}

/**
 * The logits of the supervised positions: `[positions, outputs]`.
 *
 * No others pass through the last layer and the head, which for a language model is its widest product.
 */
export const logits = (tf: Tf, model: Model, weights: Weights, batch: Batch, options: Options = {}): Tensor2D => {
  const { dropout, recompute = false } = options
  const hidden = model.hidden(tf, weights, batch, {
    rows: batch.rows,
    recompute,
    ...(dropout === undefined ? {} : { dropout })
  })
  return model.logits(tf, weights, hidden, dropout)
}

/**
 * Over the supervised positions the mean of minus the logarithm of the target's probability, in nats; for a regression that
 * of the squared difference from the score.
 */
export const mean = (tf: Tf, model: Model, weights: Weights, batch: Batch, options: Options = {}): Scalar => {
  const rows = batch.rows.length
  const { positions = rows } = options
  const found = logits(tf, model, weights, batch, options)
  if (model.head === "sequence-regression") {
    const difference = tf.sub(tf.reshape(found, [rows]), tf.tensor1d(batch.scores, "float32"))
    return tf.mul(tf.sum(tf.square(difference)), 1 / positions)
  }
  return Operations.crossEntropy(
    tf,
    found,
    tf.tensor1d(batch.targets, "int32"),
    tf.tensor1d(new Float32Array(rows).fill(1 / positions), "float32")
  )
}
