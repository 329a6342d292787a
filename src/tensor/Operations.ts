/**
 * The differentiable operations of a transformer, each with a gradient written out by hand.
 *
 * Every function takes `tf` first, the namespace that the `Backend` service hands out, and is written on TensorFlow.js
 * operations, so it runs on every backend. Composed from those operations' own gradients the same mathematics would
 * save more tensors, run more kernels and, on WebAssembly, take the slow ones.
 *
 * Tensors are `float32` unless said otherwise. Nothing is leaked: intermediates die with the call, what the backward
 * pass needs lives until the gradients are computed. Shapes that do not fit throw a `RangeError` that names them.
 */
import type * as Dropout from "./Dropout.ts"
import * as FusedKernels from "./FusedKernels.ts"
import { differentiable, last, product, rows, shapeOf } from "./operations/Differentiable.ts"
import { attend, attendGradient, fullMask } from "./operations/DotProduct.ts"
import type { Scalar, Tensor, Tensor1D, Tensor2D, Tf } from "./TensorFlow.ts"

/** How {@link linear} reads its weight, and whether it learns. */
export interface LinearOptions {
  /** The weight is `[out, in]`, the layout of PyTorch's Linear. */
  readonly transposed?: boolean
  /** Weight and bias get no gradient, and `x` is not kept for one. */
  readonly frozen?: boolean
}

/**
 * The affine map `x W + b`.
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

/**
 * Layer normalisation over the last axis (Ba, Kiros and Hinton 2016, section 3): each row is brought to mean 0 and
 * variance 1 (the biased variance), then scaled and shifted.
 *
 * @param x `[..., width]`
 * @param gain `[width]`
 * @param bias `[width]`
 * @param epsilon added to the variance under the root; GPT-2 uses 1e-5
 * @returns `[..., width]`
 */
export const layerNorm = (tf: Tf, x: Tensor, gain: Tensor1D, bias: Tensor1D, epsilon: number): Tensor => {
  if (last(x) !== gain.shape[0] || last(x) !== bias.shape[0]) {
    throw new RangeError(`layerNorm: x ${shapeOf(x)} does not fit gain ${shapeOf(gain)} and bias ${shapeOf(bias)}`)
  }
  if (FusedKernels.has(tf, FusedKernels.names.layerNorm, [x, gain, bias])) {
    return differentiable(tf, [x, gain, bias], () => {
      const [y, means, inverses] = FusedKernels.runAll(
        tf,
        FusedKernels.names.layerNorm,
        { x: rows(tf, x), gain, bias },
        { epsilon }
      )
      return {
        value: tf.reshape(y!, x.shape),
        saved: [x, gain, means!, inverses!],
        gradient: (dy, saved) => {
          const [x, gain, means, inverses] = saved
          const [dx, dGain, dBias] = FusedKernels.runAll(tf, FusedKernels.names.layerNormGradient, {
            x: rows(tf, x!),
            gain,
            means,
            inverses,
            dy: rows(tf, dy)
          })
          return [tf.reshape(dx!, dy.shape), dGain!, dBias!]
        }
      }
    })
  }
  return differentiable(tf, [x, gain, bias], () => {
    const centred = tf.sub(rows(tf, x), tf.mean(rows(tf, x), -1, true))
    const inverseDeviation = tf.rsqrt(tf.add(tf.mean(tf.square(centred), -1, true), epsilon))
    const normal = tf.mul(centred, inverseDeviation)
    return {
      value: tf.reshape(tf.add(tf.mul(normal, gain), bias), x.shape),
      saved: [normal, inverseDeviation, gain],
      gradient: (dy, saved) => {
        const [normal, inverseDeviation, gain] = saved as [Tensor2D, Tensor2D, Tensor1D]
        const dyRows = rows(tf, dy)
        const dNormal = tf.mul(dyRows, gain)
        // With n the normalised row and g its gradient: dx = (g - mean(g) - n mean(g n)) / deviation.
        const along = tf.mean(tf.mul(dNormal, normal), -1, true)
        const across = tf.sub(dNormal, tf.mean(dNormal, -1, true))
        const dx = tf.mul(tf.sub(across, tf.mul(normal, along)), inverseDeviation)
        return [tf.reshape(dx, dy.shape), tf.sum(tf.mul(dyRows, normal), 0), tf.sum(dyRows, 0)]
      }
    }
  })
}

/** sqrt(8 / pi) and its product with 0.044715: twice the constants of GPT-2's tanh, see {@link gelu}. */
const geluLinear = 2 * Math.sqrt(2 / Math.PI)
const geluCubic = geluLinear * 0.044715

/**
 * GELU in the tanh form of GPT-2 (Hendrycks and Gimpel 2016, section 2): `x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`.
 *
 * Computed as `x sigmoid(2 u)` with `u` the argument of tanh, since `1 + tanh(u) = 2 sigmoid(2 u)`: XNNPACK has a
 * vectorised sigmoid and no tanh.
 *
 * @param x any shape
 * @returns the shape of `x`
 */
export const gelu = (tf: Tf, x: Tensor): Tensor => {
  if (FusedKernels.has(tf, FusedKernels.names.gelu, [x])) {
    return differentiable(tf, [x], () => ({
      value: FusedKernels.run(tf, FusedKernels.names.gelu, { x }),
      saved: [x],
      gradient: (dy, [x]) => [FusedKernels.run(tf, FusedKernels.names.geluGradient, { x, dy })]
    }))
  }
  return differentiable(tf, [x], () => {
    const gate = tf.sigmoid(tf.mul(x, tf.add(tf.mul(tf.square(x), geluCubic), geluLinear)))
    return {
      value: tf.mul(x, gate),
      saved: [x, gate],
      gradient: (dy, saved) => {
        const [x, gate] = saved as [Tensor, Tensor]
        // d/dx x s(v) = s + x s (1 - s) v', with v' = geluLinear + 3 geluCubic x^2.
        const slope = tf.mul(x, tf.add(tf.mul(tf.square(x), 3 * geluCubic), geluLinear))
        const derivative = tf.mul(gate, tf.add(tf.mul(slope, tf.sub(1, gate)), 1))
        return [tf.mul(dy, derivative)]
      }
    }
  })
}

/**
 * Scaled dot-product attention (Vaswani et al. 2017, section 3.2.1): `softmax(q kᵀ / sqrt(size) + mask) v`.
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

/**
 * Weighted sum of the cross-entropies between rows of logits and their labels:
 * `sum_i weights_i (logsumexp(logits_i) - logits_i[labels_i])`. Divide the weights by their sum to get a mean; a weight of 0
 * leaves a position out.
 *
 * The labels stay indices: neither pass builds a one-hot matrix. The gradient is `weights_i (softmax(logits_i) - 1 at
 * labels_i)`; labels and weights get none.
 *
 * @param logits `[..., classes]`
 * @param labels `int32 [...]`, each in 0 .. classes - 1 where its weight is not 0, and in that range anywhere
 * @param weights `[...]`
 * @returns a scalar
 */
export const crossEntropy = (tf: Tf, logits: Tensor, labels: Tensor, weights: Tensor): Scalar => {
  const classes = last(logits)
  const positions = product(logits.shape.slice(0, -1))
  if (labels.size !== positions || weights.size !== positions || labels.dtype !== "int32") {
    throw new RangeError(
      `crossEntropy: logits ${shapeOf(logits)} do not fit ${labels.dtype} labels ${shapeOf(labels)} and weights ` +
        shapeOf(weights)
    )
  }
  if (FusedKernels.has(tf, FusedKernels.names.crossEntropy, [logits, weights])) {
    return differentiable(tf, [logits], () => {
      const inputs = { x: rows(tf, logits), labels, weights }
      const [losses, logSums] = FusedKernels.runAll(tf, FusedKernels.names.crossEntropy, inputs)
      return {
        value: tf.sum(losses!),
        saved: [inputs.x, labels, weights, logSums!],
        gradient: (dy, [x, labels, weights, logSums]) => {
          const dx = FusedKernels.run(tf, FusedKernels.names.crossEntropyGradient, { x, labels, weights, logSums, dy })
          return [tf.reshape(dx, logits.shape)]
        }
      }
    }) as Scalar
  }
  return differentiable(tf, [logits], () => {
    const flat = rows(tf, logits)
    const targets: Tensor1D = tf.add(
      tf.mul(tf.range(0, positions, 1, "int32"), tf.scalar(classes, "int32")),
      tf.reshape(labels, [positions])
    )
    const column: Tensor1D = tf.reshape(weights, [positions])
    const chosen = tf.gather(tf.reshape(flat, [positions * classes]), targets)
    const losses = tf.sub(tf.logSumExp(flat, -1), chosen)
    return {
      value: tf.sum(tf.mul(losses, column)),
      saved: [flat, targets, column],
      gradient: (dy, saved) => {
        const [flat, targets, column] = saved as [Tensor2D, Tensor1D, Tensor1D]
        const scaled: Tensor1D = tf.mul(column, dy)
        const spread = tf.mul(tf.softmax(flat), tf.reshape(scaled, [positions, 1]))
        const ones = tf.scatterND(tf.reshape(targets, [positions, 1]), scaled, [positions * classes])
        return [tf.reshape(tf.sub(spread, tf.reshape(ones, [positions, classes])), logits.shape)]
      }
    }
  }) as Scalar
}
