/**
 * How much memory a decoder of Llama's kind needs, without running it. The coefficients are counts of tensors: they change
 * when the model or an operation comes to keep others, which test/model/DecoderMemory.test.ts notices by measuring.
 */
import type { BatchExtent, Footprint, FootprintOptions, Head } from "./Architecture.ts"
import type { Settings } from "./DecoderSettings.ts"

export const footprint = (
  settings: Settings,
  head: Head,
  { batch, rows, time }: BatchExtent,
  { dropout, fused, recompute = false }: FootprintOptions
): Footprint => {
  const { classes, headNorms, heads, inner, layers, shared, size, tied, vocabularySize, width } = settings
  const positions = batch * time
  const stream = positions * width, wide = positions * inner, scores = batch * heads * time * time
  const q = positions * heads * size, kv = positions * shared * size
  const attention = 2 * stream + positions + 2 * q + 2 * kv + scores * (dropout ? 2 : 1) +
    (headNorms ? q + kv + positions * (heads + shared) : 0)
  const feedForward = 2 * stream + 3 * wide + positions
  const saved = layers * (attention + feedForward) * (recompute || fused ? 1 : 1)
  const turning = attention + feedForward + 5 * wide
  return {
    saved,
    turning,
    ending: attention + feedForward + vocabularySize * width * 2,
    predicting: attention + feedForward,
    hidden: 2 * stream + rows * width,
    head: head === "causal-language-modeling" && tied ? vocabularySize * width : classes * width
  }
}
