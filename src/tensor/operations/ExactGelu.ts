/**
 * GELU as it is defined (Hendrycks and Gimpel, "Gaussian error linear units", 2016, section 2), by the error function: that
 * of PyTorch, and of BERT and its like. `Operations.gelu` is GPT-2's approximation of it.
 */
import * as FusedKernels from "../FusedKernels.ts"
import type { Tensor, Tf } from "../TensorFlow.ts"
import { differentiable } from "./Differentiable.ts"

/** The normal distribution function. */
const distribution = (tf: Tf, x: Tensor): Tensor =>
  tf.tidy(() => tf.mul(tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1), 0.5))

const density = (tf: Tf, x: Tensor): Tensor =>
  tf.tidy(() => tf.mul(tf.exp(tf.mul(tf.square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI)))

/** The distribution function, and `x` times its derivative. */
const slope = (tf: Tf, x: Tensor): Tensor => tf.add(tf.mul(x, density(tf, x)), distribution(tf, x))

/**
 * `x Φ(x)`, with Φ the distribution function of the standard normal distribution. Where the backend has no kernel for it
 * Φ is as exact as TensorFlow.js' error function, which is to 1.5e-7.
 *
 * @param x any shape
 * @returns the shape of `x`
 */
export const exactGelu = (tf: Tf, x: Tensor): Tensor =>
  FusedKernels.has(tf, FusedKernels.names.exactGelu, [x])
    ? differentiable(tf, [x], () => ({
      value: FusedKernels.run(tf, FusedKernels.names.exactGelu, { x }),
      saved: [x],
      gradient: (dy, [x]) => [FusedKernels.run(tf, FusedKernels.names.exactGeluGradient, { x, dy })]
    }))
    : differentiable(tf, [x], () => ({
      value: tf.mul(x, distribution(tf, x)),
      saved: [x],
      gradient: (dy, [x]) => [tf.mul(dy, slope(tf, x!))]
    }))
