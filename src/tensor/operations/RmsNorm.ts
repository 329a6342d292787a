/**
 * Normalisation by the root of the mean square (Zhang and Sennrich, "Root mean square layer normalization", NeurIPS 2019,
 * equation 4).
 */
import * as FusedKernels from "../FusedKernels.ts"
import type { Tensor, Tensor1D, Tensor2D, Tf } from "../TensorFlow.ts"
import { differentiable, last, rows, shapeOf } from "./Differentiable.ts"

/**
 * Each row of the last axis divided by the root of its mean square, then scaled.
 *
 * @param x `[..., width]`
 * @param gain `[width]`
 * @param epsilon added to the mean square under the root
 * @returns `[..., width]`
 */
export const rmsNorm = (tf: Tf, x: Tensor, gain: Tensor1D, epsilon: number): Tensor => {
  if (last(x) !== gain.shape[0]) throw new RangeError(`rmsNorm: x ${shapeOf(x)} does not fit gain ${shapeOf(gain)}`)
  if (FusedKernels.has(tf, FusedKernels.names.rmsNorm, [x, gain])) {
    return differentiable(tf, [x, gain], () => {
      const [y, inverses] = FusedKernels.runAll(tf, FusedKernels.names.rmsNorm, { x: rows(tf, x), gain }, { epsilon })
      return {
        value: tf.reshape(y!, x.shape),
        saved: [x, gain, inverses!],
        gradient: (dy, [x, gain, inverses]) => {
          const [dx, dGain] = FusedKernels.runAll(tf, FusedKernels.names.rmsNormGradient, {
            x: rows(tf, x!),
            gain,
            inverses,
            dy: rows(tf, dy)
          })
          return [tf.reshape(dx!, dy.shape), dGain!]
        }
      }
    })
  }
  return differentiable(tf, [x, gain], () => {
    const flat = rows(tf, x)
    const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(flat), -1, true), epsilon))
    return {
      value: tf.reshape(tf.mul(tf.mul(flat, inverse), gain), x.shape),
      saved: [x, inverse, gain],
      gradient: (dy, saved) => {
        const [x, inverse, gain] = saved as [Tensor, Tensor2D, Tensor1D]
        const dyRows = rows(tf, dy)
        const normal = tf.mul(rows(tf, x), inverse)
        const scaled = tf.mul(dyRows, normal)
        // With n the normalised row and g = gain dy its gradient: dx = (g - n mean(g n)) / root.
        const along = tf.mean(tf.mul(scaled, gain), -1, true)
        const dx = tf.mul(tf.sub(tf.mul(dyRows, gain), tf.mul(normal, along)), inverse)
        return [tf.reshape(dx, dy.shape), tf.sum(scaled, 0)]
      }
    }
  })
}
