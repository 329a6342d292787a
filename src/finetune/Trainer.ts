/**
 * The training loop: from a pre-trained model and examples to a fine-tuned one.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Adapter from "../model/Adapter.ts"
import * as AdapterTargets from "../model/AdapterTargets.ts"
import type { InvalidConfig, Model, Parameters } from "../model/Architecture.ts"
import * as Checkpoint from "../model/Checkpoint.ts"
import { turn } from "../model/EventLoop.ts"
import * as Examples from "../model/Examples.ts"
import type { UnknownArchitecture } from "../model/Family.ts"
import * as Lora from "../model/Lora.ts"
import { catchExhaustion, type DoesNotFit, type OutOfMemory } from "../model/Memory.ts"
import type { TokenOutOfRange } from "../model/Tokenizer.ts"
import { Backend } from "../tensor/Backend.ts"
import * as Batches from "./Batches.ts"
import { adapterOf, type Hyperparameters, optimizerOf } from "./Hyperparameters.ts"
import * as Memory from "./Memory.ts"
import * as Optimizer from "./Optimizer.ts"
import * as Packing from "./Packing.ts"
import * as Resume from "./Resume.ts"
import * as Step from "./Step.ts"
import * as Trained from "./Trained.ts"
import * as Validation from "./Validation.ts"
import * as Watchdog from "./Watchdog.ts"

/** What the model learns to do. */
export type Task =
  | {
    readonly head: "sequence-classification" | "token-classification"
    /** The classes, in the order of their indices. */
    readonly labels: ReadonlyArray<string>
  }
  | { readonly head: "sequence-regression" | "causal-language-modeling" }

/** What is known of a step once it is taken. */
export interface StepMetrics extends Step.StepResult {
  /** Counted from 0. */
  readonly step: number
  /** How many steps this run takes, were it to go on to where it is to stop. */
  readonly steps: number
  /** Passes over the examples at the end of the step. */
  readonly epoch: number
  readonly examples: number
  /** Tokens of the batch that are not padding. */
  readonly tokens: number
  /** Positions that a prediction was learned from. */
  readonly supervised: number
  /** The share of the batch that is padding. */
  readonly padding: number
  /** What depends on the machine and its mood. */
  readonly wallClock: { readonly seconds: number; readonly tokensPerSecond: number }
}

/** The loss on validation data after a step. */
export interface ValidationMetrics {
  /** Counted from 0. */
  readonly step: number
  /** As in {@link StepMetrics}. */
  readonly steps: number
  readonly epoch: number
  readonly loss: number
  /** Whether it is the lowest so far. */
  readonly best: boolean
}

export interface Options {
  /** The model to start from. Its head is replaced when the task has another. */
  readonly model: Checkpoint.Checkpoint
  readonly task: Task
  readonly examples: ReadonlyArray<Examples.Example>
  /** Examples to take the loss on while the run goes on. */
  readonly validation?: ReadonlyArray<Examples.Example>
  readonly hyperparameters: Hyperparameters
  /** Stop after so many passes of the horizon, rounded to whole steps; after all of them unless given. */
  readonly stopAfterEpochs?: number
  /**
   * Whether what the optimizer keeps is wanted also of a run that is over, which nothing can continue: true unless given. Of
   * all weights of a large model it is most of what there would be to read.
   */
  readonly finalState?: boolean
  /** Continue from here instead of from `model`'s weights. */
  readonly resume?: Resume.TrainState
  /** Told of each step, in order, once it is taken. */
  readonly onStep?: (metrics: StepMetrics) => void
  /** Told of each evaluation on the validation examples. */
  readonly onValidation?: (metrics: ValidationMetrics) => void
}

export interface TrainResult {
  /** The trained model under the task's head: its last weights, their averages, or the best, as was asked. */
  readonly checkpoint: Checkpoint.Checkpoint
  readonly state: Resume.TrainState
  /** Steps of the full horizon. */
  readonly totalSteps: number
  /** Whether the run is over before its horizon, because waiting for a lower validation loss took too long. */
  readonly stoppedEarly: boolean
}

/** Settings that leave nothing to train. */
export class NothingTrained extends Schema.TaggedError<NothingTrained>()("NothingTrained", {
  reason: Schema.String
}) {
  override get message() {
    return `Nothing would be trained: ${this.reason}.`
  }
}

/** A setting that goes by the loss on validation data, of which there is none. */
export class NoValidation extends Schema.TaggedError<NoValidation>()("NoValidation", {
  settings: Schema.Array(Schema.Literals(["patience", "restoreBest"]))
}) {
  override get message() {
    const [goes, it] = this.settings.length > 1 ? ["go", "them"] : ["goes", "it"]
    return `${this.settings.join(" and ")} ${goes} by the loss on validation data, and there is none: wire ` +
      `\`validation\` to the stage that fine-tunes, or leave ${it} out.`
  }
}

export type TrainError =
  | Watchdog.Diverged
  | NothingTrained
  | NoValidation
  | DoesNotFit
  | OutOfMemory
  | Examples.InvalidExample
  | TokenOutOfRange
  | UnknownArchitecture
  | InvalidConfig
  | Checkpoint.MismatchedTensors
  | Adapter.InvalidAdapter
  | Resume.ResumeMismatch

/** About the loss of a model that knows nothing: that of a uniform guess, or the spread of the scores. */
const guess = (model: Model, examples: ReadonlyArray<Examples.Example>): number => {
  if (model.head !== "sequence-regression") return Math.max(1, Math.log(model.outputs))
  return examples.reduce((sum, { score = 0 }) => sum + score ** 2, 0) / examples.length + 1
}

/** A turn of the event loop costs little, and is taken when so many milliseconds have passed since the last. */
const turnMilliseconds = 10

/** How many steps the full horizon has, and how many a run that stops after `stopAfterEpochs` takes of them. */
const stepsOf = (
  rows: number,
  { batchSize, epochs }: Pick<Hyperparameters, "batchSize" | "epochs">,
  stopAfterEpochs: number = epochs
): { readonly perEpoch: number; readonly total: number; readonly stop: number } => {
  const perEpoch = Batches.stepsPerEpoch(rows, batchSize)
  const total = Math.max(1, Math.round(epochs * perEpoch))
  return {
    perEpoch,
    total,
    // What is less than half a step is one all the same: a rung at which nothing is learned compares nothing.
    stop: stopAfterEpochs >= epochs
      ? total
      : Math.min(total, Math.max(stopAfterEpochs > 0 ? 1 : 0, Math.round(stopAfterEpochs * perEpoch)))
  }
}

/** The rows that examples make: one each, or several packed in one of at most `maximumLength` tokens. */
const rowsOf = (
  examples: ReadonlyArray<Examples.Example>,
  { maximumLength, packing }: Pick<Hyperparameters, "maximumLength" | "packing">,
  positions: number
): Examples.Rows => {
  if (!packing) return Examples.oneEach(Uint32Array.from(examples.keys()))
  const lengths = examples.map(({ tokens }) => tokens.length)
  const longest = lengths.reduce((longest, length) => Math.max(longest, length), 0)
  return Packing.pack(lengths, Math.min(positions, Math.max(longest, maximumLength ?? positions)))
}

/** A list in parts of `size`, in order; the last is shorter where it does not come out even. */
const inParts = <A>(all: ReadonlyArray<A>, size: number): ReadonlyArray<ReadonlyArray<A>> =>
  Array.from({ length: Math.ceil(all.length / size) }, (_, part) => all.slice(part * size, (part + 1) * size))

/** Lets others have a turn when the last is some time ago. */
const makeTurns = () => {
  let turned = performance.now()
  return Effect.suspend(() => {
    if (performance.now() - turned <= turnMilliseconds) return Effect.void
    return Effect.tap(turn, () =>
      Effect.sync(() => {
        turned = performance.now()
      }))
  })
}

/** A run that goes through its steps. */
interface Run {
  readonly options: Options
  readonly model: Model
  readonly rows: Examples.Rows
  readonly stepper: Step.Stepper
}

/** The mean loss over the validation examples. */
const evaluate = Effect.fnUntraced(
  function*({ model, options, stepper }: Run, examples: ReadonlyArray<Examples.Example>) {
    const { batchSize, microBatchSize } = options.hyperparameters
    const positions = examples.reduce((sum, example) => sum + Examples.predictions(model, example), 0)
    const order = Array.from(examples.keys()).toSorted((a, b) =>
      examples[a]!.tokens.length - examples[b]!.tokens.length || a - b
    )
    const turns = makeTurns()
    let loss = 0
    for (const part of inParts(order, microBatchSize ?? batchSize)) {
      const batch = Examples.collate(model, examples, Examples.oneEach(part))
      loss += yield* Effect.uninterruptible(Effect.promise(() => stepper.evaluate(batch, positions)))
      yield* turns
    }
    return loss
  }
)

const loop = Effect.fnUntraced(function*(run: Run, from: Resume.TrainState | undefined) {
  const { model, options, rows, stepper } = run
  const { examples, hyperparameters, onStep, onValidation, validation } = options
  const { evaluateEvery, microBatchSize, patience, restoreBest } = hyperparameters
  const { perEpoch, stop, total } = stepsOf(rows.length, hyperparameters, options.stopAfterEpochs)
  const lengths = rows.map((row) => Array.from(row).reduce((sum, index) => sum + examples[index]!.tokens.length, 0))
  const watchdog = Watchdog.make(guess(model, examples), from?.watchdog)
  const turns = makeTurns()
  let standing = from?.validation ?? Validation.nothingSeen
  const isOver = () => patience !== null && standing.waited >= patience
  let plan: ReadonlyArray<Uint32Array> = []
  let planned = -1
  let step = from?.step ?? 0
  for (; step < stop && !isOver(); step++) {
    const epoch = Math.floor(step / perEpoch)
    if (epoch !== planned) {
      plan = Batches.plan(lengths, { ...hyperparameters, epoch })
      planned = epoch
    }
    const started = performance.now()
    const chosen = Array.from(plan[step - epoch * perEpoch]!, (row) => rows[row]!)
    const parts = inParts(chosen, microBatchSize ?? chosen.length).map((part) =>
      Examples.collate(model, examples, part)
    )
    const result = yield* Effect.uninterruptible(Effect.promise(() => stepper.take(parts, step)))
    const seconds = (performance.now() - started) / 1000
    const sign = watchdog.sign(result)
    if (sign !== undefined) return yield* new Watchdog.Diverged({ step, sign, ...result })
    const sum = (of: (batch: Examples.Batch) => number) => parts.reduce((total, batch) => total + of(batch), 0)
    const tokens = sum((batch) => batch.tokens)
    onStep?.({
      step,
      steps: stop,
      epoch: (step + 1) / perEpoch,
      ...result,
      examples: chosen.reduce((count, row) => count + row.length, 0),
      tokens,
      supervised: sum((batch) => batch.rows.length),
      padding: 1 - tokens / sum((batch) => batch.batch * batch.time),
      wallClock: { seconds, tokensPerSecond: tokens / seconds }
    })
    if (validation !== undefined && Validation.isDue(step + 1, { evaluateEvery, perEpoch, total })) {
      const loss = yield* evaluate(run, validation)
      standing = Validation.after(standing, step + 1, loss)
      const best = standing.step === step + 1
      if (best && restoreBest) {
        const reached = yield* Effect.promise(() => stepper.read({ state: false }))
        standing = { ...standing, parameters: reached.average ?? reached.parameters }
      }
      onValidation?.({ step, steps: stop, epoch: (step + 1) / perEpoch, loss, best })
    }
    yield* turns
  }
  const stoppedEarly = step < stop || (isOver() && step < total)
  const isFinal = stoppedEarly || step >= total
  return {
    step,
    epoch: step / perEpoch,
    ...yield* Effect.promise(() => stepper.read({ state: !isFinal || (options.finalState ?? true) })),
    validation: standing,
    watchdog: watchdog.memory(),
    stoppedEarly
  }
})

/**
 * Trains a model on examples, and gives the trained model with the state to continue from.
 *
 * The learning-rate schedule spans `hyperparameters.epochs` whatever `stopAfterEpochs` says, and a run that stops and
 * resumes takes the very steps that an unbroken one would have taken: on an exact backend the results are equal to the
 * bit. Nothing stays on the backend afterwards, however the run ends.
 *
 * It fails with `Diverged` when loss or gradients are not finite or explode; with `DoesNotFit`, before anything is put on
 * the backend, when the run would need more memory than there is; and with `OutOfMemory` when the backend's memory is full
 * all the same.
 */
export const train: (options: Options) => Effect.Effect<TrainResult, TrainError, Backend> = Effect.fnUntraced(
  function*(options: Options) {
    const { examples, hyperparameters, resume, task, validation } = options
    const { tf } = yield* Backend
    const { patience, restoreBest, seed } = hyperparameters
    if (validation === undefined && (patience !== null || restoreBest)) {
      return yield* new NoValidation({
        settings: [...patience === null ? [] : ["patience" as const], ...restoreBest ? ["restoreBest" as const] : []]
      })
    }
    const start = yield* Checkpoint.withHead(yield* Checkpoint.merged(options.model), { ...task, seed })
    const model = yield* Checkpoint.modelOf(start)
    const settings = adapterOf(hyperparameters, model.layers)
    if (settings !== undefined && hyperparameters.trainedLayers === 0) {
      const reason = "an adapter lies in the layers of a model, and trainedLayers is 0"
      return yield* new NothingTrained({ reason })
    }
    if (settings !== undefined) yield* AdapterTargets.checkModulesToSave(model, settings.modulesToSave)
    const adapter = settings === undefined ? undefined : yield* Lora.place(model, settings)
    yield* Examples.check(model, examples)
    if (validation !== undefined) yield* Examples.check(model, validation)
    const rows = rowsOf(examples, hyperparameters, model.maximumLength)
    const { total: totalSteps } = stepsOf(rows.length, hyperparameters)
    const targets = Trained.targets(
      model,
      adapter === undefined ? model.parameters : Lora.parametersOf(adapter),
      hyperparameters
    )
    if (targets.length === 0) {
      const reason = `the topmost ${hyperparameters.trainedLayers} layers and the head of this model have no parameters`
      return yield* new NothingTrained({ reason })
    }
    const plan: Resume.Plan = {
      examples: examples.length,
      rows: rows.length,
      batchSize: hyperparameters.batchSize,
      totalSteps,
      seed
    }
    if (resume !== undefined) {
      yield* Resume.check(resume, plan, targets, Optimizer.stateShapes(targets, optimizerOf(hyperparameters)))
    }
    yield* Memory.ensure({ model, examples, rows, hyperparameters, targets, adapter })
    const withAdapter = (tensors: Parameters): Checkpoint.Checkpoint =>
      adapter === undefined
        ? { ...start, tensors: new Map([...start.tensors, ...tensors]) }
        : { ...start, adapter: Adapter.make(model, adapter, tensors) }
    const initial = adapter === undefined ? start : withAdapter(Lora.initialize(adapter, start.tensors, seed))
    // In the model's order, not in that of a file: the order of parameters decides the order of sums.
    const places = new Map(model.parameters.map(({ name }, index) => [name, index]))
    const parameters: Parameters = new Map(
      Array.from(
        Checkpoint.parametersOf(initial),
        ([name, parameter]) => [name, resume?.parameters.get(name) ?? parameter] as const
      ).toSorted(([a], [b]) => (places.get(a) ?? Infinity) - (places.get(b) ?? Infinity) || 0)
    )
    const { stoppedEarly, ...reached } = yield* Effect.acquireUseRelease(
      Effect.sync(() =>
        Step.make(tf, {
          model,
          parameters,
          targets,
          adapter,
          hyperparameters,
          totalSteps,
          ...(resume === undefined ? {} : { state: resume })
        })
      ),
      (stepper) => loop({ options, model, rows, stepper }, resume),
      (stepper) => Effect.sync(stepper.dispose)
    ).pipe(catchExhaustion("training"))
    const best = restoreBest ? reached.validation.parameters : undefined
    return {
      checkpoint: withAdapter(best ?? reached.average ?? reached.parameters),
      state: { ...reached, plan },
      totalSteps,
      stoppedEarly
    }
  }
)
