/**
 * The gate of SwiGLU (Shazeer, "GLU variants improve Transformer", 2020, equation 6): `silu(gate) * up`, with
 * `silu(x) = x sigmoid(x)`.
 */
import * as FusedKernels from "../FusedKernels.ts"
import type { Tensor, Tf } from "../TensorFlow.ts"
import { differentiable, shapeOf } from "./Differentiable.ts"

/**
 * @param gate any shape
 * @param up the same shape
 * @returns the same shape
 */
export const gatedSilu = (tf: Tf, gate: Tensor, up: Tensor): Tensor => {
  if (gate.shape.join() !== up.shape.join()) {
    throw new RangeError(`gatedSilu: gate ${shapeOf(gate)} and up ${shapeOf(up)} differ`)
  }
  if (FusedKernels.has(tf, FusedKernels.names.gatedSilu, [gate, up])) {
    return differentiable(tf, [gate, up], () => ({
      value: FusedKernels.run(tf, FusedKernels.names.gatedSilu, { gate, up }),
      saved: [gate, up],
      gradient: (dy, [gate, up]) => FusedKernels.runAll(tf, FusedKernels.names.gatedSiluGradient, { gate, up, dy })
    }))
  }
  return differentiable(tf, [gate, up], () => ({
    value: tf.mul(tf.mul(gate, tf.sigmoid(gate)), up),
    saved: [gate, up],
    gradient: (dy, saved) => {
      const [gate, up] = saved as [Tensor, Tensor]
      // The sigmoid anew: it is one of the widest tensors of a model, and cheaper to compute than to keep.
      const share = tf.sigmoid(gate)
      const silu = tf.mul(gate, share)
      // d/dx x s(x) = s + x s (1 - s) = s + silu - silu s.
      const slope = tf.add(share, tf.sub(silu, tf.mul(silu, share)))
      return [tf.mul(tf.mul(dy, up), slope), tf.mul(dy, silu)]
    }
  }))
}
