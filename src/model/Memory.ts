/**
 * Work that needs more memory than there is: refused before it starts where that can be known, and told apart from other
 * failures where it could not.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as os from "node:os"
import { Backend, type Tf } from "../tensor/Backend.ts"
import * as Exhaustion from "../tensor/Exhaustion.ts"
import * as FusedKernels from "../tensor/FusedKernels.ts"
import { type BatchExtent, type Model, sizeOf } from "./Architecture.ts"

/** Bytes for a person. */
const show = (bytes: number): string =>
  bytes < 2 ** 30 ? `${Math.max(1, Math.round(bytes / 2 ** 20))} MiB` : `${(bytes / 2 ** 30).toFixed(1)} GiB`

/** What would fit, one change at a time; `null` where that change alone is not enough. */
export const WhatFits = Schema.Struct({
  /** The most texts of this length at once. */
  batchSize: Schema.NullOr(Schema.Int),
  /** The longest texts at this batch size, in tokens. */
  longest: Schema.NullOr(Schema.Int),
  /** Whether gradient checkpointing would be enough. */
  gradientCheckpointing: Schema.Boolean,
  /** Where neither checkpointing nor a smaller batch is enough: changes that are, together. */
  together: Schema.NullOr(Schema.Struct({
    /** An adapter in place of training the weights themselves. */
    adapter: Schema.Boolean,
    gradientCheckpointing: Schema.Boolean,
    /** The most texts at once then. */
    batchSize: Schema.Int
  }))
})
export type WhatFits = typeof WhatFits.Type

/** The work would need more memory than there is. Nothing of it was begun. */
export class DoesNotFit extends Schema.TaggedError<DoesNotFit>()("DoesNotFit", {
  work: Schema.Literals(["training", "prediction"]),
  /** The backend that was to do it. */
  backend: Schema.String,
  /** Whose memory is too small. What a backend can hold is the same on every machine, what a machine has is not. */
  limitedBy: Schema.Literals(["backend", "machine"]),
  /** Bytes, estimated. */
  needed: Schema.Finite,
  /** Bytes. */
  available: Schema.Finite,
  batchSize: Schema.Int,
  /** Tokens of the longest text. */
  longest: Schema.Int,
  fits: WhatFits
}) {
  override get message() {
    const { available, backend, batchSize, fits, limitedBy, longest, needed, work } = this
    const texts = batchSize === 1 ? "one text" : `${batchSize} texts`
    const what = `${work === "training" ? "Training" : "Prediction"} on batches of ${texts} of up to ${longest} ` +
      `token${longest === 1 ? "" : "s"} needs some ${show(needed)} of memory`
    const limit = limitedBy === "backend"
      ? `the backend "${backend}" holds ${show(available)}`
      : `this machine has ${show(available)}`
    const { together } = fits
    const changes = together === null ? [] : [
      ...(together.adapter ? [`adapter "lora"`] : []),
      ...(together.gradientCheckpointing ? ["gradientCheckpointing"] : []),
      ...(together.batchSize < batchSize ? [`a microBatchSize of ${together.batchSize}`] : [])
    ]
    const ways = [
      ...(fits.gradientCheckpointing ? ["gradientCheckpointing"] : []),
      ...(fits.batchSize === null
        ? []
        : [`a ${work === "training" ? "microBatchSize" : "batch size"} of ${fits.batchSize}`]),
      ...(fits.longest === null ? [] : [`texts of up to ${fits.longest} tokens`]),
      ...(changes.length === 0 ? [] : [changes.join(" with ")])
    ]
    const elsewhere = limitedBy === "machine"
      ? "a machine with more memory"
      : backend === "wasm"
      ? "another backend, tensorflow or webgpu"
      : "another backend"
    return `${what}, and ${limit}. ` + (ways.length > 0
      ? `What would fit: ${ways.join(", or ")}.`
      : `No batch size fits with this model: it takes a smaller one, or ${elsewhere}.`)
  }
}

/** A backend ran out of memory in the middle of the work. */
export class OutOfMemory extends Schema.TaggedError<OutOfMemory>()("OutOfMemory", {
  work: Schema.Literals(["training", "prediction"]),
  backend: Schema.String,
  /** In the words of the backend. */
  reason: Schema.String
}) {
  override get message() {
    return `The backend "${this.backend}" ran out of memory during ${this.work}: ${this.reason} ` +
      "A smaller batch or shorter texts need less."
  }
}

/** How much memory this machine has for a process, in bytes; less where a container or a job is held to less. */
export const MachineMemory = Context.Reference<number>("attune/model/MachineMemory", {
  defaultValue: () => {
    const constrained = process.constrainedMemory()
    return constrained > 0 ? Math.min(constrained, os.totalmem()) : os.totalmem()
  }
})

/** Makes the exhaustion of the backend's memory, which is thrown, an {@link OutOfMemory}. */
export const catchExhaustion =
  (work: OutOfMemory["work"]) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | OutOfMemory, R | Backend> =>
    Effect.catchDefect(effect, (cause) => {
      const reason = Exhaustion.reasonOf(cause)
      return reason === undefined
        ? Effect.die(cause)
        : Effect.flatMap(Backend, ({ name }) => Effect.fail(new OutOfMemory({ work, backend: name, reason })))
    })

/** What estimates are raised by, for what is not worth counting: numbers a token, working memory of kernels. */
export const margin = 1.01

/** Whether the active backend has all of the fused kernels that a model's body is made of. */
export const hasFusedBody = (tf: Tf): boolean =>
  (["linear", "layerNorm", "gelu", "selfAttention"] as const)
    .every((name) => FusedKernels.has(tf, FusedKernels.names[name], []))

/** How many numbers a model's parameters are. */
export const numbersOf = ({ parameters }: Pick<Model, "parameters">): number =>
  parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0)

/** Numbers of logits that are there at once: of a large vocabulary those of a batch would be more than all else. */
const largestLogits = 2 ** 24

/**
 * How many rows of logits a prediction has at once, at most. The products of some rows are done in sixes, so that each row
 * is the same among these as among all.
 */
export const rowsAtOnce = ({ outputs }: Pick<Model, "outputs">): number =>
  6 * Math.max(1, Math.floor(largestLogits / outputs / 6))

/** The most bytes that are live at once while a batch passes through a model without gradients, its logits with them. */
export const forwardBytes = (
  { footprint, outputs }: Pick<Model, "footprint" | "outputs">,
  extent: BatchExtent,
  fused: boolean
): number => {
  const { head, hidden, predicting } = footprint(extent, { dropout: false, fused })
  // Without the fused product a head that is stored the other way round is turned first.
  const atOnce = rowsAtOnce({ outputs })
  // Some of the hidden states are cut out of all of them.
  const states = extent.rows > atOnce ? 2 * hidden : hidden
  const logits = Math.min(extent.rows, atOnce) * outputs
  return Math.ceil(4 * Math.max(predicting, states + logits + (fused ? 0 : head)) * margin)
}

/** Node, Effect and TensorFlow.js without a model, measured. */
export const processBytes = 150e6

/** What work takes of memory. Its needs grow with the batch and with the length of the texts. */
export interface Needs {
  /** Bytes on the backend. */
  readonly onBackend: (batchSize: number, longest: number) => number
  /** Bytes of the process besides, where the backend's are the machine's too. */
  readonly beside: number
}

/** The same work done otherwise. */
export interface Otherwise extends Needs {
  readonly adapter: boolean
  readonly gradientCheckpointing: boolean
}

/** Work as far as its memory goes. */
export interface Work extends Needs {
  readonly kind: DoesNotFit["work"]
  readonly batchSize: number
  readonly longest: number
  /** How else it could be done, the least change first. It is asked only of work that does not fit. */
  readonly otherwise?: Effect.Effect<ReadonlyArray<Otherwise>>
}

/** The largest integer from 1 to `upTo` that fits, if any does. */
const largest = (upTo: number, fits: (candidate: number) => boolean): number | null => {
  if (upTo < 1 || !fits(1)) return null
  let low = 1, high = upTo
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if (fits(middle)) low = middle
    else high = middle - 1
  }
  return low
}

/** Fails with {@link DoesNotFit} for work that the backend or the machine has too little memory for. */
export const ensure = Effect.fnUntraced(function*(work: Work): Effect.fn.Return<void, DoesNotFit, Backend> {
  const { devices: [device], memoryLimit, name } = yield* Backend
  const machine = yield* MachineMemory
  const { batchSize, kind, longest } = work
  const limits = [
    { limitedBy: "backend", available: memoryLimit ?? Infinity, counts: 0 },
    // A GPU has a memory of its own.
    { limitedBy: "machine", available: device.kind === "gpu" ? Infinity : machine, counts: 1 }
  ] as const
  const fits = (batchSize: number, longest: number, { beside, onBackend }: Needs = work): boolean => {
    const needed = onBackend(batchSize, longest)
    return limits.every(({ available, counts }) => needed + counts * beside <= available)
  }
  for (const { available, counts, limitedBy } of limits) {
    const needed = work.onBackend(batchSize, longest) + counts * work.beside
    if (needed <= available) continue
    const otherwise = work.otherwise === undefined ? [] : yield* work.otherwise
    const alone = {
      batchSize: largest(batchSize - 1, (smaller) => fits(smaller, longest)),
      longest: largest(longest - 1, (shorter) => fits(batchSize, shorter)),
      gradientCheckpointing: otherwise.some((one) =>
        !one.adapter && one.gradientCheckpointing && fits(batchSize, longest, one)
      )
    }
    // Nobody likes to cut texts.
    const isEnough = alone.batchSize !== null || alone.gradientCheckpointing
    const together = isEnough ? [] : otherwise.flatMap(({ adapter, gradientCheckpointing, ...needs }) => {
      const fitting = largest(batchSize, (smaller) => fits(smaller, longest, needs))
      return fitting === null ? [] : [{ adapter, gradientCheckpointing, batchSize: fitting }]
    })
    return yield* new DoesNotFit({
      work: kind,
      backend: name,
      limitedBy,
      needed,
      available,
      batchSize,
      longest,
      fits: { ...alone, together: together[0] ?? null }
    })
  }
})
