import * as Llama from "../../src/model/Llama.ts"
import * as Qwen3 from "../../src/model/Qwen3.ts"
import * as Random from "../../src/random/Random.ts"
import * as Footprints from "./Footprints.ts"

interface Shape extends Footprints.Shape {
  readonly width: number
  readonly layers: number
  readonly heads: readonly [queries: number, keys: number]
  readonly headNorms: boolean
  readonly untied: boolean
}

Footprints.tests("a decoder's", {
  random: Random.make(2, "shapes of decoders"),
  shape: (choose): Shape => ({
    head: choose("sequence-classification", "causal-language-modeling", "token-classification"),
    width: choose(32, 64, 96),
    layers: choose(1, 2, 4),
    heads: choose([4, 2], [4, 4], [4, 1], [2, 1]),
    headNorms: choose(false, false, true),
    untied: choose(true, false),
    vocabulary: choose(256, 1000, 8000),
    batch: choose(2, 3, 8, 16),
    time: choose(16, 24, 48, 100),
    dropout: choose(0, 0.1),
    recompute: choose(false, false, true)
  }),
  modelOf: ({ head, headNorms, heads: [heads, keyValueHeads], layers, time, untied, vocabulary, width }) => {
    const shape = { vocabularySize: vocabulary, positions: time, width, layers, heads, keyValueHeads, untied }
    return (headNorms ? Qwen3 : Llama).family.make({ ...Llama.config(shape), num_labels: 3 }, head)
  },
  fused: 40,
  composed: 12
})
