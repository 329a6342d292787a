/**
 * How much memory a training run takes, known before it starts.
 */
import type * as Effect from "effect/Effect"
import type { BatchExtent, FootprintOptions, Model } from "../model/Architecture.ts"
import * as Examples from "../model/Examples.ts"
import * as Memory from "../model/Memory.ts"
import { Backend, type Tf } from "../tensor/Backend.ts"
import * as FusedKernels from "../tensor/FusedKernels.ts"
import * as InPlace from "../tensor/InPlace.ts"
import type { Hyperparameters } from "./Hyperparameters.ts"
import * as Optimizer from "./Optimizer.ts"

/** How many tensors of the shape of the logits the cross-entropy's backward pass has at once, with the logits. */
const lossTensors = { fused: 2, composed: 5 } as const
/** Numbers a row that it has beside. */
const lossPerRow = 10

/** Bytes of tensors of a few numbers and of kernels' working memory, which weigh beside a very small model. */
const smallThings = 65_536

export interface Options extends FootprintOptions {
  /** Whether the backend has the fused kernel of the loss. */
  readonly fusedLoss: boolean
  /** Whether the backend updates parameters where they lie. */
  readonly inPlace: boolean
}

/** What of the options is the backend's. */
export const fusedOn = (tf: Tf): Omit<Options, "dropout"> => ({
  fused: Memory.hasFusedBody(tf),
  fusedLoss: FusedKernels.has(tf, FusedKernels.names.crossEntropy, []),
  inPlace: InPlace.hasAdamW(tf)
})

/**
 * The most bytes that are live on the backend at once while a model is trained on batches of this extent: parameters,
 * moments, gradients, what the forward pass saves, and what passes.
 */
export const peakBytes = (
  model: Pick<Model, "footprint" | "outputs" | "parameters">,
  extent: BatchExtent,
  options: Options
): number => {
  const { ending, head, saved, turning } = model.footprint(extent, options)
  const { held, updating } = Optimizer.footprint(model.parameters, options.inPlace)
  const gradients = Memory.numbersOf(model)
  const logits = extent.rows * model.outputs
  // Going backward, saved values go as gradients come: the most is at one end or the other.
  const loss = (options.fusedLoss ? lossTensors.fused : lossTensors.composed) * logits + lossPerRow * extent.rows
  const first = saved + Math.max(loss, head + logits, head + turning)
  return Math.ceil(4 * (held + Math.max(first, gradients + ending, gradients + updating)) * Memory.margin + smallThings)
}

/** The largest batches that a run may meet, were the longest texts in one. */
const largestExtents = (model: Model, examples: ReadonlyArray<Examples.Example>) => {
  const predictions = examples.map((example) => Examples.predictions(model, example)).toSorted((a, b) => b - a)
  return (batchSize: number, longest: number): BatchExtent => {
    const batch = Math.min(batchSize, examples.length)
    let rows = 0
    for (let row = 0; row < batch; row++) rows += Math.min(predictions[row]!, longest)
    return { batch, time: longest, rows }
  }
}

/** A run, as far as its memory goes. */
export interface Run {
  readonly model: Model
  readonly examples: ReadonlyArray<Examples.Example>
  readonly hyperparameters: Pick<Hyperparameters, "batchSize" | "dropout">
}

const workOf = (tf: Tf, { examples, hyperparameters, model }: Run): Memory.Work => {
  const { batchSize, dropout } = hyperparameters
  const extentOf = largestExtents(model, examples)
  const options = { dropout: dropout > 0, ...fusedOn(tf) }
  return {
    kind: "training",
    batchSize: Math.min(batchSize, examples.length),
    longest: examples.reduce((longest, { tokens }) => Math.max(longest, tokens.length), 0),
    onBackend: (batchSize, longest) => peakBytes(model, extentOf(batchSize, longest), options),
    // The parameters that it starts from, and at the end those that it came to with both moments.
    beside: 4 * 4 * Memory.numbersOf(model) + Memory.processBytes
  }
}

/** The most bytes that a run is expected to have live on the backend at once: see {@link peakBytes}. */
export const estimate = (tf: Tf, run: Run): number => {
  const { batchSize, longest, onBackend } = workOf(tf, run)
  return onBackend(batchSize, longest)
}

/**
 * Fails with `DoesNotFit` when a run would need more memory than its backend can hold, or than the machine has.
 *
 * The estimate is of a batch of the longest examples; the last batch of an epoch and those of shorter texts need less.
 */
export const ensure = (run: Run): Effect.Effect<void, Memory.DoesNotFit, Backend> =>
  Backend.use(({ tf }) => Memory.ensure(workOf(tf, run)))
