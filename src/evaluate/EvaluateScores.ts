/**
 * Evaluation of a fine-tuned regression as a stage.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as ScoredText from "../dataset/ScoredText.ts"
import { TestScores, ValidationScores } from "../dataset/Splits.ts"
import * as PretrainedModel from "../model/PretrainedModel.ts"
import * as Tokenizer from "../model/Tokenizer.ts"
import * as Stage from "../pipeline/Stage.ts"
import * as Artifact from "../store/Artifact.ts"
import * as EvaluationStage from "./EvaluationStage.ts"
import * as Predict from "./Predict.ts"
import * as Regression from "./Regression.ts"

/** What the model gave for one text. */
export const ScorePrediction = Schema.Struct({
  ...EvaluationStage.example,
  text: Schema.String,
  score: Schema.Finite,
  predicted: Schema.Number,
  /** The square of the error. */
  loss: Schema.Number
})
export type ScorePrediction = typeof ScorePrediction.Type

/** How a regression did on one side of a split. NaN throughout if it gave anything that is not a finite number. */
export class ScoreEvaluation extends Schema.Class<ScoreEvaluation>("attune/ScoreEvaluation")({
  kind: Schema.tag("score-evaluation"),
  split: EvaluationStage.Side,
  examples: Schema.Int,
  /** The mean squared error, which is what is trained on. */
  loss: Schema.Number,
  rootMeanSquaredError: Schema.Number,
  meanAbsoluteError: Schema.Number,
  /** The coefficient of determination. */
  r2: Schema.Number,
  /** Pearson's correlation coefficient. */
  pearson: Schema.Number,
  /** Spearman's rank correlation coefficient. */
  spearman: Schema.Number,
  predictions: Artifact.table(ScorePrediction)
}) {}

const nothing = { rootMeanSquaredError: NaN, meanAbsoluteError: NaN, r2: NaN, pearson: NaN, spearman: NaN }

/** Gives a number for every text of a split and compares. Of a text that is too long the end is cut off. */
export const EvaluateScores = Stage.make("evaluate-scores", {
  inputs: { model: PretrainedModel.PretrainedModel, split: Schema.Union([ValidationScores, TestScores]) },
  params: { maximumLength: EvaluationStage.maximumLength },
  output: ScoreEvaluation,
  error: EvaluationStage.EvaluationError,
  ...EvaluationStage.stage,
  run: Effect.fn("EvaluateScores")(function*({ model, split }, params) {
    const { checkpoint, longest, tokenizer, vocabularySize } = yield* EvaluationStage.load(
      model,
      "sequence-regression",
      params
    )
    const side = split.kind === "test-scores" ? "test" : "validation"
    const rows = yield* Artifact.readTable(ScoredText.ScoredText, split.examples)
    const { tokens } = yield* Tokenizer.encodeAll(tokenizer, rows.map(({ text }) => text), {
      vocabularySize,
      maximumLength: longest
    })
    const { losses, meanLoss, predicted } = yield* Predict.score({
      checkpoint,
      examples: rows.map(({ score }, index) => ({ tokens: tokens[index]!, score }))
    })
    const targets = rows.map(({ score }) => score)
    const { meanAbsoluteError, pearson, r2, rootMeanSquaredError, spearman } = predicted.every(Number.isFinite)
      ? Regression.evaluate(targets, predicted)
      : nothing
    const predictions = yield* Artifact.writeTable(
      "predictions",
      ScorePrediction,
      rows.map((row, index) => ({
        split: side,
        example: ScoredText.identity(row),
        text: row.text,
        score: row.score,
        predicted: predicted[index]!,
        loss: losses[index]!
      }))
    )
    return new ScoreEvaluation({
      split: side,
      examples: rows.length,
      loss: meanLoss,
      rootMeanSquaredError,
      meanAbsoluteError,
      r2,
      pearson,
      spearman,
      predictions
    })
  })
})
