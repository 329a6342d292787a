/**
 * What the store keeps of one run of a stage: where its result came from and
 * what it was. One record a key; the first one committed stays.
 */
import * as Schema from "effect/Schema"

/** Bytes in the store, as they are named in a record. */
export const ObjectReference = Schema.Struct({
  /** The field of the output it stands in, dotted, as in "predictions" or "checkpoint.weights". */
  field: Schema.String,
  kind: Schema.String,
  name: Schema.String,
  /** Identity: SHA-256 of the canonical content. */
  digest: Schema.String,
  /** Integrity: SHA-256 of the bytes as stored. */
  sha256: Schema.String,
  bytes: Schema.Int,
  rows: Schema.NullOr(Schema.Int),
  /** File name ending of the object. */
  extension: Schema.String
})
export type ObjectReference = typeof ObjectReference.Type

/** What tensors were computed with; `null` for a stage that computes none. */
export const Runtime = Schema.Struct({
  backend: Schema.String,
  version: Schema.String,
  determinism: Schema.String
})
export type Runtime = typeof Runtime.Type

export const Outcome = Schema.Union([
  Schema.Struct({ _tag: Schema.Literal("success"), output: Schema.Json, digest: Schema.String }),
  Schema.Struct({ _tag: Schema.Literal("failure"), error: Schema.Json })
])
export type Outcome = typeof Outcome.Type

export const Host = Schema.Struct({
  name: Schema.String,
  platform: Schema.String,
  cpu: Schema.String,
  cores: Schema.Int,
  memory: Schema.Int
})
export type Host = typeof Host.Type

/** Where the value of an input came from. */
export const Origin = Schema.Union([
  /** The output of a stage run, or a part of it. */
  Schema.Struct({ _tag: Schema.Literal("run"), key: Schema.String }),
  /** What a study came to. */
  Schema.Struct({ _tag: Schema.Literal("study"), study: Schema.String }),
  /** A file outside the store; `path` is relative to the folder that the store lies in, where it can be. */
  Schema.Struct({
    _tag: Schema.Literal("file"),
    name: Schema.String,
    path: Schema.String,
    digest: Schema.String,
    bytes: Schema.Int
  })
])
export type Origin = typeof Origin.Type

export const RunRecord = Schema.Struct({
  format: Schema.Literal(1),
  key: Schema.String,
  stage: Schema.String,
  fingerprint: Schema.String,
  params: Schema.Json,
  /** Digest of each input's value, by input name. */
  inputs: Schema.Record(Schema.String, Schema.String),
  /** What each input was made from, by input name. Earlier versions did not keep it. */
  sources: Schema.optionalKey(Schema.Record(Schema.String, Schema.Array(Origin))),
  runtime: Schema.NullOr(Runtime),
  outcome: Outcome,
  /** Objects named in the output, and the sealed metrics if the stage logged any. */
  artifacts: Schema.Array(ObjectReference),
  metrics: Schema.NullOr(ObjectReference),
  /** Why it was run and not answered by the store, as `pipeline/Reason` has it. Earlier versions did not keep it. */
  why: Schema.optionalKey(Schema.Json),
  /** Time of day in ISO 8601, UTC. */
  started: Schema.String,
  durationMillis: Schema.Finite,
  attempts: Schema.Int,
  worker: Schema.String,
  host: Host,
  versions: Schema.Record(Schema.String, Schema.String)
})
export type RunRecord = typeof RunRecord.Type
