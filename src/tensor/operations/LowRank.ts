/**
 * What a low-rank adapter adds to a linear map whose weight stays as it is: LoRA (Hu et al., "LoRA: low-rank adaptation of
 * large language models", 2021, section 4.1), and DoRA (Liu et al., "DoRA: weight-decomposed low-rank adaptation", 2024,
 * sections 4.1 and 4.3), in the arithmetic of PEFT's `lora/layer.py` and `lora/dora.py`.
 */
import type { Factors } from "../Dropout.ts"
import type { Tensor, Tensor1D, Tensor2D, Tf } from "../TensorFlow.ts"
import { differentiable, last, rows, shapeOf } from "./Differentiable.ts"

export interface LowRank {
  /** `[rank, in]`: PEFT's `lora_A`. */
  readonly down: Tensor2D
  /** `[out, rank]`: PEFT's `lora_B`. */
  readonly up: Tensor2D
  readonly scaling: number
  /** Draws the factors of dropout for `x`, of its shape: the same each time, so that they need not be kept. */
  readonly factors?: (() => Factors | undefined) | undefined
}

const check = (name: string, x: Tensor, { down, up }: LowRank) => {
  if (last(x) !== down.shape[1] || down.shape[0] !== up.shape[1]) {
    throw new RangeError(`${name}: x ${shapeOf(x)}, down ${shapeOf(down)} and up ${shapeOf(up)} do not fit`)
  }
}

/** The factors as rows; `undefined` where nothing is dropped. */
const draw = (tf: Tf, x: Tensor, factors: LowRank["factors"]): Tensor2D | undefined => {
  const values = factors?.()?.values
  if (values === undefined) return undefined
  if (values.shape.join() !== x.shape.join()) {
    throw new RangeError(`dropout factors ${shapeOf(values)} are not ${shapeOf(x)}`)
  }
  return rows(tf, values)
}

/** `x` as rows, some of its numbers dropped. */
const dropped = (tf: Tf, x: Tensor, factors: Tensor2D | undefined): Tensor2D =>
  factors === undefined ? rows(tf, x) : tf.mul(rows(tf, x), factors)

/**
 * `scaling (x downᵀ) upᵀ`, with gradients for `x`, `down` and `up`. Kept for them are `x` and its rows of `rank` numbers.
 *
 * @param x `[..., in]`
 * @returns `[..., out]`
 */
export const lowRank = (tf: Tf, x: Tensor, options: LowRank): Tensor => {
  check("lowRank", x, options)
  const { down, factors, scaling, up } = options
  return differentiable(tf, [x, down, up], () => {
    const inner: Tensor2D = tf.mul(tf.matMul(dropped(tf, x, draw(tf, x, factors)), down, false, true), scaling)
    return {
      value: tf.reshape(tf.matMul(inner, up, false, true), [...x.shape.slice(0, -1), up.shape[0]]),
      saved: [x, down, up, inner],
      gradient: (dy, saved) => {
        const [x, down, up, inner] = saved as [Tensor, Tensor2D, Tensor2D, Tensor2D]
        const kept = draw(tf, x, factors)
        const dyRows = rows(tf, dy)
        const dInner: Tensor2D = tf.mul(tf.matMul(dyRows, up), scaling)
        return [
          tf.reshape(dropped(tf, tf.matMul(dInner, down), kept), x.shape),
          tf.matMul(dInner, dropped(tf, x, kept), true, false),
          tf.matMul(dyRows, inner, true, false)
        ]
      }
    }
  })
}

export interface Decomposed extends LowRank {
  /** `[out]`: the lengths that the weight's vectors are brought to, one for each output. */
  readonly magnitude: Tensor1D
  /** The weight is `[out, in]`, the layout of PyTorch's Linear; otherwise `[in, out]`. */
  readonly transposed: boolean
}

/**
 * The affine map whose weight is decomposed: `V = W + scaling (up down)`, each output's vector of it brought to the length
 * that `magnitude` says. With gradients for `x`, `down`, `up` and `magnitude`; the length of `V`'s vectors counts as a
 * constant in them, as the paper has it (section 4.3).
 *
 * Where something is dropped, it is as in PEFT: `x W + b` sees all of `x`, what is added to it the rest.
 *
 * @param x `[..., in]`
 * @param weight `[in, out]`, or `[out, in]` when `transposed`; frozen
 * @param bias `[out]`; frozen
 * @returns `[..., out]`
 */
export const decomposed = (
  tf: Tf,
  x: Tensor,
  weight: Tensor2D,
  bias: Tensor1D | undefined,
  options: Decomposed
): Tensor => {
  check("decomposed", x, options)
  const { down, factors, magnitude, scaling, transposed, up } = options
  const expected = transposed ? [up.shape[0], down.shape[1]] : [down.shape[1], up.shape[0]]
  if (weight.shape.join() !== expected.join() || magnitude.shape[0] !== up.shape[0]) {
    throw new RangeError(
      `decomposed: weight ${shapeOf(weight)} and magnitude ${shapeOf(magnitude)} do not fit [${expected.join(", ")}]` +
        (transposed ? ", transposed" : "")
    )
  }
  return differentiable(tf, [x, down, up, magnitude], () => {
    const length: Tensor1D = tf.tidy(() => {
      const change = transposed ? tf.matMul(up, down) : tf.matMul(down, up, true, true)
      return tf.sqrt(tf.sum(tf.square(tf.add(weight, tf.mul(change, scaling))), transposed ? 1 : 0))
    })
    const stretch: Tensor1D = tf.div(magnitude, length)
    const kept = draw(tf, x, factors)
    const seen = dropped(tf, x, kept)
    const inner: Tensor2D = tf.mul(tf.matMul(seen, down, false, true), scaling)
    const along: Tensor2D = tf.add(tf.matMul(seen, weight, false, transposed), tf.matMul(inner, up, false, true))
    const stretched: Tensor2D = tf.mul(along, stretch)
    const product: Tensor2D = kept === undefined
      ? stretched
      : tf.add(stretched, tf.matMul(tf.sub(rows(tf, x), seen), weight, false, transposed))
    return {
      value: tf.reshape(bias === undefined ? product : tf.add(product, bias), [...x.shape.slice(0, -1), up.shape[0]]),
      saved: [x, weight, down, up, inner, along, stretch, length],
      gradient: (dy, saved) => {
        const [x, weight, down, up, inner, along, stretch, length] = saved as [
          Tensor,
          Tensor2D,
          Tensor2D,
          Tensor2D,
          Tensor2D,
          Tensor2D,
          Tensor1D,
          Tensor1D
        ]
        const kept = draw(tf, x, factors)
        const dyRows = rows(tf, dy)
        const dAlong: Tensor2D = tf.mul(dyRows, stretch)
        const dInner: Tensor2D = tf.mul(tf.matMul(dAlong, up), scaling)
        const throughInner = tf.matMul(dInner, down)
        const towards = (dProduct: Tensor2D): Tensor2D => tf.matMul(dProduct, weight, false, !transposed)
        // What is dropped meets the weight alone, what is not the stretched one.
        const dx = kept === undefined
          ? tf.add(towards(dAlong), throughInner)
          : tf.add(
            towards(dyRows),
            dropped(tf, tf.add(towards(tf.sub(dAlong, dyRows)), throughInner), kept)
          )
        return [
          tf.reshape(dx, x.shape),
          tf.matMul(dInner, dropped(tf, x, kept), true, false),
          tf.matMul(dAlong, inner, true, false),
          tf.div(tf.sum(tf.mul(dyRows, along), 0), length)
        ]
      }
    }
  })
}
