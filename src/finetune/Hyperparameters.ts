/**
 * What a person may turn on a fine-tuning run, with the defaults of transformers' Trainer where it has one.
 */
import * as Schema from "effect/Schema"
import * as Schedule from "./Schedule.ts"

const NonNegative = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))
const Positive = Schema.Finite.check(Schema.isGreaterThan(0))
const Share = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
const BelowOne = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1, exclusiveMaximum: true }))

export const Hyperparameters = Schema.Struct({
  /** The peak of the schedule. */
  learningRate: NonNegative,
  /** Examples a step. */
  batchSize: Schema.Int.check(Schema.isGreaterThan(0)),
  /** Passes over the examples: the full horizon, which the schedule spans however early a rung stops. */
  epochs: Positive,
  /** Decoupled decay of parameters with two dimensions or more, multiplied by the learning rate. */
  weightDecay: NonNegative,
  /** The share of all steps in which the learning rate grows from zero. */
  warmupRatio: Share,
  schedule: Schedule.Name,
  /** The probability of dropping, after the embeddings, in attention and before each residual addition. */
  dropout: BelowOne,
  beta1: BelowOne,
  beta2: BelowOne,
  epsilon: Positive,
  /** Gradients are scaled down to this norm over all parameters. */
  maxGradientNorm: Positive,
  /** Of the order of the examples, of dropout and of a new head's weights. */
  seed: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })),
  /** Batches of texts of similar length, which saves padding. */
  groupByLength: Schema.Boolean
})

export type Hyperparameters = typeof Hyperparameters.Type

/** transformers' `TrainingArguments` (5.18), but for grouping by length, which only saves time. */
export const defaults: Hyperparameters = {
  learningRate: 5e-5,
  batchSize: 8,
  epochs: 3,
  weightDecay: 0,
  warmupRatio: 0,
  schedule: "linear",
  dropout: 0.1,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  maxGradientNorm: 1,
  seed: 42,
  groupByLength: true
}
