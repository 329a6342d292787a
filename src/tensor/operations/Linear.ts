/**
 * An affine map, whichever way round a checkpoint stores its weight.
 */
import * as FusedKernels from "../FusedKernels.ts"
import type { Tensor, Tensor1D, Tensor2D, Tf } from "../TensorFlow.ts"
import { differentiable, last, rows, shapeOf } from "./Differentiable.ts"

/** How {@link linear} reads its weight, and whether it learns. */
export interface LinearOptions {
  /** The weight is `[out, in]`, the layout of PyTorch's Linear. */
  readonly transposed?: boolean
  /** Weight and bias get no gradient, and `x` is not kept for one. */
  readonly frozen?: boolean
}

/**
 * `x W + b`.
 *
 * @param x `[..., in]`
 * @param weight `[in, out]`, the layout of GPT-2's checkpoints; `[out, in]` when `transposed`
 * @param bias `[out]`
 * @returns `[..., out]`
 */
export const linear = (
  tf: Tf,
  x: Tensor,
  weight: Tensor2D,
  bias?: Tensor1D,
  { frozen = false, transposed = false }: LinearOptions = {}
): Tensor => {
  const [inputs, outputs] = transposed ? [weight.shape[1], weight.shape[0]] : weight.shape
  if (last(x) !== inputs || (bias !== undefined && bias.shape[0] !== outputs)) {
    throw new RangeError(
      `linear: x ${shapeOf(x)} does not fit weight ${shapeOf(weight)}${bias ? ` and bias ${shapeOf(bias)}` : ""}` +
        (transposed ? ", transposed" : "")
    )
  }
  const shape = [...x.shape.slice(0, -1), outputs]
  const product = (): Tensor => {
    if (!transposed && FusedKernels.has(tf, FusedKernels.names.linear, [x, weight, bias])) {
      return FusedKernels.run(tf, FusedKernels.names.linear, { x: rows(tf, x), weight, bias })
    }
    const product = tf.matMul(rows(tf, x), weight, false, transposed)
    return bias === undefined ? product : tf.add(product, bias)
  }
  const towardsX = (dyRows: Tensor2D, weight: Tensor2D) =>
    tf.reshape(tf.matMul(dyRows, weight, false, !transposed), x.shape)
  if (frozen) {
    return differentiable(tf, [x], () => ({
      value: tf.reshape(product(), shape),
      saved: [weight],
      gradient: (dy, saved) => [towardsX(rows(tf, dy), saved[0] as Tensor2D)]
    }))
  }
  return differentiable(tf, bias === undefined ? [x, weight] : [x, weight, bias], () => ({
    value: tf.reshape(product(), shape),
    saved: [x, weight],
    gradient: (dy, saved) => {
      const [x, weight] = saved as [Tensor, Tensor2D]
      const dyRows = rows(tf, dy)
      const gradients: Array<Tensor> = [
        towardsX(dyRows, weight),
        transposed ? tf.matMul(dyRows, rows(tf, x), true, false) : tf.matMul(rows(tf, x), dyRows, true, false)
      ]
      if (bias !== undefined) gradients.push(tf.sum(dyRows, 0))
      return gradients
    }
  }))
}
