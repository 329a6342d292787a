/**
 * Qwen2 and Qwen2.5 (Yang et al., "Qwen2 technical report", 2024, section 2.2): Llama's body with biases on queries, keys and
 * values.
 */
import * as Decoder from "./Decoder.ts"

export const family = Decoder.family("Qwen2", {
  modelType: "qwen2",
  defaults: { vocabularySize: 151_936, inner: 22_016, positions: 32_768, shared: 32 },
  biases: () => ({ queriesKeysValues: true, output: false, feedForward: false }),
  headNorms: false,
  slidingWindow: true
})
