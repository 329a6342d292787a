/**
 * How much memory a GPT-2 needs, without running it. The coefficients are counts of tensors: they change when the model
 * or an operation comes to keep others, which test/model/Gpt2Memory.test.ts notices by measuring.
 */
import type { BatchExtent, Footprint, FootprintOptions, Head } from "./Architecture.ts"

/** The sizes of a model that its memory depends on. */
export interface Extents {
  readonly vocabularySize: number
  readonly width: number
  readonly layers: number
  readonly heads: number
  /** Width of the feed-forward parts. */
  readonly inner: number
  readonly classes: number
}

/**
 * What a batch needs of memory, counted from what its layers and their operations keep.
 *
 * `stream` is a number for each position and unit of the residual stream, `wide` for each position and unit of the feed
 * forward part, `scores` for each weight of attention. In the last layer only the selected rows go beyond attention.
 */
export const footprint = (
  { classes, heads, inner, layers, vocabularySize, width }: Extents,
  head: Head,
  { batch, rows, time }: BatchExtent,
  { dropout, fused, recompute = false, untrained = 0 }: FootprintOptions
): Footprint => {
  const stream = batch * time * width, wide = batch * time * inner, scores = batch * heads * time * time
  const selected = rows * width, selectedWide = rows * inner
  const mask = batch * time * time
  const dropped = dropout ? 2 : 0
  /** A row's mean and deviation, or what stands for them. */
  const perRow = 2
  const wides = fused ? 2 : 3
  const kept = scores * (dropout && !fused ? 2 : 1)
  // Input and result of the norm, queries, keys, values, and what attention gives; dropout keeps its input and factors.
  const attention = (6 + dropped) * stream + perRow * batch * time + kept
  const feedForward = (2 + dropped) * stream + wides * wide + perRow * batch * time
  const lastAttention = (fused ? 6 : 7) * stream + (1 + dropped) * selected + perRow * batch * time + kept
  const lastFeedForward = (2 + dropped) * selected + wides * selectedWide + perRow * rows
  const embeddings = dropped * stream + batch * time
  const norm = 2 * selected + perRow * rows
  /** What a layer keeps, which under recomputation only one has at a time, beside the inputs of all. */
  const within = recompute ? Math.max(lastAttention + lastFeedForward, layers > 1 ? attention + feedForward : 0) : 0
  const trained = layers - Math.min(untrained, layers - 1)
  const saved = recompute
    ? embeddings + trained * stream + norm
    : embeddings + (trained - 1) * (attention + feedForward) + lastAttention + lastFeedForward + norm
  const lastWeights = 2 * inner * width + 4 * width * width
  const goneBefore = recompute ? 0 : lastFeedForward + norm
  // A weight that is used the other way round is turned first where products are composed.
  const turned = fused ? 0 : inner * width
  // Backward, around attention; composed of many operations it needs more, and so does a feed forward part.
  const aroundAttention = fused ? 5 * stream + time * time : 7 * scores + 13 * stream
  const aroundFeedForward = fused || layers === 1 ? 0 : 9 * wide + 3 * stream
  // Forward the mask, and factors that only attention reads.
  const forward = mask + (fused ? (dropout ? scores + time * time : 0) + 2 * stream : 4 * scores + 8 * stream)
  const turning = within + turned + Math.max(
    forward,
    (fused ? 2 : 9) * selectedWide + 3 * selected - norm,
    lastWeights + aroundAttention + 2 * selected - goneBefore,
    lastWeights + aroundFeedForward - goneBefore - (recompute ? 0 : lastAttention)
  )
  // The embedding's gradient comes in two parts where it makes the logits too, and they are added up.
  const embedding = vocabularySize * width
  const first = recompute ? within + stream : layers === 1 ? lastAttention : attention
  const ending = turned + embeddings + Math.max(
    first + Math.max(aroundAttention, aroundFeedForward),
    3 * stream + (head === "causal-language-modeling" ? 2 * embedding : 0)
  )
  // The mask, token ids and rows stay; a part of a layer comes and goes.
  const staying = mask + batch * time + rows
  const parts = fused
    ? [6 * stream + scores + 4 * selected, 4 * selected + 2 * selectedWide]
    : [16 * stream + 3 * scores, 3 * selected + 7 * selectedWide]
  if (layers > 1) parts.push(...(fused ? [8 * stream + scores, 4 * stream + 2 * wide] : [3 * stream + 7 * wide]))
  const predicting = staying + perRow * batch * time + Math.max(...parts)
  const hidden = staying + 2 * selected + perRow * rows
  return {
    saved,
    turning,
    ending,
    predicting,
    hidden,
    head: head === "causal-language-modeling" ? embedding : classes * width
  }
}
