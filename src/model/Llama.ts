/**
 * Llama, generations 1 to 3, and what shares its `model_type`: SmolLM2, TinyLlama and many more.
 */
import type { Config } from "./Architecture.ts"
import * as Decoder from "./Decoder.ts"

const modelType = "llama"

export const family = Decoder.family("Llama", {
  modelType,
  defaults: { vocabularySize: 32_000, inner: 11_008, positions: 2048 },
  biases: ({ attention_bias, mlp_bias }) => ({
    queriesKeysValues: attention_bias === true,
    output: attention_bias === true,
    feedForward: mlp_bias === true
  }),
  headNorms: false,
  slidingWindow: false
})

/** What a new model is shaped by. */
export interface Shape {
  readonly vocabularySize: number
  readonly positions: number
  readonly width: number
  readonly layers: number
  readonly heads: number
  /** Heads of keys and values, which groups of query heads share; as many as `heads` unless given. */
  readonly keyValueHeads?: number
  /** Width of the feed forward parts; 8/3 of `width`, rounded up to a multiple of 8, unless given. */
  readonly inner?: number
  readonly dropout?: number
  readonly initializerRange?: number
  /** Whether the head has weights of its own; it is the token embedding unless given. */
  readonly untied?: boolean
  /** The token that begins, ends and pads texts. */
  readonly endOfTextId?: number
}

/** The config.json of a new language model of this shape. */
export const config = (shape: Shape): Config => ({
  architectures: ["LlamaForCausalLM"],
  attention_bias: false,
  attention_dropout: shape.dropout ?? 0,
  bos_token_id: shape.endOfTextId ?? null,
  dtype: "float32",
  eos_token_id: shape.endOfTextId ?? null,
  head_dim: shape.width / shape.heads,
  hidden_act: "silu",
  hidden_size: shape.width,
  initializer_range: shape.initializerRange ?? 0.02,
  intermediate_size: shape.inner ?? Math.ceil(shape.width / 3) * 8,
  max_position_embeddings: shape.positions,
  mlp_bias: false,
  model_type: modelType,
  num_attention_heads: shape.heads,
  num_hidden_layers: shape.layers,
  num_key_value_heads: shape.keyValueHeads ?? shape.heads,
  pad_token_id: shape.endOfTextId ?? null,
  pretraining_tp: 1,
  rms_norm_eps: 1e-5,
  rope_parameters: { rope_theta: 10_000, rope_type: "default" },
  tie_word_embeddings: shape.untied !== true,
  vocab_size: shape.vocabularySize
})
