/**
 * The training step of a small GPT-2 on WebAssembly: stock TensorFlow.js, model and kernels as one finds them, against
 * our operations and kernels, in one process. The stock side has two things of ours without which it would not run: the
 * segment sum that it lacks, and the registered gradients.
 *
 *     node bench/tensor.ts [--format json]
 */
import * as Effect from "effect/Effect"
import { Backend, type Scalar, type Tensor, type Tensor1D, type Tensor2D, type Tf } from "../src/tensor/Backend.ts"
import * as Operations from "../src/tensor/Operations.ts"
import * as Kernels from "../src/tensor/wasm/Kernels.ts"

export interface Size {
  readonly name: string
  readonly layers: number
  readonly width: number
  readonly heads: number
  readonly context: number
  readonly vocabulary: number
  readonly batch: number
}

export interface Row {
  readonly model: string
  readonly parameters: number
  readonly tokensPerStep: number
  readonly stockMilliseconds: number
  readonly oursMilliseconds: number
  readonly stockTokensPerSecond: number
  readonly oursTokensPerSecond: number
  readonly ratio: number
  readonly oursGigaflopsPerSecond: number
  /** Largest difference between the two styles' gradients, over the largest gradient. */
  readonly gradientDifference: number
  /** Live tensors after the steps less those before: 0 unless something leaks. */
  readonly leakedTensors: number
}

export const sizes: ReadonlyArray<Size> = [
  { name: "names", layers: 4, width: 96, heads: 4, context: 20, vocabulary: 259, batch: 32 },
  { name: "reference", layers: 4, width: 128, heads: 4, context: 64, vocabulary: 256, batch: 16 }
]

interface Style {
  readonly linear: (tf: Tf, x: Tensor, weight: Tensor2D, bias: Tensor1D) => Tensor
  readonly layerNorm: (tf: Tf, x: Tensor, gain: Tensor1D, bias: Tensor1D, epsilon: number) => Tensor
  readonly gelu: (tf: Tf, x: Tensor) => Tensor
  readonly selfAttention: (tf: Tf, qkv: Tensor, heads: number, options: { readonly mask: Tensor }) => Tensor
  readonly crossEntropy: (tf: Tf, logits: Tensor, labels: Tensor, weights: Tensor) => Scalar
}

/** The textbook's formulas on TensorFlow.js operations with their own gradients. */
const stockStyle: Style = {
  linear: (tf, x, weight, bias) => {
    const flat = tf.reshape(x, [-1, weight.shape[0]])
    return tf.reshape(tf.add(tf.matMul(flat, weight), bias), [...x.shape.slice(0, -1), weight.shape[1]])
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
  selfAttention: (tf, qkv, heads, { mask }) => {
    const [batch, time, joint] = qkv.shape as [number, number, number]
    const size = joint / 3 / heads
    const [q, k, v] = tf.split(qkv, 3, 2).map((part) =>
      tf.transpose(tf.reshape(part, [batch, time, heads, size]), [0, 2, 1, 3])
    ) as [Tensor, Tensor, Tensor]
    const scores = tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(size))
    const mixed = tf.matMul(tf.softmax(tf.add(scores, mask)), v)
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

type Weights = Record<string, Tensor>

const initialise = (tf: Tf, size: Size): Weights => {
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

const gradients = (tf: Tf, style: Style, size: Size, weights: Weights): Array<Tensor> => {
  const names = Object.keys(weights)
  const { grads, value } = tf.valueAndGrads((...values) => loss(tf, style, size, names, values))(
    Object.values(weights)
  )
  value.dispose()
  return grads
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

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1]!

const time = (tf: Tf, style: Style, size: Size, steps: number): { milliseconds: number; leaked: number } => {
  const weights = initialise(tf, size)
  step(tf, style, size, weights)
  const before = tf.memory().numTensors
  const durations: Array<number> = []
  for (let i = 0; i < steps; i++) {
    const start = performance.now()
    step(tf, style, size, weights)
    durations.push(performance.now() - start)
  }
  const leaked = tf.memory().numTensors - before
  tf.dispose(weights)
  return { milliseconds: median(durations), leaked }
}

/** Runs under stock kernels, with the one addition without which a stock step does not run at all. */
const withStock = <A>(tf: Tf, run: () => A): A => {
  const segmentSum = tf.getKernel("UnsortedSegmentSum", "wasm")!
  Kernels.uninstall(tf)
  tf.registerKernel(segmentSum)
  try {
    return run()
  } finally {
    tf.unregisterKernel("UnsortedSegmentSum", "wasm")
    Kernels.install(tf)
  }
}

const difference = (tf: Tf, size: Size): number => {
  const weights = initialise(tf, size)
  const ours = gradients(tf, Operations, size, weights)
  const stock = withStock(tf, () => gradients(tf, stockStyle, size, weights))
  let worst = 0, largest = 0
  for (const [at, tensor] of stock.entries()) {
    const expected = tensor.dataSync(), found = ours[at]!.dataSync()
    for (let i = 0; i < expected.length; i++) {
      worst = Math.max(worst, Math.abs(expected[i]! - found[i]!))
      largest = Math.max(largest, Math.abs(expected[i]!))
    }
  }
  tf.dispose([weights, ours, stock])
  return worst / largest
}

const measure = (tf: Tf, size: Size): Row => {
  const { batch, context, layers, vocabulary, width } = size
  const tokens = batch * context
  const weights = initialise(tf, size)
  const parameters = Object.values(weights).reduce((total, weight) => total + weight.size, 0)
  tf.dispose(weights)
  // Products of the blocks and of the output embedding, and the two of attention; the backward pass is twice that.
  const flops = 3 * 2 * tokens * (layers * (12 * width * width + 2 * context * width) + vocabulary * width)
  const ours = time(tf, Operations, size, 12)
  const stock = withStock(tf, () => time(tf, stockStyle, size, 3))
  return {
    model: size.name,
    parameters,
    tokensPerStep: tokens,
    stockMilliseconds: stock.milliseconds,
    oursMilliseconds: ours.milliseconds,
    stockTokensPerSecond: tokens / stock.milliseconds * 1000,
    oursTokensPerSecond: tokens / ours.milliseconds * 1000,
    ratio: stock.milliseconds / ours.milliseconds,
    oursGigaflopsPerSecond: flops / ours.milliseconds / 1e6,
    gradientDifference: difference(tf, size),
    leakedTensors: ours.leaked
  }
}

const table = (rows: ReadonlyArray<Row>): string => {
  const columns: ReadonlyArray<readonly [string, (row: Row) => string]> = [
    ["model", (row) => row.model],
    ["parameters", (row) => String(row.parameters)],
    ["tokens a step", (row) => String(row.tokensPerStep)],
    ["stock ms", (row) => row.stockMilliseconds.toFixed(0)],
    ["ours ms", (row) => row.oursMilliseconds.toFixed(1)],
    ["stock tokens/s", (row) => row.stockTokensPerSecond.toFixed(0)],
    ["ours tokens/s", (row) => row.oursTokensPerSecond.toFixed(0)],
    ["ratio", (row) => row.ratio.toFixed(1)],
    ["GFLOP/s", (row) => row.oursGigaflopsPerSecond.toFixed(1)],
    ["gradient difference", (row) => row.gradientDifference.toExponential(1)],
    ["leaked", (row) => String(row.leakedTensors)]
  ]
  const cells = [columns.map(([title]) => title), ...rows.map((row) => columns.map(([, show]) => show(row)))]
  const widths = columns.map((_, at) => Math.max(...cells.map((line) => line[at]!.length)))
  return cells.map((line) => line.map((cell, at) => cell.padStart(widths[at]!)).join("  ")).join("\n")
}

/** Measures every size and prints a table, or JSON with `--format json`. */
export const run = async (): Promise<ReadonlyArray<Row>> => {
  const rows = await Effect.runPromise(
    Effect.gen(function*() {
      const { tf } = yield* Backend
      return sizes.map((size) => measure(tf, size))
    }).pipe(Effect.provide(Backend.layer("wasm")))
  )
  const json = process.argv.includes("json") || process.argv.includes("--format=json")
  process.stdout.write(`${json ? JSON.stringify({ benchmark: "tensor", rows }, undefined, 2) : table(rows)}\n`)
  return rows
}

if (import.meta.main) await run()
