/**
 * How much memory an encoder of BERT's kind needs, without running it. The coefficients are counts of tensors: they change
 * when the model or an operation comes to keep others, which test/model/EncoderMemory.test.ts notices by measuring.
 */
import type { BatchExtent, Footprint, FootprintOptions, Linear } from "./Architecture.ts"
import { learnedBy, mostBeyond, type Passing, savedBy, type Step } from "./BackwardSteps.ts"
import type { Settings } from "./EncoderSettings.ts"

/** The sizes of a model that its memory depends on. */
export type Extents = Pick<
  Settings,
  "activation" | "heads" | "inner" | "layers" | "projectionDropout" | "width"
>

/** The sum of a part with its input and the norm of it, from their end. */
const sum = ({ width }: Extents, { beyond }: Passing, fused: boolean, drops: boolean): Array<Step> => {
  const stream = beyond * width
  return [
    { saved: stream + 2 * beyond, learned: 2 * width, live: (fused ? 2 : 8) * stream },
    ...(drops ? [{ saved: 2 * stream, learned: 0, live: 2 * stream }] : [])
  ]
}

/**
 * Tensors of the shape of its argument that an activation has at once, the argument among them going forward; how many it
 * keeps, and how many of them the map that comes after it keeps too.
 */
const activationTensors = (activation: Settings["activation"], fused: boolean) => {
  if (activation === "relu") return { forward: 2, backward: 3, kept: 1, shared: 1 }
  if (fused) return { forward: 2, backward: 2, kept: 1, shared: 0 }
  return activation === "gelu"
    ? { forward: 5, backward: 7, kept: 1, shared: 0 }
    : { forward: 7, backward: 10, kept: 2, shared: 0 }
}

/** The feed forward part of a layer, from its end. */
const feedForward = (extents: Extents, passing: Passing, { dropout, fused }: FootprintOptions): Array<Step> => {
  const { activation, inner, width } = extents
  const { beyond } = passing
  const stream = beyond * width, wide = beyond * inner
  const learned = inner * width + inner + width
  // Where products are composed, what is multiplied the other way round is written out so first.
  const turned = fused ? 0 : 1
  const flowing = (dropout ? 2 : 1) * stream
  const { backward, kept, shared } = activationTensors(activation, fused)
  return [
    ...sum(extents, passing, fused, dropout),
    { saved: (1 - shared) * wide, learned, live: flowing + turned * stream + wide },
    { saved: kept * wide, learned: 0, live: stream + backward * wide },
    { saved: stream, learned, live: Math.max(3 * stream + wide, 2 * stream + (1 + turned) * wide) }
  ]
}

/** The attention of a layer, from its end. */
const attention = (extents: Extents, passing: Passing, { dropout, fused }: FootprintOptions): Array<Step> => {
  const { projectionDropout, width } = extents
  const { beyond, last, positions, scores, square } = passing
  const stream = positions * width, selected = beyond * width
  const learned = width * width + width
  const turned = fused ? 0 : 1
  const drops = dropout && projectionDropout !== undefined
  const attending = fused ? 3 * stream + (dropout ? 2 : 1) * square : 8 * stream + (dropout ? 6 : 5) * scores
  const factors = dropout && !fused ? scores : 0
  // In the last layer the input's gradient is spread over all positions before the rest goes back.
  const residual = stream
  return [
    ...sum(extents, passing, fused, drops),
    ...(last ? [{ saved: beyond, learned: 0, live: residual + 2 * selected }] : []),
    { saved: selected, learned, live: residual + (last || drops ? selected : 0) + (1 + turned) * selected },
    ...(last ? [{ saved: beyond, learned: 0, live: residual + selected + stream }] : []),
    { saved: 3 * stream + scores + factors, learned: 0, live: residual + stream + attending },
    { saved: 0, learned, live: residual + 5 * stream },
    { saved: 0, learned, live: residual + 4 * stream },
    { saved: stream, learned, live: residual + 3 * stream }
  ]
}

/** What a batch needs of memory, counted from what its layers and their operations keep. */
export const footprint = (
  extents: Extents,
  head: ReadonlyArray<Linear>,
  { batch, rows, time }: BatchExtent,
  options: FootprintOptions
): Footprint => {
  const { activation, heads, inner, layers, projectionDropout, width } = extents
  const { dropout, fused, recompute = false, untrained = 0 } = options
  const trained = layers - Math.min(untrained, layers - 1)
  const positions = batch * time
  const stream = positions * width, wide = positions * inner, scores = batch * heads * time * time
  const selected = rows * width, selectedWide = rows * inner
  const mask = positions * time
  const passing: Passing = { positions, beyond: positions, scores, square: time * time, last: false }
  const layerOf = (passing: Passing): Array<Step> => [
    ...feedForward(extents, passing, options),
    ...attention(extents, passing, options)
  ]
  const lastLayer = layerOf({ ...passing, beyond: rows, last: true })
  const firstLayer = layers === 1 ? lastLayer : layerOf(passing)
  // The head on the wanted rows: what each of its maps keeps and gives.
  const ofHead = head.reduce((sum, { inputs, outputs }) => sum + rows * ((dropout ? 3 : 1) * inputs + outputs), 0)
  const headWeights = head.reduce((sum, { inputs, outputs }) => sum + inputs * outputs + outputs, 0)

  /** Token ids and positions, and the embeddings' norm with its dropout. */
  const embeddings = 2 * positions + stream + 2 * positions + (dropout ? 2 * stream : 0)
  const whole = embeddings + (recompute ? mask : 0) + ofHead
  const weight = fused ? 0 : inner * width

  // Forward, beyond what is kept: a part's values live to its end, and no dropped weight's factor longer.
  const drops = dropout && projectionDropout !== undefined
  const attending = (dropout ? scores : 0) + (drops ? stream : 0) + 2 * stream +
    (fused ? (dropout ? time * time : 0) : 4 * stream + 3 * scores)
  const keptBeyond = savedBy(lastLayer.slice(0, lastLayer.length - 4))
  const forward = weight + mask + Math.max(attending - keptBeyond, 4 * selected + (fused ? 0 : 4) * selectedWide)

  // At the end the embeddings' gradients are made of that of their sum.
  const end = whole + (fused ? 4 : 9) * stream
  const shares = mask + positions + rows
  const projected = 5 * stream + scores + (fused ? 0 : 6 * stream + 3 * scores)
  const output = (positions: number, last: boolean) =>
    (fused ? 0 : width * width) + 3 * positions * width + (last ? 2 * positions * width : 0)
  const gated = (stream: number, wide: number) =>
    Math.max(
      stream + activationTensors(activation, fused).forward * wide,
      (fused ? 0 : inner * width) + stream + 2 * wide,
      (fused ? 4 : 10) * stream + wide
    )
  const predicting = shares + Math.max(
    (fused ? 4 : 7) * stream + 4 * positions,
    projected,
    5 * stream + output(rows, true),
    gated(selected, selectedWide),
    layers === 1 ? 0 : Math.max(5 * stream + output(positions, false), gated(stream, wide))
  )
  const forwardOnly = { predicting, hidden: shares + 3 * selected, head: headWeights }
  if (!recompute) {
    const backward = layers === 1 ? lastLayer : [...lastLayer, ...firstLayer]
    return {
      ...forwardOnly,
      saved: whole + savedBy(lastLayer) + (trained - 1) * savedBy(firstLayer),
      turning: Math.max(forward, mostBeyond(backward)),
      ending: Math.max(end, whole + savedBy(firstLayer) + mostBeyond(firstLayer))
    }
  }
  // Each layer keeps its input, and has all that it computes for as long as its own gradients take; beside them, once more,
  // its result and the gradient of that.
  const anew = (layer: ReadonlyArray<Step>, result: number): number =>
    savedBy(layer) - stream + 2 * result + Math.max(mostBeyond(layer), attending)
  return {
    ...forwardOnly,
    saved: whole + trained * stream,
    turning: Math.max(
      forward,
      anew(lastLayer, selected),
      layers === 1 ? 0 : anew(firstLayer, stream) + learnedBy(lastLayer) - stream
    ),
    ending: Math.max(end, whole + stream + anew(firstLayer, layers === 1 ? selected : stream))
  }
}
