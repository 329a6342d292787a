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
import { companionFiles, weightsFile } from "./CheckpointFiles.ts"
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

/** A model that was read, and the files that it was read from. */
export interface Loaded {
  readonly checkpoint: Checkpoint.Checkpoint
  readonly files: ReadonlyArray<Artifact.File | Artifact.ExternalFile>
  /** What the files hold, by digest. The weights are views of it. */
  readonly contents: ReadonlyMap<string, Uint8Array>
}

/**
 * Stores a checkpoint as files. Files that other models share, such as the tokenizer, are kept once. Where its weights are
 * those of the model that it was made `from`, as under an adapter, they are not even written out to see that.
 */
export const store = Effect.fnUntraced(function*(
  checkpoint: Pick<Checkpoint.Checkpoint, "adapter" | "companions" | "config" | "tensors">,
  from?: Loaded
): Effect.fn.Return<PretrainedModel, StoreError, Store> {
  const kept = from !== undefined && Checkpoint.sharesWeights(checkpoint, from.checkpoint)
    ? from.files.find((file) => file.name === weightsFile)
    : undefined
  const files = yield* Effect.forEach(
    Array.from(Checkpoint.contentsOf(checkpoint)),
    ([name, bytes]) =>
      name === weightsFile && kept?.$artifact === "file"
        ? Effect.succeed(kept)
        : Effect.suspend(() => Artifact.writeFile(name, bytes()))
  )
  let parameters = 0
  for (const { data } of Checkpoint.parametersOf(checkpoint).values()) parameters += data.length
  const architectures = checkpoint.config["architectures"]
  const architecture = Array.isArray(architectures) ? String(architectures[0]) : String(checkpoint.config["model_type"])
  return new PretrainedModel({ architecture, parameters, files })
})

/**
 * Reads the files of a model back, checking that they belong together. What a model that was read `before` has too is not
 * read again.
 */
export const open = Effect.fnUntraced(function*(
  files: ReadonlyArray<Artifact.File | Artifact.ExternalFile>,
  before?: Loaded
): Effect.fn.Return<Loaded, StoreError | Checkpoint.ReadError, Store> {
  const read = yield* Effect.forEach(files, (file) => {
    const known = before?.contents.get(file.digest)
    return known === undefined ? Artifact.readFile(file) : Effect.succeed(known)
  })
  const checkpoint = yield* Checkpoint.fromFiles(new Map(files.map(({ name }, index) => [name, read[index]!])))
  return { checkpoint, files, contents: new Map(files.map(({ digest }, index) => [digest, read[index]!])) }
})

/** The model alone that {@link open} gives. */
export const load = (
  files: ReadonlyArray<Artifact.File | Artifact.ExternalFile>
): Effect.Effect<Checkpoint.Checkpoint, StoreError | Checkpoint.ReadError, Store> =>
  Effect.map(open(files), ({ checkpoint }) => checkpoint)

/**
 * The files of a base model with those of an adapter's folder, which may be a whole model's: the adapter's own and, where
 * it brings a tokenizer, the companions of that.
 */
export const withAdapterFiles = <File extends { readonly name: string }>(
  base: ReadonlyArray<File>,
  adapter: ReadonlyArray<File>
): ReadonlyArray<File> => {
  const own = new Set<string>(Object.values(Adapter.fileNames))
  const companions = new Set(companionFiles)
  const brings = adapter.some(({ name }) => name === fileNames.tokenizer)
  return [
    ...base.filter(({ name }) => !own.has(name) && !(brings && companions.has(name))),
    ...adapter.filter(({ name }) => own.has(name) || (brings && companions.has(name)))
  ]
}
