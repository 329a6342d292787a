/**
 * GELU in the tanh form of GPT-2 (Hendrycks and Gimpel, "Gaussian error linear units", 2016, section 2).
 */
import * as FusedKernels from "../FusedKernels.ts"
import type { Tensor, Tf } from "../TensorFlow.ts"
import { differentiable } from "./Differentiable.ts"

/** sqrt(8 / pi) and its product with 0.044715: twice the constants of GPT-2's tanh, see {@link gelu}. */
const geluLinear = 2 * Math.sqrt(2 / Math.PI)
const geluCubic = geluLinear * 0.044715

/**
 * `x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`.
 *
 * Computed as `x sigmoid(2 u)` with `u` the argument of tanh, since `1 + tanh(u) = 2 sigmoid(2 u)`: XNNPACK has a
 * vectorised sigmoid and no tanh.
 *
 * @param x any shape
 * @returns the shape of `x`
 */
export const gelu = (tf: Tf, x: Tensor): Tensor => {
  if (FusedKernels.has(tf, FusedKernels.names.gelu, [x])) {
    return differentiable(tf, [x], () => ({
      value: FusedKernels.run(tf, FusedKernels.names.gelu, { x }),
      saved: [x],
      gradient: (dy, [x]) => [FusedKernels.run(tf, FusedKernels.names.geluGradient, { x, dy })]
    }))
  }
  return differentiable(tf, [x], () => {
    const gate = tf.sigmoid(tf.mul(x, tf.add(tf.mul(tf.square(x), geluCubic), geluLinear)))
    return {
      value: tf.mul(x, gate),
      saved: [x, gate],
      gradient: (dy, saved) => {
        const [x, gate] = saved as [Tensor, Tensor]
        // d/dx x s(v) = s + x s (1 - s) v', with v' = geluLinear + 3 geluCubic x^2.
        const slope = tf.mul(x, tf.add(tf.mul(tf.square(x), 3 * geluCubic), geluLinear))
        const derivative = tf.mul(gate, tf.add(tf.mul(slope, tf.sub(1, gate)), 1))
        return [tf.mul(dy, derivative)]
      }
    }
  })
}
