/**
 * Pre-trains the base model of `date-instructions.ts`: a small byte-level model of the GPT-2 architecture, on dates in words
 * of twelve languages with their ISO 8601.
 *
 *     npx attune run pipelines/pretrain-dates.ts --export data/dates-base
 */
import { Checkpoint, Gpt2, Node, Pipeline, Pretrain, PretrainedModel, Stage, Tokenizer } from "attune"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { DateLines, icu } from "./date-texts.ts"

/** An untrained GPT-2 whose tokens are the bytes of UTF-8. */
const ByteLevelGpt2 = Stage.make("byte-level-gpt2", {
  inputs: {},
  params: { width: Schema.Int, layers: Schema.Int, heads: Schema.Int, positions: Schema.Int, seed: Schema.Int },
  output: PretrainedModel.PretrainedModel,
  error: PretrainedModel.ModelError,
  run: Effect.fn("ByteLevelGpt2")(function*(_, { seed, ...shape }) {
    const config = Gpt2.config({ vocabularySize: 257, endOfTextId: 256, dropout: 0, ...shape })
    return yield* PretrainedModel.store(yield* Checkpoint.untrained(config, Tokenizer.byteLevel(), seed))
  })
})

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
