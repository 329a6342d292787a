/**
 * Qwen3, its dense models (Yang et al., "Qwen3 technical report", 2025, section 2): Llama's body with heads of an explicit
 * size, whose queries and keys are normalised each by itself.
 */
import * as Decoder from "./Decoder.ts"

export const family = Decoder.family("Qwen3", {
  modelType: "qwen3",
  defaults: { vocabularySize: 151_936, inner: 22_016, positions: 32_768, shared: 32, size: 128 },
  biases: ({ attention_bias }) => ({
    queriesKeysValues: attention_bias === true,
    output: attention_bias === true,
    feedForward: false
  }),
  headNorms: true,
  slidingWindow: true
})
