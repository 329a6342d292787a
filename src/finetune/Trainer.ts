/**
 * The training loop: from a pre-trained model and examples to a fine-tuned one.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { InvalidConfig, Model } from "../model/Architecture.ts"
import * as Checkpoint from "../model/Checkpoint.ts"
import { turn } from "../model/EventLoop.ts"
import * as Examples from "../model/Examples.ts"
import type { UnknownArchitecture } from "../model/Family.ts"
import { catchExhaustion, type DoesNotFit, type OutOfMemory } from "../model/Memory.ts"
import type { TokenOutOfRange } from "../model/Tokenizer.ts"
import { Backend } from "../tensor/Backend.ts"
import * as Batches from "./Batches.ts"
import type { Hyperparameters } from "./Hyperparameters.ts"
import * as Memory from "./Memory.ts"
import * as Resume from "./Resume.ts"
import * as Step from "./Step.ts"

/** What the model learns to do. */
export type Task =
  | {
    readonly head: "sequence-classification" | "token-classification"
    /** The classes, in the order of their indices. */
    readonly labels: ReadonlyArray<string>
  }
  | { readonly head: "sequence-regression" | "causal-language-modeling" }

/** What is known of a step once it is taken. */
export interface StepMetrics {
  /** Counted from 0. */
  readonly step: number
  /** Passes over the examples at the end of the step. */
  readonly epoch: number
  /** The mean cross-entropy of the batch before the update, in nats. */
  readonly loss: number
  readonly learningRate: number
  /** Of all gradients together, before clipping. */
  readonly gradientNorm: number
  readonly examples: number
  /** Tokens of the batch that are not padding. */
  readonly tokens: number
  /** What depends on the machine and its mood. */
  readonly wallClock: { readonly seconds: number; readonly tokensPerSecond: number }
}

export interface Options {
  /** The model to start from. Its head is replaced when the task has another. */
  readonly model: Checkpoint.Checkpoint
  readonly task: Task
  readonly examples: ReadonlyArray<Examples.Example>
  readonly hyperparameters: Hyperparameters
  /** Stop after so many passes of the horizon, rounded to whole steps; after all of them unless given. */
  readonly stopAfterEpochs?: number
  /** Continue from here instead of from `model`'s weights. */
  readonly resume?: Resume.TrainState
  /** Told of each step, in order, once it is taken. */
  readonly onStep?: (metrics: StepMetrics) => void
}

export interface TrainResult {
  /** The trained model under the task's head. */
  readonly checkpoint: Checkpoint.Checkpoint
  readonly state: Resume.TrainState
  /** Steps of the full horizon. */
  readonly totalSteps: number
}

/** The loss or the gradients left the finite numbers, or the loss grew far beyond that of guessing. */
export class Diverged extends Schema.TaggedError<Diverged>()("Diverged", {
  /** Counted from 0. */
  step: Schema.Int,
  // What diverges may be NaN or infinite.
  // @effect-diagnostics-next-line schemaNumber:off
  loss: Schema.Number,
  // @effect-diagnostics-next-line schemaNumber:off
  gradientNorm: Schema.Number,
  learningRate: Schema.Finite
}) {
  override get message() {
    return `Training diverged at step ${this.step}: loss ${this.loss}, gradient norm ${this.gradientNorm}, learning ` +
      `rate ${this.learningRate}. A lower learning rate or a longer warm-up usually helps.`
  }
}

export type TrainError =
  | Diverged
  | DoesNotFit
  | OutOfMemory
  | Examples.InvalidExample
  | TokenOutOfRange
  | UnknownArchitecture
  | InvalidConfig
  | Checkpoint.MismatchedTensors
  | Resume.ResumeMismatch

/** A loss this many times that of a uniform guess has left all that training passes through. */
const explosion = 10

const isDiverged = (model: Model, { gradientNorm, loss }: Step.StepResult): boolean =>
  !Number.isFinite(loss) || !Number.isFinite(gradientNorm) || loss > explosion * Math.max(1, Math.log(model.outputs))

/** A turn of the event loop costs little, and is taken when so many milliseconds have passed since the last. */
const turnMilliseconds = 10

/** How many steps the full horizon has, and how many a run that stops after `stopAfterEpochs` takes of them. */
export const stepsOf = (
  examples: number,
  { batchSize, epochs }: Pick<Hyperparameters, "batchSize" | "epochs">,
  stopAfterEpochs: number = epochs
): { readonly perEpoch: number; readonly total: number; readonly stop: number } => {
  const perEpoch = Batches.stepsPerEpoch(examples, batchSize)
  const total = Math.max(1, Math.round(epochs * perEpoch))
  return { perEpoch, total, stop: Math.min(total, Math.max(0, Math.round(stopAfterEpochs * perEpoch))) }
}

const loop = Effect.fnUntraced(function*(stepper: Step.Stepper, model: Model, options: Options, start: number) {
  const { examples, hyperparameters, onStep } = options
  const { perEpoch, stop } = stepsOf(examples.length, hyperparameters, options.stopAfterEpochs)
  const lengths = examples.map(({ tokens }) => tokens.length)
  let plan: ReadonlyArray<Uint32Array> = []
  let planned = -1
  let turned = performance.now()
  for (let step = start; step < stop; step++) {
    const epoch = Math.floor(step / perEpoch)
    if (epoch !== planned) {
      plan = Batches.plan(lengths, { ...hyperparameters, epoch })
      planned = epoch
    }
    const started = performance.now()
    const batch = Examples.collate(model, examples, Examples.oneEach(plan[step - epoch * perEpoch]!))
    const result = yield* Effect.uninterruptible(Effect.promise(() => stepper.take(batch, step)))
    const ended = performance.now()
    if (isDiverged(model, result)) return yield* new Diverged({ step, ...result })
    onStep?.({
      step,
      epoch: (step + 1) / perEpoch,
      ...result,
      examples: batch.batch,
      tokens: batch.tokens,
      wallClock: { seconds: (ended - started) / 1000, tokensPerSecond: batch.tokens / (ended - started) * 1000 }
    })
    if (ended - turned > turnMilliseconds) {
      yield* turn
      turned = performance.now()
    }
  }
  const { moments, parameters } = yield* Effect.promise(() => stepper.read())
  const step = Math.max(start, stop)
  return { step, epoch: step / perEpoch, parameters, moments }
})

/**
 * Trains a model on examples with AdamW, and gives the trained model with the state to continue from.
 *
 * The learning-rate schedule spans `hyperparameters.epochs` whatever `stopAfterEpochs` says, and a run that stops and
 * resumes takes the very steps that an unbroken one would have taken: on an exact backend the results are equal to the
 * bit. Nothing stays on the backend afterwards, however the run ends.
 *
 * It fails with {@link Diverged} when loss or gradients are not finite, or the loss exceeds ten times that of a uniform
 * guess; with `DoesNotFit`, before anything is put on the backend, when the run would need more memory than there is; and
 * with `OutOfMemory` when the backend's memory is full all the same.
 */
export const train: (options: Options) => Effect.Effect<TrainResult, TrainError, Backend> = Effect.fnUntraced(
  function*(options: Options) {
    const { examples, hyperparameters, resume, task } = options
    const { tf } = yield* Backend
    const start = yield* Checkpoint.withHead(options.model, { ...task, seed: hyperparameters.seed })
    const model = yield* Checkpoint.modelOf(start)
    yield* Examples.check(model, examples)
    const { total: totalSteps } = stepsOf(examples.length, hyperparameters)
    const plan: Resume.Plan = {
      examples: examples.length,
      batchSize: hyperparameters.batchSize,
      totalSteps,
      seed: hyperparameters.seed
    }
    if (resume !== undefined) yield* Resume.check(resume, plan, model.parameters)
    yield* Memory.ensure({ model, examples, hyperparameters })
    // In the model's order, not in that of a file: the order of parameters decides the order of sums.
    const from = resume?.parameters ?? start.tensors
    const parameters = new Map(model.parameters.map(({ name }) => [name, from.get(name)!]))
    const reached = yield* Effect.acquireUseRelease(
      Effect.sync(() =>
        Step.make(tf, {
          model,
          parameters,
          hyperparameters,
          totalSteps,
          ...(resume === undefined ? {} : { moments: resume.moments })
        })
      ),
      (stepper) => loop(stepper, model, options, resume?.step ?? 0),
      (stepper) => Effect.sync(stepper.dispose)
    ).pipe(catchExhaustion("training"))
    return {
      checkpoint: { ...start, tensors: reached.parameters },
      state: { ...reached, plan },
      totalSteps
    }
  }
)
