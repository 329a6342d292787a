/**
 * Gradient checkpointing (Chen, Xu, Zhang and Guestrin, "Training deep nets with sublinear memory cost", 2016, section 3):
 * a part of a computation keeps its inputs only, and is computed again when its gradient is wanted.
 */
import * as Backpropagation from "./Backpropagation.ts"
import type { GradSaveFunc, Tensor, Tf } from "./TensorFlow.ts"

/** Tensors that a part of a computation reads beside its input, by name, where there are any. */
export type Constants = Readonly<Record<string, Tensor | undefined>>

/**
 * `f(x, constants)`, with gradients for `x` and for `weights`, and nothing else kept for them.
 *
 * `f` is called again in the backward pass, with tensors equal to `x` and `constants`: it must compute the same from them,
 * and use of trained tensors none but `weights`. Whatever else it uses must live until then: masks and the like, which end
 * with the forward pass, are for `constants`, which get no gradients. On an exact backend the gradients are those of
 * `f(x, constants)` itself, to the bit.
 */
export const recomputed = <C extends Constants>(
  tf: Tf,
  x: Tensor,
  weights: ReadonlyArray<Tensor>,
  constants: C,
  f: (x: Tensor, constants: C) => Tensor
): Tensor => {
  const given = Object.entries(constants).filter((entry): entry is [string, Tensor] => entry[1] !== undefined)
  return tf.customGrad((...all: Array<Tensor | GradSaveFunc>) => {
    const save = all[all.length - 1] as GradSaveFunc
    const value = tf.tidy(() => f(x, constants))
    save([x, ...given.map(([, tensor]) => tensor)])
    return {
      value,
      gradFunc: (dy: Tensor, [x, ...kept]: Array<Tensor>) => {
        const again = { ...constants, ...Object.fromEntries(given.map(([name], index) => [name, kept[index]])) }
        return [...Backpropagation.gradients(tf, (x) => f(x, again), x!, weights, dy)]
      }
    }
  })(x, ...weights)
}
