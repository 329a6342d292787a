/**
 * The files of a model's folder in the layout of the Hugging Face hub: which there are, and what is in them.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Config } from "./Architecture.ts"
import * as Safetensors from "./Safetensors.ts"
import * as Tokenizer from "./Tokenizer.ts"

/** Files by their names in the model's folder. */
export type Files = ReadonlyMap<string, Uint8Array>

/** A file that a checkpoint needs is not among those given. */
export class MissingFile extends Schema.TaggedError<MissingFile>()("MissingFile", {
  file: Schema.String,
  found: Schema.Array(Schema.String)
}) {
  override get message() {
    return `A model in hub layout needs ${this.file}; found ${this.found.join(", ") || "no file"}.`
  }
}

/** A JSON file of the checkpoint is not what it should be. */
export class InvalidFile extends Schema.TaggedError<InvalidFile>()("InvalidFile", {
  file: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `${this.file}: ${this.reason}.`
  }
}

/** The file in which a model's folder says what it computes. */
export const configFile = "config.json"
export const weightsFile = "model.safetensors"
const indexFile = "model.safetensors.index.json"

/** The file of a chat template, where tokenizer_config.json does not hold it. */
export const chatTemplateFile = "chat_template.jinja"
/** The file in which a model's folder says how to generate with it. */
export const generationFile = "generation_config.json"

/** The names of a checkpoint's companions, of any family: what reads texts, and what says how to write them. */
export const companionFiles: ReadonlyArray<string> = [
  Tokenizer.fileNames.tokenizer,
  Tokenizer.fileNames.config,
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "merges.txt",
  "vocab.txt",
  chatTemplateFile,
  generationFile
]

/** The bytes of a file that has to be there. */
export const bytesOf = (files: Files, file: string): Effect.Effect<Uint8Array, MissingFile> => {
  const bytes = files.get(file)
  return bytes === undefined ? Effect.fail(new MissingFile({ file, found: [...files.keys()] })) : Effect.succeed(bytes)
}

/** The bytes of a config as transformers and PEFT write it, its fields in the order of their names. */
export const encodeConfig = (config: Config): Uint8Array => {
  const sorted = Object.fromEntries(Object.entries(config).toSorted(([a], [b]) => a < b ? -1 : 1))
  return new TextEncoder().encode(`${JSON.stringify(sorted, null, 2)}\n`)
}

/** The object that a file holds, which has to be there. */
export const jsonOf = Effect.fnUntraced(function*(files: Files, file: string) {
  const bytes = yield* bytesOf(files, file)
  const value = yield* Effect.try({
    try: () => JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) as unknown,
    catch: (cause) => new InvalidFile({ file, reason: `it is not JSON in UTF-8 (${(cause as Error).message})` })
  })
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return yield* new InvalidFile({ file, reason: "it is not a JSON object" })
  }
  return value as Config
})

/** Which shard each tensor is in, as an index says. The shards are files of the model's folder. */
const placesOf = Effect.fnUntraced(function*(files: Files) {
  const { weight_map: places } = yield* jsonOf(files, indexFile)
  if (typeof places !== "object" || places === null || Array.isArray(places)) {
    return yield* new InvalidFile({ file: indexFile, reason: "it has no weight_map" })
  }
  const placed = new Map<string, string>()
  for (const [name, shard] of Object.entries(places)) {
    if (typeof shard !== "string" || !/^[^/\\\0]+$/.test(shard) || shard === "." || shard === "..") {
      const found = String(JSON.stringify(shard)).slice(0, 100)
      return yield* new InvalidFile({
        file: indexFile,
        reason: `it places ${name} in ${found}, which is no name of a file`
      })
    }
    placed.set(name, shard)
  }
  return placed
})

/** The tensors of a single file, or of all the shards that an index lists. */
export const tensorsOf = Effect.fnUntraced(function*(files: Files) {
  const single = files.get(weightsFile)
  if (single !== undefined) return (yield* Safetensors.decode(single, weightsFile)).tensors
  if (!files.has(indexFile)) return yield* new MissingFile({ file: weightsFile, found: [...files.keys()] })
  const places = yield* placesOf(files)
  const tensors = new Map<string, Safetensors.Tensor>()
  const foundIn = new Map<string, string>()
  for (const shard of new Set(places.values())) {
    for (const [name, tensor] of (yield* Safetensors.decode(yield* bytesOf(files, shard), shard)).tensors) {
      const other = foundIn.get(name)
      if (other !== undefined) {
        return yield* new InvalidFile({ file: shard, reason: `it holds ${name}, which ${other} holds too` })
      }
      foundIn.set(name, shard)
      tensors.set(name, tensor)
    }
  }
  for (const [name, shard] of places) {
    const found = foundIn.get(name)
    if (found === shard) continue
    const reason = `it places ${name} in ${shard}, which does not hold it${
      found === undefined ? "" : `; ${found} does`
    }`
    return yield* new InvalidFile({ file: indexFile, reason })
  }
  return tensors
})
