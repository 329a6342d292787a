/**
 * A pre-trained model in the layout of the Hugging Face hub, held in memory.
 *
 * Reading and writing are maps from file names to bytes: where the bytes come from, and where they go, is the caller's.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Adapter from "./Adapter.ts"
import {
  type Config,
  draw,
  type Head,
  initialize,
  type InvalidConfig,
  type Model,
  type Parameter,
  type Parameters,
  type ParameterSpecification
} from "./Architecture.ts"
import * as ChatTemplate from "./ChatTemplate.ts"
import * as CheckpointFiles from "./CheckpointFiles.ts"
import type { Files, InvalidFile, MissingFile } from "./CheckpointFiles.ts"
import * as Family from "./Family.ts"
import * as Heads from "./Heads.ts"
import * as Lora from "./Lora.ts"
import * as Safetensors from "./Safetensors.ts"
import * as StoredParameters from "./StoredParameters.ts"
import * as Tokenizer from "./Tokenizer.ts"

export { type Files, InvalidFile, MissingFile } from "./CheckpointFiles.ts"

export interface Checkpoint {
  readonly config: Config
  /** The weights by their names in transformers. */
  readonly tensors: Parameters
  /**
   * The bytes of the files that go along with the weights, by name: the tokenizer's, a chat template, and what says how to
   * generate.
   */
  readonly companions: ReadonlyMap<string, Uint8Array>
  /** Tensors of the files that the model has no use for, such as saved masks or another head. */
  readonly unused: ReadonlyArray<string>
  /**
   * An adapter for the weights, which are then those of its base. What it has in full, such as a classifier's head, counts
   * in place of the weights of that name.
   */
  readonly adapter?: Adapter.Adapter
}

/** The weights are not those of the model that config.json describes. */
export class MismatchedTensors extends Schema.TaggedError<MismatchedTensors>()("MismatchedTensors", {
  /** Names the model has and the weights lack. */
  missing: Schema.Array(Schema.String),
  /** Tensors of another shape, or of a type that holds no weights. */
  different: Schema.Array(StoredParameters.Difference),
  /** Every tensor among the weights. */
  found: Schema.Array(Schema.String)
}) {
  override get message() {
    return [
      "The weights do not fit config.json.",
      this.missing.length === 0 ? "" : `Missing ${this.missing.length}: ${StoredParameters.listed(this.missing)}.`,
      this.different.length === 0 ? "" : `Different: ${StoredParameters.listedDifferences(this.different)}.`,
      `Found ${this.found.length}: ${StoredParameters.listed(this.found)}.`
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
  | Adapter.InvalidAdapter
  | Adapter.MismatchedAdapter

/** The tensors of `found` that `expected` names, checked. */
const select = (
  expected: ReadonlyArray<ParameterSpecification>,
  found: ReadonlyMap<string, Safetensors.Tensor>
): Effect.Effect<Map<string, Parameter>, MismatchedTensors> => {
  const { different, missing, selected } = StoredParameters.select(expected, found)
  return missing.length === 0 && different.length === 0
    ? Effect.succeed(selected)
    : Effect.fail(new MismatchedTensors({ missing, different, found: [...found.keys()].toSorted() }))
}

/** The description and the tensors of the adapter among the files, if there is one. */
const readAdapter = Effect.fnUntraced(function*(files: Files) {
  if (!files.has(Adapter.fileNames.config)) return undefined
  const description = yield* Adapter.describe(yield* CheckpointFiles.jsonOf(files, Adapter.fileNames.config))
  const { tensors } = yield* Safetensors.decode(
    yield* CheckpointFiles.bytesOf(files, Adapter.fileNames.weights),
    Adapter.fileNames.weights
  )
  return { description, tensors }
})

/**
 * The base's config under the head that an adapter was trained for. PEFT leaves it to its user to load the base with as many
 * outputs as the adapter's head has; here they are counted.
 */
const underHeadOf = Effect.fnUntraced(function*(
  config: Config,
  { description: { head }, tensors }: Effect.Success<ReturnType<typeof readAdapter>> & {}
) {
  const { head: given } = yield* Family.model(config)
  if (head === undefined || head === given || (head === "sequence-classification" && given === "sequence-regression")) {
    return config
  }
  const labelled = (count: number) => Array.from({ length: count }, (_, index) => `LABEL_${index}`)
  const trial = yield* Family.model(yield* Family.withHead(config, head, labelled(2)))
  const last = trial.linears.findLast((linear) => linear.head)
  const weight = last === undefined ? undefined : tensors.get(Lora.names.saved(`${last.name}.weight`))
  // A weight without numbers may claim any number of outputs.
  const outputs = weight === undefined || weight.data.length === 0 ? undefined : weight.shape[0]
  return outputs === 1 && head === "sequence-classification"
    ? yield* Family.withHead(config, "sequence-regression")
    : yield* Family.withHead(config, head, labelled(outputs ?? Heads.outputsOf(config)))
})

/**
 * Reads a model from the files of its folder: config.json, model.safetensors (or its shards with their index), and the
 * companions of these; and the adapter that adapter_config.json and adapter_model.safetensors beside them describe. Weights
 * stored as F16 or BF16 become float32.
 */
export const fromFiles: (files: Files) => Effect.Effect<Checkpoint, ReadError> = Effect.fnUntraced(
  function*(files: Files) {
    const given = yield* CheckpointFiles.jsonOf(files, CheckpointFiles.configFile)
    const family = yield* Family.of(given)
    const adapting = yield* readAdapter(files)
    const config = adapting === undefined ? given : yield* underHeadOf(given, adapting)
    const model = yield* Family.model(config)
    const adapter = adapting === undefined
      ? undefined
      : yield* Adapter.read(model, adapting.description, adapting.tensors, family.canonicalName)
    const unused: Array<string> = []
    const found = new Map<string, Safetensors.Tensor>()
    for (const [name, tensor] of yield* CheckpointFiles.tensorsOf(files)) {
      const canonical = family.canonicalName(name)
      if (canonical === undefined) unused.push(name)
      else found.set(canonical, tensor)
    }
    for (
      const name of adapter === undefined
        ? []
        : Adapter.savedNames(adapter, model.parameters.map(({ name }) => name))
    ) {
      found.set(name, { dtype: "F32", ...adapter!.tensors.get(Lora.names.saved(name))! })
    }
    const tensors = yield* select(model.parameters, found)
    for (const name of found.keys()) if (!tensors.has(name)) unused.push(name)
    const companions = new Map<string, Uint8Array>()
    for (const file of CheckpointFiles.companionFiles) {
      const bytes = files.get(file)
      if (bytes !== undefined) companions.set(file, bytes)
    }
    return { config, tensors, companions, unused: unused.toSorted(), ...(adapter === undefined ? {} : { adapter }) }
  }
)

/** What of a checkpoint is in the file of its weights. */
const storedWeights = ({ adapter, tensors }: Pick<Checkpoint, "adapter" | "tensors">): Parameters => {
  if (adapter === undefined) return tensors
  const elsewhere = Adapter.savedNames(adapter, tensors.keys())
  return new Map(Array.from(tensors).filter(([name]) => !elsewhere.has(name)))
}

/** Whether the file of the weights is the same for both, since they share the very arrays. */
export const sharesWeights = (
  one: Pick<Checkpoint, "adapter" | "tensors">,
  other: Pick<Checkpoint, "adapter" | "tensors">
): boolean => {
  const stored = storedWeights(one), others = storedWeights(other)
  return stored.size === others.size &&
    Array.from(stored).every(([name, { data, shape }]) => {
      const found = others.get(name)
      return found?.data === data && found.shape.join() === shape.join()
    })
}

/** What {@link toFiles} gives, each file made when it is asked for. */
export const contentsOf = (
  checkpoint: Pick<Checkpoint, "adapter" | "companions" | "config" | "tensors">
): ReadonlyMap<string, () => Uint8Array> => {
  const { adapter, companions, config } = checkpoint
  const others = [...companions, ...adapter === undefined ? [] : Adapter.toFiles(adapter)]
  return new Map([
    [CheckpointFiles.configFile, () => CheckpointFiles.encodeConfig(config)],
    [CheckpointFiles.weightsFile, () => StoredParameters.encode(storedWeights(checkpoint))],
    ...others.map(([name, bytes]) => [name, () => bytes] as const)
  ])
}

/**
 * The files of a model in hub layout, as transformers' `save_pretrained` names them; transformers loads them. Those of an
 * adapter are as PEFT's, and what it has in full is not among the base's: so all adapters of a base share its file.
 *
 * Equal checkpoints give equal bytes.
 */
export const toFiles = (
  checkpoint: Pick<Checkpoint, "adapter" | "companions" | "config" | "tensors">
): CheckpointFiles.Files => new Map(Array.from(contentsOf(checkpoint), ([name, bytes]) => [name, bytes()]))

/** The model that a checkpoint holds weights for. */
export const modelOf = (
  checkpoint: Pick<Checkpoint, "config">
): Effect.Effect<Model, Family.UnknownArchitecture | InvalidConfig> => Family.model(checkpoint.config)

/** Where the checkpoint's adapter is in its model; `undefined` without one. */
export const placementOf: (
  checkpoint: Pick<Checkpoint, "adapter" | "config">
) => Effect.Effect<
  Lora.Placement | undefined,
  Family.UnknownArchitecture | InvalidConfig | Adapter.InvalidAdapter
> = Effect.fnUntraced(function*({ adapter, config }: Pick<Checkpoint, "adapter" | "config">) {
  return adapter === undefined ? undefined : yield* Lora.place(yield* Family.model(config), adapter.settings)
})

/**
 * Every parameter that the model computes with, once: the weights, or those of the base that the adapter does not have in
 * full and then the adapter's, by the names that `Weights.make` knows them by.
 */
export const parametersOf = ({ adapter, tensors }: Pick<Checkpoint, "adapter" | "tensors">): Parameters => {
  return adapter === undefined ? tensors : new Map([...storedWeights({ adapter, tensors }), ...adapter.tensors])
}

/** The checkpoint with its adapter in its weights; as it is without one. */
export const merged: (
  checkpoint: Checkpoint
) => Effect.Effect<Checkpoint, Family.UnknownArchitecture | InvalidConfig | Adapter.InvalidAdapter> = Effect.fnUntraced(
  function*(checkpoint: Checkpoint) {
    const { adapter, ...base } = checkpoint
    const placement = yield* placementOf(checkpoint)
    return adapter === undefined || placement === undefined
      ? checkpoint
      : { ...base, tensors: Lora.merge(base.tensors, placement, adapter.tensors) }
  }
)

/** The checkpoint's tokenizer. */
export const tokenizerOf: (
  checkpoint: Pick<Checkpoint, "companions">
) => Effect.Effect<Tokenizer.Tokenizer, MissingFile | Tokenizer.InvalidTokenizer> = Effect.fnUntraced(
  function*(checkpoint: Pick<Checkpoint, "companions">) {
    return yield* Tokenizer.fromFiles({
      tokenizer: yield* CheckpointFiles.bytesOf(checkpoint.companions, Tokenizer.fileNames.tokenizer),
      config: yield* CheckpointFiles.bytesOf(checkpoint.companions, Tokenizer.fileNames.config)
    })
  }
)

/** The chat template that came with the checkpoint: a file of its own, or in the tokenizer's. */
export const chatTemplateOf = (
  checkpoint: Pick<Checkpoint, "companions">,
  tokenizer: Tokenizer.Tokenizer
): Effect.Effect<ChatTemplate.ChatTemplate, ChatTemplate.NoChatTemplate | ChatTemplate.UnsupportedTemplate> => {
  const file = checkpoint.companions.get(CheckpointFiles.chatTemplateFile)
  return ChatTemplate.ofTokenizer(tokenizer, file === undefined ? {} : { file })
}

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
      companions: new Map([
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
 * An adapter for the same body under another head: what it has beside the body's weights is kept, what it has in full is
 * taken from `tensors` where it had none of the same shape.
 */
const adapterUnder = Effect.fnUntraced(function*(model: Model, tensors: Parameters, adapter: Adapter.Adapter) {
  const placement = yield* Lora.place(model, adapter.settings)
  const found = new Map<string, Parameter>()
  for (const [name, fresh] of Lora.initialize(placement, tensors, 0)) {
    const held = adapter.tensors.get(name)
    found.set(name, held?.shape.join() === fresh.shape.join() ? held : fresh)
  }
  const base = adapter.config["base_model_name_or_path"]
  return Adapter.make(model, placement, found, typeof base === "string" ? base : undefined)
})

/**
 * The same body under another head. A head's weights are kept where the head has them already in the same shape, and
 * drawn anew, as transformers draws them, where not; so is what the body needs under this head alone.
 */
export const withHead: (
  checkpoint: Checkpoint,
  options: HeadOptions
) => Effect.Effect<
  Checkpoint,
  Family.UnknownArchitecture | InvalidConfig | MismatchedTensors | Adapter.InvalidAdapter
> = Effect.fnUntraced(
  function*(checkpoint: Checkpoint, { head, labels, seed }: HeadOptions) {
    const config = yield* Family.withHead(checkpoint.config, head, labels)
    const model = yield* Family.model(config)
    const required = new Set(
      (yield* Family.model(checkpoint.config)).parameters.filter(({ optional = false }) => !optional)
        .map(({ name }) => name)
    )
    const found = new Map<string, Safetensors.Tensor>()
    for (const specification of model.parameters) {
      const { head: ofHead, name, optional = false, shape } = specification
      const held = checkpoint.tensors.get(name)
      const isNew = held === undefined
        ? !optional && (ofHead || !required.has(name))
        : ofHead && held.shape.join() !== shape.join()
      const kept = isNew ? draw(specification, seed) : held
      if (kept !== undefined) found.set(name, { dtype: "F32", ...kept })
    }
    const tensors = yield* select(model.parameters, found)
    const { adapter, ...base } = checkpoint
    return {
      ...base,
      config,
      tensors,
      ...(adapter === undefined ? {} : { adapter: yield* adapterUnder(model, tensors, adapter) })
    }
  }
)
