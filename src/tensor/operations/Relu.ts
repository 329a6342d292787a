/**
 * The rectified linear unit, `max(x, 0)`, which keeps its result for the gradient and not its argument: what comes after it
 * keeps the same tensor.
 */
import type { Tensor, Tf } from "../TensorFlow.ts"
import { differentiable } from "./Differentiable.ts"

/** As PyTorch's ReLU, with gradient 0 at 0. */
export const relu = (tf: Tf, x: Tensor): Tensor =>
  differentiable(tf, [x], () => {
    const value = tf.relu(x)
    return { value, saved: [value], gradient: (dy, [value]) => [tf.mul(dy, tf.step(value!))] }
  })
