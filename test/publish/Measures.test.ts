import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Classification from "../../src/evaluate/Classification.ts"
import { Evaluation, Prediction } from "../../src/evaluate/Evaluate.ts"
import { GenerationEvaluation, GenerationPrediction } from "../../src/evaluate/EvaluateGenerations.ts"
import { LanguageModelEvaluation, LanguageModelPrediction } from "../../src/evaluate/EvaluateLanguageModel.ts"
import { ScoreEvaluation, ScorePrediction } from "../../src/evaluate/EvaluateScores.ts"
import { TagEvaluation, TagPrediction } from "../../src/evaluate/EvaluateTags.ts"
import * as Measures from "../../src/publish/Measures.ts"
import * as Bootstrap from "../../src/statistics/Bootstrap.ts"
import * as Artifact from "../../src/store/Artifact.ts"
import { Store } from "../../src/store/Store.ts"

const split = "test" as const
const at = (index: number) => ({ split, example: `example ${index}` })
const decode = <S extends Schema.Codec<any, any>>(schema: S, value: unknown): S["Type"] =>
  Schema.decodeUnknownSync(schema)(value)

/** The measures by their names, once Effect has read the predictions. */
const measured = Effect.fnUntraced(function*(evaluation: Measures.Any) {
  const scored = yield* Measures.scored(evaluation)
  const everyExample = Uint32Array.from({ length: scored.examples }, (_, index) => index)
  const measures = new Map(Measures.measures(evaluation, scored).map((measure) => [measure.id, measure]))
  // What is resampled is what was measured.
  const whole = Object.entries(scored.scores(everyExample))
  for (const [id, value] of whole) assert.closeTo(value, measures.get(id)!.value, 1e-12, id)
  return { measures, resampled: whole.map(([id]) => id) }
})

describe("Measures", () => {
  it.effect("resamples the examples of a classifier as Bootstrap does", () =>
    Effect.gen(function*() {
      const labels = ["a", "b", "c"]
      const targets = [0, 1, 2, 0, 1, 2, 0], predicted = [0, 1, 1, 0, 2, 2, 1]
      const rows = targets.map((label, index): Prediction => ({
        ...at(index),
        text: "x",
        label: labels[label]!,
        predicted: labels[predicted[index]!]!,
        probability: 0.5,
        loss: index / 10,
        correct: label === predicted[index]
      }))
      const { perClass, ...scores } = Classification.evaluate(targets, predicted, 3)
      const evaluation = new Evaluation({
        ...scores,
        split,
        loss: 0.3,
        labels,
        perClass: perClass.map(({ class: index, ...rest }) => ({ label: labels[index]!, ...rest })),
        predictions: yield* Artifact.writeTable("predictions", Prediction, rows)
      })
      const { measures, resampled } = yield* measured(evaluation)
      assert.sameMembers(resampled, Measures.kindsOf(evaluation).map(({ id }) => id))
      const { lower, upper } = Bootstrap.mean(rows.map(({ correct }) => Number(correct)), { seed: 0 })
      assert.deepStrictEqual(measures.get("accuracy")!.interval, { lower, upper })
      assert.strictEqual(measures.get("accuracy")!.value, 4 / 7)
    }).pipe(Effect.provide(Store.layerMemory)))

  it.effect("sums what sentences have of entities and words", () =>
    Effect.gen(function*() {
      const row = (index: number, counts: Partial<TagPrediction>): TagPrediction => ({
        ...at(index),
        words: ["a", "b"],
        tags: ["O", "B-X"],
        predicted: ["O", "O"],
        rightWords: 1,
        entities: 1,
        predictedEntities: 0,
        rightEntities: 0,
        loss: 0.1,
        correct: false,
        ...counts
      })
      const rows = [row(0, {}), row(1, { rightWords: 2, predictedEntities: 2, rightEntities: 1 }), row(2, {})]
      const evaluation = decode(TagEvaluation, {
        kind: "tag-evaluation",
        split,
        examples: 3,
        words: 6,
        unseenWords: 0,
        loss: 0.1,
        accuracy: 4 / 6,
        precision: 1 / 2,
        recall: 1 / 3,
        f1: 2 / 5,
        f1Macro: 0.4,
        f1Weighted: 0.4,
        entities: 3,
        labels: ["B-X", "O"],
        perType: [],
        predictions: yield* Artifact.writeTable("predictions", TagPrediction, rows)
      })
      const { measures } = yield* measured(evaluation)
      assert.isDefined(measures.get("f1")!.interval)
      assert.isUndefined(measures.get("f1Macro")!.interval)
    }).pipe(Effect.provide(Store.layerMemory)))

  it.effect("takes the errors of a regression, and none where the model gave no numbers", () =>
    Effect.gen(function*() {
      const evaluate = Effect.fnUntraced(function*(predicted: ReadonlyArray<number>, scores: Record<string, number>) {
        const rows = predicted.map((predicted, index): ScorePrediction => ({
          ...at(index),
          text: "x",
          score: index,
          predicted,
          loss: 0
        }))
        const predictions = yield* Artifact.writeTable("predictions", ScorePrediction, rows)
        return new ScoreEvaluation({
          split,
          examples: rows.length,
          loss: 0.25,
          rootMeanSquaredError: 0.5,
          meanAbsoluteError: 0.5,
          r2: 0.8,
          pearson: NaN,
          spearman: 1,
          ...scores,
          predictions
        })
      })
      const { measures } = yield* measured(yield* evaluate([0.5, 1.5, 2.5, 3.5], { pearson: 1 }))
      assert.deepStrictEqual(measures.get("rootMeanSquaredError")!.interval, { lower: 0.5, upper: 0.5 })
      const broken = yield* measured(yield* evaluate([0, NaN, 1, 2], {}))
      assert.deepStrictEqual(broken.resampled, [])
      assert.isUndefined(broken.measures.get("meanAbsoluteError")!.interval)
    }).pipe(Effect.provide(Store.layerMemory)))

  it.effect("lets long texts count for more in a language model's loss", () =>
    Effect.gen(function*() {
      const row = (index: number, tokens: number, nats: number): LanguageModelPrediction => ({
        ...at(index),
        text: "x",
        tokens,
        rightTokens: 1,
        bytes: 2 * tokens,
        characters: tokens,
        nats,
        loss: nats / tokens
      })
      const rows = [row(0, 1, 3), row(1, 9, 9), row(2, 10, 18)]
      const evaluation = new LanguageModelEvaluation({
        split,
        examples: 3,
        truncated: 0,
        dropped: 0,
        tokens: 20,
        bytes: 40,
        loss: 1.5,
        perplexity: Math.exp(1.5),
        bitsPerByte: 30 / (40 * Math.LN2),
        bitsPerCharacter: 30 / (20 * Math.LN2),
        accuracy: 3 / 20,
        predictions: yield* Artifact.writeTable("predictions", LanguageModelPrediction, rows)
      })
      const { measures } = yield* measured(evaluation)
      const { lower, upper } = measures.get("loss")!.interval!
      assert.deepStrictEqual([lower, upper], [1, 3])
    }).pipe(Effect.provide(Store.layerMemory)))

  it.effect("scores what was generated", () =>
    Effect.gen(function*() {
      const row = (index: number, generated: string): GenerationPrediction => ({
        ...at(index),
        prompt: "p",
        reference: "the cat sat on the mat",
        generated,
        exactMatch: generated === "the cat sat on the mat",
        normalizedExactMatch: false,
        tokenF1: 0.5,
        rougeL: 0.25,
        tokens: 3,
        stopped: "end-of-text"
      })
      const rows = [row(0, "the cat sat on the mat"), row(1, "the cat sat on the mat"), row(2, "a dog")]
      const evaluation = new GenerationEvaluation({
        split,
        examples: 3,
        exactMatch: 2 / 3,
        normalizedExactMatch: 0,
        tokenF1: 0.5,
        rougeL: 0.25,
        // sacrebleu: 14 words against 18, every n-gram of four right ones but two words.
        bleu: 100 * Math.exp(1 - 18 / 14) * (12 / 14 * 10 / 11) ** 0.25,
        chrf: 50,
        tokens: 9,
        stopped: { endOfText: 3, stopString: 0, maximumNewTokens: 0, positions: 0 },
        predictions: yield* Artifact.writeTable("predictions", GenerationPrediction, rows)
      })
      const { measures } = yield* measured(evaluation)
      assert.deepStrictEqual(measures.get("exactMatch")!.interval, { lower: 0, upper: 1 })
      assert.isDefined(measures.get("bleu")!.interval)
      assert.isUndefined(measures.get("chrf")!.interval)
    }).pipe(Effect.provide(Store.layerMemory)))
})
