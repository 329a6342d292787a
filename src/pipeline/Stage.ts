/**
 * A `Stage` is a reusable step: typed inputs, typed hyperparameters, a typed
 * output and one effect that turns the former into the latter.
 *
 * Calling a stage wires it: `FineTune({ train }, { learningRate: 3e-4 })` runs
 * nothing, it returns a `Node`.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import type * as Types from "effect/Types"
import { fileURLToPath } from "node:url"
import type { Store } from "../store/Store.ts"
import type { StoreError } from "../store/StoreError.ts"
import type { Backend } from "../tensor/Backend.ts"
import type { Definition, Resources, Retry, Site } from "./Definition.ts"
import { InvalidWiring } from "./Errors.ts"
import * as Misspelling from "./Misspelling.ts"
import * as Node from "./Node.ts"

type Fields = Schema.Struct.Fields
type Codec = Schema.Codec<any, any>

/** The nodes a stage is wired to: one for each input, of the input's type. */
export type Wiring<Inputs extends Fields> = {
  readonly [K in keyof Schema.Struct.Type<Inputs>]:
    | Node.Node<Exclude<Schema.Struct.Type<Inputs>[K], undefined>, unknown, unknown>
    | (undefined extends Schema.Struct.Type<Inputs>[K] ? undefined : never)
}

/** Services that every stage may use: the executor brings them. */
export type Provided = Store | Backend

export interface Stage<
  in out Inputs extends Fields,
  in out Params extends Fields,
  Output extends Codec,
  Error extends Codec,
  R
> {
  <const W extends Wiring<Inputs>>(
    inputs: W & Types.NoExcessProperties<Wiring<Inputs>, W>,
    ...params: {} extends Schema.Struct<Params>["~type.make.in"] ? [params?: Schema.Struct<Params>["~type.make.in"]]
      : [params: Schema.Struct<Params>["~type.make.in"]]
  ): Node.Node<
    Output["Type"],
    Error["Type"] | Node.Error<W[keyof W]>,
    Exclude<R, Provided> | Node.Services<W[keyof W]>
  >
  readonly name: string
  readonly inputs: Schema.Struct<Inputs>
  readonly params: Schema.Struct<Params>
  readonly output: Output
  readonly error: Error
  readonly resources: Resources
}

/**
 * Defines a stage.
 *
 * - `inputs`: schemas of the upstream outputs it reads, by name; one wrapped in
 *   `Schema.optionalKey` may be left out when wiring.
 * - `params`: schemas of the hyperparameters and settings it reads. Only these
 *   are part of its key, so name no parameter that `run` does not use.
 * - `output`, `error`: schemas, so that results and failures can be stored and
 *   sent to another process.
 * - `version`: optional; raise it to rerun the stage although its code is the same.
 * - `keepFailure`: which failures are results (a run that diverged does so
 *   again) and are remembered; by default none is.
 *
 * `inputs` and `params` are spelled out even when empty: were they optional,
 * TypeScript could not infer the arguments of an `Effect.fn` given as `run`.
 */
export const make = <
  Output extends Codec,
  R,
  const Inputs extends Fields,
  const Params extends Fields,
  Error extends Codec = Schema.Never
>(name: string, options: {
  readonly version?: string
  readonly inputs: Inputs
  readonly params: Params
  readonly output: Output
  readonly error?: Error
  readonly resources?: Resources
  readonly retry?: Retry<Error["Type"]>
  readonly timeout?: Duration.Input
  readonly keepFailure?: (error: Error["Type"]) => boolean
  readonly run: (
    inputs: Schema.Struct.Type<Inputs>,
    params: Schema.Struct.Type<Params>
  ) => Effect.Effect<Output["Type"], Error["Type"] | StoreError, R>
}): Stage<Inputs, Params, Output, Error, R> => {
  const definition: Definition = {
    name,
    version: options.version,
    inputs: Schema.Struct(options.inputs),
    params: Schema.Struct(options.params),
    output: options.output,
    error: options.error ?? Schema.Never,
    resources: options.resources ?? {},
    retry: options.retry,
    timeout: options.timeout,
    keepFailure: options.keepFailure ?? (() => false),
    site: callSite(),
    run: options.run
  }
  register(definition)
  const wire = (inputs: Readonly<Record<string, Node.Any | undefined>>, params: unknown = {}) => {
    checkNames(definition, inputs, params)
    return Node.make(name, options.output, {
      _tag: "Invoke",
      stage: definition,
      inputs: Object.fromEntries(
        Object.entries(inputs).filter((entry): entry is [string, Node.Any] => entry[1] !== undefined)
      ),
      params
    })
  }
  Object.defineProperty(wire, "name", { value: name })
  const { name: _, run: _run, ...rest } = definition
  return Object.assign(wire, rest) as unknown as Stage<Inputs, Params, Output, Error, R>
}

/**
 * Throws where a stage is wired with names that it does not know: pipelines also run without having been compiled, and
 * what a spread brings along is not checked by the compiler. A parameter that nobody reads would be searched in vain.
 */
const checkNames = (
  { inputs, name, params }: Definition,
  nodes: Readonly<Record<string, unknown>>,
  values: unknown
) => {
  const refuse = (detail: string) => {
    throw new InvalidWiring({ stage: name, detail })
  }
  const check = (what: string, given: object, known: ReadonlyArray<string>) => {
    for (const field of Object.keys(given)) {
      if (!known.includes(field)) {
        refuse(`has no ${what} "${field}": ${Misspelling.hint(field, known)}`)
      }
    }
  }
  check("input", nodes, Object.keys(inputs.fields))
  if (typeof values === "object" && values !== null) check("parameter", values, Object.keys(params.fields))
  for (const [field, schema] of Object.entries(inputs.fields)) {
    if (nodes[field] === undefined && !SchemaAST.isOptional((schema as Schema.Top).ast)) {
      refuse(`needs the input "${field}", and is wired to ${Object.keys(nodes).join(", ") || "nothing"}`)
    }
  }
}

/**
 * A parameter, or a setting of a pipeline, that may be left out:
 * `Stage.withDefault(Schema.Int, 16)`.
 */
export const withDefault = <S extends Schema.Constraint & Schema.WithoutConstructorDefault>(
  schema: S,
  value: S["~type.make.in"]
): Schema.withConstructorDefault<S> => Schema.withConstructorDefault<S>(Effect.succeed(value))(schema)

/**
 * The stages this process has defined, for worker processes: they import the
 * same pipeline file and find the stage they are asked to run.
 */
const registry = new Map<string, Definition | "ambiguous">()

/** Names a stage across processes that have imported the same files. */
export const identity = (stage: Pick<Definition, "name" | "site">): string =>
  `${stage.name} (${stage.site?.file ?? "unknown file"})`

const register = (definition: Definition) => {
  const id = identity(definition)
  registry.set(id, registry.has(id) ? "ambiguous" : definition)
}

/**
 * The stage of this identity. A name made more than once in a file, by a factory
 * say, is `"ambiguous"`: which one is meant cannot be told from another process.
 */
export const lookup = (id: string): Definition | "ambiguous" | undefined => registry.get(id)

/** The file and line of the call of `make`, read off the stack. */
const callSite = (): Site | undefined => {
  const limit = globalThis.Error.stackTraceLimit
  globalThis.Error.stackTraceLimit = 3
  const lines = new globalThis.Error("site").stack?.split("\n") ?? []
  globalThis.Error.stackTraceLimit = limit
  const match = /\(?((?:file:\/\/)?\/[^():]*):(\d+):\d+\)?$/.exec(lines[3] ?? "")
  if (match === null) return undefined
  const file = match[1]!
  return { file: file.startsWith("file:") ? fileURLToPath(file) : file, line: Number(match[2]) }
}
