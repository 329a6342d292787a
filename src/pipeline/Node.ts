/**
 * A `Node` is a value that stands for the future output of a stage.
 *
 * `Node<A, E, R>` reads like `Effect<A, E, R>`: running it yields an `A`, may
 * fail with `E` and needs the services `R`. Unlike an effect it can be looked
 * at before it runs: it has a name, an output schema and upstream nodes. A node
 * is immutable and refers only to nodes that exist already, so a graph of nodes
 * cannot have a cycle.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Types from "effect/Types"
import type { RunRecord } from "../store/RunRecord.ts"
import type { Store } from "../store/Store.ts"
import type { Definition } from "./Definition.ts"
import type { PipelineEvent } from "./Progress.ts"

export const TypeId = "~attune/pipeline/Node"

export interface Node<out A, out E = never, out R = never> {
  readonly [TypeId]: {
    readonly _E: Types.Covariant<E>
    readonly _R: Types.Covariant<R>
  }
  /** Nodes are numbered as they are made: a node made later never has a smaller number. */
  readonly id: number
  readonly name: string
  readonly output: Schema.Codec<A, any>
  readonly op: Op
}

export type Any = Node<any, any, any>
export type Success<N> = N extends Node<infer A, any, any> ? A : never
export type Error<N> = N extends Node<any, infer E, any> ? E : never
export type Services<N> = N extends Node<any, any, infer R> ? R : never

/** What a node does. */
export type Op =
  /** Runs a stage. */
  | {
    readonly _tag: "Invoke"
    readonly stage: Definition
    readonly inputs: Readonly<Record<string, Any>>
    readonly params: unknown
  }
  /** Takes one field of a struct. */
  | { readonly _tag: "At"; readonly source: Any; readonly key: string }
  /** Puts several nodes together. */
  | { readonly _tag: "Struct"; readonly sources: Readonly<Record<string, Any>> }
  | { readonly _tag: "List"; readonly sources: ReadonlyArray<Any> }
  /** Reads something that may change between runs: outside the store, or in its result tables. */
  | { readonly _tag: "Source"; readonly read: Effect.Effect<unknown, unknown, Store>; readonly description: string }
  /** Decides while it runs which further nodes to run: a study. */
  | { readonly _tag: "Expand"; readonly expand: Expansion }

/** The part of a graph that is only known once some of it has run. */
export interface Expansion {
  /** Shown in drawings in place of what will be decided. */
  readonly template: Any
  /** Nodes that must have run before anything can be decided. */
  readonly sources: ReadonlyArray<Any>
  readonly run: (context: ExpansionContext) => Effect.Effect<unknown, unknown, any>
}

export interface ExpansionContext {
  /**
   * Runs a node within the same run: what it shares with others runs once.
   * `owner` names on whose behalf, as in `"trial 3"`.
   */
  readonly run: (node: Any, owner: string) => Effect.Effect<unknown, unknown, any>
  /**
   * The stage runs behind nodes that have run or failed, among the nodes
   * numbered `since` or later: each once, upstream before downstream.
   */
  readonly stageRuns: (nodes: ReadonlyArray<Any>, since: number) => ReadonlyArray<RunRecord>
  readonly emit: (event: PipelineEvent) => Effect.Effect<void>
}

let made = 0

/** The number that the next node will have. */
export const nextId = (): number => made

export const make = <A, E, R>(name: string, output: Schema.Codec<A, any>, op: Op): Node<A, E, R> => ({
  [TypeId]: variance,
  id: made++,
  name,
  output,
  op
})

const variance = { _E: (_: never) => _, _R: (_: never) => _ }

export const isNode = (value: unknown): value is Any => typeof value === "object" && value !== null && TypeId in value

/**
 * A field of a node whose output is a struct, or a field of a field:
 * `Node.at(study, "best", "params")`. A projection is wiring, not work: it is
 * neither cached nor shown as a step of its own.
 */
export const at: {
  <A, E, R, const K extends keyof A & string>(node: Node<A, E, R>, key: K): Node<A[K], E, R>
  <A, E, R, const K extends keyof A & string, const L extends keyof A[K] & string>(
    node: Node<A, E, R>,
    key: K,
    next: L
  ): Node<A[K][L], E, R>
  <
    A,
    E,
    R,
    const K extends keyof A & string,
    const L extends keyof A[K] & string,
    const M extends keyof A[K][L] & string
  >(
    node: Node<A, E, R>,
    key: K,
    next: L,
    last: M
  ): Node<A[K][L][M], E, R>
} = (node: Any, ...keys: ReadonlyArray<string>): Any =>
  keys.reduce(
    (source, key) => make(`${source.name}.${key}`, fieldOf(source.output, key), { _tag: "At", source, key }),
    node
  )

const fieldOf = (schema: Schema.Codec<any, any>, key: string): Schema.Codec<any, any> => {
  const { fields } = schema as unknown as Schema.Struct<Record<string, Schema.Codec<any, any>>>
  const field = fields?.[key]
  if (field === undefined) {
    const known = fields === undefined
      ? "its output is not a struct"
      : `its fields are ${Object.keys(fields).join(", ")}`
    throw new TypeError(`A node has no field "${key}": ${known}`)
  }
  return field
}

type Sources = Readonly<Record<string, Any>>

/** Several nodes as one whose output is a struct, or a tuple, of theirs. */
export const all: {
  <const N extends ReadonlyArray<Any>>(
    nodes: N
  ): Node<{ readonly [K in keyof N]: Success<N[K]> }, Error<N[number]>, Services<N[number]>>
  <const N extends Sources>(
    nodes: N
  ): Node<{ readonly [K in keyof N]: Success<N[K]> }, Error<N[keyof N]>, Services<N[keyof N]>>
} = (nodes: Sources | ReadonlyArray<Any>): Any =>
  Array.isArray(nodes)
    ? make("all", Schema.Tuple(nodes.map((node) => node.output)) as unknown as Schema.Codec<any, any>, {
      _tag: "List",
      sources: nodes
    })
    : make(
      "all",
      Schema.Struct(Object.fromEntries(Object.entries(nodes as Sources).map(([key, node]) => [key, node.output]))),
      { _tag: "Struct", sources: nodes as Sources }
    )

/**
 * A node that is only known once another has run: `node` makes it of that one's
 * output, such as a training run with the hyperparameters that a study chose.
 *
 * `node` must be pure. It is also called with `example`, to learn what the node
 * puts out and to draw it.
 */
export const bind = <A, E, R, B, E2, R2>(name: string, source: Node<A, E, R>, options: {
  readonly example: NoInfer<A>
  readonly node: (output: NoInfer<A>) => Node<B, E2, R2>
}): Node<B, E | E2, R | R2> => {
  const template = options.node(options.example)
  const run = (context: ExpansionContext) =>
    Effect.flatMap(context.run(source, name), (output) => context.run(options.node(output as A), name))
  return make(name, template.output, { _tag: "Expand", expand: { template, sources: [source], run } })
}

/** The nodes that must have run before this one can. */
export const dependencies = (node: Any): ReadonlyArray<Any> => {
  switch (node.op._tag) {
    case "Invoke":
      return Object.values(node.op.inputs)
    case "At":
      return [node.op.source]
    case "Struct":
      return Object.values(node.op.sources)
    case "List":
      return node.op.sources
    case "Expand":
      return node.op.expand.sources
    case "Source":
      return []
  }
}
