/**
 * A forward pass through the layers of a transformer, each of an attention and a feed forward part.
 */
import type { Tensor, Tf } from "../tensor/Backend.ts"
import * as Recomputation from "../tensor/Recomputation.ts"
import type { Weights } from "./Architecture.ts"

export interface Layers<Constants extends Recomputation.Constants> {
  readonly count: number
  /** What a layer reads beside its weights and its input. */
  readonly constants: (layer: number) => Constants
  readonly attend: (layer: number, x: Tensor, constants: Constants) => Tensor
  readonly feedForward: (layer: number, x: Tensor) => Tensor
}

/**
 * What the last layer gives for `x`, which is disposed.
 *
 * @param recompute whether the backward pass computes each layer anew from its input, which is then all that it keeps
 */
export const run = <Constants extends Recomputation.Constants>(
  tf: Tf,
  weights: Weights,
  x: Tensor,
  { attend, constants, count, feedForward }: Layers<Constants>,
  recompute: boolean
): Tensor => {
  // What a part leaves behind goes at once: prediction holds one part of one layer, training what its gradients need.
  const whole = (layer: number, x: Tensor, constants: Constants, dispose: boolean): Tensor => {
    const attended = tf.tidy(() => attend(layer, x, constants))
    if (dispose) x.dispose()
    const result = tf.tidy(() => feedForward(layer, attended))
    attended.dispose()
    return result
  }
  let found = x
  for (let layer = 0; layer < count; layer++) {
    if (!recompute) {
      found = whole(layer, found, constants(layer), true)
      continue
    }
    const before = found
    const anew = (x: Tensor, constants: Constants) => whole(layer, x, constants, false)
    found = Recomputation.recomputed(tf, before, weights.trainedOf(layer + 1), constants(layer), anew)
    before.dispose()
  }
  return found
}
