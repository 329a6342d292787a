/**
 * Rotary position embedding (Su et al., "RoFormer", 2021, section 3.2.2), in the layout of Llama's checkpoints in
 * transformers: the element `i` of a head's first half is turned together with the element `i` of its second half.
 */
import * as FusedKernels from "../FusedKernels.ts"
import type { Tensor, Tf } from "../TensorFlow.ts"
import { differentiable, shapeOf } from "./Differentiable.ts"

/** The turns of some positions. */
export interface Turns {
  /** `[batch or 1, time, 1, size]`: the cosines, written out for both halves of a head. */
  readonly cosines: Tensor
  /** The same shape: the sines, those of the first half negated. */
  readonly sines: Tensor
}

/** The two halves of each head in each other's place. */
const exchange = (tf: Tf, x: Tensor): Tensor => {
  const [batch, time, heads, size] = x.shape as [number, number, number, number]
  const half = [batch, time, heads, size / 2]
  return tf.concat([tf.slice(x, [0, 0, 0, size / 2], half), tf.slice(x, [0, 0, 0, 0], half)], 3)
}

/**
 * Turns each head by the angles of its position. Turns get no gradient.
 *
 * @param x `[batch, time, heads * size]`
 * @param heads how many heads share the last axis
 * @returns `[batch, time, heads * size]`
 */
export const rotary = (tf: Tf, x: Tensor, heads: number, turns: Turns): Tensor => {
  const [batch, time, width] = x.shape
  const size = turns.cosines.shape[3]!
  if (
    x.rank !== 3 || width !== heads * size || size % 2 !== 0 || turns.cosines.shape[1] !== time ||
    (turns.cosines.shape[0] !== batch && turns.cosines.shape[0] !== 1) ||
    turns.sines.shape.join() !== turns.cosines.shape.join()
  ) {
    throw new RangeError(
      `rotary: x ${shapeOf(x)} of ${heads} heads does not fit cosines ${shapeOf(turns.cosines)} and sines ` +
        shapeOf(turns.sines)
    )
  }
  const { cosines, sines } = turns
  if (FusedKernels.has(tf, FusedKernels.names.rotary, [x, cosines, sines])) {
    const turn = (x: Tensor, cosines: Tensor, sines: Tensor, direction: 1 | -1): Tensor =>
      FusedKernels.run(tf, FusedKernels.names.rotary, { x, cosines, sines }, { direction })
    return differentiable(tf, [x], () => ({
      value: turn(x, cosines, sines, 1),
      saved: [cosines, sines],
      gradient: (dy, [cosines, sines]) => [turn(dy, cosines!, sines!, -1)]
    }))
  }
  return differentiable(tf, [x], () => {
    const parted = tf.reshape(x, [batch!, time!, heads, size])
    const turned = tf.add(tf.mul(parted, cosines), tf.mul(exchange(tf, parted), sines))
    return {
      value: tf.reshape(turned, x.shape),
      saved: [cosines, sines],
      gradient: (dy, saved) => {
        const [cosines, sines] = saved as [Tensor, Tensor]
        const slope = tf.reshape(dy, [batch!, time!, heads, size])
        // Back by the same angles: with the halves exchanged, the signed sines change their sign.
        const back = tf.sub(tf.mul(slope, cosines), tf.mul(exchange(tf, slope), sines))
        return [tf.reshape(back, dy.shape)]
      }
    }
  })
}
