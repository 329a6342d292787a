/**
 * Pre-trains the base model of the main job: a small byte-level model of the
 * GPT-2 architecture, on the names that the main job leaves unlabelled.
 *
 * The names come from the very split of the main job, so that none of its
 * training, validation or test names is among them.
 *
 *     npx attune run pipelines/pretrain-base.ts --export data/base
 */
import { Artifact, LabeledText, Node, Pipeline, Pretrain, Stage, Text } from "attune"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { ByteLevelGpt2 } from "./byte-level-gpt2.ts"
import { names } from "./names.ts"

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
