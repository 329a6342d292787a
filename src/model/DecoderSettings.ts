/**
 * What config.json says of a decoder of Llama's kind.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { type Config, InvalidConfig } from "./Architecture.ts"
import { Count, decode, field, Layers, ofEveryFamily, Positive, Rate } from "./ConfigFields.ts"
import * as Heads from "./Heads.ts"
import * as Rotary from "./Rotary.ts"

/** The fields of config.json that change what is computed, apart from those of the rotary embedding. */
const Fields = Schema.Struct({
  ...ofEveryFamily,
  vocab_size: field(Count),
  hidden_size: field(Count),
  intermediate_size: field(Count),
  num_hidden_layers: field(Layers),
  num_attention_heads: field(Count),
  num_key_value_heads: field(Count),
  head_dim: field(Count),
  max_position_embeddings: field(Count),
  hidden_act: field(Schema.String),
  rms_norm_eps: field(Positive),
  initializer_range: field(Positive),
  attention_dropout: field(Rate),
  attention_bias: field(Schema.Boolean),
  mlp_bias: field(Schema.Boolean),
  pretraining_tp: field(Schema.Int),
  tie_word_embeddings: field(Schema.Boolean),
  use_sliding_window: field(Schema.Boolean),
  sliding_window: field(Schema.Int),
  max_window_layers: field(Schema.Int),
  layer_types: field(Schema.Array(Schema.String)),
  classifier_dropout: field(Rate),
  hidden_dropout: field(Rate),
  token_classification_bias: field(Schema.Boolean)
})
export type Fields = typeof Fields.Type

/** What tells the families apart. */
export interface Variant {
  readonly modelType: string
  /** What transformers assumes where config.json leaves a field out. */
  readonly defaults: {
    readonly vocabularySize: number
    readonly inner: number
    readonly positions: number
    /** Heads of keys and values; as many as those of queries without it. */
    readonly shared?: number
    /** Elements of a head; the width over the heads without it. */
    readonly size?: number
  }
  /** Which projections have a bias. */
  readonly biases: (fields: Fields) => {
    readonly queriesKeysValues: boolean
    readonly output: boolean
    readonly feedForward: boolean
  }
  /** Whether queries and keys are normalised, each head by itself. */
  readonly headNorms: boolean
  /** Whether the config can ask for layers that look back only so far. */
  readonly slidingWindow: boolean
}

export interface Settings {
  readonly vocabularySize: number
  readonly width: number
  readonly inner: number
  readonly layers: number
  readonly heads: number
  /** Heads of keys and values. */
  readonly shared: number
  /** Elements of a head. */
  readonly size: number
  readonly rotary: Rotary.Rotary
  readonly epsilon: number
  readonly initializerRange: number
  readonly attentionDropout: number
  readonly headDropout: number
  /** Whether the head of the language model is the token embedding. */
  readonly tied: boolean
  readonly biases: ReturnType<Variant["biases"]>
  readonly headNorms: boolean
  readonly tokenBias: boolean
  readonly paddingId: number | undefined
  readonly classes: number
}

/** A setting that would change what is computed, and that nothing here computes. */
const unsupported = (
  { modelType, slidingWindow }: Variant,
  fields: Fields,
  layers: number
): InvalidConfig | undefined => {
  const invalid = (field: string, reason: string) => new InvalidConfig({ modelType, field, reason })
  const activation = fields.hidden_act ?? "silu"
  if (activation !== "silu" && activation !== "swish") {
    return invalid("hidden_act", `is ${activation}; only silu is implemented`)
  }
  if ((fields.pretraining_tp ?? 1) > 1) {
    return invalid("pretraining_tp", `is ${fields.pretraining_tp}; only 1, undivided products, is implemented`)
  }
  if (!slidingWindow) return undefined
  const sliding = (fields.layer_types ?? []).find((type) => type !== "full_attention")
  if (sliding !== undefined) {
    return invalid("layer_types", `has ${sliding}; only full_attention is implemented`)
  }
  const listed = fields.layer_types !== undefined && fields.layer_types !== null
  const windowed = fields.use_sliding_window === true && fields.sliding_window !== null && !listed &&
    (fields.max_window_layers ?? 28) < layers
  if (windowed) return invalid("use_sliding_window", "is true, and only attention to the whole text is implemented")
  return undefined
}

/** Reads config.json; what it leaves out has the default of the family's class in transformers. */
export const read = Effect.fnUntraced(function*(
  variant: Variant,
  config: Config
): Effect.fn.Return<Settings, InvalidConfig> {
  const { defaults, modelType } = variant
  const invalid = (field: string, reason: string) => new InvalidConfig({ modelType, field, reason })
  const fields = yield* decode(modelType, Fields, config)
  const layers = fields.num_hidden_layers ?? 32
  const refusal = unsupported(variant, fields, layers)
  if (refusal !== undefined) return yield* refusal
  const width = fields.hidden_size ?? 4096
  const heads = fields.num_attention_heads ?? 32
  const shared = fields.num_key_value_heads ??
    (fields.num_key_value_heads === undefined ? defaults.shared ?? heads : heads)
  if (heads % shared !== 0) {
    return yield* invalid("num_key_value_heads", `is ${shared}, which ${heads} query heads cannot share equally`)
  }
  const size = fields.head_dim ?? (fields.head_dim === undefined ? defaults.size ?? width / heads : width / heads)
  if (!Number.isInteger(size)) {
    return yield* invalid("hidden_size", `is ${width}, which ${heads} heads cannot share equally`)
  }
  const rotary = yield* Rotary.make(config, {
    modelType,
    size,
    positions: fields.max_position_embeddings ?? defaults.positions
  })
  const vocabularySize = fields.vocab_size ?? defaults.vocabularySize
  const padding = fields.pad_token_id ?? -1
  if (padding >= vocabularySize) {
    return yield* invalid("pad_token_id", `is ${padding}, which is beyond the vocabulary of ${vocabularySize}`)
  }
  const classes = Heads.outputsOf(config)
  if (classes < 1) return yield* invalid("id2label", "names no class")
  return {
    vocabularySize,
    width,
    inner: fields.intermediate_size ?? defaults.inner,
    layers,
    heads,
    shared,
    size,
    rotary,
    epsilon: fields.rms_norm_eps ?? 1e-6,
    initializerRange: fields.initializer_range ?? 0.02,
    attentionDropout: fields.attention_dropout ?? 0,
    headDropout: fields.classifier_dropout ?? fields.hidden_dropout ?? 0.1,
    tied: fields.tie_word_embeddings ?? false,
    biases: variant.biases(fields),
    headNorms: variant.headNorms,
    tokenBias: fields.token_classification_bias ?? true,
    // Early checkpoints say -1 for none.
    paddingId: padding < 0 ? undefined : padding,
    classes
  }
})
