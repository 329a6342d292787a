/**
 * Evaluation of a fine-tuned classifier as a stage.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as LabeledText from "../dataset/LabeledText.ts"
import { TestSplit, ValidationSplit } from "../dataset/Splits.ts"
import * as Checkpoint from "../model/Checkpoint.ts"
import { InvalidExample } from "../model/Examples.ts"
import * as PretrainedModel from "../model/PretrainedModel.ts"
import * as Tokenizer from "../model/Tokenizer.ts"
import * as Stage from "../pipeline/Stage.ts"
import * as Artifact from "../store/Artifact.ts"
import * as Classification from "./Classification.ts"
import * as EvaluationStage from "./EvaluationStage.ts"
import * as Predict from "./Predict.ts"

/** What the model said of one example. */
export const Prediction = Schema.Struct({
  /** Which side of the split the example is on. */
  split: Schema.String,
  /** Digest of the example's content: the same in every trial. */
  example: Schema.String,
  text: Schema.String,
  label: Schema.String,
  predicted: Schema.String,
  /** The probability of the predicted class. */
  probability: Schema.Finite,
  /** Minus the logarithm of the label's probability, in nats. */
  loss: Schema.Number,
  correct: Schema.Boolean
})
export type Prediction = typeof Prediction.Type

/** How one class fared. */
export const ClassScores = Schema.Struct({
  label: Schema.String,
  precision: Schema.Number,
  recall: Schema.Number,
  f1: Schema.Number,
  support: Schema.Int
})

/** How a classifier did on one side of a split. */
export class Evaluation extends Schema.Class<Evaluation>("attune/Evaluation")({
  kind: Schema.tag("evaluation"),
  split: Schema.Literals(["validation", "test"]),
  examples: Schema.Int,
  /** Mean cross-entropy, in nats. */
  loss: Schema.Number,
  accuracy: Schema.Number,
  /** The mean recall of the classes that have an example. */
  balancedAccuracy: Schema.Number,
  /** The macro scores are means over the classes that occur. */
  precisionMacro: Schema.Number,
  recallMacro: Schema.Number,
  f1Macro: Schema.Number,
  /** The mean over the classes, each counting as often as it is a label. */
  f1Weighted: Schema.Number,
  /** Matthews's correlation coefficient. */
  matthews: Schema.Number,
  labels: Schema.Array(Schema.String),
  /** `confusion[i][j]`: how many examples of label i were taken for label j. */
  confusion: Schema.Array(Schema.Array(Schema.Int)),
  perClass: Schema.Array(ClassScores),
  predictions: Artifact.table(Prediction)
}) {}

/** Classifies every example of a split and scores the answers. Long texts are cut as in fine-tuning. */
export const Evaluate = Stage.make("evaluate", {
  inputs: {
    model: PretrainedModel.PretrainedModel,
    split: Schema.Union([ValidationSplit, TestSplit])
  },
  params: { maximumLength: EvaluationStage.maximumLength },
  output: Evaluation,
  error: EvaluationStage.EvaluationError,
  ...EvaluationStage.stage,
  run: Effect.fn("Evaluate")(function*({ model, split }, params) {
    const { checkpoint, longest, tokenizer, vocabularySize } = yield* EvaluationStage.load(
      model,
      "sequence-classification",
      params
    )
    const labels = Checkpoint.labelsOf(checkpoint.config)
    const rows = yield* Artifact.readTable(LabeledText.LabeledText, split.examples)
    const texts = rows.map((row) => row.text)
    const { tokens } = yield* Tokenizer.encodeAll(tokenizer, texts, { vocabularySize, maximumLength: longest })
    const indexOf = new Map(labels.map((label, index) => [label, index]))
    const unknown = rows.findIndex((row) => !indexOf.has(row.label))
    if (unknown >= 0) {
      return yield* InvalidExample.unknownLabel(unknown, rows[unknown]!, labels)
    }
    const targets = Int32Array.from(rows, (row) => indexOf.get(row.label)!)
    const answers = yield* Predict.classify({
      checkpoint,
      examples: rows.map((_, index) => ({ tokens: tokens[index]!, label: targets[index]! }))
    })
    const confusion = Classification.confusion(targets, answers.predicted, labels.length)
    const scores = Classification.score(confusion)
    const predictions = yield* Artifact.writeTable(
      "predictions",
      Prediction,
      rows.map(({ label, text }, index) => {
        const predicted = answers.predicted[index]!
        return {
          split: split.kind,
          example: LabeledText.identity({ text, label }),
          text,
          label,
          predicted: labels[predicted]!,
          probability: answers.probabilities[index * labels.length + predicted]!,
          loss: answers.losses[index]!,
          correct: predicted === targets[index]
        }
      })
    )
    return new Evaluation({
      split: split.kind,
      examples: rows.length,
      loss: answers.meanLoss,
      accuracy: scores.accuracy,
      balancedAccuracy: scores.balancedAccuracy,
      precisionMacro: scores.precisionMacro,
      recallMacro: scores.recallMacro,
      f1Macro: scores.f1Macro,
      f1Weighted: scores.f1Weighted,
      matthews: scores.matthews,
      labels,
      confusion: labels.map((_, i) =>
        Array.from(confusion.counts.subarray(i * labels.length, (i + 1) * labels.length))
      ),
      perClass: Classification.perClass(confusion).map(({ class: index, ...rest }) => ({
        label: labels[index]!,
        ...rest
      })),
      predictions
    })
  })
})
