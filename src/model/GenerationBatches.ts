/**
 * Which texts are written together, so that they fit into memory.
 */
import * as Effect from "effect/Effect"
import { Backend, type Tensor, type Tf } from "../tensor/Backend.ts"
import type { Model, Weights } from "./Architecture.ts"
import type { KeyValueCache } from "./KeyValueCache.ts"
import * as Memory from "./Memory.ts"

/** Bytes that a batch may need, unless a single text needs more: the same on every machine, as in prediction. */
const largestBudget = 2 ** 30

export interface Options {
  readonly model: Model
  /** Bytes of the weights that are on the backend. */
  readonly held: number
  readonly prompts: ReadonlyArray<Int32Array>
  readonly maximumNewTokens: number
  /** Texts at once, at most. */
  readonly batchSize: number
}

export interface Batches {
  /** Indices of prompts. */
  readonly batches: ReadonlyArray<ReadonlyArray<number>>
  /** The most bytes that will be on the backend at once, with the weights. */
  readonly bytes: number
}

/** What one token leaves in the cache, in bytes, found by passing one through the model. */
const bytesPerToken = (tf: Tf, model: Model, weights: Weights): number => {
  let bytes = 0
  const cache: KeyValueCache = {
    batch: 1,
    time: 0,
    lengths: new Int32Array(1),
    held: new Uint8Array(0),
    extend: (_layer: number, keys: Tensor, values: Tensor) => {
      bytes += 4 * (keys.size + values.size)
      return { keys, values }
    }
  }
  tf.tidy(() => {
    model.hidden(tf, weights, { batch: 1, time: 1, inputIds: Int32Array.of(0), lengths: Int32Array.of(1) }, { cache })
  })
  return bytes
}

const longestOf = (prompts: ReadonlyArray<Int32Array>): number =>
  prompts.reduce((longest, { length }) => Math.max(longest, length), 0)

/** Fails if not even the longest text fits by itself, with `bytes` for so many texts of so many tokens. */
const ensure = (
  { held, prompts }: Options,
  bytes: (batch: number, time: number) => number
): Effect.Effect<void, Memory.DoesNotFit, Backend> =>
  Memory.ensure({
    kind: "prediction",
    batchSize: 1,
    longest: longestOf(prompts),
    onBackend: (batch, time) => held + bytes(batch, time),
    beside: held + Memory.processBytes
  })

/** Fails if there is no room for the weights. To be asked before they are uploaded. */
export const ensureWeights = (options: Options): Effect.Effect<void, Memory.DoesNotFit, Backend> =>
  ensure(options, () => 0)

/** Texts in the order of their prompts' lengths, as many at once as are allowed and fit. */
export const make = Effect.fnUntraced(function*(
  weights: Weights,
  options: Options
): Effect.fn.Return<Batches, Memory.DoesNotFit, Backend> {
  const { batchSize, held, maximumNewTokens, model, prompts } = options
  const { memoryLimit = Infinity, tf } = yield* Backend
  const perToken = bytesPerToken(tf, model, weights)
  const bytes = (batch: number, time: number) => {
    // Attention to a cache is composed of operations also where that of a text to itself is a kernel of its own.
    const during = (time: number) => Memory.forwardBytes(model, { batch, time, rows: batch }, false)
    const keys = Math.min(time + maximumNewTokens, model.maximumLength)
    // One layer is there twice while it grows. A query at a time has as many scores as the root of that many at once.
    const cache = batch * keys * perToken * (1 + 1 / model.layers)
    return cache + Math.max(during(time), during(Math.ceil(Math.sqrt(keys))))
  }
  yield* ensure(options, bytes)
  const budget = Math.min(largestBudget, memoryLimit - held)
  const order = Array.from(prompts.keys()).toSorted((a, b) => prompts[a]!.length - prompts[b]!.length || a - b)
  const batches: Array<Array<number>> = []
  let last: Array<number> | undefined
  for (const index of order) {
    const next = (last?.length ?? 0) + 1
    if (last !== undefined && next <= batchSize && bytes(next, prompts[index]!.length) <= budget) last.push(index)
    else batches.push(last = [index])
  }
  const most = batches.map((batch) => bytes(batch.length, prompts[batch.at(-1)!]!.length))
  return { batches, bytes: held + Math.max(0, ...most) }
})
