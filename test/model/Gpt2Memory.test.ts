import * as Gpt2 from "../../src/model/Gpt2.ts"
import * as Random from "../../src/random/Random.ts"
import * as Footprints from "./Footprints.ts"

interface Shape extends Footprints.Shape {
  readonly width: number
  readonly layers: number
  readonly heads: number
}

Footprints.tests("a GPT-2's", {
  random: Random.make(1, "shapes of models"),
  shape: (choose): Shape => ({
    head: choose("sequence-classification", "causal-language-modeling"),
    width: choose(32, 64, 96),
    layers: choose(1, 2, 4),
    heads: choose(1, 2, 4),
    vocabulary: choose(256, 1000, 8000),
    batch: choose(2, 3, 8, 16),
    time: choose(16, 24, 48, 100),
    dropout: choose(0, 0.1),
    recompute: false
  }),
  modelOf: ({ head, heads, layers, time, vocabulary, width }) =>
    Gpt2.family.make(
      { ...Gpt2.config({ vocabularySize: vocabulary, positions: time, width, layers, heads }), num_labels: 3 },
      head
    ),
  fused: 30,
  composed: 12
})
