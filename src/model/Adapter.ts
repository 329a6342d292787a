/**
 * An adapter as PEFT writes it: adapter_config.json and adapter_model.safetensors.
 *
 * PEFT knows many kinds of adapters and, for LoRA, many options. What changes the result and is not implemented here is
 * refused by name; the rest of a configuration is kept as it is.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as AdapterTargets from "./AdapterTargets.ts"
import type { Config, Family, Head, Model, Parameters } from "./Architecture.ts"
import * as CheckpointFiles from "./CheckpointFiles.ts"
import { field } from "./ConfigFields.ts"
import * as Lora from "./Lora.ts"
import type * as Safetensors from "./Safetensors.ts"
import * as StoredParameters from "./StoredParameters.ts"

export const InvalidAdapter = AdapterTargets.InvalidAdapter
export type InvalidAdapter = AdapterTargets.InvalidAdapter

/** What an adapter's files are called. */
export const fileNames = { config: "adapter_config.json", weights: "adapter_model.safetensors" } as const

export interface Adapter {
  /** adapter_config.json, with every field that is not read kept as it is. */
  readonly config: Config
  /** What it says. */
  readonly settings: Lora.Settings
  /** The trained parameters by PEFT's names, {@link Lora.names}. */
  readonly tensors: Parameters
}

/** The tensors of an adapter are not those that its configuration asks for with this model. */
export class MismatchedAdapter extends Schema.TaggedError<MismatchedAdapter>()("MismatchedAdapter", {
  /** Tensors that the adapter should have and has not. */
  missing: Schema.Array(Schema.String),
  /** Tensors of another shape, or of a type that holds no weights. */
  different: Schema.Array(StoredParameters.Difference),
  /** Tensors that it has and that have no place in the model. */
  unexpected: Schema.Array(Schema.String),
  /** How many tensors there should be, and how many there are. */
  expected: Schema.Int,
  found: Schema.Int
}) {
  override get message() {
    const some = (what: string, all: ReadonlyArray<unknown>, list: string) =>
      all.length === 0 ? "" : `${what} ${all.length}: ${list}.`
    return [
      `The adapter does not fit the model: ${this.expected} tensors expected, ${this.found} found.`,
      some("Missing", this.missing, StoredParameters.listed(this.missing)),
      some("Different", this.different, StoredParameters.listedDifferences(this.different)),
      some("Without a place", this.unexpected, StoredParameters.listed(this.unexpected)),
      "Is it an adapter for another base model?"
    ].filter((line) => line !== "").join(" ")
  }
}

const invalid = (field: string, reason: string) => new InvalidAdapter({ field, reason })

const Names = Schema.Union([Schema.String, Schema.Array(Schema.String)])
const Indices = Schema.Union([Schema.Int, Schema.Array(Schema.Int)])

/** The fields that decide what is computed. */
const Fields = Schema.Struct({
  r: field(Schema.Int),
  lora_alpha: field(Schema.Finite),
  lora_dropout: field(Schema.Finite),
  use_rslora: field(Schema.Boolean),
  use_dora: field(Schema.Boolean),
  target_modules: field(Names),
  exclude_modules: field(Names),
  layers_to_transform: field(Indices),
  layers_pattern: field(Names),
  rank_pattern: field(Schema.Record(Schema.String, Schema.Int)),
  alpha_pattern: field(Schema.Record(Schema.String, Schema.Finite)),
  modules_to_save: field(Schema.Array(Schema.String))
})

/** Options that are not implemented. */
const unsupported: ReadonlyArray<string> = [
  "alora_invocation_tokens",
  "layer_replication",
  "lora_bias",
  "target_parameters",
  "trainable_token_indices"
]

/** Settings of how an adapter began, or of how it is spread over machines: they say nothing on what it computes now. */
const ofNoMatter: ReadonlyArray<string> = [
  "corda_config",
  "eva_config",
  "loftq_config",
  "lora_ga_config",
  "megatron_config",
  "runtime_config",
  "use_dora",
  "use_rslora"
]

/** Ways to begin that leave the base's weights alone. Others (PiSSA, OLoRA, LoftQ and so on) train beside changed weights. */
const beginnings: ReadonlyArray<unknown> = [undefined, null, true, false, "gaussian", "eva", "orthogonal"]

const isOff = (value: unknown): boolean =>
  value === undefined || value === null || value === false ||
  (typeof value === "object" && Object.keys(value).length === 0)

/** What is asked for and not implemented. Options are named alike, so those that are newer than this are found as well. */
const refusal = (config: Config): InvalidAdapter | undefined => {
  if (config["peft_type"] !== "LORA") {
    return invalid("peft_type", `is ${JSON.stringify(config["peft_type"])}; only "LORA" is implemented`)
  }
  if (config["bias"] !== undefined && config["bias"] !== null && config["bias"] !== "none") {
    return invalid("bias", `is ${JSON.stringify(config["bias"])}; only "none" is implemented`)
  }
  if (!beginnings.includes(config["init_lora_weights"])) {
    const found = JSON.stringify(config["init_lora_weights"])
    return invalid(
      "init_lora_weights",
      `is ${found}, which changes the base's weights; convert the adapter to plain LoRA as PEFT's documentation says`
    )
  }
  const option = Object.keys(config).find((name) =>
    (unsupported.includes(name) || ((/^use_|_config$/).test(name) && !ofNoMatter.includes(name))) &&
    !isOff(config[name])
  )
  return option === undefined
    ? undefined
    : invalid(option, `is ${JSON.stringify(config[option])?.slice(0, 100)}, and the option is not implemented`)
}

/** PEFT's names of tasks, as far as there are heads for them. */
const tasks = {
  CAUSAL_LM: "causal-language-modeling",
  SEQ_CLS: "sequence-classification",
  TOKEN_CLS: "token-classification"
} as const

const taskOf = (head: Head): string | null => {
  const task = head === "sequence-regression" ? "sequence-classification" : head
  return Object.entries(tasks).find(([, of]) => of === task)?.[0] ?? null
}

/** What a configuration says. */
export interface Description {
  readonly config: Config
  readonly settings: Lora.Settings
  /** The head that it was trained under, if the configuration says; regression is a `sequence-classification` to it. */
  readonly head: (typeof tasks)[keyof typeof tasks] | undefined
}

const isTask = (task: unknown): task is keyof typeof tasks => typeof task === "string" && Object.hasOwn(tasks, task)

const asList = <A>(value: A | ReadonlyArray<A> | null | undefined): ReadonlyArray<A> =>
  value === null || value === undefined ? [] : Array.isArray(value) ? value as ReadonlyArray<A> : [value as A]

/** Reads adapter_config.json; what it leaves out has `LoraConfig`'s default. */
export const describe: (config: Config) => Effect.Effect<Description, InvalidAdapter> = Effect.fnUntraced(
  function*(config: Config) {
    const refused = refusal(config)
    if (refused !== undefined) return yield* refused
    const task = config["task_type"]
    if (task !== null && task !== undefined && !isTask(task)) {
      return yield* invalid(
        "task_type",
        `is ${JSON.stringify(task)}; implemented are ${Object.keys(tasks).join(", ")}`
      )
    }
    const notAllowed = (error: { readonly message: string }) =>
      invalid("configuration", `has a value that is not allowed: ${error.message}`)
    const fields = yield* Schema.decodeUnknownEffect(Fields)(config).pipe(Effect.mapError(notAllowed))
    const { exclude_modules: exclude, layers_to_transform: layers, target_modules: targets } = fields
    if (targets === undefined || targets === null) return yield* invalid("target_modules", "are not given")
    const settings = yield* Schema.decodeUnknownEffect(Lora.Settings)({
      variant: fields.use_dora === true ? "dora" : "lora",
      rank: fields.r ?? Lora.defaults.rank,
      alpha: fields.lora_alpha ?? Lora.defaults.alpha,
      scaling: fields.use_rslora === true ? "rank-stabilized" : "standard",
      dropout: fields.lora_dropout ?? 0,
      targets: typeof targets !== "string"
        ? targets
        : targets.toLowerCase() === "all-linear"
        ? "all-linear"
        : { pattern: targets },
      exclude: typeof exclude === "string" ? { pattern: exclude } : exclude ?? [],
      layers: layers === undefined || layers === null || asList(layers).length === 0 ? null : asList(layers),
      layersPattern: asList(fields.layers_pattern),
      rankPattern: fields.rank_pattern ?? {},
      alphaPattern: fields.alpha_pattern ?? {},
      modulesToSave: fields.modules_to_save ?? []
    }).pipe(Effect.mapError(notAllowed))
    return { config, settings, head: isTask(task) ? tasks[task] : undefined }
  }
)

/** The name that we have for a tensor of an adapter's file; `undefined` where the model has no place for it. */
const nameOf = (name: string, canonicalName: Family["canonicalName"]): string | undefined => {
  const prefix = Lora.names.saved("")
  if (!name.startsWith(prefix)) return undefined
  const inner = name.slice(prefix.length)
  const part = /\.(?:lora_A\.weight|lora_B\.weight|lora_magnitude_vector(?:\.weight)?)$/.exec(inner)
  if (part === null) {
    const parameter = canonicalName(inner)
    return parameter === undefined ? undefined : Lora.names.saved(parameter)
  }
  const weight = canonicalName(`${inner.slice(0, part.index)}.weight`)
  if (weight === undefined) return undefined
  return Lora.names.saved(
    weight.replace(/\.weight$/, part[0].replace("lora_magnitude_vector.weight", "lora_magnitude_vector"))
  )
}

/** The adapter that these tensors are for this model. */
export const read: (
  model: Model,
  description: Description,
  tensors: ReadonlyMap<string, Safetensors.Tensor>,
  canonicalName: Family["canonicalName"]
) => Effect.Effect<Adapter, InvalidAdapter | MismatchedAdapter> = Effect.fnUntraced(
  function*(
    model: Model,
    { config, settings }: Description,
    tensors: ReadonlyMap<string, Safetensors.Tensor>,
    canonicalName: Family["canonicalName"]
  ) {
    const expected = Lora.parametersOf(yield* Lora.place(model, settings))
    const found = new Map<string, Safetensors.Tensor>()
    for (const [name, tensor] of tensors) found.set(nameOf(name, canonicalName) ?? name, tensor)
    const { different, missing, selected } = StoredParameters.select(expected, found)
    const known = new Set(expected.map(({ name }) => name))
    const unexpected = [...found.keys()].filter((name) => !known.has(name)).toSorted()
    if (missing.length + different.length + unexpected.length > 0) {
      return yield* new MismatchedAdapter({
        missing,
        different,
        unexpected,
        expected: expected.length,
        found: tensors.size
      })
    }
    return { config, settings, tensors: selected }
  }
)

/** Modules that PEFT trains in full: those asked for, and the outermost of a classifier's head. */
const modulesToSave = (model: Model, { saved, settings }: Lora.Placement): ReadonlyArray<string> | null => {
  const heads = Array.from(saved.values()).filter(({ head }) => head).map(({ name }) =>
    name.slice(0, name.indexOf("."))
  )
  const outermost = model.head === "causal-language-modeling" ? [] : heads
  const all = [...new Set([...settings.modulesToSave, ...outermost])]
  return all.length === 0 ? null : all
}

/** The targets in PEFT's fields. Those that it has no words for become names. */
const targetFields = (model: Model, { adapted, saved, settings }: Lora.Placement): Config => {
  const { exclude, layers, layersPattern, targets } = settings
  const asGiven = typeof targets !== "string" && !("pattern" in targets && layers !== null)
  if (!asGiven) {
    const found = Array.from(adapted.values(), ({ linear }) => linear)
    return {
      target_modules: AdapterTargets.shortest(model.linears, Array.from(saved.values()), found),
      exclude_modules: null,
      layers_to_transform: null,
      layers_pattern: null
    }
  }
  const fieldOf = (names: AdapterTargets.Names) => "pattern" in names ? names.pattern : names
  const excluded = fieldOf(exclude)
  return {
    target_modules: fieldOf(targets),
    exclude_modules: excluded.length === 0 ? null : excluded,
    layers_to_transform: layers,
    layers_pattern: layers === null || layersPattern.length === 0 ? null : layersPattern
  }
}

/**
 * An adapter with the configuration that PEFT would write for it.
 *
 * @param tensors as {@link Lora.initialize} names them
 * @param base where PEFT finds the base model: its id on the hub, or a folder
 */
export const make = (model: Model, placement: Lora.Placement, tensors: Parameters, base?: string): Adapter => {
  const { adapted, settings } = placement
  return {
    config: {
      alpha_pattern: settings.alphaPattern,
      base_model_name_or_path: base ?? null,
      bias: "none",
      // How PEFT calls weights that are stored as `[in, out]`.
      fan_in_fan_out: Array.from(adapted.values()).some(({ linear }) => linear.layout === "in-out"),
      inference_mode: true,
      init_lora_weights: true,
      lora_alpha: settings.alpha,
      lora_dropout: settings.dropout,
      modules_to_save: modulesToSave(model, placement),
      peft_type: "LORA",
      r: settings.rank,
      rank_pattern: settings.rankPattern,
      revision: null,
      ...targetFields(model, placement),
      task_type: taskOf(model.head),
      use_dora: settings.variant === "dora",
      use_rslora: settings.scaling === "rank-stabilized"
    },
    settings,
    tensors
  }
}

/** The files of an adapter as PEFT's `save_pretrained` names them. Equal adapters give equal bytes. */
export const toFiles = ({ config, tensors }: Adapter): CheckpointFiles.Files =>
  new Map([
    [fileNames.config, CheckpointFiles.encodeConfig(config)],
    [fileNames.weights, StoredParameters.encode(tensors)]
  ])

/** The names of the model's own parameters that the adapter has in full. */
export const savedNames = ({ tensors }: Pick<Adapter, "tensors">, parameters: Iterable<string>): ReadonlySet<string> =>
  new Set([...parameters].filter((name) => tensors.has(Lora.names.saved(name))))
