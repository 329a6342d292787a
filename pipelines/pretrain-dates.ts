/**
 * Pre-trains the base model of `date-instructions.ts`: a small byte-level model of the GPT-2 architecture, on dates in words
 * of twelve languages with their ISO 8601.
 *
 *     npx attune run pipelines/pretrain-dates.ts --export data/dates-base
 */
import { Node, Pipeline, Pretrain, Stage } from "attune"
import * as Schema from "effect/Schema"
import { ByteLevelGpt2 } from "./byte-level-gpt2.ts"
import { DateLines, icu } from "./date-texts.ts"

export default Pipeline.make({
  settings: {
    lines: Stage.withDefault(Schema.Int, 24_000),
    epochs: Stage.withDefault(Schema.Int, 5)
  },
  node: ({ epochs, lines }) => {
    const model = ByteLevelGpt2({}, { width: 96, layers: 4, heads: 4, positions: 96, seed: 0 })
    const texts = DateLines({}, { count: lines, seed: 0, icu })
    const trained = Pretrain({ model, texts }, {
      learningRate: 3e-3,
      batchSize: 48,
      epochs,
      weightDecay: 0.01,
      warmupRatio: 0.05,
      schedule: "cosine",
      dropout: 0,
      seed: 0
    })
    return Node.at(trained, "model")
  }
})
