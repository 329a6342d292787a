/**
 * The loss of classifiers and of language models.
 */
import * as FusedKernels from "../FusedKernels.ts"
import type { Scalar, Tensor, Tensor1D, Tensor2D, Tf } from "../TensorFlow.ts"
import { differentiable, last, product, rows, shapeOf } from "./Differentiable.ts"

/**
 * Weighted sum of the cross-entropies between rows of logits and their labels:
 * `sum_i weights_i (logsumexp(logits_i) - logits_i[labels_i])`. Divide the weights by their sum to get a mean; a weight of 0
 * leaves a position out.
 *
 * The labels stay indices: neither pass builds a one-hot matrix. The gradient is `weights_i (softmax(logits_i) - 1 at
 * labels_i)`; labels and weights get none.
 *
 * @param logits `[..., classes]`
 * @param labels `int32 [...]`, each in 0 .. classes - 1 where its weight is not 0, and in that range anywhere
 * @param weights `[...]`
 * @returns a scalar
 */
export const crossEntropy = (tf: Tf, logits: Tensor, labels: Tensor, weights: Tensor): Scalar => {
  const classes = last(logits)
  const positions = product(logits.shape.slice(0, -1))
  if (labels.size !== positions || weights.size !== positions || labels.dtype !== "int32") {
    throw new RangeError(
      `crossEntropy: logits ${shapeOf(logits)} do not fit ${labels.dtype} labels ${shapeOf(labels)} and weights ` +
        shapeOf(weights)
    )
  }
  if (FusedKernels.has(tf, FusedKernels.names.crossEntropy, [logits, weights])) {
    return differentiable(tf, [logits], () => {
      const inputs = { x: rows(tf, logits), labels, weights }
      const [losses, logSums] = FusedKernels.runAll(tf, FusedKernels.names.crossEntropy, inputs)
      return {
        value: tf.sum(losses!),
        saved: [inputs.x, labels, weights, logSums!],
        gradient: (dy, [x, labels, weights, logSums]) => {
          const dx = FusedKernels.run(tf, FusedKernels.names.crossEntropyGradient, { x, labels, weights, logSums, dy })
          return [tf.reshape(dx, logits.shape)]
        }
      }
    }) as Scalar
  }
  return differentiable(tf, [logits], () => {
    const flat = rows(tf, logits)
    const targets: Tensor1D = tf.add(
      tf.mul(tf.range(0, positions, 1, "int32"), tf.scalar(classes, "int32")),
      tf.reshape(labels, [positions])
    )
    const column: Tensor1D = tf.reshape(weights, [positions])
    const chosen = tf.gather(tf.reshape(flat, [positions * classes]), targets)
    const losses = tf.sub(tf.logSumExp(flat, -1), chosen)
    return {
      value: tf.sum(tf.mul(losses, column)),
      saved: [flat, targets, column],
      gradient: (dy, saved) => {
        const [flat, targets, column] = saved as [Tensor2D, Tensor1D, Tensor1D]
        const scaled: Tensor1D = tf.mul(column, dy)
        const spread = tf.mul(tf.softmax(flat), tf.reshape(scaled, [positions, 1]))
        const ones = tf.scatterND(tf.reshape(targets, [positions, 1]), scaled, [positions * classes])
        return [tf.reshape(tf.sub(spread, tf.reshape(ones, [positions, classes])), logits.shape)]
      }
    }
  }) as Scalar
}
