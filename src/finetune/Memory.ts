/**
 * How much memory a training run takes, known before it starts.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { type BatchExtent, type FootprintOptions, type Model, sizeOf } from "../model/Architecture.ts"
import * as Examples from "../model/Examples.ts"
import * as Lora from "../model/Lora.ts"
import * as Memory from "../model/Memory.ts"
import { Backend, type Tf } from "../tensor/Backend.ts"
import * as FusedKernels from "../tensor/FusedKernels.ts"
import * as InPlace from "../tensor/InPlace.ts"
import * as ExponentialMovingAverage from "./ExponentialMovingAverage.ts"
import { adapterOf, type Hyperparameters, optimizerOf } from "./Hyperparameters.ts"
import * as Optimizer from "./Optimizer.ts"
import * as Trained from "./Trained.ts"

/** How many tensors of the shape of the logits the cross-entropy's backward pass has at once, with the logits. */
const lossTensors = { fused: 2, composed: 5 } as const
/** Numbers a row that it has beside. */
const lossPerRow = 10

/** Bytes of tensors of a few numbers and of kernels' working memory, which weigh beside a very small model. */
const smallThings = 65_536

export interface Options extends FootprintOptions {
  readonly targets: ReadonlyArray<Optimizer.Target>
  readonly optimizer: Optimizer.Settings
  readonly adapter?: Lora.Placement | undefined
  /** Whether gradients of several parts of a batch are added up. */
  readonly accumulates: boolean
  /** Whether a moving average of the weights is taken. */
  readonly averages: boolean
  /** Whether the backend has the fused kernel of the loss. */
  readonly fusedLoss: boolean
  /** Whether the backend updates parameters where they lie. */
  readonly inPlace: boolean
}

/** What of the options is the backend's. */
export const fusedOn = (tf: Tf): Pick<Options, "fused" | "fusedLoss" | "inPlace"> => ({
  fused: Memory.hasFusedBody(tf),
  fusedLoss: FusedKernels.has(tf, FusedKernels.names.crossEntropy, []),
  inPlace: InPlace.hasAdamW(tf)
})

/**
 * The most bytes that are live on the backend at once while a model is trained on batches of this extent: parameters, what
 * the optimizer and an average keep of those that learn, gradients, what the forward pass saves, and what passes.
 */
export const peakBytes = (
  model: Pick<Model, "footprint" | "outputs" | "parameters">,
  extent: BatchExtent,
  { targets, ...options }: Options
): number => {
  const { ending, head, turning, ...body } = model.footprint(extent, options)
  const saved = body.saved + (options.adapter === undefined ? 0 : Lora.footprint(options.adapter, extent))
  const { held, updating } = Optimizer.footprint(targets, options.optimizer, options.inPlace)
  const learned = targets.reduce((sum, { shape }) => sum + sizeOf(shape), 0)
  const frozen = Memory.numbersOf(model) + (options.adapter === undefined ? 0 : Lora.numbersOf(options.adapter)) -
    learned
  // Gradients of the parts before are kept while those of the next are computed.
  const gradients = (options.accumulates ? 2 : 1) * learned
  const logits = extent.rows * model.outputs
  // Going backward, saved values go as gradients come: the most is at one end or the other.
  const loss = (options.fusedLoss ? lossTensors.fused : lossTensors.composed) * logits + lossPerRow * extent.rows
  const before = options.accumulates ? learned : 0
  const first = before + saved + Math.max(loss, head + logits, head + turning)
  const average = options.averages
    ? ExponentialMovingAverage.footprint(targets, options.optimizer)
    : { held: 0, updating: 0 }
  const all = frozen + held + average.held +
    Math.max(first, gradients + ending, gradients + Math.max(updating, average.updating))
  return Math.ceil(4 * all * Memory.margin + smallThings)
}

/** The largest batches that a run may meet, were the longest rows in one. */
const largestExtents = (model: Model, examples: ReadonlyArray<Examples.Example>, rows: Examples.Rows) => {
  const predictions = rows.map((row) =>
    Array.from(row).reduce((sum, index) => sum + Examples.predictions(model, examples[index]!), 0)
  ).toSorted((a, b) => b - a)
  return (batchSize: number, longest: number): BatchExtent => {
    const batch = Math.min(batchSize, rows.length)
    let supervised = 0
    for (let row = 0; row < batch; row++) supervised += Math.min(predictions[row]!, longest)
    return { batch, time: longest, rows: supervised }
  }
}

/** A run, as far as its memory goes. */
export interface Run {
  readonly model: Model
  readonly examples: ReadonlyArray<Examples.Example>
  /** The examples of each row: one each unless given. */
  readonly rows?: Examples.Rows
  readonly hyperparameters: Hyperparameters
  readonly adapter?: Lora.Placement | undefined
  /** The parameters that learn: all unless given. */
  readonly targets?: ReadonlyArray<Optimizer.Target>
}

/** What a run takes. */
const needsOf = (tf: Tf, { adapter, examples, hyperparameters, model, ...run }: Run): Memory.Needs => {
  const { batchSize, dropout, emaDecay, gradientCheckpointing, trainedLayers } = hyperparameters
  const rows = run.rows ?? Examples.oneEach(Uint32Array.from(examples.keys()))
  const extentOf = largestExtents(model, examples, rows)
  const targets = run.targets ?? model.parameters.map(Optimizer.target)
  const learned = targets.reduce((sum, { shape }) => sum + sizeOf(shape), 0)
  const options: Omit<Options, "accumulates"> = {
    dropout: dropout !== 0,
    recompute: gradientCheckpointing,
    untrained: trainedLayers === null ? 0 : Math.max(0, model.layers - trainedLayers),
    adapter,
    averages: emaDecay > 0,
    optimizer: optimizerOf(hyperparameters),
    targets,
    ...fusedOn(tf)
  }
  return {
    onBackend: (atOnce, longest) =>
      peakBytes(model, extentOf(atOnce, longest), {
        ...options,
        accumulates: atOnce < Math.min(batchSize, rows.length)
      }),
    // The parameters that it starts from, and at the end those that it came to with what the optimizer and an average keep.
    beside: 4 * (Memory.numbersOf(model) + Optimizer.footprint(targets, options.optimizer, options.inPlace).state +
          learned * (options.averages ? 2 : 1)) + Memory.processBytes
  }
}

const workOf = (tf: Tf, run: Run): Omit<Memory.Work, "otherwise"> => {
  const { batchSize, microBatchSize } = run.hyperparameters
  const { examples } = run
  const rows = run.rows ?? Examples.oneEach(Uint32Array.from(examples.keys()))
  return {
    kind: "training",
    batchSize: Math.min(microBatchSize ?? batchSize, batchSize, rows.length),
    longest: rows.reduce(
      (longest, row) =>
        Math.max(longest, Array.from(row).reduce((sum, index) => sum + examples[index]!.tokens.length, 0)),
      0
    ),
    ...needsOf(tf, run)
  }
}

const recomputing = (run: Run): Run => ({
  ...run,
  hyperparameters: { ...run.hyperparameters, gradientCheckpointing: true }
})

/** The same run with an adapter in place of all that it trains, where the model can have one. */
const adapting = Effect.fnUntraced(function*({ hyperparameters, model, ...run }: Run) {
  const changed = { ...hyperparameters, adapter: "lora" } as const
  const adapter = yield* Lora.place(model, adapterOf(changed, model.layers)!)
  const targets = Trained.targets(model, Lora.parametersOf(adapter), changed)
  return { ...run, model, hyperparameters: changed, adapter, targets }
})

/** What else would do, the least change first. */
const otherwise = Effect.fnUntraced(function*(tf: Tf, run: Run) {
  const { gradientCheckpointing } = run.hyperparameters
  const found = (run: Run, adapter: boolean): ReadonlyArray<Memory.Otherwise> => [
    ...(adapter ? [{ adapter, gradientCheckpointing: false, ...needsOf(tf, run) }] : []),
    ...(gradientCheckpointing ? [] : [{ adapter, gradientCheckpointing: true, ...needsOf(tf, recomputing(run)) }])
  ]
  const adapted = run.adapter === undefined ? yield* Effect.option(adapting(run)) : Option.none()
  return [...found(run, false), ...(Option.isSome(adapted) ? found(adapted.value, true) : [])]
})

/** The most bytes that a run is expected to have live on the backend at once: see {@link peakBytes}. */
export const estimate = (tf: Tf, run: Run): number => {
  const { batchSize, longest, onBackend } = workOf(tf, run)
  return onBackend(batchSize, longest)
}

/**
 * Fails with `DoesNotFit` when a run would need more memory than its backend can hold, or than the machine has.
 *
 * The estimate is of a batch of the longest rows; the last batch of an epoch and those of shorter texts need less.
 */
export const ensure = Effect.fnUntraced(function*(run: Run): Effect.fn.Return<void, Memory.DoesNotFit, Backend> {
  const { tf } = yield* Backend
  yield* Memory.ensure({ ...workOf(tf, run), otherwise: otherwise(tf, run) })
})
