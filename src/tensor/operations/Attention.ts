/**
 * Scaled dot-product attention (Vaswani et al., "Attention is all you need", 2017, section 3.2.1), of heads that
 * are apart and of the joint projection of GPT-2.
 */
import type * as Dropout from "../Dropout.ts"
import * as FusedKernels from "../FusedKernels.ts"
import type { Tensor, Tf } from "../TensorFlow.ts"
import { differentiable, last, shapeOf } from "./Differentiable.ts"
import { attend, attendGradient, fullMask } from "./DotProduct.ts"

/**
 * `softmax(q kᵀ / sqrt(size) + mask) v`.
 *
 * @param q `[batch, heads, queries, size]`
 * @param k `[batch, heads, keys, size]`
 * @param v `[batch, heads, keys, valueSize]`
 * @param mask added to the scores before the softmax: 0 where a query may look, a large negative number (-1e9) where it
 *   may not; any shape that broadcasts to `[batch, heads, queries, keys]`. It gets no gradient.
 * @returns `[batch, heads, queries, valueSize]`
 */
export const attention = (tf: Tf, q: Tensor, k: Tensor, v: Tensor, mask?: Tensor): Tensor => {
  const outer = (tensor: Tensor) => tensor.shape.slice(0, -2).join()
  if (
    q.rank < 2 || last(q) !== last(k) || k.shape[k.rank - 2] !== v.shape[v.rank - 2] ||
    outer(q) !== outer(k) || outer(k) !== outer(v)
  ) {
    throw new RangeError(`attention: q ${shapeOf(q)}, k ${shapeOf(k)} and v ${shapeOf(v)} do not fit`)
  }
  const scores = [...q.shape.slice(0, -1), k.shape[k.rank - 2]!]
  if (FusedKernels.has(tf, FusedKernels.names.attention, [q, k, v, mask])) {
    return differentiable(tf, [q, k, v], () => {
      const full = fullMask(tf, mask, scores)
      const [value, weights] = FusedKernels.runAll(tf, FusedKernels.names.attention, { q, k, v, mask: full })
      return {
        value: value!,
        saved: [q, k, v, weights!],
        gradient: (dy, [q, k, v, weights]) =>
          FusedKernels.runAll(tf, FusedKernels.names.attentionGradient, { q, k, v, weights, dy })
      }
    })
  }
  return differentiable(tf, [q, k, v], () => {
    const { value, weights } = attend(tf, q, k, v, fullMask(tf, mask, scores))
    return {
      value,
      saved: [q, k, v, weights],
      gradient: (dy, saved) => {
        const [q, k, v, weights] = saved as [Tensor, Tensor, Tensor, Tensor]
        return [...attendGradient(tf, dy, q, k, v, weights)]
      }
    }
  })
}

/**
 * Attention of a sequence to itself, from the joint projection that GPT-2 calls `c_attn` to the input of its output
 * projection: parts queries, keys and values, parts the heads, attends, and joins the heads.
 *
 * The heads are parted by one transpose of rank 4 over all three; the textbook's `[batch, time, 3, heads, size]` takes
 * one of rank 5, or a split of rows.
 *
 * @param qkv `[batch, time, 3 * width]`: queries, keys and values side by side, each with its heads side by side
 * @param heads how many heads share `width`
 * @param options.mask as in {@link attention}, broadcasting to `[batch, heads, time, time]`
 * @param options.dropout factors `[batch, heads, time, time]` that the weights are multiplied with before they meet the
 *   values
 * @returns `[batch, time, width]`
 */
export const selfAttention = (
  tf: Tf,
  qkv: Tensor,
  heads: number,
  { dropout, mask }: { readonly mask?: Tensor | undefined; readonly dropout?: Dropout.Factors | undefined } = {}
): Tensor => {
  const [batch, time, joint] = qkv.shape
  if (qkv.rank !== 3 || batch === undefined || time === undefined || joint === undefined || joint % (3 * heads) !== 0) {
    throw new RangeError(`selfAttention: qkv ${shapeOf(qkv)} is not [batch, time, 3 * width] for ${heads} heads`)
  }
  const scores = [batch, heads, time, time]
  const factors = dropout?.values
  if (factors !== undefined && factors.shape.join() !== scores.join()) {
    throw new RangeError(`selfAttention: dropout factors ${shapeOf(factors)} are not [${scores.join(", ")}]`)
  }
  if (FusedKernels.has(tf, FusedKernels.names.selfAttention, [qkv, mask, factors])) {
    return differentiable(tf, [qkv], () => {
      const full = fullMask(tf, mask, scores)
      const [value, weights] = FusedKernels.runAll(
        tf,
        FusedKernels.names.selfAttention,
        { qkv, mask: full, factors },
        { heads }
      )
      return {
        value: value!,
        saved: [qkv, weights!],
        gradient: (dy, [qkv, weights]) => [
          FusedKernels.run(tf, FusedKernels.names.selfAttentionGradient, { qkv, weights, dy }, {
            heads,
            kept: dropout?.kept ?? 0
          })
        ]
      }
    })
  }
  const width = joint / 3, size = width / heads
  return differentiable(tf, [qkv], () => {
    const parted = tf.transpose(tf.reshape(qkv, [batch, time, 3 * heads, size]), [0, 2, 1, 3])
    const part = (index: number): Tensor => tf.slice(parted, [0, index * heads, 0, 0], [batch, heads, time, size])
    const q = part(0), k = part(1), v = part(2)
    const { value, weights } = attend(tf, q, k, v, fullMask(tf, mask, scores), factors)
    return {
      value: tf.reshape(tf.transpose(value, [0, 2, 1, 3]), [batch, time, width]),
      saved: [q, k, v, weights, ...(factors === undefined ? [] : [factors])],
      gradient: (dy, saved) => {
        const [q, k, v, weights, factors] = saved as [Tensor, Tensor, Tensor, Tensor, Tensor?]
        const dValue = tf.transpose(tf.reshape(dy, [batch, time, heads, size]), [0, 2, 1, 3])
        const dParted = tf.concat([...attendGradient(tf, dValue, q, k, v, weights, factors)], 1)
        return [tf.reshape(tf.transpose(dParted, [0, 2, 1, 3]), qkv.shape)]
      }
    }
  })
}
