/**
 * What a driver and its worker processes say to each other.
 */
import * as Schema from "effect/Schema"
import { StageDefect, StageUnavailable } from "../pipeline/Errors.ts"
import { ObjectReference, Runtime } from "../store/RunRecord.ts"
import { StoreError } from "../store/StoreError.ts"

/** What a worker must know before its first job; given on its command line. */
export const Setup = Schema.Struct({
  /** The pipeline file, absolute. */
  pipeline: Schema.String,
  /** Its settings, encoded. */
  settings: Schema.Json,
  store: Schema.String,
  backend: Schema.String,
  determinism: Schema.Literals(["exact", "fast"]),
  /**
   * How many bytes a worker may hold after a job over what it held before its first, lest it is replaced; 1 GiB by
   * default.
   */
  keptMemory: Schema.optionalKey(Schema.Int)
})
export type Setup = typeof Setup.Type

export const Request = Schema.Struct({
  id: Schema.Int,
  /** The stage's identity, which is the same in every process that imports the same files. */
  stage: Schema.String,
  key: Schema.String,
  owner: Schema.String,
  inputs: Schema.Record(Schema.String, Schema.Json),
  params: Schema.Json
})
export type Request = typeof Request.Type

const Completed = Schema.Struct({
  outcome: Schema.Union([
    Schema.Struct({ _tag: Schema.Literal("success"), output: Schema.Json }),
    Schema.Struct({ _tag: Schema.Literal("failure"), error: Schema.Json })
  ]),
  metrics: Schema.NullOr(ObjectReference),
  started: Schema.String,
  durationMillis: Schema.Finite,
  worker: Schema.String
})

/** Whether the worker should not be given another job: this one broke, or left much memory in use. */
const spent = Schema.Boolean

export const Reply = Schema.Union([
  Schema.Struct({ _tag: Schema.Literal("ready"), runtime: Runtime }),
  /** The worker cannot take jobs: the pipeline does not load, or the backend does not start. */
  Schema.Struct({ _tag: Schema.Literal("unusable"), detail: Schema.String }),
  Schema.Struct({
    _tag: Schema.Literal("progress"),
    id: Schema.Int,
    step: Schema.Finite,
    steps: Schema.NullOr(Schema.Finite),
    values: Schema.Record(Schema.String, Schema.Number)
  }),
  Schema.Struct({ _tag: Schema.Literal("completed"), id: Schema.Int, completed: Completed, spent }),
  Schema.Struct({
    _tag: Schema.Literal("failed"),
    id: Schema.Int,
    error: Schema.Union([StoreError, StageDefect, StageUnavailable]),
    spent
  })
])
export type Reply = typeof Reply.Type

const ReplyJson = Schema.toCodecJson(Reply)
export const encodeReply = Schema.encodeSync(ReplyJson)
export const decodeReply = Schema.decodeUnknownSync(ReplyJson)

const SetupJson = Schema.fromJsonString(Setup)
export const encodeSetup = Schema.encodeSync(SetupJson)
export const decodeSetup = Schema.decodeUnknownSync(SetupJson)
