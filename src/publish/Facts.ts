/**
 * What is known of a model that goes out: what its card is written from, and nothing else.
 */
import * as Schema from "effect/Schema"
import type { Head } from "../model/Architecture.ts"
import type * as Lora from "../model/Lora.ts"
import * as PretrainedModel from "../model/PretrainedModel.ts"
import { Selection } from "../pipeline/Selection.ts"
import * as Stage from "../pipeline/Stage.ts"
import * as Artifact from "../store/Artifact.ts"
import type * as Measures from "./Measures.ts"

/** Hyperparameters by their names. */
export const Hyperparameters = Schema.Record(Schema.String, Schema.Json)
export type Hyperparameters = typeof Hyperparameters.Type

/** A study's output, as far as a card speaks of it. */
export const Study = Schema.Struct({
  best: Schema.Struct({
    trial: Schema.Int,
    params: Hyperparameters,
    budget: Schema.Finite,
    value: Schema.Finite
  }),
  trials: Schema.Array(Schema.Struct({
    trial: Schema.Int,
    status: Schema.Literals(["completed", "stopped", "failed"]),
    params: Hyperparameters,
    budget: Schema.Finite,
    value: Schema.NullOr(Schema.Finite)
  })),
  selection: Selection,
  spent: Schema.Finite,
  fullCost: Schema.Finite,
  /** How the study searched. */
  search: Schema.optionalKey(Schema.Struct({
    direction: Schema.Literals(["maximize", "minimize"]),
    sampler: Schema.String,
    scheduler: Schema.String,
    seed: Schema.Int
  }))
})
export type Study = typeof Study.Type

/** A side of a split: the table of its examples is counted and named by its digest, and never read. */
export const Side = Schema.Struct({
  examples: Artifact.table(Schema.Struct({})),
  labels: Schema.optionalKey(Schema.Array(Schema.String))
})
export type Side = typeof Side.Type

/** A split, whatever is split. The test may be sealed. */
export const Data = Schema.Struct({
  train: Schema.optionalKey(Side),
  validation: Schema.optionalKey(Side),
  test: Schema.optionalKey(Side)
})
export type Data = typeof Data.Type

/** A run of fine-tuning, as far as a card speaks of it. */
export const Training = Schema.Struct({
  steps: Schema.Int,
  totalSteps: Schema.Int,
  epochs: Schema.Finite,
  stoppedEarly: Schema.Boolean,
  best: Schema.NullOr(Schema.Struct({ loss: Schema.Finite, epochs: Schema.Finite }))
})
export type Training = typeof Training.Type

const some = Schema.NonEmptyString
const list = Stage.withDefault(Schema.Array(some), [])

/** What nobody but the author of a model can say. */
export const about = {
  /** What the model is called: the title of its card. */
  name: some,
  /** The base model's id on the hub, or its folder as whoever loads an adapter finds it. */
  base: Schema.optionalKey(some),
  /** Keep an adapter by itself, for whoever has the base, or merge it into the weights. */
  adapter: Stage.withDefault(Schema.Literals(["keep", "merge"]), "keep"),
  /** As the hub names licences: `apache-2.0`, `mit`, `cc-by-4.0`, `other`. */
  license: Schema.optionalKey(some),
  /** Of the texts, as ISO 639 codes. */
  languages: list,
  tags: list,
  /** Of the data: ids of data sets on the hub. */
  datasets: list,
  /** What the data is called in the results. By default it is that of the study. */
  datasetName: Schema.optionalKey(some),
  /** In Markdown: what the model is for, who made it. */
  description: Schema.optionalKey(some),
  /** In Markdown. */
  intendedUse: Schema.optionalKey(some),
  /** In Markdown: what the author knows of. What the study shows is said anyway. */
  limitations: Schema.optionalKey(some),
  /** Hyperparameters that the pipeline sets, beside those that were searched. */
  hyperparameters: Stage.withDefault(Hyperparameters, {}),
  /** The pipeline's file, as it is given to `attune run`. */
  pipeline: Schema.optionalKey(some),
  /** The pipeline's settings that are not at their defaults. */
  settings: Stage.withDefault(Schema.Record(Schema.String, Schema.Json), {})
}
export const About = Schema.Struct(about)
export type About = typeof About.Type

/** A file that goes out. */
export interface File {
  readonly name: string
  readonly bytes: number
  readonly sha256: string
}

/** An evaluation with what is shown of it. */
export interface Evaluated {
  readonly evaluation: Measures.Any
  readonly measures: ReadonlyArray<Measures.Measure>
}

/** One way of training, over several seeds. */
export interface OverSeeds {
  readonly kind: Measures.Kind
  readonly mean: number
  readonly lowest: number
  readonly highest: number
}

/** Selected hyperparameters beside the defaults. */
export interface Comparison {
  readonly seeds: number
  readonly selected: ReadonlyArray<OverSeeds>
  readonly defaults?: {
    readonly seeds: number
    readonly measures: ReadonlyArray<OverSeeds>
    /** Of the first measure: how much more it is than with the defaults. */
    readonly gain: { readonly estimate: number; readonly lower: number; readonly upper: number }
  }
}

export interface Facts {
  readonly about: About
  readonly head: Head
  readonly architecture: string
  /** How many numbers it computes with. */
  readonly parameters: number
  readonly maximumLength: number
  readonly labels: ReadonlyArray<string>
  readonly hasChatTemplate: boolean
  /** The adapter that was trained; whether it is in the weights; how many numbers it has. */
  readonly adapter:
    | { readonly settings: Lora.Settings; readonly merged: boolean; readonly parameters: number }
    | undefined
  /** Where the base model is found. */
  readonly base: string | undefined
  readonly baseModel: PretrainedModel.PretrainedModel | undefined
  /** All that go out but the card. */
  readonly files: ReadonlyArray<File>
  readonly data: Data
  readonly study: Study | undefined
  readonly training: Training | undefined
  readonly validation: Evaluated | undefined
  readonly test: Evaluated | undefined
  readonly comparison: Comparison | undefined
  readonly environment: {
    readonly versions: Readonly<Record<string, string>>
    readonly backend: { readonly name: string; readonly version: string; readonly determinism: string }
  }
}

/** Whether the adapter goes out by itself, which PEFT loads; transformers loads all else. */
export const isAdapterAlone = ({ adapter }: Pick<Facts, "adapter">): boolean => adapter !== undefined && !adapter.merged
