/**
 * A pipeline file made ready to be run or planned: loaded, its settings decoded, its graph built, the store and the
 * executor chosen.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as path from "node:path"
import * as PipelineFile from "../executor/PipelineFile.ts"
import * as Workers from "../executor/Workers.ts"
import * as Codec from "../pipeline/Codec.ts"
import type { Executor } from "../pipeline/Executor.ts"
import type * as Node from "../pipeline/Node.ts"
import { Store } from "../store/Store.ts"
import type { StoreError } from "../store/StoreError.ts"
import * as Backend from "../tensor/Backend.ts"
import * as Settings from "./Settings.ts"
import * as StoreLocation from "./StoreLocation.ts"
import { UsageError } from "./UsageError.ts"

export interface Options {
  readonly pipeline: string
  readonly store: string | undefined
  readonly backend: string
  /** How many stages run at once; as many as there are cores by default. */
  readonly concurrency: number | undefined
  /** Texts like `name=value`. */
  readonly settings: ReadonlyArray<string>
}

export interface Session {
  /** What its stages need beyond store and executor is in `layer`. */
  readonly node: Node.Node<unknown, unknown>
  /** The absolute folder of the store. */
  readonly root: string
  /** The store, the executor, and what the pipeline brings for its own stages. */
  readonly layer: Layer.Layer<Store | Executor, StoreError>
}

export const open = Effect.fnUntraced(function*(
  options: Options
): Effect.fn.Return<Session, UsageError | Backend.UnknownBackend | PipelineFile.PipelineFileError> {
  const backend = yield* Backend.parse(options.backend)
  const pipeline = yield* PipelineFile.load(options.pipeline)
  const settings = yield* Settings.decode(pipeline.settings, options.settings)
  const node = yield* PipelineFile.wire(options.pipeline, pipeline, settings)
  const encoded = yield* Codec.encode(pipeline.settings, settings).pipe(Effect.mapError((error) =>
    new UsageError({
      detail: `The settings of ${options.pipeline} cannot be written as JSON: ${error.message}`,
      remedy: "Give each a schema with a JSON form."
    })
  ))
  const root = StoreLocation.resolve(options)
  const workers = Workers.layer({
    setup: { pipeline: path.resolve(options.pipeline), settings: encoded, store: root, backend },
    ...(options.concurrency === undefined ? {} : { cpu: options.concurrency })
  })
  return {
    node: node as Node.Node<unknown, unknown>,
    root,
    layer: Layer.mergeAll(Store.layer(root), workers, (pipeline.layer ?? Layer.empty) as Layer.Layer<never>)
  }
})

/** The graph alone, without store or executor. */
export const graphOf = Effect.fnUntraced(function*(
  options: Pick<Options, "pipeline" | "settings">
): Effect.fn.Return<Node.Any, UsageError | PipelineFile.PipelineFileError> {
  const pipeline = yield* PipelineFile.load(options.pipeline)
  const settings = yield* Settings.decode(pipeline.settings, options.settings)
  return yield* PipelineFile.wire(options.pipeline, pipeline, settings)
})
