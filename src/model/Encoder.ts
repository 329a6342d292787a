/**
 * The encoder that BERT (Devlin et al., "BERT: pre-training of deep bidirectional transformers for language understanding",
 * NAACL 2019) and its descendants share, as transformers implements it (`modeling_bert.py`): learned positions, attention of
 * every token to every other, and normalisation after each block.
 */
import * as Effect from "effect/Effect"
import type { Tensor, Tensor1D, Tensor2D, Tf } from "../tensor/Backend.ts"
import * as Operations from "../tensor/Operations.ts"
import type * as Recomputation from "../tensor/Recomputation.ts"
import {
  type Config,
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
import * as Dropout from "./Dropout.ts"
import { footprint } from "./EncoderFootprint.ts"
import type { Settings } from "./EncoderSettings.ts"
import * as Heads from "./Heads.ts"
import * as LayerStack from "./LayerStack.ts"

/** The names of a body's modules in transformers. */
export interface Names {
  /** Of the body in a model with a head. */
  readonly body: string
  /** Of the list of layers; the rest are names in a layer. */
  readonly layers: string
  readonly query: string
  readonly key: string
  readonly value: string
  readonly output: string
  readonly attentionNorm: string
  readonly up: string
  readonly down: string
  readonly norm: string
}

/** What a head puts on top of the body. */
export interface Top {
  /** Its linear maps, in the order of the forward pass. */
  readonly linears: ReadonlyArray<Linear>
  readonly outputs: number
  readonly logits: Model["logits"]
  /** What checkpoints of the bare body may hold for another head's use. */
  readonly kept?: ReadonlyArray<Linear>
}

/** What tells the families apart. */
export interface Variant {
  readonly names: Names
  /** The longest text, in tokens. */
  readonly maximumLength: (settings: Settings) => number
  /** The row of the table of positions for each token; `undefined` for the first rows in their order, in every text. */
  readonly positions: (settings: Settings, batch: TokenBatch) => Int32Array | undefined
  /** A row of that table that does not learn. */
  readonly constantPosition: (settings: Settings) => number | undefined
  readonly top: (settings: Settings, head: Head) => Top
}

/** A linear map of a head. */
export const headLinear = ({ layers, width }: Settings, name: string, outputs = width): Linear => ({
  name,
  inputs: width,
  outputs,
  bias: true,
  layout: "out-in",
  head: true,
  layer: layers + 1
})

/** No head: the hidden states as they are. */
export const bare = ({ width }: Settings): Top => ({
  linears: [],
  outputs: width,
  logits: (_tf, _weights, rows) => rows
})

/** The head of a classifier of tokens. */
const tokenClassifier = (settings: Settings): Top => ({
  linears: [headLinear(settings, "classifier", settings.classes)],
  outputs: settings.classes,
  logits: (tf, weights, rows, dropout) =>
    weights.linear("classifier", Dropout.apply(tf, rows, dropout, "head", settings.tokenDropout)) as Tensor2D
})

/** The heads of a family, by its classifier of sequences and by what it has without a head. */
export const tops =
  (sequenceClassifier: (settings: Settings) => Top, withoutHead: (settings: Settings) => Top = bare): Variant["top"] =>
  (settings, head) => {
    switch (head) {
      case "sequence-classification":
      case "sequence-regression":
        return sequenceClassifier(settings)
      case "token-classification":
        return tokenClassifier(settings)
      default:
        return withoutHead(settings)
    }
  }

const layersOf = ({ layers }: Settings): ReadonlyArray<number> => Array.from({ length: layers }, (_, layer) => layer)

/** The linear maps of a layer, in the order of the forward pass. */
const layerLinears = ({ inner, width }: Settings, names: Names, layer: number) => {
  const linear = (name: string, inputs: number, outputs: number): Linear => ({
    name: `${names.body}.${names.layers}.${layer}.${name}`,
    inputs,
    outputs,
    bias: true,
    layout: "out-in",
    head: false,
    layer: layer + 1
  })
  return {
    attention: [names.query, names.key, names.value, names.output].map((name) => linear(name, width, width)),
    feedForward: [linear(names.up, width, inner), linear(names.down, inner, width)]
  }
}

const parametersOf = (
  settings: Settings,
  { constantPosition, names }: Variant,
  top: Top
): ReadonlyArray<ParameterSpecification> => {
  const { initializerRange, paddingId, positions, sinusoids, types, vocabularySize, width } = settings
  const norm = (name: string, layer: number): ReadonlyArray<ParameterSpecification> =>
    (["weight", "bias"] as const).map((part) => ({
      name: `${names.body}.${name}.${part}`,
      shape: [width],
      initializer: part === "weight" ? "ones" : "zeros",
      head: false,
      layer
    }))
  const table = (
    name: string,
    rows: number,
    initializer: ParameterSpecification["initializer"]
  ): ParameterSpecification => ({
    name: `${names.body}.embeddings.${name}.weight`,
    shape: [rows, width],
    initializer,
    head: false,
    layer: 0
  })
  const drawn = (zeroRow?: number) => ({ normal: initializerRange, zeroRow })
  return [
    table("word_embeddings", vocabularySize, drawn(paddingId)),
    table("position_embeddings", positions, sinusoids ? "sinusoids" : drawn(constantPosition(settings))),
    ...(types === 0 ? [] : [table("token_type_embeddings", types, drawn())]),
    ...norm("embeddings.LayerNorm", 0),
    ...layersOf(settings).flatMap((layer) => {
      const { attention, feedForward } = layerLinears(settings, names, layer)
      return [
        ...Heads.parametersOf(attention, initializerRange),
        ...norm(`${names.layers}.${layer}.${names.attentionNorm}`, layer + 1),
        ...Heads.parametersOf(feedForward, initializerRange),
        ...norm(`${names.layers}.${layer}.${names.norm}`, layer + 1)
      ]
    }),
    ...Heads.parametersOf(top.linears, initializerRange),
    ...Heads.parametersOf(top.kept ?? [], initializerRange).map((parameter) => ({ ...parameter, optional: true }))
  ]
}

const activate = (tf: Tf, activation: Settings["activation"], x: Tensor): Tensor => {
  switch (activation) {
    case "gelu":
      return Operations.exactGelu(tf, x)
    case "gelu-tanh":
      return Operations.gelu(tf, x)
    case "relu":
      return Operations.relu(tf, x)
  }
}

/** What a layer reads beside its weights and its input. */
interface Constants extends Recomputation.Constants {
  readonly mask: Tensor | undefined
}

const hidden = (
  tf: Tf,
  settings: Settings,
  { constantPosition, names, positions: positionsOf }: Variant,
  weights: Weights,
  batch: TokenBatch,
  { cache, dropout, recompute = false, rows }: HiddenOptions
): Tensor2D => {
  if (cache !== undefined) {
    throw new Error(`A ${settings.modelType} model reads texts whole: it has no use for a cache.`)
  }
  const { heads, width } = settings
  const { batch: texts, time } = batch
  const weight = (name: string) => weights.get(`${names.body}.${name}`)
  const norm = (name: string, x: Tensor) =>
    Operations.layerNorm(
      tf,
      x,
      weight(`${name}.weight`) as Tensor1D,
      weight(`${name}.bias`) as Tensor1D,
      settings.epsilon
    )
  const drop = (place: string, x: Tensor, rate: number | undefined) =>
    rate === undefined ? x : Dropout.apply(tf, x, dropout, `${names.body}.${place}`, rate)

  const placeEmbeddings = (): Tensor => {
    const table = weight("embeddings.position_embeddings.weight") as Tensor2D
    const positions = positionsOf(settings, batch)
    const places = positions === undefined
      ? tf.slice(table, [0, 0], [time, width])
      : Operations.embedding(tf, table, positions, constantPosition(settings))
    // All tokens are of the first type: texts are not given in pairs.
    return settings.types === 0
      ? places
      : tf.add(places, tf.slice(weight("embeddings.token_type_embeddings.weight") as Tensor2D, [0, 0], [1, width]))
  }
  const embed = (): Tensor => {
    const table = weight("embeddings.word_embeddings.weight") as Tensor2D
    const words = Operations.embedding(tf, table, batch.inputIds, settings.paddingId)
    const places = placeEmbeddings()
    const sum = tf.add(tf.reshape(words, [-1, ...places.shape]), places)
    return drop(
      "embeddings",
      norm("embeddings.LayerNorm", tf.reshape(sum, [texts * time, width])),
      settings.embeddingDropout
    )
  }
  const attend = (layer: number, x: Tensor, { mask }: Constants): Tensor => {
    // Beyond the last attention rows do not meet again, so those that nobody asked for end here.
    const selected = layer === settings.layers - 1 ? rows : undefined
    const block = `${names.layers}.${layer}`
    const linear = (name: string, x: Tensor) => weights.linear(`${names.body}.${block}.${name}`, x)
    const project = (name: string) => tf.reshape(linear(name, x), [texts, time, width])
    const attended = Operations.groupedSelfAttention(
      tf,
      project(names.query),
      project(names.key),
      project(names.value),
      {
        heads,
        shared: heads,
        mask,
        dropout: Dropout.factors(
          tf,
          dropout,
          `${names.body}.${block}.attention`,
          [texts, heads, time, time],
          settings.attentionDropout
        )
      }
    )
    const select = (all: Tensor): Tensor =>
      selected === undefined ? all : Operations.embedding(tf, all as Tensor2D, selected)
    const projected = linear(names.output, select(tf.reshape(attended, [texts * time, width])))
    const dropped = drop(`${block}.${names.output}`, projected, settings.projectionDropout)
    return norm(`${block}.${names.attentionNorm}`, tf.add(select(x), dropped))
  }
  const feedForward = (layer: number, x: Tensor): Tensor => {
    const block = `${names.layers}.${layer}`
    const linear = (name: string, x: Tensor) => weights.linear(`${names.body}.${block}.${name}`, x)
    const inner = tf.tidy(() => activate(tf, settings.activation, linear(names.up, x)))
    const projected = linear(names.down, inner)
    const dropped = drop(`${block}.${names.down}`, projected, settings.feedForwardDropout)
    return norm(`${block}.${names.norm}`, tf.add(x, dropped))
  }

  const mask = Attention.mask(tf, batch, false)
  const layers: LayerStack.Layers<Constants> = {
    count: settings.layers,
    constants: () => ({ mask }),
    attend,
    feedForward
  }
  return LayerStack.run(tf, weights, tf.tidy(embed), layers, recompute) as Tensor2D
}

/** A head that config.json describes, and that nothing here computes. */
const unsupported = (config: Config, head: Head, { classes, modelType }: Settings): InvalidConfig | undefined => {
  if (head === "sequence-classification" && config["problem_type"] === "multi_label_classification") {
    const reason = "is multi_label_classification; one class of several, and regression, are implemented"
    return new InvalidConfig({ modelType, field: "problem_type", reason })
  }
  return head === "sequence-regression" && classes !== 1
    ? new InvalidConfig({
      modelType,
      field: config["id2label"] === undefined ? "num_labels" : "id2label",
      reason: `asks for ${classes} outputs of a regression; only one is implemented`
    })
    : undefined
}

/** The model of a family, from what its config.json says. */
export const make = Effect.fnUntraced(function*(
  variant: Variant,
  settings: Settings,
  config: Config,
  head: Head
): Effect.fn.Return<Model, InvalidConfig> {
  const refusal = unsupported(config, head, settings)
  if (refusal !== undefined) return yield* refusal
  const top = variant.top(settings, head)
  const model: Model = {
    family: settings.modelType,
    head,
    config,
    vocabularySize: settings.vocabularySize,
    maximumLength: variant.maximumLength(settings),
    outputs: top.outputs,
    paddingId: settings.paddingId,
    layers: settings.layers,
    parameters: parametersOf(settings, variant, top),
    linears: [
      ...layersOf(settings).flatMap((layer) => {
        const { attention, feedForward } = layerLinears(settings, variant.names, layer)
        return [...attention, ...feedForward]
      }),
      ...top.linears
    ],
    hidden: (tf, weights, batch, options = {}) => hidden(tf, settings, variant, weights, batch, options),
    logits: top.logits,
    footprint: (extent, options) => footprint(settings, top.linears, extent, options),
    // The token that begins every text stands for all of it.
    pooledPosition: () => 0
  }
  return model
})

/** Where each token stands in its text, for a batch that packs several into a row; padding stands nowhere. */
export const packedPositions = (batch: TokenBatch): Int32Array | undefined => {
  if (batch.segments === undefined) return undefined
  const found = Attention.positions(batch)
  for (let row = 0; row < batch.batch; row++) {
    found.fill(0, row * batch.time + batch.lengths[row]!, (row + 1) * batch.time)
  }
  return found
}

/** Buffers that old versions saved with the weights. */
const notLearned = /(^|\.)embeddings\.(position_ids|token_type_ids)$/

/**
 * Today's name of a tensor: under the body's name, which checkpoints of the bare body lack, and with a norm's weight and bias
 * called so.
 */
export const canonicalName = (names: Names, parts: RegExp) => (name: string): string | undefined =>
  notLearned.test(name)
    ? undefined
    : (parts.test(name) ? `${names.body}.${name}` : name)
      .replace(/LayerNorm\.gamma$/, "LayerNorm.weight")
      .replace(/LayerNorm\.beta$/, "LayerNorm.bias")
