/**
 * What an evaluation measured, whatever its kind: numbers with the names that people and the Hugging Face hub know them by,
 * each with an interval where it can be computed from the examples.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Bleu from "../evaluate/Bleu.ts"
import * as Classification from "../evaluate/Classification.ts"
import { Evaluation, Prediction } from "../evaluate/Evaluate.ts"
import { GenerationEvaluation, GenerationPrediction } from "../evaluate/EvaluateGenerations.ts"
import { LanguageModelEvaluation, LanguageModelPrediction } from "../evaluate/EvaluateLanguageModel.ts"
import { ScoreEvaluation, ScorePrediction } from "../evaluate/EvaluateScores.ts"
import { TagEvaluation, TagPrediction } from "../evaluate/EvaluateTags.ts"
import * as LanguageModel from "../evaluate/LanguageModel.ts"
import * as Regression from "../evaluate/Regression.ts"
import * as Bootstrap from "../statistics/Bootstrap.ts"
import type * as TwoWayBootstrap from "../statistics/TwoWayBootstrap.ts"
import * as Artifact from "../store/Artifact.ts"
import type { Store } from "../store/Store.ts"
import type { StoreError } from "../store/StoreError.ts"

/** An evaluation of any kind of task. */
export const Any = Schema.Union([
  Evaluation,
  TagEvaluation,
  ScoreEvaluation,
  LanguageModelEvaluation,
  GenerationEvaluation
])
export type Any = typeof Any.Type

/** How a measure is called and read. */
export interface Kind {
  /** The field of the evaluation. */
  readonly id: string
  readonly title: string
  /** The metric's name on the hub. */
  readonly hub: string
  /** Whether it is a share of the whole, between 0 and 1. */
  readonly share: boolean
  readonly better: "higher" | "lower"
}

const kind = (id: string, title: string, hub: string, share: boolean, better: Kind["better"] = "higher"): Kind => ({
  id,
  title,
  hub,
  share,
  better
})

const loss = kind("loss", "Loss (nats)", "loss", false, "lower")

/** The measures of each kind of evaluation, the one to look at first in front. */
const kinds = {
  evaluation: [
    kind("accuracy", "Accuracy", "accuracy", true),
    kind("balancedAccuracy", "Balanced accuracy", "balanced_accuracy", true),
    kind("f1Macro", "Macro-F1", "f1", false),
    kind("precisionMacro", "Macro-precision", "precision", false),
    kind("recallMacro", "Macro-recall", "recall", false),
    kind("f1Weighted", "Weighted F1", "f1", false),
    kind("matthews", "Matthews's correlation", "matthews_correlation", false),
    loss
  ],
  "tag-evaluation": [
    kind("f1", "F1 of entities", "f1", false),
    kind("precision", "Precision of entities", "precision", false),
    kind("recall", "Recall of entities", "recall", false),
    kind("accuracy", "Accuracy of words", "accuracy", true),
    kind("f1Macro", "Macro-F1 of entities", "f1", false),
    kind("f1Weighted", "Weighted F1 of entities", "f1", false),
    loss
  ],
  "score-evaluation": [
    kind("rootMeanSquaredError", "Root mean squared error", "rmse", false, "lower"),
    kind("meanAbsoluteError", "Mean absolute error", "mae", false, "lower"),
    kind("r2", "R²", "r_squared", false),
    kind("pearson", "Pearson's correlation", "pearsonr", false),
    kind("spearman", "Spearman's correlation", "spearmanr", false)
  ],
  "language-model-evaluation": [
    kind("loss", "Loss (nats per token)", "loss", false, "lower"),
    kind("perplexity", "Perplexity", "perplexity", false, "lower"),
    kind("bitsPerByte", "Bits per byte", "bits_per_byte", false, "lower"),
    kind("bitsPerCharacter", "Bits per character", "bits_per_character", false, "lower"),
    kind("accuracy", "Accuracy of tokens", "accuracy", true)
  ],
  "generation-evaluation": [
    kind("exactMatch", "Exact match", "exact_match", true),
    kind("normalizedExactMatch", "Exact match, normalized as for SQuAD", "exact_match", true),
    kind("tokenF1", "F1 of words", "f1", false),
    kind("rougeL", "ROUGE-L", "rouge", false),
    kind("bleu", "BLEU", "bleu", false),
    kind("chrf", "chrF", "chrf", false)
  ]
} as const satisfies Readonly<Record<Any["kind"], readonly [Kind, ...ReadonlyArray<Kind>]>>

/** The measures of an evaluation's kind. */
export const kindsOf = (evaluation: Any): readonly [Kind, ...ReadonlyArray<Kind>] => kinds[evaluation.kind]

/** What the evaluation says of a measure. */
export const valueOf = (evaluation: Any, { id }: Kind): number => {
  const value = (evaluation as unknown as Readonly<Record<string, unknown>>)[id]
  return typeof value === "number" ? value : NaN
}

/** An evaluation by its examples. */
export interface Scored {
  readonly examples: number
  /** Digests of the examples, in order. */
  readonly identities: ReadonlyArray<string>
  /** Measures on a selection of the examples, given by their indices, repeats included; by {@link Kind.id}. */
  readonly scores: (examples: Uint32Array) => Readonly<Record<string, number>>
  /** The first measure of the kind alone, where that is less work. */
  readonly first?: (examples: Uint32Array) => number
}

const total = (values: ArrayLike<number>, examples: Uint32Array): number => {
  let sum = 0
  for (let i = 0; i < examples.length; i++) sum += values[examples[i]!]!
  return sum
}

const mean = (values: ArrayLike<number>, examples: Uint32Array): number => total(values, examples) / examples.length

const numbers = <Row>(rows: ReadonlyArray<Row>, of: (row: Row) => number | boolean): Float64Array =>
  Float64Array.from(rows, (row) => Number(of(row)))

const ratio = (part: number, whole: number): number => whole === 0 ? 0 : part / whole

const identitiesOf = (rows: ReadonlyArray<{ readonly example: string }>) => rows.map(({ example }) => example)

const classification = (labels: ReadonlyArray<string>, rows: ReadonlyArray<Prediction>): Scored["scores"] => {
  const indexOf = new Map(labels.map((label, index) => [label, index]))
  const targets = Int32Array.from(rows, ({ label }) => indexOf.get(label)!)
  const predicted = Int32Array.from(rows, (row) => indexOf.get(row.predicted)!)
  const losses = numbers(rows, (row) => row.loss)
  return (examples) => {
    const { accuracy, balancedAccuracy, f1Macro, f1Weighted, matthews, precisionMacro, recallMacro } = Classification
      .score(Classification.confusion(targets, predicted, labels.length, examples))
    return {
      accuracy,
      balancedAccuracy,
      f1Macro,
      f1Weighted,
      matthews,
      precisionMacro,
      recallMacro,
      loss: mean(losses, examples)
    }
  }
}

/** The averages over types of entities are not sums over sentences: they have no interval. */
const tagging = (rows: ReadonlyArray<TagPrediction>): Scored["scores"] => {
  const words = numbers(rows, (row) => row.words.length), rightWords = numbers(rows, (row) => row.rightWords)
  const labelled = numbers(rows, (row) => row.entities), predicted = numbers(rows, (row) => row.predictedEntities)
  const right = numbers(rows, (row) => row.rightEntities)
  return (examples) => {
    const hits = total(right, examples), found = total(predicted, examples), there = total(labelled, examples)
    return {
      f1: ratio(2 * hits, found + there),
      precision: ratio(hits, found),
      recall: ratio(hits, there),
      accuracy: ratio(total(rightWords, examples), total(words, examples))
    }
  }
}

const regression = (rows: ReadonlyArray<ScorePrediction>): Scored["scores"] => {
  const targets = numbers(rows, (row) => row.score), predicted = numbers(rows, (row) => row.predicted)
  return (examples) => ({
    rootMeanSquaredError: Regression.rootMeanSquaredError(targets, predicted, examples),
    meanAbsoluteError: Regression.meanAbsoluteError(targets, predicted, examples),
    r2: Regression.r2(targets, predicted, examples),
    pearson: Regression.pearson(targets, predicted, examples),
    spearman: Regression.spearman(targets, predicted, examples)
  })
}

const languageModel = (rows: ReadonlyArray<LanguageModelPrediction>): Scored["scores"] => {
  const tokens = numbers(rows, (row) => row.tokens), right = numbers(rows, (row) => row.rightTokens)
  return (examples) => {
    const { bitsPerByte, bitsPerCharacter, meanLoss, perplexity } = LanguageModel.score(rows, examples)
    return {
      loss: meanLoss,
      perplexity,
      bitsPerByte,
      bitsPerCharacter,
      accuracy: ratio(total(right, examples), total(tokens, examples))
    }
  }
}

const generation = (rows: ReadonlyArray<GenerationPrediction>): Scored["scores"] => {
  const exactMatch = numbers(rows, (row) => row.exactMatch)
  const normalizedExactMatch = numbers(rows, (row) => row.normalizedExactMatch)
  const tokenF1 = numbers(rows, (row) => row.tokenF1), rougeL = numbers(rows, (row) => row.rougeL)
  const counts = rows.map(({ generated, reference }) => Bleu.counts(generated, [reference]))
  return (examples) => ({
    exactMatch: mean(exactMatch, examples),
    normalizedExactMatch: mean(normalizedExactMatch, examples),
    tokenF1: mean(tokenF1, examples),
    rougeL: mean(rougeL, examples),
    bleu: Bleu.score(counts, examples).bleu
  })
}

/** Reads the predictions of an evaluation. */
export const scored = Effect.fnUntraced(function*(evaluation: Any): Effect.fn.Return<Scored, StoreError, Store> {
  const by = (rows: ReadonlyArray<{ readonly example: string }>, scores: Scored["scores"]) => ({
    examples: rows.length,
    identities: identitiesOf(rows),
    scores
  })
  switch (evaluation.kind) {
    case "evaluation": {
      const rows = yield* Artifact.readTable(Prediction, evaluation.predictions)
      const correct = numbers(rows, (row) => row.correct)
      return { ...by(rows, classification(evaluation.labels, rows)), first: (examples) => mean(correct, examples) }
    }
    case "tag-evaluation": {
      const rows = yield* Artifact.readTable(TagPrediction, evaluation.predictions)
      return by(rows, tagging(rows))
    }
    case "score-evaluation": {
      const rows = yield* Artifact.readTable(ScorePrediction, evaluation.predictions)
      // A model that gave something else than numbers has no scores.
      return by(rows, rows.every(({ predicted }) => Number.isFinite(predicted)) ? regression(rows) : () => ({}))
    }
    case "language-model-evaluation": {
      const rows = yield* Artifact.readTable(LanguageModelPrediction, evaluation.predictions)
      return by(rows, languageModel(rows))
    }
    case "generation-evaluation": {
      const rows = yield* Artifact.readTable(GenerationPrediction, evaluation.predictions)
      return by(rows, generation(rows))
    }
  }
})

/** A number with its interval, where there is one. */
export interface Measure extends Kind {
  readonly value: number
  readonly interval?: { readonly lower: number; readonly upper: number }
}

/** Of resamples whose intervals are shown. */
export const resamples = 2000

/**
 * The measures of one model on one side of a split. Intervals are percentile intervals of 95 % over the examples, all from
 * the same resamples.
 */
export const measures = (evaluation: Any, scored: Scored): ReadonlyArray<Measure> => {
  const draws: Array<Readonly<Record<string, number>>> = []
  if (scored.examples > 1) {
    Bootstrap.interval(scored.examples, (examples) => {
      draws.push(scored.scores(examples))
      return 0
    }, { seed: 0, resamples })
  }
  return kindsOf(evaluation).map((kind): Measure => {
    const value = valueOf(evaluation, kind)
    // The first draw is of the examples as they are.
    const drawn = Float64Array.from(draws.slice(1), (draw) => draw[kind.id] ?? NaN)
    if (drawn.length === 0 || !drawn.every(Number.isFinite)) return { ...kind, value }
    const { lower, upper } = Bootstrap.fromDraws(value, drawn, 0.95)
    return { ...kind, value, interval: { lower, upper } }
  })
}

/** Several seeds of one way of training, for the first measure of their kind. */
export const system = (seeds: ReadonlyArray<Scored>, { id }: Kind): TwoWayBootstrap.System => ({
  seeds: seeds.length,
  statistic: (seed, examples) => {
    const { first, scores } = seeds[seed]!
    return first === undefined ? scores(examples)[id] ?? NaN : first(examples)
  }
})
