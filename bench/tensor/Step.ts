/**
 * A training step of a small GPT-2 in two styles: the textbook's formulas on TensorFlow.js operations, as one finds them
 * in the wild, and our operations.
 */
import type { Scalar, Tensor, Tensor1D, Tensor2D, Tf } from "../../src/tensor/Backend.ts"
import * as Backpropagation from "../../src/tensor/Backpropagation.ts"
import type * as Operations from "../../src/tensor/Operations.ts"

export interface Size {
  readonly name: string
  readonly layers: number
  readonly width: number
  readonly heads: number
  readonly context: number
  readonly vocabulary: number
  readonly batch: number
}

/** The smallest is the main job's, the middle one the reference that others are measured on too. */
export const sizes: ReadonlyArray<Size> = [
  { name: "names", layers: 4, width: 96, heads: 4, context: 20, vocabulary: 259, batch: 32 },
  { name: "reference", layers: 4, width: 128, heads: 4, context: 64, vocabulary: 256, batch: 16 },
  { name: "wide", layers: 6, width: 256, heads: 8, context: 128, vocabulary: 1024, batch: 8 }
]

/** Operations of the matrix products of a step: of the blocks, of attention, of the head; twice as many backwards. */
export const flops = ({ batch, context, layers, vocabulary, width }: Size): number =>
  3 * 2 * batch * context * (layers * (12 * width * width + 2 * context * width) + vocabulary * width)

/** What a style is made of, as {@link Operations} has it. */
export type Style = Pick<typeof Operations, "linear" | "layerNorm" | "gelu" | "selfAttention" | "crossEntropy">

/** The textbook's formulas on TensorFlow.js operations with their own gradients. */
export const textbook: Style = {
  linear: (tf, x, weight, bias) => {
    const product = tf.matMul(tf.reshape(x, [-1, weight.shape[0]]), weight)
    return tf.reshape(bias === undefined ? product : tf.add(product, bias), [...x.shape.slice(0, -1), weight.shape[1]])
  },
  layerNorm: (tf, x, gain, bias, epsilon) => {
    const centred = tf.sub(x, tf.mean(x, -1, true))
    const variance = tf.mean(tf.square(centred), -1, true)
    return tf.add(tf.mul(tf.mul(centred, tf.rsqrt(tf.add(variance, epsilon))), gain), bias)
  },
  gelu: (tf, x) => {
    const inner = tf.mul(tf.add(x, tf.mul(tf.mul(tf.square(x), x), 0.044715)), Math.sqrt(2 / Math.PI))
    return tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(inner), 1))
  },
  selfAttention: (tf, qkv, heads, { mask } = {}) => {
    const [batch, time, joint] = qkv.shape as [number, number, number]
    const size = joint / 3 / heads
    const [q, k, v] = tf.split(qkv, 3, 2).map((part) =>
      tf.transpose(tf.reshape(part, [batch, time, heads, size]), [0, 2, 1, 3])
    ) as [Tensor, Tensor, Tensor]
    const scores = tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(size))
    const mixed = tf.matMul(tf.softmax(mask === undefined ? scores : tf.add(scores, mask)), v)
    return tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [batch, time, joint / 3])
  },
  crossEntropy: (tf, logits, labels, weights) => {
    const classes = logits.shape.at(-1)!
    const ones = tf.oneHot(tf.reshape(labels, [-1]) as Tensor1D, classes)
    const flat = tf.reshape(logits, [-1, classes])
    return tf.neg(tf.sum(tf.mul(tf.sum(tf.mul(tf.logSoftmax(flat), ones), -1), tf.reshape(weights, [-1]))))
  }
}

/** Numbers that repeat, from a small linear congruence: a benchmark needs no better. */
const numbers = (count: number, seed: number): Float32Array => {
  let state = seed
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32 - 0.5
  })
}

export type Weights = Record<string, Tensor>

export const initialise = (tf: Tf, size: Size): Weights => {
  const weights: Weights = {}
  const matrix = (name: string, rows: number, columns: number) => {
    weights[name] = tf.tensor2d(numbers(rows * columns, Object.keys(weights).length + 1), [rows, columns])
    const scaled = tf.mul(weights[name], 0.07)
    weights[name].dispose()
    weights[name] = scaled
  }
  const { context, layers, vocabulary, width } = size
  matrix("wte", vocabulary, width)
  matrix("wpe", context, width)
  const norm = (name: string) => {
    weights[`${name}.gain`] = tf.ones([width])
    weights[`${name}.bias`] = tf.zeros([width])
  }
  const affine = (name: string, from: number, to: number) => {
    matrix(`${name}.weight`, from, to)
    weights[`${name}.bias`] = tf.zeros([to])
  }
  for (let layer = 0; layer < layers; layer++) {
    norm(`${layer}.norm1`)
    affine(`${layer}.attention`, width, 3 * width)
    affine(`${layer}.projection`, width, width)
    norm(`${layer}.norm2`)
    affine(`${layer}.up`, width, 4 * width)
    affine(`${layer}.down`, 4 * width, width)
  }
  norm("norm")
  return weights
}

/** Mean cross-entropy of the next byte. */
const loss = (
  tf: Tf,
  style: Style,
  size: Size,
  names: ReadonlyArray<string>,
  values: ReadonlyArray<Tensor>
): Scalar => {
  const { batch, context, heads, layers, vocabulary } = size
  const at = (name: string) => values[names.indexOf(name)]!
  const norm = (x: Tensor, name: string) =>
    style.layerNorm(tf, x, at(`${name}.gain`) as Tensor1D, at(`${name}.bias`) as Tensor1D, 1e-5)
  const affine = (x: Tensor, name: string) =>
    style.linear(tf, x, at(`${name}.weight`) as Tensor2D, at(`${name}.bias`) as Tensor1D)
  const text = numbers(batch * (context + 1), 99).map((value) => Math.floor((value + 0.5) * vocabulary))
  const cut = (from: number) =>
    tf.tensor2d(
      Int32Array.from({ length: batch * context }, (_, i) =>
        text[Math.floor(i / context) * (context + 1) + i % context + from]!),
      [batch, context],
      "int32"
    )
  const mask = tf.mul(tf.sub(1, tf.linalg.bandPart(tf.ones([context, context]), -1, 0)), -1e9)
  let x: Tensor = tf.add(tf.gather(at("wte"), cut(0)), at("wpe"))
  for (let layer = 0; layer < layers; layer++) {
    const mixed = style.selfAttention(tf, affine(norm(x, `${layer}.norm1`), `${layer}.attention`), heads, { mask })
    x = tf.add(x, affine(mixed, `${layer}.projection`))
    const wide = style.gelu(tf, affine(norm(x, `${layer}.norm2`), `${layer}.up`))
    x = tf.add(x, affine(wide, `${layer}.down`))
  }
  const last = tf.reshape(norm(x, "norm"), [batch * context, size.width])
  const logits = tf.matMul(last, at("wte") as Tensor2D, false, true)
  const weights = tf.div(tf.ones([batch, context]), batch * context)
  return style.crossEntropy(tf, logits, cut(1), weights)
}

/** The textbook's by TensorFlow.js' own backward pass, ours by ours. */
export const gradients = (tf: Tf, style: Style, size: Size, weights: Weights): ReadonlyArray<Tensor> => {
  const names = Object.keys(weights), values = Object.values(weights)
  if (style === textbook) {
    const { grads, value } = tf.valueAndGrads((...values) => loss(tf, style, size, names, values))(values)
    value.dispose()
    return grads
  }
  const { gradients, value } = Backpropagation.valueAndGradients(
    tf,
    () => loss(tf, style, size, names, values),
    values
  )
  value.dispose()
  return gradients
}

/** One step of gradient descent, in place. */
const step = (tf: Tf, style: Style, size: Size, weights: Weights): void => {
  const found = gradients(tf, style, size, weights)
  for (const [at, name] of Object.keys(weights).entries()) {
    const next = tf.tidy(() => tf.sub(weights[name]!, tf.mul(found[at]!, 0.01)))
    weights[name]!.dispose()
    found[at]!.dispose()
    weights[name] = next
  }
}

export interface Timing {
  /** The median over the steps. */
  readonly milliseconds: number
  /** Live tensors after the steps less those before: 0 unless something leaks. */
  readonly leaked: number
}

/** Times steps, each until its result can be read: a GPU is otherwise only told what to do. */
export const time = async (
  tf: Tf,
  style: Style,
  size: Size,
  { steps, warmUp }: { readonly steps: number; readonly warmUp: number }
): Promise<Timing> => {
  const weights = initialise(tf, size)
  const settle = () => weights["norm.bias"]!.data()
  for (let i = 0; i < warmUp; i++) step(tf, style, size, weights)
  await settle()
  const before = tf.memory().numTensors
  const durations: Array<number> = []
  for (let i = 0; i < steps; i++) {
    const start = performance.now()
    step(tf, style, size, weights)
    await settle()
    durations.push(performance.now() - start)
  }
  const leaked = tf.memory().numTensors - before
  tf.dispose(weights)
  return { milliseconds: durations.toSorted((a, b) => a - b)[steps >> 1]!, leaked }
}
