/**
 * The loss of a batch: the mean over its supervised positions, of the cross-entropy or, for a regression, of the squared
 * error.
 */
import type { Head, Model, Weights } from "../model/Architecture.ts"
import type { Dropout } from "../model/Dropout.ts"
import type { Batch } from "../model/Examples.ts"
import type { Scalar, Tensor1D, Tensor2D, Tf } from "../tensor/Backend.ts"
import * as Operations from "../tensor/Operations.ts"

export interface Options {
  readonly dropout?: Dropout
  readonly recompute?: boolean
  /** How many positions the mean is over: those of the batch unless given. A part of a batch counts by its share. */
  readonly positions?: number
  /** The share of a target's probability that is spread over all classes; 0 unless given. */
  readonly labelSmoothing?: number
}

/**
 * The logits of the supervised positions: `[positions, outputs]`.
 *
 * No others pass through the last layer and the head, which for a language model is its widest product.
 */
const logits = (tf: Tf, model: Model, weights: Weights, batch: Batch, options: Options = {}): Tensor2D => {
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
export const mean = (tf: Tf, model: Model, weights: Weights, batch: Batch, options: Options = {}): Scalar =>
  ofLogits(tf, model.head, logits(tf, model, weights, batch, options), batch, options)

/** The loss, from the logits of the supervised positions. */
export const ofLogits = (
  tf: Tf,
  head: Head,
  found: Tensor2D,
  batch: Pick<Batch, "scores" | "targets">,
  { labelSmoothing = 0, positions = found.shape[0] }: Pick<Options, "labelSmoothing" | "positions"> = {}
): Scalar => {
  const [rows] = found.shape
  if (head === "sequence-regression") {
    const difference = tf.sub(tf.reshape(found, [rows]), tf.tensor1d(batch.scores, "float32"))
    return tf.mul(tf.sum(tf.square(difference)), 1 / positions)
  }
  const targets = tf.tensor1d(batch.targets, "int32")
  const hard = Operations.crossEntropy(
    tf,
    found,
    targets,
    tf.tensor1d(new Float32Array(rows).fill(1 / positions), "float32")
  )
  return labelSmoothing === 0 ? hard : tf.add(hard, tf.mul(margin(tf, found, targets), labelSmoothing / positions))
}

/**
 * What label smoothing adds to the cross-entropy, for each share of probability that it spreads: with the distribution
 * (1 - s) [target] + s / classes the cross-entropy is that with the target alone, plus s times how far the target's logit
 * exceeds the mean of its row (Szegedy et al., "Rethinking the Inception architecture", CVPR 2016, section 7).
 */
const margin = (tf: Tf, logits: Tensor2D, targets: Tensor1D): Scalar => {
  const [rows, classes] = logits.shape
  const places = tf.add(tf.mul(tf.range(0, rows, 1, "int32"), tf.scalar(classes, "int32")), targets)
  const chosen = tf.gather(tf.reshape(logits, [rows * classes]), places)
  return tf.sum(tf.sub(chosen, tf.mean(logits, -1)))
}
