/**
 * Holds a model to a folder of test/fixtures/hf: a small model with random weights, and what transformers and torch computed
 * with it. Logits, loss, the gradient of every parameter, and twenty steps of training.
 */
import { assert, type Vitest } from "@effect/vitest"
import { Effect } from "effect"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { defaults } from "../../src/finetune/Hyperparameters.ts"
import * as Loss from "../../src/finetune/Loss.ts"
import * as Step from "../../src/finetune/Step.ts"
import type { Model, Parameters, TokenBatch } from "../../src/model/Architecture.ts"
import * as Checkpoint from "../../src/model/Checkpoint.ts"
import type { Batch, Example } from "../../src/model/Examples.ts"
import * as Examples from "../../src/model/Examples.ts"
import * as Safetensors from "../../src/model/Safetensors.ts"
import * as Weights from "../../src/model/Weights.ts"
import { Backend, type Tensor, type Tf } from "../../src/tensor/Backend.ts"
import * as Backpropagation from "../../src/tensor/Backpropagation.ts"

/** The files of a folder by their names; those of folders inside it are left out. */
export const files = (name: string): Map<string, Uint8Array> => {
  const url = new URL(`../fixtures/hf/${name}/`, import.meta.url)
  assert.isTrue(existsSync(url), `There is no fixture ${name}.`)
  return new Map(
    readdirSync(url, { withFileTypes: true }).filter((entry) => entry.isFile())
      .map((entry) => [entry.name, new Uint8Array(readFileSync(new URL(entry.name, url)))])
  )
}

/** What torch's AdamW went through at a step. */
export interface TrajectoryStep {
  readonly step: number
  readonly learning_rate: number
  readonly loss: number
  /** Of all gradients together, before clipping. */
  readonly grad_norm: number
}

export interface Reference {
  readonly checkpoint: Checkpoint.Checkpoint
  readonly model: Model
  /** The texts whose logits are known, padded as transformers was given them. */
  readonly input: TokenBatch
  /** The same texts with what they are supervised by. */
  readonly batch: Batch
  /** The texts of a step of training. */
  readonly trainBatch: (step: number) => Batch
  readonly trajectory: ReadonlyArray<TrajectoryStep>
  /** The options of the optimizer and of the schedule, by the names that the fixture's script gave them. */
  readonly hyperparameters: Readonly<Record<string, number>>
  readonly shape: (name: string) => ReadonlyArray<number>
  readonly float: (name: string) => Float32Array
  readonly integer: (name: string) => Int32Array
}

/** Examples of `[rows, time]` ids, as what the model's head is supervised by. */
const examplesOf = (
  model: Model,
  [rows, time]: readonly [number, number],
  ids: Int32Array,
  attention: Int32Array,
  labels: Int32Array
): ReadonlyArray<Example> =>
  Array.from({ length: rows }, (_, row): Example => {
    const start = row * time
    const length = attention.subarray(start, start + time).reduce((sum, one) => sum + one, 0)
    const tokens = ids.subarray(start, start + length)
    return labels.length === rows
      ? model.head === "sequence-regression" ? { tokens, score: labels[row]! } : { tokens, label: labels[row]! }
      : { tokens, labels: labels.subarray(start, start + length) }
  })

/** Reads a fixture: the model through its checkpoint, and the values to hold it to. */
export const load: (name: string) => Effect.Effect<Reference, Checkpoint.ReadError> = Effect.fnUntraced(
  function*(name: string) {
    const found = files(name)
    const checkpoint = yield* Checkpoint.fromFiles(found)
    const model = yield* Checkpoint.modelOf(checkpoint)
    const { tensors } = yield* Safetensors.decode(found.get("reference.safetensors")!)
    const { hyperparameters, trajectory } = JSON.parse(new TextDecoder().decode(found.get("reference.json")))
    const shape = (key: string) => tensors.get(key)!.shape
    const float = (key: string) => tensors.get(key)!.data as Float32Array
    const integer = (key: string) => Int32Array.from(tensors.get(key)!.data as BigInt64Array, Number)
    const [batch, time] = shape("input_ids") as [number, number]
    const inputIds = integer("input_ids"), attention = integer("attention_mask")
    const examples = examplesOf(model, [batch, time], inputIds, attention, integer("labels"))
    const lengths = Int32Array.from(examples, ({ tokens }) => tokens.length)
    const collate = (examples: ReadonlyArray<Example>) =>
      Examples.collate(model, examples, Examples.oneEach(Array.from(examples.keys())))

    /** Steps of language models have whole rows, each token a label; those of classifiers have padding and labels. */
    const causal = model.head === "causal-language-modeling"
    const [, size, length] = shape(causal ? "train_batches" : "train_input_ids") as [number, number, number]
    const trainIds = integer(causal ? "train_batches" : "train_input_ids")
    const trainAttention = causal ? new Int32Array(trainIds.length).fill(1) : integer("train_attention_mask")
    const trainLabels = causal ? trainIds : integer("train_labels")
    const trainBatch = (step: number): Batch => {
      const part = (all: Int32Array, each: number) => all.subarray(step * each, (step + 1) * each)
      const perStep = size * length
      return collate(examplesOf(
        model,
        [size, length],
        part(trainIds, perStep),
        part(trainAttention, perStep),
        part(trainLabels, trainLabels.length === trainIds.length ? perStep : size)
      ))
    }
    return {
      checkpoint,
      model,
      input: { batch, time, inputIds, lengths },
      batch: collate(examples),
      trainBatch,
      trajectory,
      hyperparameters,
      shape,
      float,
      integer
    }
  }
)

/** Parameters as tensors, by their names. */
export const upload = (tf: Tf, parameters: Parameters): ReadonlyMap<string, Tensor> =>
  new Map(Array.from(parameters, ([name, { data, shape }]) => [name, tf.tensor(data, [...shape], "float32")]))

/** What a computation gives, as arrays. Not by `dataSync`, which a GPU does not have. */
export const read = (tf: Tf, compute: () => Array<Tensor>): Effect.Effect<Array<Float32Array>> =>
  Effect.promise(async () => {
    const results = tf.tidy(compute)
    const values = await Promise.all(results.map((result) => result.data<"float32">()))
    tf.dispose(results)
    return values as Array<Float32Array>
  })

const largest = (values: ArrayLike<number>): number => {
  let magnitude = 0
  for (let i = 0; i < values.length; i++) magnitude = Math.max(magnitude, Math.abs(values[i]!))
  return magnitude
}

/**
 * The largest difference, relative to the largest magnitude of the whole tensor, or to `floor` where that is more. NaN if
 * there is one.
 */
export const relative = (found: ArrayLike<number>, expected: ArrayLike<number>, floor = 0): number => {
  assert.strictEqual(found.length, expected.length)
  let difference = 0
  for (let i = 0; i < expected.length; i++) {
    const apart = Math.abs(found[i]! - expected[i]!)
    if (!(apart <= difference)) difference = apart
    if (Number.isNaN(apart)) break
  }
  return difference === 0 ? 0 : difference / Math.max(largest(expected), floor)
}

/**
 * Logits of every position: `[batch * time, outputs]`, or `[batch, outputs]` of a model that gives one answer for a text.
 */
export const logits = (tf: Tf, { batch, checkpoint, input, model }: Reference): Tensor => {
  const weights = Weights.make(tf, model, upload(tf, checkpoint.tensors))
  const once = model.head === "sequence-classification" || model.head === "sequence-regression"
  const rows = Int32Array.from(
    { length: input.batch },
    (_, row) => row * input.time + batch.rows[row]! % batch.time
  )
  return model.logits(tf, weights, model.hidden(tf, weights, input, once ? { rows } : {}))
}

/** The loss of the fixture's texts and the gradient of every parameter, in the order of the model's parameters. */
export const lossAndGradients = (
  tf: Tf,
  { batch, checkpoint, model }: Reference,
  options: Loss.Options = {}
): Array<Tensor> => {
  const variables = upload(tf, checkpoint.tensors)
  const names = model.parameters.map(({ name }) => name)
  const { gradients, value } = Backpropagation.valueAndGradients(
    tf,
    () => Loss.mean(tf, model, Weights.make(tf, model, variables), batch, options),
    names.map((name) => variables.get(name)!)
  )
  return [value, ...gradients]
}

/** Fails unless the gradients are those of the fixture, each to `tolerance`. */
export const compareGradients = (
  { float, model }: Reference,
  gradients: ReadonlyArray<Float32Array>,
  tolerance: number
): void => {
  const expected = model.parameters.map(({ name }) => float(`grad.${name}`))
  // Some gradients are zero in exact arithmetic, as that of a bias that all keys share: what is there is rounding.
  const floor = 1e-3 * Math.max(...expected.map(largest))
  for (const [index, { name }] of model.parameters.entries()) {
    assert.isAtMost(relative(gradients[index]!, expected[index]!, floor), tolerance, `gradient of ${name}`)
  }
}

/** The fixture's logits to 1e-5, its loss to 1e-6, the gradients of all parameters to 1e-4, and nothing left behind. */
export const agrees: (name: string) => Effect.Effect<void, Checkpoint.ReadError, Backend> = Effect.fnUntraced(
  function*(name: string) {
    const reference = yield* load(name)
    const { tf } = yield* Backend
    const before = tf.memory().numTensors
    const [found] = yield* read(tf, () => [logits(tf, reference)])
    assert.isAtMost(relative(found!, reference.float("logits")), 1e-5, "logits")
    const [loss, ...gradients] = yield* read(tf, () => lossAndGradients(tf, reference))
    assert.isAtMost(relative(loss!, reference.float("loss")), 1e-6, "loss")
    compareGradients(reference, gradients, 1e-4)
    assert.strictEqual(tf.memory().numTensors, before, "tensors left behind")
  }
)

/** Loss, gradient norm and learning rate of torch's AdamW to 1e-4 at each of its twenty steps. */
export const follows: (name: string) => Effect.Effect<void, Checkpoint.ReadError, Backend> = Effect.fnUntraced(
  function*(name: string) {
    const { checkpoint, hyperparameters: given, model, trainBatch, trajectory } = yield* load(name)
    const { tf } = yield* Backend
    const before = tf.memory().numTensors
    assert.strictEqual(trajectory.length, 20)
    const stepper = Step.make(tf, {
      model,
      parameters: checkpoint.tensors,
      totalSteps: trajectory.length,
      hyperparameters: {
        ...defaults,
        learningRate: given["learning_rate"]!,
        weightDecay: given["weight_decay"]!,
        beta1: given["beta1"]!,
        beta2: given["beta2"]!,
        epsilon: given["epsilon"]!,
        maxGradientNorm: given["max_grad_norm"]!,
        warmupRatio: given["warmup_steps"]! / given["steps"]!,
        schedule: "cosine",
        dropout: 0
      }
    })
    for (const expected of trajectory) {
      const found = yield* Effect.promise(() => stepper.take([trainBatch(expected.step)], expected.step))
      const close = (value: number, wanted: number, what: string) =>
        assert.isAtMost(Math.abs(value - wanted), 1e-4 * Math.abs(wanted), `${what} at step ${expected.step}`)
      close(found.loss, expected.loss, "loss")
      close(found.gradientNorm, expected.grad_norm, "gradient norm")
      close(found.learningRate, expected.learning_rate, "learning rate")
    }
    stepper.dispose()
    assert.strictEqual(tf.memory().numTensors, before, "tensors left behind")
  }
)

/** Both as tests, for each of these folders. */
export const tests = (it: Vitest.MethodsNonLive<Backend>, names: ReadonlyArray<string>): void => {
  for (const name of names) {
    it.effect(`gives transformers' logits, loss and gradients of ${name}`, () => agrees(name))
    it.effect(`follows twenty steps of torch on ${name}`, () => follows(name))
  }
}
