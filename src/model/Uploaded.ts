/**
 * A checkpoint's weights on the backend, its adapter's among them, for as long as something computes with them.
 */
import * as Effect from "effect/Effect"
import { Backend, type Tensor, type Tf } from "../tensor/Backend.ts"
import type { InvalidAdapter } from "./Adapter.ts"
import type { InvalidConfig, Model, Parameters, Weights } from "./Architecture.ts"
import * as Checkpoint from "./Checkpoint.ts"
import type { UnknownArchitecture } from "./Family.ts"
import * as Placed from "./Weights.ts"

/** What of a checkpoint goes to the backend. */
export type Source = Pick<Checkpoint.Checkpoint, "adapter" | "config" | "tensors">

/** How many bytes {@link using} uploads. */
export const bytesOf = (source: Source): number => {
  let numbers = 0
  for (const { data } of Checkpoint.parametersOf(source).values()) numbers += data.length
  return 4 * numbers
}

/** Parameters on the backend, of which nothing stays behind when there is no room for all of them. */
export const upload = (tf: Tf, parameters: Parameters): ReadonlyMap<string, Tensor> => {
  const uploaded = tf.tidy(() =>
    Array.from(parameters.values(), ({ data, shape }) => tf.tensor(data, [...shape], "float32"))
  )
  return new Map(Array.from(parameters.keys(), (name, index) => [name, uploaded[index]!]))
}

/** Runs `use` with the weights, and takes them from the backend however it ends. */
export const using: <A, E, R>(
  model: Model,
  source: Source,
  use: (weights: Weights) => Effect.Effect<A, E, R>
) => Effect.Effect<A, E | UnknownArchitecture | InvalidConfig | InvalidAdapter, R | Backend> = Effect.fnUntraced(
  function*<A, E, R>(model: Model, source: Source, use: (weights: Weights) => Effect.Effect<A, E, R>) {
    const { tf } = yield* Backend
    const adapter = yield* Checkpoint.placementOf(source)
    return yield* Effect.acquireUseRelease(
      Effect.sync(() => upload(tf, Checkpoint.parametersOf(source))),
      (tensors) => use(Placed.make(tf, model, tensors, adapter === undefined ? {} : { adapter })),
      (tensors) => Effect.sync(() => tf.dispose(Array.from(tensors.values())))
    )
  }
)
