/**
 * Fine-tuning as stages: one run of training from a model, or from the
 * checkpoint of an earlier part of the same run.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as LabeledText from "../dataset/LabeledText.ts"
import { TrainSplit, ValidationSplit } from "../dataset/Splits.ts"
import * as Checkpoint from "../model/Checkpoint.ts"
import { InvalidExample } from "../model/Examples.ts"
import * as Memory from "../model/Memory.ts"
import * as PretrainedModel from "../model/PretrainedModel.ts"
import * as Tokenizer from "../model/Tokenizer.ts"
import { MetricLog } from "../pipeline/Metrics.ts"
import * as Node from "../pipeline/Node.ts"
import * as Stage from "../pipeline/Stage.ts"
import * as Artifact from "../store/Artifact.ts"
import { defaults, knobs } from "./Hyperparameters.ts"
import * as Resume from "./Resume.ts"
import * as Trainer from "./Trainer.ts"
import * as Watchdog from "./Watchdog.ts"

/** A fine-tuned model, and what it takes to train it further. */
export class FineTuned extends Schema.Class<FineTuned>("attune/FineTuned")({
  kind: Schema.tag("fine-tuned"),
  model: PretrainedModel.PretrainedModel,
  /** The state between two steps; `null` once the run is over. */
  state: Schema.NullOr(Artifact.File),
  /** Optimizer steps taken, and how many the whole horizon has. */
  steps: Schema.Int,
  totalSteps: Schema.Int,
  /** Passes over the training examples. */
  epochs: Schema.Finite,
  /** Whether the run was over before its horizon, because the validation loss had ceased to fall. */
  stoppedEarly: Schema.Boolean,
  /** The lowest validation loss and the epochs after which it was seen, where validation data was wired. */
  best: Schema.NullOr(Schema.Struct({ loss: Schema.Finite, epochs: Schema.Finite }))
}) {}

/**
 * What can go wrong in fine-tuning. `Diverged` is a result of its hyperparameters, and so is `DoesNotFit` when it is the
 * backend that is too small; `OutOfMemory` depends on what was there before; the others are wrong inputs.
 */
export const FineTuneError = Schema.Union([
  Watchdog.Diverged,
  Trainer.NothingTrained,
  Memory.DoesNotFit,
  Memory.OutOfMemory,
  Resume.ResumeMismatch,
  Resume.InvalidTrainState,
  InvalidExample,
  PretrainedModel.ModelError
])
export type FineTuneError = typeof FineTuneError.Type

const params = {
  ...knobs,
  /**
   * Stop after so many epochs of the horizon, which `epochs` still is: a rung.
   * All of them by default; more than all of them is all of them.
   */
  stopAfterEpochs: Stage.withDefault(Schema.Number.check(Schema.isGreaterThan(0)), Infinity)
}

/** What every stage that trains is like, whatever it trains on. */
const training = {
  params,
  output: FineTuned,
  error: FineTuneError,
  resources: { tensors: true },
  // A process that was killed says nothing about the trial.
  retry: { times: 1, while: (error: { readonly _tag: string }) => error._tag === "WorkerDied" },
  // Diverging is what these hyperparameters do, and not fitting into the backend, which the key names: they would do it
  // again. What this machine has too little memory for may fit on another.
  keepFailure: (error: FineTuneError) =>
    error._tag === "Diverged" || error._tag === "NothingTrained" ||
    (error._tag === "DoesNotFit" && error.limitedBy === "backend")
}

/**
 * Fine-tunes a model to classify texts. Of a text with more tokens than the
 * model has positions for, the end is cut off.
 *
 * With `validation` the loss on it is taken as the run goes on, for early
 * stopping and for restoring the best weights.
 *
 * Logs at each step: `loss` (mean cross-entropy of the batch before the update,
 * nats), `learning_rate`, `gradient_norm` (before clipping), `clip_scale` (what
 * clipping multiplied it with), `epoch`, `tokens`, `supervised` (predictions
 * learned from) and `padding` (its share of the batch); and for validation `loss`.
 */
export const FineTune = Stage.make("fine-tune", {
  inputs: {
    model: PretrainedModel.PretrainedModel,
    train: TrainSplit,
    validation: Schema.optionalKey(ValidationSplit),
    checkpoint: Schema.optionalKey(FineTuned)
  },
  ...training,
  run: Effect.fn("FineTune")(function*(
    { checkpoint, model, train, validation },
    { stopAfterEpochs, ...hyperparameters }
  ) {
    const base = yield* PretrainedModel.load(model.files)
    const { maximumLength, vocabularySize } = yield* Checkpoint.modelOf(base)
    const tokenizer = yield* Checkpoint.tokenizerOf(base)
    const indexOf = new Map(train.labels.map((label, index) => [label, index]))
    const encode = Effect.fnUntraced(function*(table: LabeledText.Table) {
      const rows = yield* Artifact.readTable(LabeledText.LabeledText, table)
      const texts = rows.map((row) => row.text)
      const tokens = yield* Tokenizer.encodeAll(tokenizer, texts, { vocabularySize, maximumLength })
      return rows.map((row, index) => ({ tokens: tokens[index]!, label: indexOf.get(row.label)! }))
    })
    return yield* runTrainer({
      model: base,
      task: { head: "sequence-classification", labels: train.labels },
      examples: yield* encode(train.examples),
      ...(validation === undefined ? {} : { validation: yield* encode(validation.examples) }),
      hyperparameters,
      stopAfterEpochs,
      checkpoint
    })
  })
})

/** A hyperparameter record as `FineTune` takes it: only the learning rate has no default. */
export type FineTuneParams = Omit<Parameters<typeof FineTune>[1], "stopAfterEpochs">

/**
 * Fine-tunes up to each of `rungs` (in epochs) in turn, every part continuing
 * from the checkpoint of the one before, and ends at the last. Two runs that
 * agree on a prefix share it. A rung beyond the horizon ends at the horizon.
 */
export const fineTuneThrough = <E1, R1, E2, R2>(
  inputs: {
    readonly model: Node.Node<PretrainedModel.PretrainedModel, E1, R1>
    readonly train: Node.Node<TrainSplit, E2, R2>
  },
  params: FineTuneParams,
  rungs: ReadonlyArray<number>
): Node.Node<FineTuned, FineTuneError | E1 | E2, R1 | R2> => {
  const horizon = params.epochs ?? defaults.epochs
  const stops = [...new Set((rungs.length === 0 ? [horizon] : rungs).map((rung) => Math.min(rung, horizon)))]
  let checkpoint: Node.Node<FineTuned, FineTuneError | E1 | E2, R1 | R2> | undefined
  for (const stopAfterEpochs of stops) checkpoint = FineTune({ ...inputs, checkpoint }, { ...params, stopAfterEpochs })
  return checkpoint!
}

/** A text to pre-train on. */
export const Text = Schema.Struct({ text: Schema.String })

/**
 * Trains a language model to predict each next token of texts, each followed by
 * the tokenizer's end-of-text token. Logs what {@link FineTune} logs.
 */
export const Pretrain = Stage.make("pretrain", {
  inputs: {
    model: PretrainedModel.PretrainedModel,
    texts: Artifact.table(Text),
    checkpoint: Schema.optionalKey(FineTuned)
  },
  ...training,
  run: Effect.fn("Pretrain")(function*({ checkpoint, model, texts }, { stopAfterEpochs, ...hyperparameters }) {
    const base = yield* PretrainedModel.load(model.files)
    const { maximumLength, vocabularySize } = yield* Checkpoint.modelOf(base)
    const tokenizer = yield* Checkpoint.tokenizerOf(base)
    const rows = yield* Artifact.readTable(Text, texts)
    const end = tokenizer.endOfTextId === undefined ? [] : [tokenizer.endOfTextId]
    const encoded = yield* Tokenizer.encodeAll(tokenizer, rows.map((row) => row.text), {
      vocabularySize,
      maximumLength: maximumLength - end.length
    })
    return yield* runTrainer({
      model: base,
      task: { head: "causal-language-modeling" },
      // The end of a text is predicted too, and is where the next one would begin.
      examples: encoded.map((tokens) => ({
        tokens: Int32Array.from([...end, ...tokens, ...end]).slice(0, maximumLength)
      })),
      hyperparameters,
      stopAfterEpochs,
      checkpoint
    })
  })
})

/** The training state to continue from. */
const stateOf = Effect.fnUntraced(function*({ model, state }: FineTuned) {
  if (state === null) {
    return yield* new Resume.InvalidTrainState({ reason: "the run has passed its whole horizon and kept none" })
  }
  const { tensors } = yield* PretrainedModel.load(model.files)
  return yield* Resume.decode(yield* Artifact.readFile(state), tensors)
})

/** Runs the trainer within a stage: resumes, logs, and stores what came out. */
const runTrainer = Effect.fnUntraced(function*(
  { checkpoint, stopAfterEpochs, ...options }:
    & Omit<Trainer.Options, "resume" | "onStep" | "onValidation">
    & { readonly stopAfterEpochs: number; readonly checkpoint: FineTuned | undefined }
) {
  // A run that ended early has nothing to add at a later rung.
  if (checkpoint?.stoppedEarly === true) return checkpoint
  const { log } = yield* MetricLog
  const resume = checkpoint === undefined ? undefined : yield* stateOf(checkpoint)
  const result = yield* Trainer.train({
    ...options,
    ...(Number.isFinite(stopAfterEpochs) ? { stopAfterEpochs } : {}),
    ...(resume === undefined ? {} : { resume }),
    onStep: ({ clipScale, epoch, gradientNorm, learningRate, loss, padding, step, steps, supervised, tokens }) =>
      log({
        step: step + 1,
        steps,
        split: "train",
        values: {
          loss,
          learning_rate: learningRate,
          gradient_norm: gradientNorm,
          clip_scale: clipScale,
          epoch,
          tokens,
          supervised,
          padding
        }
      }),
    onValidation: ({ loss, step, steps }) => log({ step: step + 1, steps, split: "validation", values: { loss } })
  })
  const { state, stoppedEarly, totalSteps } = result
  const { validation } = state
  const isOver = stoppedEarly || state.step >= totalSteps
  return new FineTuned({
    model: yield* PretrainedModel.store(result.checkpoint),
    state: isOver
      ? null
      : yield* Artifact.writeFile("state.safetensors", Resume.encode(state, result.checkpoint.tensors)),
    steps: state.step,
    totalSteps,
    epochs: state.epoch,
    stoppedEarly,
    best: Number.isFinite(validation.loss)
      ? { loss: validation.loss, epochs: validation.step * state.epoch / state.step }
      : null
  })
})
