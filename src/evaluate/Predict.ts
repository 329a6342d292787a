/**
 * What a model says of examples: a batched forward pass, without gradients.
 *
 * Examples are computed on in the order of their lengths, which saves padding, and answered in the order given.
 */
import * as Effect from "effect/Effect"
import type { InvalidAdapter } from "../model/Adapter.ts"
import type { Head, InvalidConfig, Model } from "../model/Architecture.ts"
import * as Checkpoint from "../model/Checkpoint.ts"
import { turn } from "../model/EventLoop.ts"
import * as Examples from "../model/Examples.ts"
import type { UnknownArchitecture } from "../model/Family.ts"
import * as Memory from "../model/Memory.ts"
import type { TokenOutOfRange } from "../model/Tokenizer.ts"
import * as Uploaded from "../model/Uploaded.ts"
import { Backend } from "../tensor/Backend.ts"

export interface Options {
  /** Its adapter, if it has one, takes part. */
  readonly checkpoint: Uploaded.Source
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
  | InvalidAdapter
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

/** What a regression gives, one example after the other in the order given. */
export interface Scores {
  readonly predicted: Float32Array
  /** The square of the error; NaN for an example without a score. */
  readonly losses: Float32Array
  /** The mean over the examples with a score; NaN when none has one. */
  readonly meanLoss: number
}

/** A token classifier's answers, one example after the other in the order given. */
export interface Tags {
  /** How many classes there are: the length of a row of `logits`. */
  readonly classes: number
  /** Of each example, row-major `[supervised positions, classes]`. */
  readonly logits: ReadonlyArray<Float32Array>
  /** Of each example, the class of the largest logit at its supervised positions, the first where several are equal. */
  readonly predicted: ReadonlyArray<Int32Array>
  /** The mean cross-entropy of each example's supervised positions, in nats. */
  readonly losses: Float32Array
  /** The mean over all supervised positions of all examples. */
  readonly meanLoss: number
}

/** A language model's loss over examples. */
export interface LanguageLoss {
  /** Mean over all supervised tokens of all examples, in nats. */
  readonly meanLoss: number
  /** The exponential of the mean loss. */
  readonly perplexity: number
  /** The share of the predicted tokens that are the most likely ones. */
  readonly accuracy: number
  /** How many tokens were predicted. */
  readonly tokens: number
  /** The mean of each example, in the order given. */
  readonly losses: Float32Array
  /** The sum of each example's losses, in nats. */
  readonly nats: Float64Array
  /** How many tokens of each example were predicted. */
  readonly counts: Int32Array
  /** How many of those are the most likely ones. */
  readonly right: Int32Array
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
const ensureFits = (model: Model, held: number, examples: ReadonlyArray<Examples.Example>, fused: boolean) => {
  const longest = examples.reduce((longest, { tokens }) => Math.max(longest, tokens.length), 0)
  const predictions = examples.reduce((most, example) => Math.max(most, Examples.predictions(model, example)), 0)
  return Memory.ensure({
    kind: "prediction",
    batchSize: 1,
    longest,
    onBackend: (batch, time) =>
      held + Memory.forwardBytes(model, { batch, time, rows: Math.min(predictions, time) }, fused),
    beside: held + Memory.processBytes
  })
}

/** Some of a batch's supervised rows, in order. */
interface Rows {
  readonly indices: Uint32Array
  readonly batch: Examples.Batch
  /** Which of the rows is the first of these. */
  readonly first: number
  readonly count: number
  /** Row-major `[count, outputs]`. */
  readonly logits: Float32Array
}

/** Hands over the logits of the supervised rows of each batch, so many rows at once that they are not too large. */
const forEachBatch = Effect.fnUntraced(function*(model: Model, options: Options, onRows: (rows: Rows) => void) {
  const { memoryLimit = Infinity, tf } = yield* Backend
  const { batchSize = 64, checkpoint, examples } = options
  const fused = Memory.hasFusedBody(tf)
  const held = Uploaded.bytesOf(checkpoint)
  const budget = Math.min(largestBudget, memoryLimit - held)
  const atOnce = Memory.rowsAtOnce(model)
  yield* ensureFits(model, held, examples, fused)
  yield* Uploaded.using(
    model,
    checkpoint,
    Effect.fnUntraced(function*(weights) {
      for (const indices of batchesOf(model, examples, batchSize, budget, fused)) {
        const batch = Examples.collate(model, examples, Examples.oneEach(indices))
        yield* Effect.acquireUseRelease(
          Effect.sync(() => tf.tidy(() => model.hidden(tf, weights, batch, { rows: batch.rows }))),
          Effect.fnUntraced(function*(hidden) {
            const [all, width] = hidden.shape
            for (let first = 0; first < all; first += atOnce) {
              const count = Math.min(atOnce, all - first)
              const logits = yield* Effect.uninterruptible(Effect.promise(async () => {
                const rows = tf.tidy(() =>
                  model.logits(tf, weights, count === all ? hidden : tf.slice(hidden, [first, 0], [count, width]))
                )
                try {
                  return await rows.data<"float32">()
                } finally {
                  rows.dispose()
                }
              }))
              onRows({ indices, batch, first, count, logits })
            }
          }),
          (hidden) => Effect.sync(() => hidden.dispose())
        )
        yield* turn
      }
    })
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

const total = (values: Float64Array | Int32Array): number => {
  let sum = 0
  for (const value of values) sum += value
  return sum
}

/** Which example a supervised row of a batch belongs to. */
const exampleOf = (indices: Uint32Array, { rows, time }: Examples.Batch, row: number): number =>
  indices[Math.floor(rows[row]! / time)]!

/** The model of a checkpoint, if it has the head that is asked for. */
const modelWith = Effect.fnUntraced(function*(options: Options, head: Head, verb: string) {
  const model = yield* Checkpoint.modelOf(options.checkpoint)
  if (model.head === head) return model
  const reason = `a model with the head "${model.head}" cannot ${verb} them, it takes "${head}"`
  return yield* new Examples.InvalidExample({ example: -1, reason })
})

/** The mean loss of the examples that have what it is to be held to; NaN without any. */
const meanOver = (
  losses: Float32Array,
  examples: ReadonlyArray<Examples.Example>,
  field: "label" | "score"
): number => {
  let sum = 0, count = 0
  for (const [index, example] of examples.entries()) {
    if (example[field] === undefined) continue
    sum += losses[index]!
    count++
  }
  return sum / count
}

/** Classifies examples, and takes the loss of those that have a label. Nothing stays on the backend afterwards. */
export const classify: (options: Options) => Effect.Effect<Classes, PredictError, Backend> = Effect.fnUntraced(
  function*(options: Options) {
    const model = yield* modelWith(options, "sequence-classification", "classify")
    const { examples } = options
    if (examples.length > 0) yield* Examples.check(model, examples, false)
    const classes = model.outputs
    const logits = new Float32Array(examples.length * classes)
    const probabilities = new Float32Array(examples.length * classes)
    const predicted = new Int32Array(examples.length)
    const losses = new Float32Array(examples.length).fill(NaN)
    yield* forEachBatch(model, options, ({ count, first, indices, logits: found }) => {
      for (let row = 0; row < count; row++) {
        const index = indices[first + row]!
        const start = row * classes, into = index * classes
        const normalizer = logSumExp(found, start, classes)
        for (let i = 0; i < classes; i++) {
          logits[into + i] = found[start + i]!
          probabilities[into + i] = Math.exp(found[start + i]! - normalizer)
        }
        predicted[index] = argmax(found, start, classes)
        const label = examples[index]!.label
        if (label !== undefined) losses[index] = normalizer - found[start + label]!
      }
    })
    return { classes, logits, probabilities, predicted, losses, meanLoss: meanOver(losses, examples, "label") }
  }
)

/** Gives the number of each example by regression. Nothing stays on the backend afterwards. */
export const score: (options: Options) => Effect.Effect<Scores, PredictError, Backend> = Effect.fnUntraced(
  function*(options: Options) {
    const model = yield* modelWith(options, "sequence-regression", "score")
    const { examples } = options
    if (examples.length > 0) yield* Examples.check(model, examples, false)
    const predicted = new Float32Array(examples.length)
    yield* forEachBatch(model, options, ({ count, first, indices, logits }) => {
      for (let row = 0; row < count; row++) predicted[indices[first + row]!] = logits[row * model.outputs]!
    })
    const losses = Float32Array.from(examples, ({ score }, index) => ((score ?? NaN) - predicted[index]!) ** 2)
    return { predicted, losses, meanLoss: meanOver(losses, examples, "score") }
  }
)

/**
 * Classifies the tokens of examples at their supervised positions, those whose label is not `Examples.ignored`. Nothing
 * stays on the backend afterwards.
 */
export const tag: (options: Options) => Effect.Effect<Tags, PredictError, Backend> = Effect.fnUntraced(
  function*(options: Options) {
    const model = yield* modelWith(options, "token-classification", "tag the tokens of")
    const { examples } = options
    if (examples.length > 0) yield* Examples.check(model, examples, false)
    const classes = model.outputs
    const counts = examples.map((example) => Examples.predictions(model, example))
    const logits = counts.map((count) => new Float32Array(count * classes))
    const predicted = counts.map((count) => new Int32Array(count))
    const nats = new Float64Array(examples.length)
    const seen = new Int32Array(examples.length)
    yield* forEachBatch(model, options, ({ batch, count, first, indices, logits: found }) => {
      for (let row = 0; row < count; row++) {
        const index = exampleOf(indices, batch, first + row)
        const start = row * classes, position = seen[index]!++
        logits[index]!.set(found.subarray(start, start + classes), position * classes)
        predicted[index]![position] = argmax(found, start, classes)
        nats[index]! += logSumExp(found, start, classes) - found[start + batch.targets[first + row]!]!
      }
    })
    const losses = Float32Array.from(nats, (sum, index) => sum / counts[index]!)
    const positions = counts.reduce((sum, count) => sum + count, 0)
    return { classes, logits, predicted, losses, meanLoss: total(nats) / positions }
  }
)

/** The loss of a language model over the supervised tokens of examples. Nothing stays on the backend afterwards. */
export const languageLoss: (options: Options) => Effect.Effect<LanguageLoss, PredictError, Backend> = Effect.fnUntraced(
  function*(options: Options) {
    const model = yield* modelWith(options, "causal-language-modeling", "continue")
    const { examples } = options
    yield* Examples.check(model, examples)
    const nats = new Float64Array(examples.length)
    const counts = new Int32Array(examples.length), right = new Int32Array(examples.length)
    yield* forEachBatch(model, options, ({ batch, count, first, indices, logits }) => {
      for (let row = 0; row < count; row++) {
        const start = row * model.outputs, target = batch.targets[first + row]!
        const index = exampleOf(indices, batch, first + row)
        nats[index]! += logSumExp(logits, start, model.outputs) - logits[start + target]!
        counts[index]!++
        if (argmax(logits, start, model.outputs) === target) right[index]!++
      }
    })
    const tokens = total(counts)
    const meanLoss = total(nats) / tokens
    return {
      meanLoss,
      perplexity: Math.exp(meanLoss),
      accuracy: total(right) / tokens,
      tokens,
      losses: Float32Array.from(nats, (sum, index) => sum / counts[index]!),
      nats,
      counts,
      right
    }
  }
)
