/**
 * Arguments and flags that several commands share.
 */
import * as Argument from "effect/cli/Argument"
import * as Flag from "effect/cli/Flag"
import * as Option from "effect/Option"

export const pipeline = Argument.String("pipeline").pipe(
  Argument.withDescription("The file whose default export is the pipeline, as in pipelines/language-id.ts")
)

const orUndefined = <A>(flag: Flag.Flag<A>): Flag.Flag<A | undefined> =>
  Flag.map(Flag.optional(flag), Option.getOrUndefined)

export const store = orUndefined(Flag.String("store")).pipe(
  Flag.withMetavar("folder"),
  Flag.withDescription("The store; by default $ATTUNE_STORE, or .attune in the project of the pipeline")
)

export const study = orUndefined(Flag.String("study")).pipe(
  Flag.withMetavar("name"),
  Flag.withDescription("Which study; by default the latest")
)

export const concurrency = orUndefined(
  Flag.Int("concurrency").pipe(Flag.filter((number) => number >= 1, (number) => `Expected at least 1, got ${number}`))
).pipe(
  Flag.withMetavar("n"),
  Flag.withDescription("How many stages run at once; by default as many as there are cores. It changes no result")
)

export const backend = Flag.String("backend").pipe(
  Flag.withDefault("wasm"),
  Flag.withMetavar("name"),
  Flag.withDescription("What computes on tensors: wasm, webgpu, tensorflow or cpu (see attune doctor)")
)

export const settings = Flag.String("set").pipe(
  Flag.atLeast(0),
  Flag.withMetavar("name=value"),
  Flag.withDescription("Changes a setting of the pipeline; may be repeated")
)

export const format = Flag.Literals("format", ["table", "json", "csv"]).pipe(
  Flag.withDefault("table"),
  Flag.withDescription("How the data on standard output is written")
)

export type Format = "table" | "json" | "csv"
