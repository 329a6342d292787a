/**
 * What config.json says of an encoder of BERT's kind.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { type Config, InvalidConfig } from "./Architecture.ts"
import { Count, decode, field, Layers, ofEveryFamily, Positive, Rate } from "./ConfigFields.ts"
import * as Heads from "./Heads.ts"

/** Fields that every encoder has. */
const ofEncoders = {
  ...ofEveryFamily,
  vocab_size: field(Count),
  max_position_embeddings: field(Count),
  initializer_range: field(Positive),
  chunk_size_feed_forward: field(Schema.Int),
  is_decoder: field(Schema.Boolean),
  add_cross_attention: field(Schema.Boolean),
  pruned_heads: field(Schema.Record(Schema.String, Schema.Unknown)),
  problem_type: field(Schema.String)
}

/** The fields of BERT and RoBERTa that change what is computed. */
const BertFields = Schema.Struct({
  ...ofEncoders,
  hidden_size: field(Count),
  num_hidden_layers: field(Layers),
  num_attention_heads: field(Count),
  intermediate_size: field(Count),
  hidden_act: field(Schema.String),
  hidden_dropout_prob: field(Rate),
  attention_probs_dropout_prob: field(Rate),
  classifier_dropout: field(Rate),
  type_vocab_size: field(Count),
  layer_norm_eps: field(Positive),
  position_embedding_type: field(Schema.String)
})

/** Those of DistilBERT. */
const DistilBertFields = Schema.Struct({
  ...ofEncoders,
  dim: field(Count),
  n_layers: field(Layers),
  n_heads: field(Count),
  hidden_dim: field(Count),
  activation: field(Schema.String),
  dropout: field(Rate),
  attention_dropout: field(Rate),
  seq_classif_dropout: field(Rate),
  sinusoidal_pos_embds: field(Schema.Boolean)
})

/** GELU by the error function, GELU in its tanh form, or the rectified linear unit. */
export type Activation = "gelu" | "gelu-tanh" | "relu"

/** The activations by transformers' names. */
const activations: ReadonlyMap<string, Activation> = new Map([
  ["gelu", "gelu"],
  ["gelu_python", "gelu"],
  ["gelu_new", "gelu-tanh"],
  ["gelu_fast", "gelu-tanh"],
  ["gelu_pytorch_tanh", "gelu-tanh"],
  ["relu", "relu"]
])

export interface Settings {
  readonly modelType: string
  readonly vocabularySize: number
  /** Rows of the table of positions. */
  readonly positions: number
  /** Kinds of tokens that the table of types has; 0 without such a table. */
  readonly types: number
  readonly width: number
  readonly layers: number
  readonly heads: number
  /** Width of the feed forward parts. */
  readonly inner: number
  readonly activation: Activation
  readonly epsilon: number
  readonly initializerRange: number
  /** Whether positions start as sinusoids. */
  readonly sinusoids: boolean
  readonly embeddingDropout: number
  /** Of the weights of attention. */
  readonly attentionDropout: number
  /** Of what attention gives, after its output projection; `undefined` where the family does not drop there. */
  readonly projectionDropout: number | undefined
  readonly feedForwardDropout: number
  readonly sequenceDropout: number
  readonly tokenDropout: number
  readonly paddingId: number | undefined
  readonly classes: number
}

type EncoderFields = Schema.Struct.Type<typeof ofEncoders>

/** A setting that would change what is computed, and that nothing here computes. */
const unsupported = (modelType: string, fields: EncoderFields): InvalidConfig | undefined => {
  const invalid = (field: string, reason: string) => new InvalidConfig({ modelType, field, reason })
  for (const name of ["is_decoder", "add_cross_attention"] as const) {
    if (fields[name] === true) return invalid(name, "is true, which is not implemented")
  }
  if ((fields.chunk_size_feed_forward ?? 0) !== 0) {
    return invalid("chunk_size_feed_forward", `is ${fields.chunk_size_feed_forward}; only 0, no chunks, is implemented`)
  }
  if (Object.keys(fields.pruned_heads ?? {}).length > 0) {
    return invalid("pruned_heads", "names heads, and only layers with all of their heads are implemented")
  }
  return undefined
}

/** What all encoders' settings have to fulfil. */
const check = Effect.fnUntraced(function*(
  settings: Omit<Settings, "activation">,
  fields: EncoderFields,
  names: { readonly width: string; readonly activation: string },
  activation: string
): Effect.fn.Return<Settings, InvalidConfig> {
  const { classes, heads, modelType, paddingId, vocabularySize, width } = settings
  const invalid = (field: string, reason: string) => new InvalidConfig({ modelType, field, reason })
  const refusal = unsupported(modelType, fields)
  if (refusal !== undefined) return yield* refusal
  const known = activations.get(activation)
  if (known === undefined) {
    const all = [...activations.keys()].join(", ")
    return yield* invalid(names.activation, `is ${activation}; implemented are ${all}`)
  }
  if (width % heads !== 0) {
    return yield* invalid(names.width, `is ${width}, which ${heads} heads cannot share equally`)
  }
  if (paddingId !== undefined && (paddingId < 0 || paddingId >= vocabularySize)) {
    return yield* invalid("pad_token_id", `is ${paddingId}, which is not in the vocabulary of ${vocabularySize}`)
  }
  if (classes < 1) return yield* invalid("id2label", "names no class")
  return { ...settings, activation: known }
})

/** What transformers assumes where config.json leaves a field out: the padding token, which `null` takes away. */
const paddingOf = (given: number | null | undefined, assumed: number): number | undefined =>
  given === undefined ? assumed : given ?? undefined

/** Reads the config.json of BERT, RoBERTa and XLM-RoBERTa; what it leaves out has the default of transformers' class. */
export const readBert = Effect.fnUntraced(function*(
  config: Config,
  defaults: { readonly modelType: string; readonly vocabularySize: number; readonly paddingId: number }
): Effect.fn.Return<Settings, InvalidConfig> {
  const { modelType } = defaults
  const fields = yield* decode(modelType, BertFields, config)
  const positions = fields.position_embedding_type ?? "absolute"
  if (positions !== "absolute") {
    return yield* new InvalidConfig({
      modelType,
      field: "position_embedding_type",
      reason: `is ${positions}; only absolute is implemented`
    })
  }
  const dropout = fields.hidden_dropout_prob ?? 0.1
  const headDropout = fields.classifier_dropout ?? dropout
  const settings: Omit<Settings, "activation"> = {
    modelType,
    vocabularySize: fields.vocab_size ?? defaults.vocabularySize,
    positions: fields.max_position_embeddings ?? 512,
    types: fields.type_vocab_size ?? 2,
    width: fields.hidden_size ?? 768,
    layers: fields.num_hidden_layers ?? 12,
    heads: fields.num_attention_heads ?? 12,
    inner: fields.intermediate_size ?? 3072,
    epsilon: fields.layer_norm_eps ?? 1e-12,
    initializerRange: fields.initializer_range ?? 0.02,
    sinusoids: false,
    embeddingDropout: dropout,
    attentionDropout: fields.attention_probs_dropout_prob ?? 0.1,
    projectionDropout: dropout,
    feedForwardDropout: dropout,
    sequenceDropout: headDropout,
    tokenDropout: headDropout,
    paddingId: paddingOf(fields.pad_token_id, defaults.paddingId),
    classes: Heads.outputsOf(config)
  }
  const names = { width: "hidden_size", activation: "hidden_act" }
  return yield* check(settings, fields, names, fields.hidden_act ?? "gelu")
})

/** Reads the config.json of DistilBERT, as {@link readBert} does that of BERT. */
export const readDistilBert = Effect.fnUntraced(function*(config: Config): Effect.fn.Return<Settings, InvalidConfig> {
  const modelType = "distilbert"
  const fields = yield* decode(modelType, DistilBertFields, config)
  const dropout = fields.dropout ?? 0.1
  const settings: Omit<Settings, "activation"> = {
    modelType,
    vocabularySize: fields.vocab_size ?? 30522,
    positions: fields.max_position_embeddings ?? 512,
    types: 0,
    width: fields.dim ?? 768,
    layers: fields.n_layers ?? 6,
    heads: fields.n_heads ?? 12,
    inner: fields.hidden_dim ?? 3072,
    epsilon: 1e-12,
    initializerRange: fields.initializer_range ?? 0.02,
    sinusoids: fields.sinusoidal_pos_embds ?? false,
    embeddingDropout: dropout,
    attentionDropout: fields.attention_dropout ?? 0.1,
    projectionDropout: undefined,
    feedForwardDropout: dropout,
    sequenceDropout: fields.seq_classif_dropout ?? 0.2,
    tokenDropout: dropout,
    paddingId: paddingOf(fields.pad_token_id, 0),
    classes: Heads.outputsOf(config)
  }
  return yield* check(settings, fields, { width: "dim", activation: "activation" }, fields.activation ?? "gelu")
})
