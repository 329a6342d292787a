/**
 * Layer normalisation (Ba, Kiros and Hinton, "Layer normalization", 2016, section 3).
 */
import * as FusedKernels from "../FusedKernels.ts"
import type { Tensor, Tensor1D, Tensor2D, Tf } from "../TensorFlow.ts"
import { differentiable, last, rows, shapeOf } from "./Differentiable.ts"

/**
 * Each row of the last axis brought to mean 0 and variance 1 (the biased variance), then scaled and shifted.
 *
 * @param x `[..., width]`
 * @param gain `[width]`
 * @param bias `[width]`
 * @param epsilon added to the variance under the root; GPT-2 uses 1e-5
 * @returns `[..., width]`
 */
export const layerNorm = (tf: Tf, x: Tensor, gain: Tensor1D, bias: Tensor1D, epsilon: number): Tensor => {
  if (last(x) !== gain.shape[0] || last(x) !== bias.shape[0]) {
    throw new RangeError(`layerNorm: x ${shapeOf(x)} does not fit gain ${shapeOf(gain)} and bias ${shapeOf(bias)}`)
  }
  if (FusedKernels.has(tf, FusedKernels.names.layerNorm, [x, gain, bias])) {
    return differentiable(tf, [x, gain, bias], () => {
      const [y, means, inverses] = FusedKernels.runAll(
        tf,
        FusedKernels.names.layerNorm,
        { x: rows(tf, x), gain, bias },
        { epsilon }
      )
      return {
        value: tf.reshape(y!, x.shape),
        saved: [x, gain, means!, inverses!],
        gradient: (dy, saved) => {
          const [x, gain, means, inverses] = saved
          const [dx, dGain, dBias] = FusedKernels.runAll(tf, FusedKernels.names.layerNormGradient, {
            x: rows(tf, x!),
            gain,
            means,
            inverses,
            dy: rows(tf, dy)
          })
          return [tf.reshape(dx!, dy.shape), dGain!, dBias!]
        }
      }
    })
  }
  return differentiable(tf, [x, gain, bias], () => {
    const centred = tf.sub(rows(tf, x), tf.mean(rows(tf, x), -1, true))
    const inverseDeviation = tf.rsqrt(tf.add(tf.mean(tf.square(centred), -1, true), epsilon))
    const normal = tf.mul(centred, inverseDeviation)
    return {
      value: tf.reshape(tf.add(tf.mul(normal, gain), bias), x.shape),
      saved: [normal, inverseDeviation, gain],
      gradient: (dy, saved) => {
        const [normal, inverseDeviation, gain] = saved as [Tensor2D, Tensor2D, Tensor1D]
        const dyRows = rows(tf, dy)
        const dNormal = tf.mul(dyRows, gain)
        // With n the normalised row and g its gradient: dx = (g - mean(g) - n mean(g n)) / deviation.
        const along = tf.mean(tf.mul(dNormal, normal), -1, true)
        const across = tf.sub(dNormal, tf.mean(dNormal, -1, true))
        const dx = tf.mul(tf.sub(across, tf.mul(normal, along)), inverseDeviation)
        return [tf.reshape(dx, dy.shape), tf.sum(tf.mul(dyRows, normal), 0), tf.sum(dyRows, 0)]
      }
    }
  })
}
