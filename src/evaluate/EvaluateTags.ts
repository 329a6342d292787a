/**
 * Evaluation of a fine-tuned token classifier as a stage.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { TestTags, ValidationTags } from "../dataset/Splits.ts"
import * as TaggedWords from "../dataset/TaggedWords.ts"
import * as Checkpoint from "../model/Checkpoint.ts"
import { ignored } from "../model/Examples.ts"
import * as PretrainedModel from "../model/PretrainedModel.ts"
import * as TaggedTokens from "../model/TaggedTokens.ts"
import * as Stage from "../pipeline/Stage.ts"
import * as Artifact from "../store/Artifact.ts"
import * as EvaluationStage from "./EvaluationStage.ts"
import * as Predict from "./Predict.ts"
import * as Tagging from "./Tagging.ts"

/** What the model said of one sentence. The counts are what the scores of a corpus are sums of. */
export const TagPrediction = Schema.Struct({
  ...EvaluationStage.example,
  words: Schema.Array(Schema.String),
  tags: Schema.Array(Schema.String),
  /** A tag for each word; `O` for one that the tokenizer has no token for, or that was cut off. */
  predicted: Schema.Array(Schema.String),
  /** How many words have the tag they should. */
  rightWords: Schema.Int,
  entities: Schema.Int,
  predictedEntities: Schema.Int,
  rightEntities: Schema.Int,
  /** The mean cross-entropy of the words' tags, in nats. */
  loss: Schema.Number,
  correct: Schema.Boolean
})
export type TagPrediction = typeof TagPrediction.Type

/** How one type of entity fared. */
export const EntityScores = Schema.Struct({
  type: Schema.String,
  precision: Schema.Number,
  recall: Schema.Number,
  f1: Schema.Number,
  support: Schema.Int
})

/** How a token classifier did on one side of a split. */
export class TagEvaluation extends Schema.Class<TagEvaluation>("attune/TagEvaluation")({
  kind: Schema.tag("tag-evaluation"),
  split: EvaluationStage.Side,
  /** Sentences. */
  examples: Schema.Int,
  words: Schema.Int,
  /** Words that the model did not see, because the tokenizer has no token for them or they were cut off. */
  unseenWords: Schema.Int,
  /** The mean cross-entropy of the words' tags, in nats. */
  loss: Schema.Number,
  /** The share of words whose tag is the one it should be. */
  accuracy: Schema.Number,
  /** Over all entities whatever their type, which is the micro average. */
  precision: Schema.Number,
  recall: Schema.Number,
  f1: Schema.Number,
  /** The mean over the types of entities. */
  f1Macro: Schema.Number,
  f1Weighted: Schema.Number,
  entities: Schema.Int,
  labels: Schema.Array(Schema.String),
  perType: Schema.Array(EntityScores),
  predictions: Artifact.table(TagPrediction)
}) {}

/** How tags name entities: as `Tagging` has it, or as the tags themselves tell. */
export const Scheme = Schema.Literals(["auto", "prefixed", "plain"])

const position = /^(?:O|[BIELSU](?:-.*)?)$/s

/** The tag of words that the model has not seen. */
const outside = "O"

/** Tags every word of a split, by its first token, and scores words and entities. */
export const EvaluateTags = Stage.make("evaluate-tags", {
  inputs: { model: PretrainedModel.PretrainedModel, split: Schema.Union([ValidationTags, TestTags]) },
  params: {
    maximumLength: EvaluationStage.maximumLength,
    /** `auto` is `prefixed` where every tag is `O` or begins as `B-`, `I-`, `E-`, `L-`, `S-` or `U-` do. */
    scheme: Stage.withDefault(Scheme, "auto")
  },
  output: TagEvaluation,
  error: Schema.Union([TaggedTokens.TaggedTokensError, EvaluationStage.EvaluationError]),
  ...EvaluationStage.stage,
  run: Effect.fn("EvaluateTags")(function*({ model, split }, params) {
    const { checkpoint, longest, tokenizer } = yield* EvaluationStage.load(model, "token-classification", params)
    const side = split.kind === "test-tags" ? "test" : "validation"
    const labels = Checkpoint.labelsOf(checkpoint.config)
    const scheme = params.scheme !== "auto" ? params.scheme : labels.every((tag) => position.test(tag))
      ? "prefixed"
      : "plain"
    const rows = yield* Artifact.readTable(TaggedWords.TaggedWords, split.examples)
    const encoded = yield* TaggedTokens.encode(tokenizer, rows, { tags: labels, maximumLength: longest })
    const answers = yield* Predict.tag({ checkpoint, examples: encoded })
    let unseenWords = 0
    const predicted = encoded.map(({ labels: supervised, wordStarts }, index) => {
      // The supervised positions are the words' first tokens, in order.
      const positions = Array.from(supervised.keys()).filter((at) => supervised[at] !== ignored)
      const tagAt = new Map(positions.map((at, place) => [at, labels[answers.predicted[index]![place]!]!]))
      return Array.from(wordStarts, (start) => {
        if (start < 0) unseenWords++
        return tagAt.get(start) ?? outside
      })
    })
    const counts = rows.map(({ tags }, index) => Tagging.counts(tags, predicted[index]!, { scheme }))
    const scores = Tagging.score(counts)
    const predictions = yield* Artifact.writeTable(
      "predictions",
      TagPrediction,
      rows.map((row, index) => {
        const { entities, rightTokens, tokens } = counts[index]!
        const sum = (field: "labelled" | "predicted" | "right") =>
          Array.from(entities.values()).reduce((sum, count) => sum + count[field], 0)
        return {
          split: side,
          example: TaggedWords.identity(row),
          words: row.words,
          tags: row.tags,
          predicted: predicted[index]!,
          rightWords: rightTokens,
          entities: sum("labelled"),
          predictedEntities: sum("predicted"),
          rightEntities: sum("right"),
          loss: answers.losses[index]!,
          correct: rightTokens === tokens
        }
      })
    )
    return new TagEvaluation({
      split: side,
      examples: rows.length,
      words: scores.tokens,
      unseenWords,
      loss: answers.meanLoss,
      accuracy: scores.tokenAccuracy,
      precision: scores.precision,
      recall: scores.recall,
      f1: scores.f1,
      f1Macro: scores.f1Macro,
      f1Weighted: scores.f1Weighted,
      entities: scores.support,
      labels,
      perType: scores.perType,
      predictions
    })
  })
})
