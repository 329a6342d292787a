/**
 * Gradient checkpointing (Chen, Xu, Zhang and Guestrin, "Training deep nets with sublinear memory cost", 2016, section 3):
 * a part of a computation keeps its inputs only, and is computed again when its gradient is wanted.
 */
import * as Backpropagation from "./Backpropagation.ts"
import type { GradSaveFunc, Tensor, Tf } from "./TensorFlow.ts"

/**
 * `f(x)`, with gradients for `x` and for `weights`, and nothing else kept for them.
 *
 * `f` is called again in the backward pass, with a tensor equal to `x`: it must compute the same from it, and use of
 * trained tensors none but `weights`. On an exact backend the gradients are those of `f(x)` itself, to the bit.
 */
export const recomputed = (
  tf: Tf,
  x: Tensor,
  weights: ReadonlyArray<Tensor>,
  f: (x: Tensor) => Tensor
): Tensor =>
  tf.customGrad((...all: Array<Tensor | GradSaveFunc>) => {
    const save = all[all.length - 1] as GradSaveFunc
    const value = tf.tidy(() => f(x))
    save([x])
    return {
      value,
      gradFunc: (dy: Tensor, kept: Array<Tensor>) => [
        ...Backpropagation.gradients(tf, f, kept[0]!, weights, dy)
      ]
    }
  })(x, ...weights)
