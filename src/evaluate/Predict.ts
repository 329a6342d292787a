/**
 * What a model says of examples: a batched forward pass, without gradients.
 *
 * Examples are computed on in the order of their lengths, which saves padding, and answered in the order given.
 */
import * as Effect from "effect/Effect"
import type { InvalidConfig, Model, Parameters } from "../model/Architecture.ts"
import * as Checkpoint from "../model/Checkpoint.ts"
import { turn } from "../model/EventLoop.ts"
import * as Examples from "../model/Examples.ts"
import type { UnknownArchitecture } from "../model/Family.ts"
import * as Memory from "../model/Memory.ts"
import type { TokenOutOfRange } from "../model/Tokenizer.ts"
import * as Weights from "../model/Weights.ts"
import { Backend, type Tensor, type Tf } from "../tensor/Backend.ts"

export interface Options {
  readonly checkpoint: Pick<Checkpoint.Checkpoint, "config" | "tensors">
  readonly examples: ReadonlyArray<Examples.Example>
  /**
   * Examples at once, at most (64 unless given): more need more memory, and change no answer beyond rounding. Of long
   * texts fewer are taken, so that a batch needs no more than a gibibyte.
   */
  readonly batchSize?: number
}

export type PredictError =
  | Examples.InvalidExample
  | TokenOutOfRange
  | UnknownArchitecture
  | InvalidConfig
  | Memory.DoesNotFit
  | Memory.OutOfMemory

/** A classifier's answers, one example after the other in the order given. */
export interface Classes {
  /** How many classes there are: the length of a row of `logits` and `probabilities`. */
  readonly classes: number
  /** Row-major `[examples, classes]`. */
  readonly logits: Float32Array
  /** Row-major `[examples, classes]`: the softmax of each row of logits. */
  readonly probabilities: Float32Array
  /** The class of the largest logit, the first where several are equal. */
  readonly predicted: Int32Array
  /** Minus the logarithm of the label's probability, in nats; NaN for an example without a label. */
  readonly losses: Float32Array
  /** The mean over the examples with a label; NaN when none has one. */
  readonly meanLoss: number
}

/** A language model's loss over examples. */
export interface LanguageLoss {
  /** Mean over all supervised tokens of all examples, in nats. */
  readonly meanLoss: number
  /** The exponential of the mean loss. */
  readonly perplexity: number
  /** How many tokens were predicted. */
  readonly tokens: number
  /** The mean of each example, in the order given. */
  readonly losses: Float32Array
}

/**
 * Bytes that a batch may need, unless a single example needs more. Where the backend's own limit leaves less beside the
 * parameters, that; never what this machine has, so that a backend takes the same batches everywhere.
 */
const largestBudget = 2 ** 30

/** Examples in the order of their lengths, as many at once as `size` and the budget allow. */
const batchesOf = (
  model: Model,
  examples: ReadonlyArray<Examples.Example>,
  size: number,
  budget: number,
  fused: boolean
): ReadonlyArray<Uint32Array> => {
  const order = Uint32Array.from(examples.keys()).toSorted((a, b) =>
    examples[a]!.tokens.length - examples[b]!.tokens.length || a - b
  )
  const batches: Array<Uint32Array> = []
  let start = 0, rows = 0
  for (let at = 0; at < order.length; at++) {
    const example = examples[order[at]!]!
    const predictions = Examples.predictions(model, example)
    rows += predictions
    const batch = at - start + 1
    const bytes = Memory.forwardBytes(model, { batch, time: example.tokens.length, rows }, fused)
    if (batch > 1 && (batch > size || bytes > budget)) {
      batches.push(order.subarray(start, at))
      start = at
      rows = predictions
    }
  }
  if (start < order.length) batches.push(order.subarray(start))
  return batches
}

/** Fails when not even the longest example fits by itself. */
const ensureFits = (model: Model, examples: ReadonlyArray<Examples.Example>, fused: boolean) => {
  const longest = examples.reduce((longest, { tokens }) => Math.max(longest, tokens.length), 0)
  const predictions = examples.reduce((most, example) => Math.max(most, Examples.predictions(model, example)), 0)
  const parameters = 4 * Memory.numbersOf(model)
  return Memory.ensure({
    kind: "prediction",
    batchSize: 1,
    longest,
    onBackend: (batch, time) =>
      parameters + Memory.forwardBytes(model, { batch, time, rows: Math.min(predictions, time) }, fused),
    beside: parameters + Memory.processBytes
  })
}

const upload = (tf: Tf, model: Model, tensors: Parameters): ReadonlyMap<string, Tensor> => {
  // In a tidy, so that nothing stays behind when there is no room for all of it.
  const uploaded = tf.tidy(() =>
    model.parameters.map(({ name, shape }) => tf.tensor(tensors.get(name)!.data, [...shape], "float32"))
  )
  return new Map(model.parameters.map(({ name }, index) => [name, uploaded[index]!]))
}

type OnBatch = (indices: Uint32Array, batch: Examples.Batch, logits: Float32Array) => void

/** Hands over each batch with the logits of its supervised rows. */
const forEachBatch = Effect.fnUntraced(function*(model: Model, options: Options, onBatch: OnBatch) {
  const { memoryLimit = Infinity, tf } = yield* Backend
  const { batchSize = 64, checkpoint, examples } = options
  const fused = Memory.hasFusedBody(tf)
  const budget = Math.min(largestBudget, memoryLimit - 4 * Memory.numbersOf(model))
  yield* ensureFits(model, examples, fused)
  yield* Effect.acquireUseRelease(
    Effect.sync(() => upload(tf, model, checkpoint.tensors)),
    Effect.fnUntraced(function*(parameters: ReadonlyMap<string, Tensor>) {
      const weights = Weights.make(tf, model, parameters)
      for (const indices of batchesOf(model, examples, batchSize, budget, fused)) {
        const batch = Examples.collate(model, examples, Examples.oneEach(indices))
        const logits = yield* Effect.uninterruptible(Effect.promise(async () => {
          const rows = tf.tidy(() => model.logits(tf, weights, model.hidden(tf, weights, batch, { rows: batch.rows })))
          try {
            return await rows.data<"float32">()
          } finally {
            rows.dispose()
          }
        }))
        onBatch(indices, batch, logits)
        yield* turn
      }
    }),
    (parameters) => Effect.sync(() => tf.dispose(Array.from(parameters.values())))
  ).pipe(Memory.catchExhaustion("prediction"))
})

/** The logarithm of the sum of exponentials of a row, without overflow. */
const logSumExp = (values: Float32Array, start: number, length: number): number => {
  let largest = -Infinity
  for (let i = start; i < start + length; i++) largest = Math.max(largest, values[i]!)
  if (!Number.isFinite(largest)) return largest
  let sum = 0
  for (let i = start; i < start + length; i++) sum += Math.exp(values[i]! - largest)
  return largest + Math.log(sum)
}

const argmax = (values: Float32Array, start: number, length: number): number => {
  let best = 0
  for (let i = 1; i < length; i++) if (values[start + i]! > values[start + best]!) best = i
  return best
}

/** Classifies examples, and takes the loss of those that have a label. Nothing stays on the backend afterwards. */
export const classify: (options: Options) => Effect.Effect<Classes, PredictError, Backend> = Effect.fnUntraced(
  function*(options: Options) {
    const model = yield* Checkpoint.modelOf(options.checkpoint)
    const { examples } = options
    if (model.head !== "sequence-classification") {
      return yield* new Examples.InvalidExample({ example: -1, reason: "a language model cannot classify them" })
    }
    if (examples.length > 0) yield* Examples.check(model, examples, false)
    const classes = model.outputs
    const logits = new Float32Array(examples.length * classes)
    const probabilities = new Float32Array(examples.length * classes)
    const predicted = new Int32Array(examples.length)
    const losses = new Float32Array(examples.length).fill(NaN)
    yield* forEachBatch(model, options, (indices, _batch, rows) => {
      for (const [row, index] of indices.entries()) {
        const start = row * classes, into = index * classes
        const normalizer = logSumExp(rows, start, classes)
        for (let i = 0; i < classes; i++) {
          logits[into + i] = rows[start + i]!
          probabilities[into + i] = Math.exp(rows[start + i]! - normalizer)
        }
        predicted[index] = argmax(rows, start, classes)
        const label = examples[index]!.label
        if (label !== undefined) losses[index] = normalizer - rows[start + label]!
      }
    })
    let sum = 0, labelled = 0
    for (const [index, { label }] of examples.entries()) {
      if (label === undefined) continue
      sum += losses[index]!
      labelled++
    }
    return { classes, logits, probabilities, predicted, losses, meanLoss: sum / labelled }
  }
)

/** The loss of a language model over the supervised tokens of examples. Nothing stays on the backend afterwards. */
export const languageLoss: (options: Options) => Effect.Effect<LanguageLoss, PredictError, Backend> = Effect.fnUntraced(
  function*(options: Options) {
    const model = yield* Checkpoint.modelOf(options.checkpoint)
    const { examples } = options
    if (model.head !== "causal-language-modeling") {
      return yield* new Examples.InvalidExample({ example: -1, reason: "a classifier cannot continue them" })
    }
    yield* Examples.check(model, examples)
    const losses = new Float32Array(examples.length)
    let sum = 0, tokens = 0
    yield* forEachBatch(model, options, (indices, batch, rows) => {
      const sums = new Float64Array(indices.length), counts = new Uint32Array(indices.length)
      for (const [position, target] of batch.targets.entries()) {
        const start = position * model.outputs
        const loss = logSumExp(rows, start, model.outputs) - rows[start + target]!
        const row = Math.floor(batch.rows[position]! / batch.time)
        sums[row]! += loss
        counts[row]!++
        sum += loss
        tokens++
      }
      for (const [row, index] of indices.entries()) losses[index] = sums[row]! / counts[row]!
    })
    return { meanLoss: sum / tokens, perplexity: Math.exp(sum / tokens), tokens, losses }
  }
)
