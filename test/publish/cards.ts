/** Facts of a model that was never trained: to see what is said of them. */
import * as Classification from "../../src/evaluate/Classification.ts"
import { Evaluation } from "../../src/evaluate/Evaluate.ts"
import { Selection } from "../../src/pipeline/Selection.ts"
import * as Facts from "../../src/publish/Facts.ts"
import * as Measures from "../../src/publish/Measures.ts"

const digest = (letter: string) => letter.repeat(64)

const table = (name: string, rows: number, letter: string) => ({
  $artifact: "table" as const,
  name,
  digest: digest(letter),
  sha256: digest(letter),
  bytes: 1,
  rows,
  extension: "parquet" as const
})

/** An evaluation whose predictions are these, and how each is scored. */
export const evaluated = (
  split: "validation" | "test",
  labels: ReadonlyArray<string>,
  targets: ReadonlyArray<number>,
  predicted: ReadonlyArray<number>
): Facts.Evaluated => {
  const scores = Classification.evaluate(targets, predicted, labels.length)
  const {
    accuracy,
    balancedAccuracy,
    confusion,
    f1Macro,
    f1Weighted,
    matthews,
    perClass,
    precisionMacro,
    recallMacro
  } = scores
  const evaluation = new Evaluation({
    split,
    examples: targets.length,
    loss: 0.5,
    accuracy,
    balancedAccuracy,
    precisionMacro,
    recallMacro,
    f1Macro,
    f1Weighted,
    matthews,
    labels,
    confusion,
    perClass: perClass.map(({ class: index, ...rest }) => ({ label: labels[index]!, ...rest })),
    predictions: table("predictions", targets.length, "e")
  })
  const measures = Measures.measures(evaluation, {
    examples: targets.length,
    identities: targets.map(String),
    scores: (examples) => {
      const of = Classification.score(Classification.confusion(targets, predicted, labels.length, examples))
      return { accuracy: of.accuracy, f1Macro: of.f1Macro }
    }
  })
  return { evaluation, measures }
}

/** Twelve trials in two rungs, better with every number; the selected one is the last. */
export const study = (name: string, params: Facts.Hyperparameters): Facts.Study => ({
  best: { trial: 11, params, budget: 6, value: 0.75 },
  trials: Array.from({ length: 12 }, (_, trial) => ({
    trial,
    status: trial === 0 ? "failed" : trial < 8 ? "stopped" : "completed",
    params: trial === 11 ? params : { ...params, learningRate: 1e-3 * (trial + 1) },
    budget: trial < 8 ? 2 : 6,
    value: trial === 0 ? null : trial < 8 ? 0.1 * trial : 0.75 - 0.05 * (11 - trial)
  })),
  selection: new Selection({ study: name, trial: 11, metric: "evaluation.accuracy", value: 0.75 }),
  spent: 36,
  fullCost: 72
})

export interface Options {
  readonly about?: typeof Facts.About["~type.make.in"]
  readonly labels?: ReadonlyArray<string>
  readonly change?: Partial<Facts.Facts>
}

/** All there is to know of a classifier. */
export const facts = ({ about, change, labels = ["english", "german"] }: Options = {}): Facts.Facts => ({
  about: Facts.About.make(
    about ?? {
      name: "tickets",
      base: "somebody/base",
      license: "apache-2.0",
      languages: ["en", "de"],
      datasets: ["somebody/tickets"],
      hyperparameters: { schedule: "cosine" },
      pipeline: "pipelines/tickets.ts",
      settings: { trials: 12 }
    }
  ),
  head: "sequence-classification",
  architecture: "GPT2ForSequenceClassification",
  parameters: 366_912,
  maximumLength: 64,
  labels,
  hasChatTemplate: false,
  adapter: undefined,
  base: "somebody/base",
  baseModel: undefined,
  files: [{ name: "config.json", bytes: 713, sha256: digest("a") }],
  data: {
    train: { examples: table("train", 1234, "b"), labels },
    validation: { examples: table("validation", 16, "c"), labels },
    test: { examples: table("test", 8, "d"), labels }
  },
  study: study("tickets", { learningRate: 0.012345678, batchSize: 4 }),
  training: { steps: 42, totalSteps: 42, epochs: 6, stoppedEarly: false, best: { loss: 0.5, epochs: 5 } },
  validation: evaluated("validation", labels, [0, 0, 1, 1], [0, 0, 1, 0]),
  test: evaluated("test", labels, [0, 0, 1, 1, 0, 1, 0, 1], [0, 1, 1, 1, 0, 0, 0, 1]),
  comparison: undefined,
  environment: {
    versions: { attune: "1.2.3", node: "24.0.0" },
    backend: { name: "wasm", version: "4.22.0", determinism: "exact" }
  },
  ...change
})
