/**
 * A model as an artifact: its files in the layout of the Hugging Face hub.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Artifact from "../store/Artifact.ts"
import type { Store } from "../store/Store.ts"
import type { StoreError } from "../store/StoreError.ts"
import * as Adapter from "./Adapter.ts"
import { InvalidConfig } from "./Architecture.ts"
import * as Checkpoint from "./Checkpoint.ts"
import { UnknownArchitecture } from "./Family.ts"
import { MalformedSafetensors } from "./Safetensors.ts"
import { fileNames, InvalidTokenizer, TokenOutOfRange } from "./Tokenizer.ts"

export class PretrainedModel extends Schema.Class<PretrainedModel>("attune/PretrainedModel")({
  kind: Schema.tag("model"),
  architecture: Schema.String,
  /** How many numbers its weights are, those of an adapter included. */
  parameters: Schema.Int,
  /** With an adapter: the base's files, which all its adapters share, and the adapter's. */
  files: Schema.Array(Artifact.File)
}) {}

/** What can be wrong with the files of a model. */
export const ModelError = Schema.Union([
  Checkpoint.MissingFile,
  Checkpoint.InvalidFile,
  Checkpoint.MismatchedTensors,
  UnknownArchitecture,
  InvalidConfig,
  MalformedSafetensors,
  InvalidTokenizer,
  TokenOutOfRange,
  Adapter.InvalidAdapter,
  Adapter.MismatchedAdapter
])
export type ModelError = typeof ModelError.Type

/** Stores a checkpoint as files. Files that other models share, such as the tokenizer, are kept once. */
export const store = Effect.fnUntraced(function*(
  checkpoint: Pick<Checkpoint.Checkpoint, "adapter" | "config" | "tensors" | "tokenizer">
): Effect.fn.Return<PretrainedModel, StoreError, Store> {
  const files = yield* Effect.forEach(
    Array.from(Checkpoint.toFiles(checkpoint)),
    ([name, bytes]) => Artifact.writeFile(name, bytes)
  )
  let parameters = 0
  for (const { data } of Checkpoint.parametersOf(checkpoint).values()) parameters += data.length
  const architectures = checkpoint.config["architectures"]
  const architecture = Array.isArray(architectures) ? String(architectures[0]) : String(checkpoint.config["model_type"])
  return new PretrainedModel({ architecture, parameters, files })
})

/** Reads the files of a model back, checking that they belong together. */
export const load = Effect.fnUntraced(function*(
  files: ReadonlyArray<Artifact.File | Artifact.ExternalFile>
): Effect.fn.Return<Checkpoint.Checkpoint, StoreError | Checkpoint.ReadError, Store> {
  const read = yield* Effect.forEach(
    files,
    (file) => Effect.map(Artifact.readFile(file), (bytes) => [file.name, bytes] as const)
  )
  return yield* Checkpoint.fromFiles(new Map(read))
})

/**
 * The files of a base model with those of an adapter's folder, which may be a whole model's: the adapter's own and, where
 * it has them, the tokenizer's.
 */
export const withAdapterFiles = <File extends { readonly name: string }>(
  base: ReadonlyArray<File>,
  adapter: ReadonlyArray<File>
): ReadonlyArray<File> => {
  const own = new Set<string>(Object.values(Adapter.fileNames))
  const tokenizer = new Set(Checkpoint.tokenizerFiles)
  const brings = adapter.some(({ name }) => name === fileNames.tokenizer)
  return [
    ...base.filter(({ name }) => !own.has(name) && !(brings && tokenizer.has(name))),
    ...adapter.filter(({ name }) => own.has(name) || (brings && tokenizer.has(name)))
  ]
}
