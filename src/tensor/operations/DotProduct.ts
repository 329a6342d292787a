/**
 * Scaled dot-product attention composed of TensorFlow.js operations, for backends without a kernel that does it in one go.
 */
import type { Tensor, Tf } from "../TensorFlow.ts"
import { last, shapeOf } from "./Differentiable.ts"

/** Attention's weights and result, of heads that are apart already: `[..., queries, size]` and so on. */
export const attend = (tf: Tf, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | undefined, factors?: Tensor) => {
  const scores = tf.matMul(tf.mul(q, 1 / Math.sqrt(last(q))), k, false, true)
  const weights = tf.softmax(mask === undefined ? scores : tf.add(scores, mask))
  return { weights, value: tf.matMul(factors === undefined ? weights : tf.mul(weights, factors), v) }
}

/**
 * A mask that broadcasts to the scores of attention, its last two axes written out as the fused kernels read them.
 */
export const fullMask = (tf: Tf, mask: Tensor | undefined, scores: ReadonlyArray<number>): Tensor | undefined => {
  if (mask === undefined) return undefined
  const missing = scores.length - mask.rank
  if (missing < 0 || mask.shape.some((extent, at) => extent !== 1 && extent !== scores[missing + at])) {
    throw new RangeError(`attention: mask ${shapeOf(mask)} does not broadcast to [${scores.join(", ")}]`)
  }
  const inner = scores.slice(-2)
  return mask.rank >= 2 && mask.shape.slice(-2).join() === inner.join()
    ? mask
    : tf.broadcastTo(mask, [...mask.shape.slice(0, -2), ...inner])
}

/** The gradients of {@link attend} with respect to `q`, `k` and `v`. */
export const attendGradient = (
  tf: Tf,
  dy: Tensor,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  weights: Tensor,
  factors?: Tensor
) => {
  const dropped = factors === undefined ? weights : tf.mul(weights, factors)
  // The softmax gets the gradient of the dropped weights times the factors, and weighs it with its own result.
  const weighted = tf.mul(dropped, tf.matMul(dy, v, false, true))
  const dScores = tf.mul(
    tf.sub(weighted, tf.mul(weights, tf.sum(weighted, -1, true))),
    1 / Math.sqrt(last(q))
  )
  return [
    tf.matMul(dScores, k),
    tf.matMul(dScores, q, true, false),
    tf.matMul(dropped, dy, true, false)
  ] as const
}
