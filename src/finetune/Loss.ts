/**
 * The loss of a batch: the mean cross-entropy over its supervised positions.
 */
import type { Model } from "../model/Architecture.ts"
import type { Dropout } from "../model/Dropout.ts"
import type { Batch } from "../model/Examples.ts"
import type { Scalar, Tensor, Tensor2D, Tf } from "../tensor/Backend.ts"
import * as Operations from "../tensor/Operations.ts"

/**
 * The logits of the supervised positions: `[positions, outputs]`.
 *
 * No others pass through the last layer and the head, which for a language model is its widest product.
 */
export const logits = (
  tf: Tf,
  model: Model,
  parameters: ReadonlyMap<string, Tensor>,
  batch: Batch,
  dropout?: Dropout
): Tensor2D => {
  const hidden = model.hidden(tf, parameters, batch, {
    rows: batch.rows,
    ...(dropout === undefined ? {} : { dropout })
  })
  return model.logits(tf, parameters, hidden)
}

/** The mean over the supervised positions of minus the logarithm of the target's probability, in nats. */
export const mean = (
  tf: Tf,
  model: Model,
  parameters: ReadonlyMap<string, Tensor>,
  batch: Batch,
  dropout?: Dropout
): Scalar => {
  const positions = batch.rows.length
  return Operations.crossEntropy(
    tf,
    logits(tf, model, parameters, batch, dropout),
    tf.tensor1d(batch.targets, "int32"),
    tf.tensor1d(new Float32Array(positions).fill(1 / positions), "float32")
  )
}
