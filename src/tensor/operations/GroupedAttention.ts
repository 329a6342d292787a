/**
 * Attention in which several heads of queries share the keys and values of one head (Ainslie et al., "GQA: training
 * generalized multi-query transformer models from multi-head checkpoints", EMNLP 2023, section 2.2).
 *
 * The query heads of a group are consecutive, as in Llama's checkpoints: seen as one head with more queries they meet the
 * shared keys in one product, and nothing is repeated.
 */
import type * as Dropout from "../Dropout.ts"
import * as FusedKernels from "../FusedKernels.ts"
import type { Tensor, Tf } from "../TensorFlow.ts"
import { differentiable, shapeOf } from "./Differentiable.ts"
import { attendGradient, fullMask } from "./DotProduct.ts"

/** Heads apart: queries `[batch, heads, queries, size]`, keys and values `[batch, shared, keys, size]`. */
const attend = (tf: Tf, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | undefined, factors?: Tensor) => {
  const [batch, heads, queries, size] = q.shape as [number, number, number, number]
  const [, shared, keys] = k.shape as [number, number, number]
  const rows = heads / shared * queries
  const grouped = tf.reshape(q, [batch, shared, rows, size])
  const scores = tf.matMul(tf.mul(grouped, 1 / Math.sqrt(size)), k, false, true)
  const apart = [batch, heads, queries, keys]
  const full = fullMask(tf, mask, apart)
  const weights = tf.softmax(
    full === undefined ? scores : tf.reshape(tf.add(tf.reshape(scores, apart), full), scores.shape)
  )
  const dropped = factors === undefined ? weights : tf.mul(weights, tf.reshape(factors, weights.shape))
  return { grouped, weights, value: tf.reshape(tf.matMul(dropped, v), q.shape) }
}

const check = (
  name: string,
  [q, k, v]: readonly [Tensor, Tensor, Tensor],
  fits: boolean,
  heads: string
): void => {
  if (fits) return
  throw new RangeError(`${name}: q ${shapeOf(q)}, k ${shapeOf(k)} and v ${shapeOf(v)} do not fit ${heads}`)
}

/**
 * `softmax(q kᵀ / sqrt(size) + mask) v` of heads that are apart, without gradients: what generation computes on its cache.
 *
 * @param q `[batch, heads, queries, size]`
 * @param k `[batch, shared, keys, size]`, `shared` dividing `heads`
 * @param v like `k`
 * @param mask as in `Operations.attention`, broadcasting to `[batch, heads, queries, keys]`
 * @returns `[batch, heads, queries, size]`
 */
export const groupedAttention = (tf: Tf, q: Tensor, k: Tensor, v: Tensor, mask?: Tensor): Tensor => {
  const fits = q.rank === 4 && k.rank === 4 && q.shape[0] === k.shape[0] && q.shape[3] === k.shape[3] &&
    Number.isInteger(q.shape[1]! / k.shape[1]!) && v.shape.join() === k.shape.join()
  check("groupedAttention", [q, k, v], fits, "each other")
  return tf.tidy(() => attend(tf, q, k, v, mask).value)
}

export interface Options {
  readonly heads: number
  /** How many heads keys and values have; it divides `heads`. */
  readonly shared: number
  /** As in `Operations.attention`, broadcasting to `[batch, heads, time, time]`. */
  readonly mask?: Tensor | undefined
  /** Factors `[batch, heads, time, time]` that the weights are multiplied with before they meet the values. */
  readonly dropout?: Dropout.Factors | undefined
}

/**
 * Attention of a sequence to itself, from the projections with their heads side by side to the input of the output
 * projection.
 *
 * @param q `[batch, time, heads * size]`
 * @param k `[batch, time, shared * size]`
 * @param v like `k`
 * @returns `[batch, time, heads * size]`
 */
export const groupedSelfAttention = (
  tf: Tf,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  { dropout, heads, mask, shared }: Options
): Tensor => {
  const [batch, time, width] = q.shape as [number, number, number]
  const size = width / heads
  check(
    "groupedSelfAttention",
    [q, k, v],
    q.rank === 3 && Number.isInteger(size) && heads % shared === 0 &&
      k.shape.join() === [batch, time, shared * size].join() && v.shape.join() === k.shape.join(),
    `${heads} heads over ${shared}`
  )
  const factors = dropout?.values
  if (factors !== undefined && factors.shape.join() !== [batch, heads, time, time].join()) {
    throw new RangeError(
      `groupedSelfAttention: dropout factors ${shapeOf(factors)} are not [${[batch, heads, time, time].join(", ")}]`
    )
  }
  if (FusedKernels.has(tf, FusedKernels.names.groupedSelfAttention, [q, k, v, mask, factors])) {
    return differentiable(tf, [q, k, v], () => {
      const [value, weights] = FusedKernels.runAll(
        tf,
        FusedKernels.names.groupedSelfAttention,
        { q, k, v, mask: fullMask(tf, mask, [batch, heads, time, time]), factors },
        { heads, shared }
      )
      return {
        value: value!,
        saved: [q, k, v, weights!],
        gradient: (dy, [q, k, v, weights]) =>
          FusedKernels.runAll(tf, FusedKernels.names.groupedSelfAttentionGradient, { q, k, v, weights, dy }, {
            heads,
            shared,
            kept: dropout?.kept ?? 0
          })
      }
    })
  }
  return differentiable(tf, [q, k, v], () => {
    const part = (x: Tensor, count: number): Tensor =>
      tf.transpose(tf.reshape(x, [batch, time, count, size]), [0, 2, 1, 3])
    const join = (x: Tensor): Tensor => tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [batch, time, x.shape[1]! * size])
    const keys = part(k, shared), values = part(v, shared)
    const { grouped, value, weights } = attend(tf, part(q, heads), keys, values, mask, factors)
    return {
      value: join(value),
      saved: [grouped, keys, values, weights, ...(factors === undefined ? [] : [factors])],
      gradient: (dy, saved) => {
        const [grouped, keys, values, weights, factors] = saved as [Tensor, Tensor, Tensor, Tensor, Tensor?]
        const slope = tf.reshape(part(dy, heads), grouped.shape)
        const dropped = factors === undefined ? undefined : tf.reshape(factors, weights.shape)
        const [dQ, dK, dV] = attendGradient(tf, slope, grouped, keys, values, weights, dropped)
        return [join(tf.reshape(dQ, [batch, heads, time, size])), join(dK), join(dV)]
      }
    }
  })
}
