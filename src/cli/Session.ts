/**
 * A pipeline file made ready to be run or planned: loaded, its settings decoded, its graph built, the store and the
 * executor chosen.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as path from "node:path"
import * as Choice from "../executor/Choice.ts"
import type * as Devices from "../executor/Devices.ts"
import * as PipelineFile from "../executor/PipelineFile.ts"
import * as Placement from "../executor/Placement.ts"
import * as Workers from "../executor/Workers.ts"
import * as Codec from "../pipeline/Codec.ts"
import type { Executor } from "../pipeline/Executor.ts"
import type * as Node from "../pipeline/Node.ts"
import { Store } from "../store/Store.ts"
import type { StoreError } from "../store/StoreError.ts"
import type * as Backend from "../tensor/Backend.ts"
import * as Settings from "./Settings.ts"
import * as StoreLocation from "./StoreLocation.ts"
import * as Text from "./Text.ts"
import { UsageError } from "./UsageError.ts"

export interface Options {
  readonly pipeline: string
  readonly store: string | undefined
  /** The name of a backend, or `auto`. */
  readonly backend: string
  readonly determinism: Backend.Determinism
  /** Numbers of the devices to use; all of them by default. */
  readonly devices: ReadonlyArray<number> | undefined
  /** How many stages share a device. */
  readonly perDevice: number
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
  /** What a person should know about where tensors are computed, in lines. */
  readonly notes: ReadonlyArray<string>
}

export const open = Effect.fnUntraced(function*(
  options: Options
): Effect.fn.Return<
  Session,
  | UsageError
  | Backend.UnknownBackend
  | Backend.BackendUnavailable
  | Placement.DevicesUnavailable
  | PipelineFile.PipelineFileError
> {
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
  const placement = yield* Placement.decide(options)
  const { backend, environment, pool, running } = placement
  const workers = Workers.layer({
    setup: {
      pipeline: path.resolve(options.pipeline),
      settings: encoded,
      store: root,
      backend,
      determinism: options.determinism
    },
    devices: pool.devices,
    perDevice: options.perDevice,
    environment,
    ...(running === undefined ? {} : { runtime: running.runtime }),
    ...(options.concurrency === undefined ? {} : { cpu: options.concurrency })
  })
  return {
    node: node as Node.Node<unknown, unknown>,
    root,
    layer: Layer.mergeAll(Store.layer(root), workers, (pipeline.layer ?? Layer.empty) as Layer.Layer<never>),
    notes: notesOn(placement, options.devices)
  }
})

/** Which backend was chosen and why, what is odd about it, and which devices it uses where there are several. */
const notesOn = (
  { backend, choice, pool, running }: Placement.Placement,
  requested: ReadonlyArray<number> | undefined
): ReadonlyArray<string> => {
  // The numbers of the pool count what was requested.
  const known = (number: number) => requested?.[number] ?? number
  const name = ({ device, number }: Devices.Numbered) => `${known(number)} (${device.name})`
  const device = running?.devices[0]
  return [
    ...(choice === undefined ? [] : [`backend: ${Choice.describe(choice)}`]),
    ...(device?.kind === "software"
      ? [`${backend} computes on ${device.name}, which is software: for tests only`]
      : []),
    ...(pool.devices.length < 2 ? [] : [`devices: ${pool.devices.map(known).join(", ")}`]),
    ...(pool.leftOut.length === 0 ? [] : [`devices left out, since ${pool.why}: ${pool.leftOut.map(name).join(", ")}`])
  ].map(Text.visible)
}

/** The graph alone, without store or executor. */
export const graphOf = Effect.fnUntraced(function*(
  options: Pick<Options, "pipeline" | "settings">
): Effect.fn.Return<Node.Any, UsageError | PipelineFile.PipelineFileError> {
  const pipeline = yield* PipelineFile.load(options.pipeline)
  const settings = yield* Settings.decode(pipeline.settings, options.settings)
  return yield* PipelineFile.wire(options.pipeline, pipeline, settings)
})
