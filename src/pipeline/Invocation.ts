/**
 * The call of a stage with given inputs: its key, and the answer of the store.
 */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import * as Key from "../store/Key.ts"
import * as RowProblem from "../store/RowProblem.ts"
import type { RunRecord } from "../store/RunRecord.ts"
import { Store } from "../store/Store.ts"
import type { StoreError } from "../store/StoreError.ts"
import { CodeIdentity } from "./Code.ts"
import * as Codec from "./Codec.ts"
import type { Definition } from "./Definition.ts"
import { InvalidParams, StageDefect, type StageUnavailable } from "./Errors.ts"
import { Executor } from "./Executor.ts"
import type { Computed } from "./GraphRun.ts"
import * as Node from "./Node.ts"

export interface Invocation {
  readonly stage: Definition
  readonly key: string
  readonly components: Key.Components
  /** Encoded input values. */
  readonly inputs: Readonly<Record<string, Schema.Json>>
}

/** Parameters with their defaults, as JSON. */
const encodedParams = (stage: Definition, params: unknown): Effect.Effect<Schema.Json, InvalidParams> =>
  Codec.construct(stage.params, params).pipe(
    Effect.flatMap((checked) => Codec.encode(stage.params, checked)),
    Effect.mapError(({ issue }) => {
      const { expected, field, found } = RowProblem.ofIssue(issue, params ?? {})
      const at = field === "" ? "" : `${field}: `
      return new InvalidParams({ stage: stage.name, detail: `${at}expected ${expected}, found ${found}` })
    })
  )

/**
 * Fails with the first parameters that a stage refuses, of all that are upstream of a node: before an hour is spent on what
 * comes before that stage. Those of a study's trials are checked when they are run.
 */
export const checkParams = Effect.fnUntraced(function*(root: Node.Any): Effect.fn.Return<void, InvalidParams> {
  const seen = new Set([root])
  for (const node of seen) {
    if (node.op._tag === "Invoke") yield* encodedParams(node.op.stage, node.op.params)
    for (const dependency of Node.dependencies(node)) seen.add(dependency)
  }
})

/** The stage, parameters and inputs of a node that calls a stage, and the key they have here. */
export const of = Effect.fnUntraced(function*(
  node: Node.Any,
  inputs: Readonly<Record<string, Computed>>
): Effect.fn.Return<Invocation, InvalidParams | StageUnavailable, Executor> {
  if (node.op._tag !== "Invoke") return yield* Effect.die(new Error(`The node "${node.name}" calls no stage`))
  const { params, stage } = node.op
  const executor = yield* Executor
  const encoded = yield* encodedParams(stage, params)
  const fingerprint = yield* (yield* CodeIdentity)(stage)
  const components: Key.Components = {
    stage: stage.name,
    fingerprint,
    params: encoded,
    inputs: Object.fromEntries(Object.entries(inputs).map(([name, { digest }]) => [name, digest])),
    runtime: stage.resources.tensors === true ? yield* executor.runtime : null
  }
  return {
    stage,
    key: Key.make(components),
    components,
    inputs: Object.fromEntries(Object.entries(inputs).map(([name, { json }]) => [name, json]))
  }
})

/** The record of a key whose artifacts are all there: damage and loss count as never run. */
export const lookup = Effect.fnUntraced(function*(
  key: string
): Effect.fn.Return<RunRecord | undefined, StoreError, Store> {
  const store = yield* Store
  const record = yield* store.getRun(key)
  if (record === undefined) return undefined
  for (const artifact of record.metrics === null ? record.artifacts : [...record.artifacts, record.metrics]) {
    if (!(yield* store.hasObject(artifact))) return undefined
  }
  return record
})

/** What a recorded run came to: its output, or the failure that was kept as its result. */
export const answer = Effect.fnUntraced(function*(
  stage: Definition,
  record: RunRecord
): Effect.fn.Return<Computed, StageDefect | unknown> {
  const { outcome } = record
  const stale = (error: Schema.SchemaError) =>
    new StageDefect({ stage: stage.name, detail: `its stored result does not decode: ${error.message}`, stack: "" })
  if (outcome._tag === "failure") {
    return yield* Effect.flatMap(Codec.decode(stage.error, outcome.error).pipe(Effect.mapError(stale)), Effect.fail)
  }
  const value = yield* Codec.decode(stage.output, outcome.output).pipe(Effect.mapError(stale))
  return { value, json: outcome.output, digest: outcome.digest }
})
