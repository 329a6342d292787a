/**
 * Fine-tuning as stages, one for each kind of example: one run of training from
 * a model, or from the checkpoint of an earlier part of the same run.
 *
 * All of them train all weights, some layers, or an adapter, as `adapter` and
 * `trainedLayers` say. With `validation` the loss on it is taken as the run goes
 * on, for early stopping and for restoring the best weights.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Conversation from "../dataset/Conversation.ts"
import * as LabeledText from "../dataset/LabeledText.ts"
import * as ScoredText from "../dataset/ScoredText.ts"
import * as Splits from "../dataset/Splits.ts"
import * as TaggedWords from "../dataset/TaggedWords.ts"
import type { Head } from "../model/Architecture.ts"
import * as Checkpoint from "../model/Checkpoint.ts"
import { type Example, InvalidExample } from "../model/Examples.ts"
import * as Family from "../model/Family.ts"
import * as PretrainedModel from "../model/PretrainedModel.ts"
import * as Supervision from "../model/Supervision.ts"
import * as TaggedTokens from "../model/TaggedTokens.ts"
import * as Tokenizer from "../model/Tokenizer.ts"
import * as Stage from "../pipeline/Stage.ts"
import * as Artifact from "../store/Artifact.ts"
import { knobs, languageModelKnobs } from "./Hyperparameters.ts"
import * as Training from "./Training.ts"

const from = {
  model: PretrainedModel.PretrainedModel,
  checkpoint: Schema.optionalKey(Training.FineTuned)
}

/** A model to start from, of a family that has this head, and how to read texts for it. */
const start = Effect.fnUntraced(function*(
  model: PretrainedModel.PretrainedModel,
  head: Exclude<Head, "none">,
  { maximumLength }: { readonly maximumLength: number | null }
) {
  const origin = yield* PretrainedModel.open(model.files)
  const base = origin.checkpoint
  yield* Family.withHead(base.config, head)
  const { maximumLength: positions, vocabularySize } = yield* Checkpoint.modelOf(base)
  const longest = Math.min(maximumLength ?? positions, positions)
  const tokenizer = yield* Checkpoint.tokenizerOf(base)
  return {
    origin,
    tokenizer,
    longest,
    tokensOf: (texts: ReadonlyArray<string>) =>
      Tokenizer.encodeAll(tokenizer, texts, { vocabularySize, maximumLength: longest })
  }
})

/** The examples of a side, and what became of those that were too long. */
interface Side extends Training.TooLong {
  readonly examples: ReadonlyArray<Example>
}

/** Examples of the training side, and of the validation side where it is wired. */
const both = Effect.fnUntraced(function*<Split, E, R>(
  train: Split,
  validation: Split | undefined,
  read: (split: Split) => Effect.Effect<Side, E, R>
) {
  const { examples, ...tooLong } = yield* read(train)
  return { examples, tooLong, ...(validation === undefined ? {} : { validation: (yield* read(validation)).examples }) }
})

/**
 * Fine-tunes a model to classify texts. Of a text that is too long the end is
 * cut off.
 */
export const FineTune = Stage.make("fine-tune", {
  inputs: { ...from, train: Splits.TrainSplit, validation: Schema.optionalKey(Splits.ValidationSplit) },
  params: { ...knobs, stopAfterEpochs: Training.stopAfterEpochs },
  ...Training.stage,
  run: Effect.fn("FineTune")(function*(
    { checkpoint, model, train, validation },
    { stopAfterEpochs, ...hyperparameters }
  ) {
    const { origin, tokensOf } = yield* start(model, "sequence-classification", hyperparameters)
    const { labels } = train
    if (labels.length < 2) {
      const reason = `all have the label ${JSON.stringify(labels[0])}, so that there is nothing to tell apart`
      return yield* new InvalidExample({ example: -1, reason })
    }
    const indexOf = new Map(labels.map((label, index) => [label, index]))
    const read = Effect.fnUntraced(function*({ examples }: Splits.TrainSplit | Splits.ValidationSplit) {
      const rows = yield* Artifact.readTable(LabeledText.LabeledText, examples)
      const { tokens, truncated } = yield* tokensOf(rows.map(({ text }) => text))
      const known = yield* Effect.forEach(rows, ({ label, text }, index) => {
        const found = indexOf.get(label)
        return found === undefined
          ? Effect.fail(InvalidExample.unknownLabel(index, { text, label }, labels))
          : Effect.succeed({ tokens: tokens[index]!, label: found })
      })
      return { examples: known, truncated, dropped: 0 }
    })
    return yield* Training.run({
      origin,
      task: { head: "sequence-classification", labels },
      ...yield* both(train, validation, read),
      hyperparameters,
      stopAfterEpochs,
      checkpoint
    })
  })
})

/**
 * Fine-tunes a model to give a number for a text, by the mean squared error. Of
 * a text that is too long the end is cut off.
 */
export const FineTuneScores = Stage.make("fine-tune-scores", {
  inputs: { ...from, train: Splits.TrainScores, validation: Schema.optionalKey(Splits.ValidationScores) },
  params: { ...knobs, stopAfterEpochs: Training.stopAfterEpochs },
  ...Training.stage,
  run: Effect.fn("FineTuneScores")(function*(
    { checkpoint, model, train, validation },
    { stopAfterEpochs, ...hyperparameters }
  ) {
    const { origin, tokensOf } = yield* start(model, "sequence-regression", hyperparameters)
    const read = Effect.fnUntraced(function*({ examples }: Splits.TrainScores | Splits.ValidationScores) {
      const rows = yield* Artifact.readTable(ScoredText.ScoredText, examples)
      const { tokens, truncated } = yield* tokensOf(rows.map(({ text }) => text))
      return { examples: rows.map(({ score }, index) => ({ tokens: tokens[index]!, score })), truncated, dropped: 0 }
    })
    return yield* Training.run({
      origin,
      task: { head: "sequence-regression" },
      ...yield* both(train, validation, read),
      hyperparameters,
      stopAfterEpochs,
      checkpoint
    })
  })
})

/**
 * Fine-tunes a model to tag words: each word by its first token. The end of a
 * sentence that is too long is cut off.
 */
export const FineTuneTags = Stage.make("fine-tune-tags", {
  inputs: { ...from, train: Splits.TrainTags, validation: Schema.optionalKey(Splits.ValidationTags) },
  params: { ...knobs, stopAfterEpochs: Training.stopAfterEpochs },
  ...Training.stage,
  run: Effect.fn("FineTuneTags")(function*(
    { checkpoint, model, train, validation },
    { stopAfterEpochs, ...hyperparameters }
  ) {
    const { longest, origin, tokenizer } = yield* start(model, "token-classification", hyperparameters)
    const { labels } = train
    const read = Effect.fnUntraced(function*({ examples }: Splits.TrainTags | Splits.ValidationTags) {
      const rows = yield* Artifact.readTable(TaggedWords.TaggedWords, examples)
      const encoded = yield* TaggedTokens.encode(tokenizer, rows, { tags: labels, maximumLength: longest })
      // A word without a token of its own at the end of a full sentence was cut off.
      const isCut = ({ tokens, wordStarts }: TaggedTokens.TaggedTokens) =>
        tokens.length === longest && wordStarts.at(-1) === -1
      return { examples: encoded, truncated: encoded.filter(isCut).length, dropped: 0 }
    })
    return yield* Training.run({
      origin,
      task: { head: "token-classification", labels },
      ...yield* both(train, validation, read),
      hyperparameters,
      stopAfterEpochs,
      checkpoint
    })
  })
})

/**
 * Fine-tunes a language model on conversations: running text, prompts with
 * their completions, or chats in the model's own template. `loss` says what of
 * them is learned.
 */
export const FineTuneConversations = Stage.make("fine-tune-conversations", {
  inputs: { ...from, train: Splits.TrainConversations, validation: Schema.optionalKey(Splits.ValidationConversations) },
  params: { ...languageModelKnobs, stopAfterEpochs: Training.stopAfterEpochs },
  ...Training.stage,
  run: Effect.fn("FineTuneConversations")(function*(
    { checkpoint, model, train, validation },
    { loss, stopAfterEpochs, truncation, ...hyperparameters }
  ) {
    const { longest, origin, tokenizer } = yield* start(model, "causal-language-modeling", hyperparameters)
    const read = Effect.fnUntraced(function*({ examples }: Splits.TrainConversations | Splits.ValidationConversations) {
      const rows = yield* Artifact.readTable(Conversation.Conversation, examples)
      const template = Supervision.needsTemplate(rows)
        ? yield* Checkpoint.chatTemplateOf(origin.checkpoint, tokenizer)
        : undefined
      const encoded = yield* Supervision.encode(tokenizer, rows, { loss, truncation, maximumLength: longest, template })
      return { examples: encoded.examples, truncated: encoded.truncated.length, dropped: encoded.dropped.length }
    })
    return yield* Training.run({
      origin,
      task: { head: "causal-language-modeling" },
      ...yield* both(train, validation, read),
      hyperparameters,
      stopAfterEpochs,
      checkpoint
    })
  })
})
