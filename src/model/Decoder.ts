/**
 * The decoder that Llama (Touvron et al., "LLaMA: open and efficient foundation language models", 2023, section 2.2) and its
 * descendants share, as transformers implements it (`modeling_llama.py`): normalisation by the root mean square before each
 * block, rotary positions, queries in groups that share keys and values, and a gated feed forward part.
 */
import * as Effect from "effect/Effect"
import type { Tensor, Tensor1D, Tensor2D, Tf } from "../tensor/Backend.ts"
import * as Operations from "../tensor/Operations.ts"
import type * as Recomputation from "../tensor/Recomputation.ts"
import type {
  Config,
  Family,
  Head,
  HiddenOptions,
  Linear,
  Model,
  ParameterSpecification,
  TokenBatch,
  Weights
} from "./Architecture.ts"
import * as Attention from "./Attention.ts"
import { footprint } from "./DecoderFootprint.ts"
import { read, type Settings, type Variant } from "./DecoderSettings.ts"
import * as Dropout from "./Dropout.ts"
import * as Heads from "./Heads.ts"
import type { KeyValueCache } from "./KeyValueCache.ts"
import * as LayerStack from "./LayerStack.ts"
import * as Rotary from "./Rotary.ts"

const embeddingName = "model.embed_tokens.weight"

/** The linear map of the head: none for the bare body, and none of its own for a language model whose head is tied. */
const headLinear = (settings: Settings, head: Head): Linear | undefined => {
  const { classes, layers, tied, tokenBias, vocabularySize, width } = settings
  const top = { inputs: width, layout: "out-in", head: true, layer: layers + 1 } as const
  switch (head) {
    case "causal-language-modeling":
      return tied ? undefined : { ...top, name: "lm_head", outputs: vocabularySize, bias: false }
    case "sequence-classification":
    case "sequence-regression":
      return { ...top, name: "score", outputs: classes, bias: false }
    case "token-classification":
      return { ...top, name: "score", outputs: classes, bias: tokenBias }
    case "none":
      return undefined
  }
}

/** The linear maps of a layer, in the order of the forward pass. */
const layerLinears = (settings: Settings, layer: number): ReadonlyArray<Linear> => {
  const { biases, heads, inner, shared, size, width } = settings
  const linear = (name: string, inputs: number, outputs: number, bias: boolean): Linear => ({
    name: `model.layers.${layer}.${name}`,
    inputs,
    outputs,
    bias,
    layout: "out-in",
    head: false,
    layer: layer + 1
  })
  return [
    linear("self_attn.q_proj", width, heads * size, biases.queriesKeysValues),
    linear("self_attn.k_proj", width, shared * size, biases.queriesKeysValues),
    linear("self_attn.v_proj", width, shared * size, biases.queriesKeysValues),
    linear("self_attn.o_proj", heads * size, width, biases.output),
    linear("mlp.gate_proj", width, inner, biases.feedForward),
    linear("mlp.up_proj", width, inner, biases.feedForward),
    linear("mlp.down_proj", inner, width, biases.feedForward)
  ]
}

const layersOf = ({ layers }: Settings): ReadonlyArray<number> => Array.from({ length: layers }, (_, layer) => layer)

const linearsOf = (settings: Settings, head: Head): ReadonlyArray<Linear> => {
  const top = headLinear(settings, head)
  return [
    ...layersOf(settings).flatMap((layer) => layerLinears(settings, layer)),
    ...(top === undefined ? [] : [top])
  ]
}

const parametersOf = (settings: Settings, head: Head): ReadonlyArray<ParameterSpecification> => {
  const { headNorms, initializerRange, layers, size, vocabularySize, width } = settings
  const norm = (name: string, layer: number, extent = width): ParameterSpecification => ({
    name: `model.${name}.weight`,
    shape: [extent],
    initializer: "ones",
    head: false,
    layer
  })
  const top = headLinear(settings, head)
  return [
    {
      name: embeddingName,
      shape: [vocabularySize, width],
      initializer: { normal: initializerRange },
      head: false,
      layer: 0
    },
    ...layersOf(settings).flatMap((layer) => {
      const block = `layers.${layer}`
      return [
        ...Heads.parametersOf(layerLinears(settings, layer), initializerRange),
        ...(headNorms
          ? [norm(`${block}.self_attn.q_norm`, layer + 1, size), norm(`${block}.self_attn.k_norm`, layer + 1, size)]
          : []),
        norm(`${block}.input_layernorm`, layer + 1),
        norm(`${block}.post_attention_layernorm`, layer + 1)
      ]
    }),
    norm("norm", layers + 1),
    ...Heads.parametersOf(top === undefined ? [] : [top], initializerRange)
  ]
}

/** What a layer reads beside its weights and its input. */
interface Constants extends Recomputation.Constants {
  readonly cosines: Tensor
  readonly sines: Tensor
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
  const { headNorms, heads, shared, size } = settings
  const positions = batch.batch * batch.time
  const norm = (name: string, x: Tensor) =>
    Operations.rmsNorm(tf, x, weights.get(`model.${name}.weight`) as Tensor1D, settings.epsilon)
  const linear = (name: string, x: Tensor) => weights.linear(`model.${name}`, x)

  /** A projection of the input of attention, each head normalised where the family does that: `[batch, time, ...]`. */
  const project = (block: string, part: "q" | "k" | "v", x: Tensor): Tensor => {
    const count = part === "q" ? heads : shared
    const projected = linear(`${block}.${part}_proj`, x)
    const normal = headNorms && part !== "v"
      ? norm(`${block}.${part}_norm`, tf.reshape(projected, [positions * count, size]))
      : projected
    return tf.reshape(normal, [batch.batch, batch.time, count * size])
  }
  /** Attention of new tokens to those in the cache and to each other. */
  const attendToCache = (
    layer: number,
    [q, k, v]: readonly [Tensor, Tensor, Tensor],
    cache: KeyValueCache,
    mask: Tensor | undefined
  ): Tensor => {
    const part = (x: Tensor, count: number) =>
      tf.transpose(tf.reshape(x, [batch.batch, batch.time, count, size]), [0, 2, 1, 3])
    const { keys, values } = cache.extend(layer, part(k, shared), part(v, shared))
    return tf.transpose(Operations.groupedAttention(tf, part(q, heads), keys, values, mask), [0, 2, 1, 3])
  }
  const attend = (layer: number, x: Tensor, { cosines, mask, selected, sines }: Constants): Tensor => {
    const block = `layers.${layer}.self_attn`
    const normal = norm(`layers.${layer}.input_layernorm`, x)
    const turns = { cosines, sines }
    const q = Operations.rotary(tf, project(block, "q", normal), heads, turns)
    const k = Operations.rotary(tf, project(block, "k", normal), shared, turns)
    const v = project(block, "v", normal)
    const attended = cache !== undefined
      ? attendToCache(layer, [q, k, v], cache, mask)
      : Operations.groupedSelfAttention(tf, q, k, v, {
        heads,
        shared,
        mask,
        dropout: Dropout.factors(
          tf,
          dropout,
          block,
          [batch.batch, heads, batch.time, batch.time],
          settings.attentionDropout
        )
      })
    const select = (all: Tensor): Tensor => selected === undefined ? all : tf.gather(all, selected)
    const projected = linear(`${block}.o_proj`, select(tf.reshape(attended, [positions, heads * size])))
    return tf.add(select(x), projected)
  }
  const feedForward = (layer: number, x: Tensor): Tensor => {
    const block = `layers.${layer}.mlp`
    const normal = norm(`layers.${layer}.post_attention_layernorm`, x)
    const gated = Operations.gatedSilu(tf, linear(`${block}.gate_proj`, normal), linear(`${block}.up_proj`, normal))
    return tf.add(x, linear(`${block}.down_proj`, gated))
  }

  const wanted = rows === undefined ? undefined : tf.tensor1d(rows, "int32")
  const mask = Attention.mask(tf, batch, true, cache)
  const turns = Rotary.turns(tf, settings.rotary, batch, cache)
  const embedded = tf.tidy(() =>
    Operations.embedding(tf, weights.get(embeddingName) as Tensor2D, batch.inputIds, settings.paddingId)
  )
  const layers: LayerStack.Layers<Constants> = {
    count: settings.layers,
    // Beyond the last attention rows do not meet again, so those that nobody asked for end here.
    constants: (layer) => ({ ...turns, mask, selected: layer === settings.layers - 1 ? wanted : undefined }),
    attend,
    feedForward
  }
  return norm("norm", LayerStack.run(tf, weights, embedded, layers, recompute)) as Tensor2D
}

const make = Effect.fnUntraced(function*(variant: Variant, config: Config, head: Head) {
  const settings = yield* read(variant, config)
  const top = headLinear(settings, head)
  const model: Model = {
    family: variant.modelType,
    head,
    config,
    vocabularySize: settings.vocabularySize,
    maximumLength: settings.rotary.maximumLength,
    outputs: top === undefined ? settings.vocabularySize : top.outputs,
    paddingId: settings.paddingId,
    layers: settings.layers,
    parameters: parametersOf(settings, head),
    linears: linearsOf(settings, head),
    hidden: (tf, weights, batch, options = {}) => hidden(tf, settings, weights, batch, options),
    logits: (tf, weights, rows, dropout) =>
      top === undefined
        ? tf.matMul(rows, weights.get(embeddingName) as Tensor2D, false, true)
        // Only the token classifier drops before its head.
        : weights.linear(
          top.name,
          head === "token-classification" ? Dropout.apply(tf, rows, dropout, "head", settings.headDropout) : rows
        ) as Tensor2D,
    footprint: (extent, options) => footprint(settings, head, extent, options),
    pooledPosition: (tokens) => Heads.lastTokenPosition(tokens, settings.paddingId)
  }
  return model
})

/** Frequencies of the rotary embedding, which old versions saved with the weights. */
const notLearned = /(^|\.)rotary_emb\.inv_freq$/

/** A family whose classes in transformers begin with this. */
export const family = (prefix: string, variant: Variant): Family => ({
  modelType: variant.modelType,
  architectures: {
    "causal-language-modeling": `${prefix}ForCausalLM`,
    "sequence-classification": `${prefix}ForSequenceClassification`,
    "sequence-regression": `${prefix}ForSequenceClassification`,
    "token-classification": `${prefix}ForTokenClassification`,
    none: `${prefix}Model`
  },
  otherArchitectures: [`${prefix}ForQuestionAnswering`],
  canonicalName: (name) =>
    notLearned.test(name)
      ? undefined
      // A checkpoint of the bare body has no prefix, one with a head for answers another.
      : name.replace(/^(transformer\.)?(?=(embed_tokens|layers|norm)\.)/, "model."),
  make: (config, head) => make(variant, config, head)
})
