/**
 * Evaluation of a language model by its loss, as a stage.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Conversation from "../dataset/Conversation.ts"
import { TestConversations, ValidationConversations } from "../dataset/Splits.ts"
import { ChatTemplateError } from "../model/ChatTemplate.ts"
import * as Checkpoint from "../model/Checkpoint.ts"
import * as Continuation from "../model/Continuation.ts"
import { ignored } from "../model/Examples.ts"
import * as PretrainedModel from "../model/PretrainedModel.ts"
import * as Supervision from "../model/Supervision.ts"
import type { Tokenizer } from "../model/Tokenizer.ts"
import * as Stage from "../pipeline/Stage.ts"
import * as Artifact from "../store/Artifact.ts"
import * as EvaluationStage from "./EvaluationStage.ts"
import * as LanguageModel from "./LanguageModel.ts"
import * as Predict from "./Predict.ts"

/** How well the model predicted one conversation. The counts are what the scores of a corpus are sums of. */
export const LanguageModelPrediction = Schema.Struct({
  ...EvaluationStage.example,
  /** What was predicted of it, without special tokens. */
  text: Schema.String,
  /** How many tokens were predicted, special ones included. */
  tokens: Schema.Int,
  /** How many of them are the most likely ones. */
  rightTokens: Schema.Int,
  /** Bytes of the text in UTF-8. */
  bytes: Schema.Int,
  characters: Schema.Int,
  /** The sum of the tokens' losses, in nats. */
  nats: Schema.Number,
  /** Nats per token. */
  loss: Schema.Number
})
export type LanguageModelPrediction = typeof LanguageModelPrediction.Type

/** How a language model did on one side of a split. */
export class LanguageModelEvaluation extends Schema.Class<LanguageModelEvaluation>("attune/LanguageModelEvaluation")({
  kind: Schema.tag("language-model-evaluation"),
  split: EvaluationStage.Side,
  examples: Schema.Int,
  /** Conversations that were cut, and that were left out, since they are too long. */
  truncated: Schema.Int,
  dropped: Schema.Int,
  /** How many tokens were predicted. */
  tokens: Schema.Int,
  bytes: Schema.Int,
  /** Nats per predicted token, over all conversations together. */
  loss: Schema.Number,
  /** The exponential of the loss; comparable only between models of one tokenizer. */
  perplexity: Schema.Number,
  /** Comparable between tokenizers. The loss of special tokens counts, which have no bytes. */
  bitsPerByte: Schema.Number,
  bitsPerCharacter: Schema.Number,
  /** The share of the tokens that are the most likely ones. */
  accuracy: Schema.Number,
  predictions: Artifact.table(LanguageModelPrediction)
}) {}

/** The text of what is predicted of an example: of each run of learned tokens, the first token of all left out. */
const predictedText = (tokenizer: Tokenizer, { labels, tokens }: Supervision.Supervised): string => {
  let text = ""
  for (let start = 1; start < labels.length; start++) {
    if (labels[start] === ignored) continue
    let end = start
    while (end < labels.length && labels[end] !== ignored) end++
    text += Continuation.decode(tokenizer, tokens.subarray(0, start), tokens.subarray(start, end))
    start = end
  }
  return text
}

/** Takes the loss over what of the conversations is to be learned, as `loss` says. */
export const EvaluateLanguageModel = Stage.make("evaluate-language-model", {
  inputs: {
    model: PretrainedModel.PretrainedModel,
    split: Schema.Union([ValidationConversations, TestConversations])
  },
  params: {
    loss: Stage.withDefault(Supervision.Loss, "completions"),
    maximumLength: EvaluationStage.maximumLength,
    truncation: Stage.withDefault(Supervision.Truncation, "end")
  },
  output: LanguageModelEvaluation,
  error: Schema.Union([Supervision.SupervisionError, ChatTemplateError, EvaluationStage.EvaluationError]),
  ...EvaluationStage.stage,
  run: Effect.fn("EvaluateLanguageModel")(function*({ model, split }, { loss, truncation, ...params }) {
    const { checkpoint, longest, tokenizer } = yield* EvaluationStage.load(model, "causal-language-modeling", params)
    const side = split.kind === "test-conversations" ? "test" : "validation"
    const rows = yield* Artifact.readTable(Conversation.Conversation, split.examples)
    const template = Supervision.needsTemplate(rows)
      ? yield* Checkpoint.chatTemplateOf(checkpoint, tokenizer)
      : undefined
    const encoded = yield* Supervision.encode(tokenizer, rows, { loss, truncation, maximumLength: longest, template })
    const { examples } = encoded
    const { accuracy, counts, nats, right } = yield* Predict.languageLoss({ checkpoint, examples })
    const texts = examples.map((example) => predictedText(tokenizer, example))
    const sums = texts.map((text, index) => LanguageModel.counts(text, nats[index]!, counts[index]!))
    const scores = LanguageModel.score(sums)
    const predictions = yield* Artifact.writeTable(
      "predictions",
      LanguageModelPrediction,
      encoded.rows.map((row, index) => ({
        split: side,
        example: Conversation.identity(rows[row - 1]!),
        text: texts[index]!,
        tokens: counts[index]!,
        rightTokens: right[index]!,
        bytes: sums[index]!.bytes,
        characters: sums[index]!.characters,
        nats: nats[index]!,
        loss: nats[index]! / counts[index]!
      }))
    )
    return new LanguageModelEvaluation({
      split: side,
      examples: examples.length,
      truncated: encoded.truncated.length,
      dropped: encoded.dropped.length,
      tokens: scores.tokens,
      bytes: scores.bytes,
      loss: scores.meanLoss,
      perplexity: scores.perplexity,
      bitsPerByte: scores.bitsPerByte,
      bitsPerCharacter: scores.bitsPerCharacter,
      accuracy,
      predictions
    })
  })
})
