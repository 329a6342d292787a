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

export const metric = orUndefined(Flag.String("metric")).pipe(
  Flag.withMetavar("path"),
  Flag.withDescription("Which metric, of those that the study looks at; by default its first objective")
)

export const seed = Flag.Int("seed").pipe(
  Flag.filter((number) => number >= 0, (number) => `Expected at least 0, got ${number}`),
  Flag.withDefault(0),
  Flag.withMetavar("n"),
  Flag.withDescription("Of what is drawn at random; the same seed gives the same result")
)

const atLeastOne = (name: string): Flag.Flag<number> =>
  Flag.Int(name).pipe(Flag.filter((number) => number >= 1, (number) => `Expected at least 1, got ${number}`))

export const concurrency = orUndefined(atLeastOne("concurrency")).pipe(
  Flag.withMetavar("n"),
  Flag.withDescription("How many stages run at once; by default as many as there are cores. It changes no result")
)

export const backend = Flag.String("backend").pipe(
  Flag.withDefault("wasm"),
  Flag.withMetavar("name"),
  Flag.withDescription(
    "What computes on tensors: wasm, webgpu, tensorflow, cpu, or auto for the fastest that works (see attune doctor)"
  )
)

export const determinism = Flag.Literals("determinism", ["exact", "fast"]).pipe(
  Flag.withDefault("exact"),
  Flag.withDescription("exact: the same bits in every run on the same device; fast: whatever a GPU does fastest")
)

/** A list of different whole numbers from 0, as in `0,2`. */
const numbers = (text: string): ReadonlyArray<number> | undefined => {
  const parts = text.split(",").map((part) => part.trim())
  return parts.every((part) => /^\d{1,4}$/.test(part)) && new Set(parts.map(Number)).size === parts.length
    ? parts.map(Number)
    : undefined
}

export const devices = orUndefined(
  Flag.String("devices").pipe(
    Flag.filterMap(
      (text) => Option.fromUndefinedOr(numbers(text)),
      () => "Expected different numbers of devices, as in 0,1"
    )
  )
).pipe(
  Flag.withMetavar("numbers"),
  Flag.withDescription("Which GPUs to use, by their numbers in attune doctor, as in 0,1; by default all that are alike")
)

export const perDevice = atLeastOne("per-device").pipe(
  Flag.withDefault(1),
  Flag.withMetavar("n"),
  Flag.withDescription("How many stages share a GPU; more than one pays for models that fill it by a fraction")
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
