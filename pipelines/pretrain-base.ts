/**
 * Pre-trains the base model of the main job: a small byte-level model of the
 * GPT-2 architecture, on the names that the main job leaves unlabelled.
 *
 * The names come from the very split of the main job, so that none of its
 * training, validation or test names is among them.
 *
 *     npx attune run pipelines/pretrain-base.ts --export data/base
 */
import {
  Artifact,
  Checkpoint,
  Gpt2,
  LabeledText,
  Node,
  Pipeline,
  Pretrain,
  PretrainedModel,
  Stage,
  Text,
  Tokenizer
} from "attune"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { names } from "./names.ts"

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

/** The names without their languages. */
const Unlabel = Stage.make("unlabel", {
  inputs: { examples: Artifact.table(LabeledText) },
  params: {},
  output: Artifact.table(Text),
  run: Effect.fn("Unlabel")(function*({ examples }) {
    const rows = yield* Artifact.readTable(LabeledText, examples)
    return yield* Artifact.writeTable("texts", Text, rows.map(({ text }) => ({ text })))
  })
})

export default Pipeline.make({
  settings: {
    epochs: Stage.withDefault(Schema.Int, 20)
  },
  node: ({ epochs }) => {
    const model = ByteLevelGpt2({}, { width: 96, layers: 3, heads: 4, positions: 64, seed: 0 })
    const texts = Unlabel({ examples: Node.at(names, "unused") })
    const trained = Pretrain({ model, texts }, {
      learningRate: 3e-3,
      batchSize: 64,
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
