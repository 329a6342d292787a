/**
 * A pre-trained model in the layout of the Hugging Face hub, held in memory.
 *
 * Reading and writing are maps from file names to bytes: where the bytes come from, and where they go, is the caller's.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import {
  type Config,
  type Head,
  initialize,
  type InvalidConfig,
  type Model,
  type Parameter,
  type Parameters,
  type ParameterSpecification
} from "./Architecture.ts"
import * as Family from "./Family.ts"
import * as Safetensors from "./Safetensors.ts"
import * as Tokenizer from "./Tokenizer.ts"

export interface Checkpoint {
  readonly config: Config
  /** The weights by their names in transformers. */
  readonly tensors: Parameters
  /** The bytes of tokenizer.json, tokenizer_config.json and their like, by file name. */
  readonly tokenizer: ReadonlyMap<string, Uint8Array>
  /** Tensors of the files that the model has no use for, such as saved masks or another head. */
  readonly unused: ReadonlyArray<string>
}

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

/** The weights are not those of the model that config.json describes. */
export class MismatchedTensors extends Schema.TaggedError<MismatchedTensors>()("MismatchedTensors", {
  /** Names the model has and the weights lack. */
  missing: Schema.Array(Schema.String),
  /** Tensors of another shape, or of a type that holds no weights. */
  different: Schema.Array(Schema.Struct({ name: Schema.String, expected: Schema.String, found: Schema.String })),
  /** Every tensor among the weights. */
  found: Schema.Array(Schema.String)
}) {
  override get message() {
    const some = (names: ReadonlyArray<string>) =>
      names.slice(0, 8).join(", ") + (names.length > 8 ? ` and ${names.length - 8} more` : "")
    return [
      "The weights do not fit config.json.",
      this.missing.length === 0 ? "" : `Missing ${this.missing.length}: ${some(this.missing)}.`,
      this.different.length === 0
        ? ""
        : `Different: ${some(this.different.map((it) => `${it.name} is ${it.found}, expected ${it.expected}`))}.`,
      `Found ${this.found.length}: ${some(this.found)}.`
    ].filter((line) => line !== "").join(" ")
  }
}

export type ReadError =
  | MissingFile
  | InvalidFile
  | MismatchedTensors
  | Family.UnknownArchitecture
  | InvalidConfig
  | Safetensors.MalformedSafetensors

const weightsFile = "model.safetensors"
const indexFile = "model.safetensors.index.json"

/** Files that belong to a tokenizer in hub layout, of any family. */
const tokenizerFiles: ReadonlyArray<string> = [
  Tokenizer.fileNames.tokenizer,
  Tokenizer.fileNames.config,
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "merges.txt",
  "vocab.txt",
  "chat_template.jinja"
]

const requireFile = (files: Files, file: string): Effect.Effect<Uint8Array, MissingFile> => {
  const bytes = files.get(file)
  return bytes === undefined ? Effect.fail(new MissingFile({ file, found: [...files.keys()] })) : Effect.succeed(bytes)
}

const readJson = Effect.fnUntraced(function*(files: Files, file: string) {
  const bytes = yield* requireFile(files, file)
  const value = yield* Effect.try({
    try: () => JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) as unknown,
    catch: (cause) => new InvalidFile({ file, reason: `it is not JSON in UTF-8 (${(cause as Error).message})` })
  })
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return yield* new InvalidFile({ file, reason: "it is not a JSON object" })
  }
  return value as Config
})

/** The tensors of a single file, or of all the shards that an index lists. */
const readTensors = Effect.fnUntraced(function*(files: Files) {
  const single = files.get(weightsFile)
  if (single !== undefined) return (yield* Safetensors.decode(single)).tensors
  if (!files.has(indexFile)) return yield* new MissingFile({ file: weightsFile, found: [...files.keys()] })
  const index = yield* readJson(files, indexFile)
  const places = index["weight_map"]
  if (typeof places !== "object" || places === null) {
    return yield* new InvalidFile({ file: indexFile, reason: "it has no weight_map" })
  }
  const tensors = new Map<string, Safetensors.Tensor>()
  for (const shard of new Set(Object.values(places).map(String))) {
    for (const [name, tensor] of (yield* Safetensors.decode(yield* requireFile(files, shard))).tensors) {
      tensors.set(name, tensor)
    }
  }
  return tensors
})

const isFloat = (tensor: Safetensors.Tensor): tensor is Extract<Safetensors.Tensor, { data: Float32Array }> =>
  tensor.data instanceof Float32Array

const describe = (dtype: string, shape: ReadonlyArray<number>) => `${dtype} [${shape.join(", ")}]`

/** The tensors of `found` that `expected` names, checked. */
const select = (
  expected: ReadonlyArray<ParameterSpecification>,
  found: ReadonlyMap<string, Safetensors.Tensor>
): Effect.Effect<Map<string, Parameter>, MismatchedTensors> => {
  const missing: Array<string> = []
  const different: Array<{ name: string; expected: string; found: string }> = []
  const selected = new Map<string, Parameter>()
  for (const { name, shape } of expected) {
    const tensor = found.get(name)
    if (tensor === undefined) missing.push(name)
    else if (!isFloat(tensor) || tensor.shape.join() !== shape.join()) {
      different.push({ name, expected: describe("F32", shape), found: describe(tensor.dtype, tensor.shape) })
    } else selected.set(name, { shape: tensor.shape, data: tensor.data })
  }
  return missing.length === 0 && different.length === 0
    ? Effect.succeed(selected)
    : Effect.fail(new MismatchedTensors({ missing, different, found: [...found.keys()].toSorted() }))
}

/**
 * Reads a model from the files of its folder: config.json, model.safetensors (or its shards with their index), and the
 * tokenizer's files. Weights stored as F16 or BF16 become float32.
 */
export const fromFiles: (files: Files) => Effect.Effect<Checkpoint, ReadError> = Effect.fnUntraced(
  function*(files: Files) {
    const config = yield* readJson(files, "config.json")
    const family = yield* Family.of(config)
    const model = yield* Family.model(config)
    const unused: Array<string> = []
    const found = new Map<string, Safetensors.Tensor>()
    for (const [name, tensor] of yield* readTensors(files)) {
      const canonical = family.canonicalName(name)
      if (canonical === undefined) unused.push(name)
      else found.set(canonical, tensor)
    }
    const tensors = yield* select(model.parameters, found)
    for (const name of found.keys()) if (!tensors.has(name)) unused.push(name)
    const tokenizer = new Map<string, Uint8Array>()
    for (const file of tokenizerFiles) {
      const bytes = files.get(file)
      if (bytes !== undefined) tokenizer.set(file, bytes)
    }
    return { config, tensors, tokenizer, unused: unused.toSorted() }
  }
)

/**
 * The files of a model in hub layout, as transformers' `save_pretrained` names them; transformers loads them.
 *
 * Equal checkpoints give equal bytes.
 */
export const toFiles = (checkpoint: Pick<Checkpoint, "config" | "tensors" | "tokenizer">): Files => {
  const weights = Array.from(
    checkpoint.tensors,
    ([name, { data, shape }]) => [name, { dtype: "F32", shape, data }] as const
  )
  const config = Object.fromEntries(Object.entries(checkpoint.config).toSorted(([a], [b]) => a < b ? -1 : 1))
  return new Map([
    ["config.json", new TextEncoder().encode(`${JSON.stringify(config, null, 2)}\n`)],
    [weightsFile, Safetensors.encode(weights, { format: "pt" })],
    ...checkpoint.tokenizer
  ])
}

/** The model that a checkpoint holds weights for. */
export const modelOf = (
  checkpoint: Pick<Checkpoint, "config">
): Effect.Effect<Model, Family.UnknownArchitecture | InvalidConfig> => Family.model(checkpoint.config)

/** The checkpoint's tokenizer. */
export const tokenizerOf: (
  checkpoint: Pick<Checkpoint, "tokenizer">
) => Effect.Effect<Tokenizer.Tokenizer, MissingFile | Tokenizer.InvalidTokenizer> = Effect.fnUntraced(
  function*(checkpoint: Pick<Checkpoint, "tokenizer">) {
    return yield* Tokenizer.fromFiles({
      tokenizer: yield* requireFile(checkpoint.tokenizer, Tokenizer.fileNames.tokenizer),
      config: yield* requireFile(checkpoint.tokenizer, Tokenizer.fileNames.config)
    })
  }
)

/** The names of a classifier's classes, by their index; empty when config.json names none. */
export const labelsOf = (config: Config): ReadonlyArray<string> => {
  const labels = config["id2label"]
  if (typeof labels !== "object" || labels === null) return []
  return Object.entries(labels)
    .toSorted(([a], [b]) => Number(a) - Number(b))
    .map(([, label]) => String(label))
}

/** An untrained model: `config` decides the shape and the head, `seed` the weights. */
export const untrained: (
  config: Config,
  tokenizer: Tokenizer.Files,
  seed: number
) => Effect.Effect<Checkpoint, Family.UnknownArchitecture | InvalidConfig> = Effect.fnUntraced(
  function*(config: Config, tokenizer: Tokenizer.Files, seed: number) {
    const model = yield* Family.model(config)
    return {
      config,
      tensors: initialize(model, seed),
      tokenizer: new Map([
        [Tokenizer.fileNames.tokenizer, tokenizer.tokenizer],
        [Tokenizer.fileNames.config, tokenizer.config]
      ]),
      unused: []
    }
  }
)

export interface HeadOptions {
  readonly head: Head
  /** A classifier's classes, in the order of their indices. */
  readonly labels?: ReadonlyArray<string>
  /** For the weights of a head that is new. */
  readonly seed: number
}

/**
 * The same body under another head. A head's weights are kept where the head has them already in the same shape, and
 * drawn anew, as transformers draws them, where not.
 */
export const withHead: (
  checkpoint: Checkpoint,
  options: HeadOptions
) => Effect.Effect<Checkpoint, Family.UnknownArchitecture | InvalidConfig | MismatchedTensors> = Effect.fnUntraced(
  function*(checkpoint: Checkpoint, { head, labels, seed }: HeadOptions) {
    const config = yield* Family.withHead(checkpoint.config, head, labels)
    const model = yield* Family.model(config)
    const fresh = initialize(model, seed)
    const found = new Map<string, Safetensors.Tensor>()
    for (const { head: ofHead, name, shape } of model.parameters) {
      const held = checkpoint.tensors.get(name)
      const kept = ofHead && held?.shape.join() !== shape.join() ? fresh.get(name) : held
      if (kept !== undefined) found.set(name, { dtype: "F32", ...kept })
    }
    return { ...checkpoint, config, tensors: yield* select(model.parameters, found) }
  }
)
