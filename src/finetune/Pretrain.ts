/**
 * Pre-training of a language model as a stage.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Checkpoint from "../model/Checkpoint.ts"
import * as PretrainedModel from "../model/PretrainedModel.ts"
import * as Tokenizer from "../model/Tokenizer.ts"
import * as Stage from "../pipeline/Stage.ts"
import * as Artifact from "../store/Artifact.ts"
import { languageModelKnobs } from "./Hyperparameters.ts"
import * as Training from "./Training.ts"

/** There is no conversation to choose from, and what is too long is cut. */
const { loss: _, truncation: __, ...params } = languageModelKnobs

/** A text to pre-train on. */
export const Text = Schema.Struct({ text: Schema.String })

/**
 * Trains a language model to predict each next token of texts, each followed by
 * the tokenizer's end-of-text token. Logs what `FineTune` logs.
 */
export const Pretrain = Stage.make("pretrain", {
  inputs: {
    model: PretrainedModel.PretrainedModel,
    texts: Artifact.table(Text),
    checkpoint: Schema.optionalKey(Training.FineTuned)
  },
  params: { ...params, stopAfterEpochs: Training.stopAfterEpochs },
  ...Training.stage,
  run: Effect.fn("Pretrain")(function*({ checkpoint, model, texts }, { stopAfterEpochs, ...hyperparameters }) {
    const origin = yield* PretrainedModel.open(model.files)
    const base = origin.checkpoint
    const { maximumLength: positions, vocabularySize } = yield* Checkpoint.modelOf(base)
    const maximumLength = Math.min(hyperparameters.maximumLength ?? positions, positions)
    const tokenizer = yield* Checkpoint.tokenizerOf(base)
    const rows = yield* Artifact.readTable(Text, texts)
    const end = tokenizer.endOfTextId === undefined ? [] : [tokenizer.endOfTextId]
    const { tokens: encoded, truncated } = yield* Tokenizer.encodeAll(tokenizer, rows.map((row) => row.text), {
      vocabularySize,
      maximumLength: maximumLength - end.length
    })
    return yield* Training.run({
      origin,
      tooLong: { truncated, dropped: 0 },
      task: { head: "causal-language-modeling" },
      // The end of a text is predicted too, and is where the next one would begin.
      examples: encoded.map((tokens) => ({
        tokens: Int32Array.from([...end, ...tokens, ...end]).slice(0, maximumLength)
      })),
      hyperparameters,
      stopAfterEpochs,
      checkpoint
    })
  })
})
