/**
 * How much memory a decoder of Llama's kind needs, without running it. The coefficients are counts of tensors: they change
 * when the model or an operation comes to keep others, which test/model/DecoderMemory.test.ts notices by measuring.
 */
import type { BatchExtent, Footprint, FootprintOptions, Head } from "./Architecture.ts"
import { learnedBy, mostBeyond, type Passing, savedBy, type Step } from "./BackwardSteps.ts"
import type { Settings } from "./DecoderSettings.ts"

/** The sizes of a model that its memory depends on. */
export type Extents = Pick<
  Settings,
  "classes" | "headNorms" | "heads" | "inner" | "layers" | "shared" | "size" | "tied" | "vocabularySize" | "width"
>

/** The feed forward part of a layer, from its end. */
const feedForward = ({ inner, width }: Extents, { beyond }: Passing, { fused }: FootprintOptions): Array<Step> => {
  const stream = beyond * width, wide = beyond * inner, learned = inner * width
  // Where products are composed, what is multiplied the other way round is written out so first.
  const turned = fused ? 0 : 1
  return [
    { saved: wide, learned, live: (1 + turned) * stream + wide },
    { saved: 2 * wide, learned: 0, live: stream + (fused ? 3 : 9) * wide },
    { saved: 0, learned, live: 2 * stream + (2 + turned) * wide },
    { saved: stream, learned, live: Math.max(3 * stream + (1 + turned) * wide, 4 * stream + wide) },
    { saved: stream + beyond, learned: width, live: (fused ? 4 : 9) * stream }
  ]
}

/** The attention of a layer, from its end. */
const attention = (
  { headNorms, heads, shared, size, width }: Extents,
  { beyond, last, positions, scores, square }: Passing,
  { dropout, fused }: FootprintOptions
): Array<Step> => {
  const stream = positions * width, queries = positions * heads * size, keys = positions * shared * size
  const selected = beyond * width, selectedQueries = beyond * heads * size
  const turned = fused ? 0 : 1
  // Composed, a rotation exchanges halves and adds two products.
  const rotation = fused ? 1 : 5
  const norm = fused ? 1 : 7
  const attending = fused
    ? 2 * queries + 2 * keys + (dropout ? 2 : 1) * square
    : 4 * queries + 4 * keys + (dropout ? 6 : 5) * scores
  const factors = dropout && !fused ? scores : 0
  return [
    ...(last ? [{ saved: 0, learned: 0, live: selected + 2 * stream }] : []),
    {
      saved: last ? selectedQueries : queries,
      learned: heads * size * width,
      live: stream + (last ? selected : 0) + turned * selected + selectedQueries
    },
    ...(last ? [{ saved: queries, learned: 0, live: stream + selectedQueries + 2 * queries }] : []),
    { saved: queries + 2 * keys + scores + factors, learned: 0, live: stream + attending },
    { saved: 0, learned: shared * size * width, live: 2 * stream + queries + (2 + turned) * keys },
    { saved: 0, learned: 0, live: 2 * stream + queries + (1 + rotation) * keys },
    ...(headNorms
      ? [{
        saved: keys + positions * shared,
        learned: size,
        live: 2 * stream + queries + (1 + norm) * keys
      }]
      : []),
    { saved: 0, learned: shared * size * width, live: 4 * stream + queries + (1 + turned) * keys },
    { saved: 0, learned: 0, live: 2 * stream + (1 + rotation) * queries },
    ...(headNorms
      ? [{ saved: queries + positions * heads, learned: size, live: 2 * stream + (1 + norm) * queries }]
      : []),
    { saved: stream, learned: heads * size * width, live: 4 * stream + (1 + turned) * queries },
    { saved: stream + positions, learned: width, live: (fused ? 4 : 9) * stream }
  ]
}

/**
 * A forward pass that no backward pass follows: nothing is kept but what the rest of a part reads.
 */
const prediction = (
  { headNorms, heads, inner, layers, shared, size, width }: Extents,
  { batch, rows, time }: BatchExtent,
  fused: boolean
): Pick<Footprint, "hidden" | "predicting"> => {
  const positions = batch * time
  const queries = positions * heads * size, keys = positions * shared * size, scores = batch * heads * time * time
  // The mask, token ids, rows and turns stay; a part of a layer comes and goes.
  const staying = positions * time + positions + rows + 2 * positions * size
  const projected = 2 * positions * width + positions + 3 * queries + 3 * keys + (headNorms ? queries + keys : 0) +
    scores
  const attended = projected + (fused ? 0 : 3 * queries + 2 * keys + 3 * scores)
  // A composed product turns its weight first, and no other operation runs meanwhile.
  const output = (beyond: number, last: boolean) =>
    projected + (fused ? 0 : heads * size * width) + 2 * beyond * width + (last ? beyond * (width + heads * size) : 0)
  const gated = (beyond: number) =>
    beyond +
    Math.max(
      (2 * width + (fused ? 3 : 5) * inner) * beyond,
      (fused ? 0 : inner * width) + (4 * width + 3 * inner) * beyond
    )
  const between = layers === 1 ? 0 : Math.max(output(positions, false), gated(positions))
  return {
    predicting: staying + Math.max(attended, output(rows, true), gated(rows), between),
    hidden: staying + 2 * rows * width + rows
  }
}

/** What a batch needs of memory, counted from what its layers and their operations keep. */
export const footprint = (
  extents: Extents,
  head: Head,
  { batch, rows, time }: BatchExtent,
  options: FootprintOptions
): Footprint => {
  const { classes, headNorms, heads, inner, layers, shared, size, tied, vocabularySize, width } = extents
  const { dropout, fused, recompute = false, untrained = 0 } = options
  const trained = layers - Math.min(untrained, layers - 1)
  const positions = batch * time
  const stream = positions * width, selected = rows * width, scores = batch * heads * time * time
  const queries = positions * heads * size, keys = positions * shared * size
  const passing: Passing = { positions, beyond: positions, scores, square: time * time, last: false }
  const layerOf = (passing: Passing): Array<Step> => [
    ...feedForward(extents, passing, options),
    ...attention(extents, passing, options)
  ]
  const lastLayer = layerOf({ ...passing, beyond: rows, last: true })
  const firstLayer = layers === 1 ? lastLayer : layerOf(passing)
  const norm: Step = { saved: 2 * selected + rows, learned: width, live: (fused ? 2 : 8) * selected }
  const mask = positions * time, turns = 2 * positions * size
  /** Token ids, and what all layers share. */
  const whole = positions + rows + turns + (recompute ? mask : 0)

  // Forward, beyond what is kept: a part's values live to its end, and no dropped weight's factor longer.
  const rotated = headNorms ? 2 * (queries + keys) : queries + keys
  const attending = rotated + (dropout ? scores : 0) + 2 * stream +
    (fused ? (dropout ? time * time : 0) : 4 * queries + 2 * keys + 3 * scores)
  // A product composed of others turns its weight first.
  const weight = fused ? 0 : inner * width
  const forward = weight + mask + Math.max(attending - savedBy(lastLayer.slice(0, 5)) - norm.saved, 2 * selected)

  const embedding = vocabularySize * width
  const tiedHead = head === "causal-language-modeling" && tied
  // Where the embedding makes the logits too, its gradient comes in two parts, which are added up.
  const end = whole + stream + (tiedHead ? 2 * embedding : 0)
  const forwardOnly = {
    ...prediction(extents, { batch, rows, time }, fused),
    head: head === "causal-language-modeling" ? embedding : classes * width
  }

  if (!recompute) {
    const backward = layers === 1 ? [norm, ...lastLayer] : [norm, ...lastLayer, ...firstLayer]
    return {
      ...forwardOnly,
      saved: whole + norm.saved + savedBy(lastLayer) + (trained - 1) * savedBy(firstLayer),
      turning: Math.max(forward, mostBeyond(backward)),
      ending: Math.max(end, whole + savedBy(firstLayer) + mostBeyond(firstLayer))
    }
  }
  // Each layer keeps its input, and has all that it computes for as long as its own gradients take; beside them, once more,
  // its result and the gradient of that.
  const anew = (layer: ReadonlyArray<Step>, result: number): number =>
    savedBy(layer) - stream + 2 * result + Math.max(mostBeyond(layer), attending - savedBy(layer.slice(0, 5)))
  return {
    ...forwardOnly,
    saved: whole + norm.saved + trained * stream,
    turning: Math.max(
      mostBeyond([norm]),
      anew(lastLayer, selected),
      layers === 1 ? 0 : anew(firstLayer, stream) + learnedBy(lastLayer) - stream
    ),
    ending: Math.max(end, whole + stream + anew(firstLayer, layers === 1 ? selected : stream))
  }
}
