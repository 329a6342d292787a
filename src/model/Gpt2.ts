/**
 * GPT-2 (Radford et al., "Language models are unsupervised multitask learners", 2019) as transformers implements it
 * (`modeling_gpt2.py`): learned positions, normalisation before each block, GELU in its tanh form, projections stored
 * as `[in, out]`, and the language-modeling head tied to the token embedding.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Tensor, Tensor1D, Tensor2D, Tf } from "../tensor/Backend.ts"
import * as Operations from "../tensor/Operations.ts"
import {
  type Config,
  type Family,
  type Head,
  type HiddenOptions,
  InvalidConfig,
  type Model,
  type ParameterSpecification,
  type TokenBatch
} from "./Architecture.ts"
import * as Dropout from "./Dropout.ts"
import { footprint } from "./Gpt2Footprint.ts"

const modelType = "gpt2"

const Count = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 2 ** 31 - 1 }))
const Rate = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1, exclusiveMaximum: true }))
const Positive = Schema.Finite.check(Schema.isGreaterThan(0))
const field = <S extends Schema.Top>(schema: S) => Schema.optional(Schema.NullOr(schema))

/** The fields of config.json that change what is computed. */
const Fields = Schema.Struct({
  vocab_size: field(Count),
  n_positions: field(Count),
  n_embd: field(Count),
  // Each layer has a dozen named parameters: more layers than any model has are an attack on memory.
  n_layer: field(Count.check(Schema.isLessThanOrEqualTo(1000))),
  n_head: field(Count),
  n_inner: field(Count),
  activation_function: field(Schema.String),
  resid_pdrop: field(Rate),
  embd_pdrop: field(Rate),
  attn_pdrop: field(Rate),
  layer_norm_epsilon: field(Positive),
  initializer_range: field(Positive),
  scale_attn_weights: field(Schema.Boolean),
  scale_attn_by_inverse_layer_idx: field(Schema.Boolean),
  add_cross_attention: field(Schema.Boolean),
  tie_word_embeddings: field(Schema.Boolean),
  pad_token_id: field(Schema.Int),
  num_labels: field(Count),
  id2label: field(Schema.Record(Schema.String, Schema.String))
})

interface Settings {
  readonly vocabularySize: number
  readonly positions: number
  readonly width: number
  readonly layers: number
  readonly heads: number
  readonly inner: number
  readonly embeddingDropout: number
  readonly attentionDropout: number
  readonly residualDropout: number
  readonly epsilon: number
  readonly initializerRange: number
  readonly paddingId: number | undefined
  readonly classes: number
}

const invalid = (field: string, reason: string) => new InvalidConfig({ modelType, field, reason })

const unsupported = (fields: typeof Fields.Type): InvalidConfig | undefined => {
  const activation = fields.activation_function ?? "gelu_new"
  if (activation !== "gelu_new" && activation !== "gelu_pytorch_tanh") {
    return invalid("activation_function", `is ${activation}; only gelu_new (GELU in its tanh form) is implemented`)
  }
  if (fields.scale_attn_weights === false) return invalid("scale_attn_weights", "is false, which is not implemented")
  for (const name of ["scale_attn_by_inverse_layer_idx", "add_cross_attention"] as const) {
    if (fields[name] === true) return invalid(name, "is true, which is not implemented")
  }
  if (fields.tie_word_embeddings === false) return invalid("tie_word_embeddings", "is false, which is not implemented")
  return undefined
}

/** Reads config.json; what it leaves out has GPT2Config's default. */
const readSettings = Effect.fnUntraced(function*(config: Config) {
  const fields = yield* Schema.decodeEffect(Fields)(config).pipe(
    Effect.mapError((error) => invalid("holds", `a value that is not allowed: ${error.message}`))
  )
  const refusal = unsupported(fields)
  if (refusal !== undefined) return yield* refusal
  const width = fields.n_embd ?? 768
  const settings: Settings = {
    vocabularySize: fields.vocab_size ?? 50257,
    positions: fields.n_positions ?? 1024,
    width,
    layers: fields.n_layer ?? 12,
    heads: fields.n_head ?? 12,
    inner: fields.n_inner ?? 4 * width,
    embeddingDropout: fields.embd_pdrop ?? 0.1,
    attentionDropout: fields.attn_pdrop ?? 0.1,
    residualDropout: fields.resid_pdrop ?? 0.1,
    epsilon: fields.layer_norm_epsilon ?? 1e-5,
    initializerRange: fields.initializer_range ?? 0.02,
    paddingId: fields.pad_token_id ?? undefined,
    classes: fields.id2label ? Object.keys(fields.id2label).length : fields.num_labels ?? 2
  }
  if (width % settings.heads !== 0) {
    return yield* invalid("n_embd", `is ${width}, which ${settings.heads} heads cannot share equally`)
  }
  if (settings.classes < 1) return yield* invalid("id2label", "names no class")
  return settings
})

const parametersOf = (settings: Settings, head: Head): ReadonlyArray<ParameterSpecification> => {
  const { initializerRange, inner, layers, width } = settings
  const normal = { normal: initializerRange }
  // Projections back into the residual stream shrink with the number of residual additions (GPT-2, section 2.3).
  const residual = { normal: initializerRange / Math.sqrt(2 * layers) }
  const body = (
    name: string,
    shape: ReadonlyArray<number>,
    initializer: ParameterSpecification["initializer"]
  ): ParameterSpecification => ({ name: `transformer.${name}`, shape, initializer, head: false })
  const specifications = [
    body("wte.weight", [settings.vocabularySize, width], normal),
    body("wpe.weight", [settings.positions, width], normal)
  ]
  for (let layer = 0; layer < layers; layer++) {
    specifications.push(
      body(`h.${layer}.ln_1.weight`, [width], "ones"),
      body(`h.${layer}.ln_1.bias`, [width], "zeros"),
      body(`h.${layer}.attn.c_attn.weight`, [width, 3 * width], normal),
      body(`h.${layer}.attn.c_attn.bias`, [3 * width], "zeros"),
      body(`h.${layer}.attn.c_proj.weight`, [width, width], residual),
      body(`h.${layer}.attn.c_proj.bias`, [width], "zeros"),
      body(`h.${layer}.ln_2.weight`, [width], "ones"),
      body(`h.${layer}.ln_2.bias`, [width], "zeros"),
      body(`h.${layer}.mlp.c_fc.weight`, [width, inner], normal),
      body(`h.${layer}.mlp.c_fc.bias`, [inner], "zeros"),
      body(`h.${layer}.mlp.c_proj.weight`, [inner, width], residual),
      body(`h.${layer}.mlp.c_proj.bias`, [width], "zeros")
    )
  }
  specifications.push(body("ln_f.weight", [width], "ones"), body("ln_f.bias", [width], "zeros"))
  if (head === "sequence-classification") {
    specifications.push({ name: "score.weight", shape: [settings.classes, width], initializer: normal, head: true })
  }
  return specifications
}

/** Low enough to vanish in the softmax, and finite, so that no arithmetic on it makes a NaN. */
const forbidden = -1e9

/**
 * 0 where a query may look and {@link forbidden} where not: at itself and what precedes it, padding left out.
 * `[batch, 1, time, time]`, or one for all rows when none is padded.
 */
const attentionMask = (tf: Tf, { batch, lengths, time }: TokenBatch): Tensor => {
  const rows = lengths.every((length) => length === time) ? 1 : batch
  const values = new Float32Array(rows * time * time).fill(forbidden)
  for (let row = 0; row < rows; row++) {
    const length = rows === 1 ? time : lengths[row]!
    for (let query = 0; query < time; query++) {
      const start = (row * time + query) * time
      values.fill(0, start, start + Math.min(query + 1, length))
    }
  }
  return tf.tensor(values, [rows, 1, time, time], "float32")
}

const hidden = (
  tf: Tf,
  settings: Settings,
  parameters: ReadonlyMap<string, Tensor>,
  batch: TokenBatch,
  { dropout, rows }: HiddenOptions
): Tensor2D => {
  const { heads, width } = settings
  const wanted = rows === undefined ? undefined : tf.tensor1d(rows, "int32")
  const weight = (name: string) => parameters.get(`transformer.${name}`)!
  const matrix = (name: string) => weight(`${name}.weight`) as Tensor2D
  const bias = (name: string) => weight(`${name}.bias`) as Tensor1D
  const norm = (name: string, x: Tensor) =>
    Operations.layerNorm(tf, x, weight(`${name}.weight`) as Tensor1D, bias(name), settings.epsilon)
  const residual = (place: string, x: Tensor) => Dropout.apply(tf, x, dropout, place, settings.residualDropout)
  const mask = attentionMask(tf, batch)

  const embed = (): Tensor => {
    const tokens = tf.gather(matrix("wte"), tf.tensor1d(batch.inputIds, "int32"))
    const positions = tf.slice(matrix("wpe"), [0, 0], [batch.time, width])
    const embedded = tf.add(
      tf.reshape(tokens, [batch.batch, batch.time, width]),
      tf.reshape(positions, [1, batch.time, width])
    )
    return tf.reshape(
      Dropout.apply(tf, embedded, dropout, "embeddings", settings.embeddingDropout),
      [batch.batch * batch.time, width]
    )
  }
  const attend = (block: string, x: Tensor, selected: Tensor1D | undefined): Tensor => {
    const joint = tf.reshape(
      Operations.linear(tf, norm(`${block}.ln_1`, x), matrix(`${block}.attn.c_attn`), bias(`${block}.attn.c_attn`)),
      [batch.batch, batch.time, 3 * width]
    )
    const attended = Operations.selfAttention(tf, joint, heads, {
      mask,
      dropout: Dropout.factors(
        tf,
        dropout,
        `${block}.attn`,
        [batch.batch, heads, batch.time, batch.time],
        settings.attentionDropout
      )
    })
    const select = (all: Tensor): Tensor => selected === undefined ? all : tf.gather(all, selected)
    const projected = Operations.linear(
      tf,
      select(tf.reshape(attended, [batch.batch * batch.time, width])),
      matrix(`${block}.attn.c_proj`),
      bias(`${block}.attn.c_proj`)
    )
    return tf.add(select(x), residual(`${block}.attn.c_proj`, projected))
  }
  const feedForward = (block: string, x: Tensor): Tensor => {
    const inner = Operations.linear(
      tf,
      norm(`${block}.ln_2`, x),
      matrix(`${block}.mlp.c_fc`),
      bias(`${block}.mlp.c_fc`)
    )
    const outer = Operations.linear(
      tf,
      Operations.gelu(tf, inner),
      matrix(`${block}.mlp.c_proj`),
      bias(`${block}.mlp.c_proj`)
    )
    return tf.add(x, residual(`${block}.mlp.c_proj`, outer))
  }
  let x = tf.tidy(embed)
  // What a part leaves behind goes at once: prediction holds one part of one layer, training what its gradients need.
  const through = (part: (x: Tensor) => Tensor): void => {
    const before = x
    x = tf.tidy(() => part(before))
    before.dispose()
  }
  for (let layer = 0; layer < settings.layers; layer++) {
    // Beyond the last attention rows do not meet again, so those that nobody asked for end here.
    const selected = layer === settings.layers - 1 ? wanted : undefined
    through((x) => attend(`h.${layer}`, x, selected))
    through((x) => feedForward(`h.${layer}`, x))
  }
  return norm("ln_f", x) as Tensor2D
}

/**
 * The last token that is not padding, found by its id as transformers finds it; the last of all when the model has no
 * padding token, the first when there is nothing but padding.
 */
const pooledPosition = (tokens: ArrayLike<number>, paddingId: number | undefined): number => {
  let position = tokens.length - 1
  while (position > 0 && tokens[position] === paddingId) position--
  return Math.max(0, position)
}

const make = Effect.fnUntraced(function*(config: Config, head: Head) {
  const settings = yield* readSettings(config)
  const top = head === "sequence-classification" ? "score.weight" : "transformer.wte.weight"
  const model: Model = {
    family: modelType,
    head,
    config,
    vocabularySize: settings.vocabularySize,
    maximumLength: settings.positions,
    outputs: head === "sequence-classification" ? settings.classes : settings.vocabularySize,
    paddingId: settings.paddingId,
    parameters: parametersOf(settings, head),
    hidden: (tf, parameters, batch, options = {}) => hidden(tf, settings, parameters, batch, options),
    logits: (tf, parameters, rows) => tf.matMul(rows, parameters.get(top) as Tensor2D, false, true),
    footprint: (extent, options) => footprint(settings, head, extent, options),
    pooledPosition: (tokens) => pooledPosition(tokens, settings.paddingId)
  }
  return model
})

/** Causal masks that old versions saved with the weights, and the head, which is the token embedding itself. */
const notLearned = /^(transformer\.)?h\.\d+\.attn\.(masked_)?bias$|^lm_head\.weight$/

export const family: Family = {
  modelType,
  architectures: {
    "causal-language-modeling": "GPT2LMHeadModel",
    "sequence-classification": "GPT2ForSequenceClassification"
  },
  canonicalName: (name) =>
    notLearned.test(name)
      ? undefined
      // A checkpoint of the bare body, as on the hub, has no prefix.
      : /^(wte|wpe|h|ln_f)\./.test(name)
      ? `transformer.${name}`
      : name,
  make
}

/** A config.json for a new model: transformers' field names, everything else at its default. */
export interface Shape {
  readonly vocabularySize: number
  readonly positions: number
  readonly width: number
  readonly layers: number
  readonly heads: number
  readonly dropout?: number
  readonly initializerRange?: number
  /** The token that begins, ends and pads texts. */
  readonly endOfTextId?: number
}

/** The config.json of a new language model of this shape. */
export const config = (shape: Shape): Config => ({
  activation_function: "gelu_new",
  architectures: [family.architectures["causal-language-modeling"]],
  attn_pdrop: shape.dropout ?? 0.1,
  bos_token_id: shape.endOfTextId ?? null,
  dtype: "float32",
  embd_pdrop: shape.dropout ?? 0.1,
  eos_token_id: shape.endOfTextId ?? null,
  initializer_range: shape.initializerRange ?? 0.02,
  layer_norm_epsilon: 1e-5,
  model_type: modelType,
  n_embd: shape.width,
  n_head: shape.heads,
  n_inner: null,
  n_layer: shape.layers,
  n_positions: shape.positions,
  pad_token_id: shape.endOfTextId ?? null,
  resid_pdrop: shape.dropout ?? 0.1,
  tie_word_embeddings: true,
  vocab_size: shape.vocabularySize
})
