/**
 * What all stages that fine-tune have in common: what they put out, how they fail, and how a run goes on where another
 * stopped.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { ChatTemplateError } from "../model/ChatTemplate.ts"
import * as Checkpoint from "../model/Checkpoint.ts"
import { InvalidExample } from "../model/Examples.ts"
import * as Memory from "../model/Memory.ts"
import * as PretrainedModel from "../model/PretrainedModel.ts"
import { SupervisionError } from "../model/Supervision.ts"
import { TaggedTokensError } from "../model/TaggedTokens.ts"
import { MetricLog } from "../pipeline/Metrics.ts"
import * as Stage from "../pipeline/Stage.ts"
import * as Artifact from "../store/Artifact.ts"
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
  /** Training examples, and how many of them were cut and how many left out because they were too long. */
  examples: Schema.Int,
  truncated: Schema.Int,
  dropped: Schema.Int,
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
  Trainer.NoValidation,
  Memory.DoesNotFit,
  Memory.OutOfMemory,
  Resume.ResumeMismatch,
  Resume.InvalidTrainState,
  InvalidExample,
  TaggedTokensError,
  SupervisionError,
  ChatTemplateError,
  PretrainedModel.ModelError
])
export type FineTuneError = typeof FineTuneError.Type

/**
 * Stop after so many epochs of the horizon, which `epochs` still is: a rung.
 * All of them by default; more than all of them is all of them.
 */
export const stopAfterEpochs = Stage.withDefault(Schema.Number.check(Schema.isGreaterThan(0)), Infinity)

/** What every stage that trains is like, whatever it trains on. */
export const stage = {
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

/** The training state to continue from. */
const stateOf = Effect.fnUntraced(function*({ model, state }: FineTuned, origin: PretrainedModel.Loaded) {
  if (state === null) {
    return yield* new Resume.InvalidTrainState({ reason: "the run has passed its whole horizon and kept none" })
  }
  const { checkpoint } = yield* PretrainedModel.open(model.files, origin)
  const parameters = Checkpoint.parametersOf(checkpoint)
  return yield* Resume.decode(yield* Artifact.readFile(state), parameters)
})

/** Training examples that were too long. */
export interface TooLong {
  /** Cut to the maximum length. */
  readonly truncated: number
  /** Left out. */
  readonly dropped: number
}

export interface RunOptions extends Omit<Trainer.Options, "model" | "resume" | "onStep" | "onValidation"> {
  /** The model to start from. */
  readonly origin: PretrainedModel.Loaded
  readonly stopAfterEpochs: number
  /** The run to go on with. */
  readonly checkpoint: FineTuned | undefined
  readonly tooLong: TooLong
}

/**
 * Whether a later rung has nothing to add to a run: it ended early, or two rungs of a short run round to the same step, its
 * last.
 */
const isOver = (
  { epochs, examples, state, steps, stoppedEarly, totalSteps }: FineTuned,
  run: Pick<RunOptions, "examples" | "hyperparameters">
): boolean => {
  if (stoppedEarly) return true
  const horizon = Math.max(1, Math.round(run.hyperparameters.epochs * steps / epochs))
  return state === null && horizon === totalSteps && run.examples.length === examples
}

/**
 * Runs the trainer within a stage: resumes, logs, and stores what came out.
 *
 * Logs at each step `loss` (of the batch before the update), `learning_rate`, `gradient_norm` (before clipping),
 * `clip_scale` (what clipping multiplied it with), `epoch`, `tokens`, `supervised` (predictions learned from) and `padding`
 * (its share of the batch); and for validation `loss`.
 */
export const run = Effect.fnUntraced(
  function*({ checkpoint, origin, stopAfterEpochs, tooLong, ...options }: RunOptions) {
    if (checkpoint !== undefined && isOver(checkpoint, options)) return checkpoint
    const { log } = yield* MetricLog
    const resume = checkpoint === undefined ? undefined : yield* stateOf(checkpoint, origin)
    const result = yield* Trainer.train({
      ...options,
      model: origin.checkpoint,
      finalState: false,
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
    const isLast = stoppedEarly || state.step >= totalSteps
    return new FineTuned({
      model: yield* PretrainedModel.store(result.checkpoint, origin),
      state: isLast
        ? null
        : yield* Artifact.writeFile(
          "state.safetensors",
          Resume.encode(state, Checkpoint.parametersOf(result.checkpoint))
        ),
      steps: state.step,
      totalSteps,
      examples: options.examples.length,
      ...tooLong,
      epochs: state.epoch,
      stoppedEarly,
      best: Number.isFinite(validation.loss)
        ? { loss: validation.loss, epochs: validation.step * state.epoch / state.step }
        : null
    })
  }
)
