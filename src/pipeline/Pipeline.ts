/**
 * A pipeline is the node a user exports, with everything upstream of it, and
 * what the command line may set about it.
 */
import type * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Node from "./Node.ts"
import type { Provided } from "./Stage.ts"

export type { RunError } from "./Errors.ts"
export { toDot, toGraph, toMermaid } from "./Graph.ts"
export { plan } from "./Plan.ts"
export { run } from "./Run.ts"

export const TypeId = "~attune/pipeline/Pipeline"

type Fields = Schema.Struct.Fields

export interface Pipeline<Settings extends Fields, out A, out E, R> {
  readonly [TypeId]: typeof TypeId
  readonly settings: Schema.Struct<Settings>
  readonly node: (settings: Schema.Struct.Type<Settings>) => Node.Node<A, E, R>
  readonly layer: Layer.Layer<any, any> | undefined
}

export type Any = Pipeline<any, any, any, any>

/** Services a pipeline must bring itself: all that its stages use and no executor provides. */
type Own<R> = Exclude<R, Provided>

/**
 * Defines a pipeline with settings, to be exported as the default of its file.
 *
 * - `settings`: schemas of what `attune run --set name=value` may change, each
 *   with a default (`Stage.withDefault(Schema.Int, 16)`).
 * - `node`: from the settings to the node. It must be pure: it is called in every process.
 * - `layer`: the services that its stages need besides those that Attune brings;
 *   required where there are any, and built in every process that runs stages.
 *
 * A pipeline without settings and services need not be made: export the node.
 */
export const make: {
  // Two signatures and not a condition on R: a condition is decided before R is inferred from a `node` that takes settings.
  <const Settings extends Fields, A, E>(options: {
    readonly settings: Settings
    readonly node: (settings: Schema.Struct.Type<Settings>) => Node.Node<A, E, Provided>
    readonly layer?: undefined
  }): Pipeline<Settings, A, E, never>
  <const Settings extends Fields, A, E, R>(options: {
    readonly settings: Settings
    readonly node: (settings: Schema.Struct.Type<Settings>) => Node.Node<A, E, R>
    readonly layer: Layer.Layer<Own<NoInfer<R>>, any>
  }): Pipeline<Settings, A, E, R>
} = (options: {
  readonly settings: Fields
  readonly node: (settings: any) => Node.Any
  readonly layer?: Layer.Layer<any, any> | undefined
}): any => ({
  [TypeId]: TypeId,
  settings: Schema.Struct(options.settings),
  node: options.node,
  layer: options.layer
})

export const isPipeline = (value: unknown): value is Any =>
  typeof value === "object" && value !== null && TypeId in value

/** The pipeline that a module's default export stands for: itself, or a node without settings. */
export const fromExport = (value: unknown): Any | undefined => {
  if (isPipeline(value)) return value
  return Node.isNode(value) ? make({ settings: {}, node: () => value as Node.Node<unknown> }) : undefined
}
