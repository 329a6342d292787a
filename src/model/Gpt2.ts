/**
 * GPT-2 (Radford et al., "Language models are unsupervised multitask learners", 2019) as transformers implements it
 * (`modeling_gpt2.py`): learned positions, normalisation before each block, GELU in its tanh form, projections stored
 * as `[in, out]`, and the language-modeling head tied to the token embedding.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Tensor, Tensor1D, Tensor2D, Tf } from "../tensor/Backend.ts"
import * as Operations from "../tensor/Operations.ts"
import type * as Recomputation from "../tensor/Recomputation.ts"
import {
  type Config,
  type Family,
  type Head,
  type HiddenOptions,
  InvalidConfig,
  type Linear,
  type Model,
  type ParameterSpecification,
  type TokenBatch,
  type Weights
} from "./Architecture.ts"
import * as Attention from "./Attention.ts"
import { Count, decode, field, Layers, ofEveryFamily, Positive, Rate } from "./ConfigFields.ts"
import * as Dropout from "./Dropout.ts"
import { footprint } from "./Gpt2Footprint.ts"
import * as Heads from "./Heads.ts"
import type { KeyValueCache } from "./KeyValueCache.ts"
import * as LayerStack from "./LayerStack.ts"

const modelType = "gpt2"

/** The fields of config.json that change what is computed. */
const Fields = Schema.Struct({
  ...ofEveryFamily,
  vocab_size: field(Count),
  n_positions: field(Count),
  n_embd: field(Count),
  n_layer: field(Layers),
  n_head: field(Count),
  n_inner: field(Count),
  activation_function: field(Schema.String),
  resid_pdrop: field(Rate),
  embd_pdrop: field(Rate),
  attn_pdrop: field(Rate),
  classifier_dropout: field(Rate),
  hidden_dropout: field(Rate),
  layer_norm_epsilon: field(Positive),
  initializer_range: field(Positive),
  scale_attn_weights: field(Schema.Boolean),
  scale_attn_by_inverse_layer_idx: field(Schema.Boolean),
  add_cross_attention: field(Schema.Boolean),
  tie_word_embeddings: field(Schema.Boolean)
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
  readonly headDropout: number
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
  const fields = yield* decode(modelType, Fields, config)
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
    headDropout: fields.classifier_dropout ?? fields.hidden_dropout ?? 0.1,
    epsilon: fields.layer_norm_epsilon ?? 1e-5,
    initializerRange: fields.initializer_range ?? 0.02,
    paddingId: fields.pad_token_id ?? undefined,
    classes: Heads.outputsOf(config)
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
    layer: number,
    name: string,
    shape: ReadonlyArray<number>,
    initializer: ParameterSpecification["initializer"]
  ): ParameterSpecification => ({ name: `transformer.${name}`, shape, initializer, head: false, layer })
  const specifications = [
    body(0, "wte.weight", [settings.vocabularySize, width], normal),
    body(0, "wpe.weight", [settings.positions, width], normal)
  ]
  for (let layer = 0; layer < layers; layer++) {
    const add = (name: string, shape: ReadonlyArray<number>, initializer: ParameterSpecification["initializer"]) =>
      specifications.push(body(layer + 1, `h.${layer}.${name}`, shape, initializer))
    add("ln_1.weight", [width], "ones")
    add("ln_1.bias", [width], "zeros")
    add("attn.c_attn.weight", [width, 3 * width], normal)
    add("attn.c_attn.bias", [3 * width], "zeros")
    add("attn.c_proj.weight", [width, width], residual)
    add("attn.c_proj.bias", [width], "zeros")
    add("ln_2.weight", [width], "ones")
    add("ln_2.bias", [width], "zeros")
    add("mlp.c_fc.weight", [width, inner], normal)
    add("mlp.c_fc.bias", [inner], "zeros")
    add("mlp.c_proj.weight", [inner, width], residual)
    add("mlp.c_proj.bias", [width], "zeros")
  }
  specifications.push(body(layers + 1, "ln_f.weight", [width], "ones"), body(layers + 1, "ln_f.bias", [width], "zeros"))
  return [...specifications, ...Heads.parametersOf(headLinears(settings, head), initializerRange)]
}

/** The linear maps of the head: none of its own for a language model, whose head is the token embedding. */
const headLinears = ({ classes, layers, width }: Settings, head: Head): ReadonlyArray<Linear> => {
  const top = { inputs: width, outputs: classes, layout: "out-in", head: true, layer: layers + 1 } as const
  return head === "sequence-classification" || head === "sequence-regression"
    ? [{ ...top, name: "score", bias: false }]
    : head === "token-classification"
    ? [{ ...top, name: "classifier", bias: true }]
    : []
}

const linearsOf = (settings: Settings, head: Head): ReadonlyArray<Linear> => {
  const { inner, layers, width } = settings
  const linears: Array<Linear> = []
  for (let layer = 0; layer < layers; layer++) {
    const add = (name: string, inputs: number, outputs: number) =>
      linears.push({
        name: `transformer.h.${layer}.${name}`,
        inputs,
        outputs,
        bias: true,
        layout: "in-out",
        head: false,
        layer: layer + 1
      })
    add("attn.c_attn", width, 3 * width)
    add("attn.c_proj", width, width)
    add("mlp.c_fc", width, inner)
    add("mlp.c_proj", inner, width)
  }
  return [...linears, ...headLinears(settings, head)]
}

/** What a layer reads beside its weights and its input. */
interface Constants extends Recomputation.Constants {
  readonly mask: Tensor | undefined
  /** The rows that are wanted beyond its attention: all without it. */
  readonly selected: Tensor1D | undefined
}

const hidden = (
  tf: Tf,
  settings: Settings,
  weights: Weights,
  batch: TokenBatch,
  { cache, dropout, recompute = false, rows }: HiddenOptions
): Tensor2D => {
  const { heads, width } = settings
  const wanted = rows === undefined ? undefined : tf.tensor1d(rows, "int32")
  const weight = (name: string) => weights.get(`transformer.${name}`)
  const linear = (name: string, x: Tensor) => weights.linear(`transformer.${name}`, x)
  const norm = (name: string, x: Tensor) =>
    Operations.layerNorm(
      tf,
      x,
      weight(`${name}.weight`) as Tensor1D,
      weight(`${name}.bias`) as Tensor1D,
      settings.epsilon
    )
  const residual = (place: string, x: Tensor) => Dropout.apply(tf, x, dropout, place, settings.residualDropout)
  const mask = Attention.mask(tf, batch, true, cache)

  const positionEmbeddings = (): Tensor =>
    batch.segments === undefined && cache === undefined
      ? tf.reshape(tf.slice(weight("wpe.weight"), [0, 0], [batch.time, width]), [1, batch.time, width])
      : tf.reshape(
        tf.gather(weight("wpe.weight"), tf.tensor1d(Attention.positions(batch, cache), "int32")),
        [batch.batch, batch.time, width]
      )
  const embed = (): Tensor => {
    const tokens = tf.gather(weight("wte.weight"), tf.tensor1d(batch.inputIds, "int32"))
    const embedded = tf.add(tf.reshape(tokens, [batch.batch, batch.time, width]), positionEmbeddings())
    return tf.reshape(
      Dropout.apply(tf, embedded, dropout, "embeddings", settings.embeddingDropout),
      [batch.batch * batch.time, width]
    )
  }
  /** Attention of new tokens to those in the cache and to each other: `[batch, time, width]`. */
  const attendToCache = (layer: number, joint: Tensor, cache: KeyValueCache, mask: Tensor | undefined): Tensor => {
    const shape = [batch.batch, batch.time, 3 * heads, width / heads]
    const parted = tf.transpose(tf.reshape(joint, shape), [0, 2, 1, 3])
    const [q, k, v] = tf.split(parted, 3, 1) as [Tensor, Tensor, Tensor]
    const { keys, values } = cache.extend(layer, k, v)
    return tf.reshape(tf.transpose(Operations.attention(tf, q, keys, values, mask), [0, 2, 1, 3]), [
      batch.batch,
      batch.time,
      width
    ])
  }
  const attend = (layer: number, x: Tensor, { mask, selected }: Constants): Tensor => {
    const block = `h.${layer}`
    const joint = tf.reshape(linear(`${block}.attn.c_attn`, norm(`${block}.ln_1`, x)), [
      batch.batch,
      batch.time,
      3 * width
    ])
    const attended = cache !== undefined ?
      attendToCache(layer, joint, cache, mask) :
      Operations.selfAttention(tf, joint, heads, {
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
    const projected = linear(
      `${block}.attn.c_proj`,
      select(tf.reshape(attended, [batch.batch * batch.time, width]))
    )
    return tf.add(select(x), residual(`${block}.attn.c_proj`, projected))
  }
  const feedForward = (layer: number, x: Tensor): Tensor => {
    const block = `h.${layer}`
    const inner = Operations.gelu(tf, linear(`${block}.mlp.c_fc`, norm(`${block}.ln_2`, x)))
    return tf.add(x, residual(`${block}.mlp.c_proj`, linear(`${block}.mlp.c_proj`, inner)))
  }
  const layers: LayerStack.Layers<Constants> = {
    count: settings.layers,
    // Beyond the last attention rows do not meet again, so those that nobody asked for end here.
    constants: (layer) => ({ mask, selected: layer === settings.layers - 1 ? wanted : undefined }),
    attend,
    feedForward
  }
  return norm("ln_f", LayerStack.run(tf, weights, tf.tidy(embed), layers, recompute)) as Tensor2D
}

const make = Effect.fnUntraced(function*(config: Config, head: Head) {
  const settings = yield* readSettings(config)
  const top = headLinears(settings, head)[0]
  const model: Model = {
    family: modelType,
    head,
    config,
    vocabularySize: settings.vocabularySize,
    maximumLength: settings.positions,
    outputs: top === undefined ? settings.vocabularySize : settings.classes,
    paddingId: settings.paddingId,
    layers: settings.layers,
    parameters: parametersOf(settings, head),
    linears: linearsOf(settings, head),
    hidden: (tf, weights, batch, options = {}) => hidden(tf, settings, weights, batch, options),
    logits: (tf, weights, rows, dropout) =>
      top === undefined
        ? tf.matMul(rows, weights.get("transformer.wte.weight") as Tensor2D, false, true)
        // Only the token classifier drops before its head.
        : weights.linear(
          top.name,
          top.name === "classifier" ? Dropout.apply(tf, rows, dropout, "head", settings.headDropout) : rows
        ) as Tensor2D,
    footprint: (extent, options) => footprint(settings, head, extent, options),
    pooledPosition: (tokens) => Heads.lastTokenPosition(tokens, settings.paddingId)
  }
  return model
})

/** Causal masks that old versions saved with the weights, and the head, which is the token embedding itself. */
const notLearned = /^(transformer\.)?h\.\d+\.attn\.(masked_)?bias$|^lm_head\.weight$/

export const family: Family = {
  modelType,
  architectures: {
    "causal-language-modeling": "GPT2LMHeadModel",
    "sequence-classification": "GPT2ForSequenceClassification",
    "sequence-regression": "GPT2ForSequenceClassification",
    "token-classification": "GPT2ForTokenClassification",
    none: "GPT2Model"
  },
  otherArchitectures: ["GPT2DoubleHeadsModel", "GPT2ForQuestionAnswering"],
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
  architectures: ["GPT2LMHeadModel"],
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
