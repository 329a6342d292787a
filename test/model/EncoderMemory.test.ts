import { Effect } from "effect"
import * as Family from "../../src/model/Family.ts"
import * as Random from "../../src/random/Random.ts"
import * as Footprints from "./Footprints.ts"

interface Shape extends Footprints.Shape {
  readonly family: "bert" | "roberta" | "distilbert"
  readonly activation: string
  readonly width: number
  readonly layers: number
  readonly heads: number
}

Footprints.tests("an encoder's", {
  random: Random.make(3, "shapes of encoders"),
  shape: (choose): Shape => ({
    family: choose("bert", "roberta", "distilbert"),
    head: choose("sequence-classification", "token-classification"),
    activation: choose("gelu", "gelu", "gelu_new", "relu"),
    width: choose(48, 64, 96),
    layers: choose(1, 2, 4),
    heads: choose(1, 2, 4),
    vocabulary: choose(500, 1000, 8000),
    batch: choose(3, 8, 16),
    time: choose(20, 48, 100),
    dropout: choose(0, 0.1),
    recompute: choose(false, false, true)
  }),
  modelOf: ({ activation, family, head, heads, layers, time, vocabulary, width }) => {
    const config = {
      model_type: family,
      vocab_size: vocabulary,
      max_position_embeddings: time + 2,
      id2label: { 0: "a", 1: "b", 2: "c" },
      ...(family === "distilbert"
        ? { dim: width, n_layers: layers, n_heads: heads, hidden_dim: 4 * width, activation }
        : {
          hidden_size: width,
          num_hidden_layers: layers,
          num_attention_heads: heads,
          intermediate_size: 4 * width,
          hidden_act: activation
        })
    }
    return Effect.flatMap(Family.withHead(config, head), Family.model)
  },
  fused: 40,
  composed: 12
})
