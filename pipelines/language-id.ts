/**
 * The main job: which language is a name in? Fine-tunes a small pre-trained
 * model on two dozen labelled names a language, searches the hyperparameters
 * that matter, and opens the test split once, for the model it selected.
 *
 *     npx attune run pipelines/language-id.ts
 */
import {
  Artifact,
  Bootstrap,
  Evaluate,
  Evaluation,
  fineTuneThrough,
  InitializeModel,
  LoadModel,
  Node,
  OpenTest,
  Pipeline,
  Prediction,
  Source,
  Space,
  Stage,
  Study,
  SuccessiveHalving
} from "attune"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { names } from "./names.ts"

const space = Space.make({
  learningRate: Space.logUniform(1e-4, 2e-2, { default: 5e-4 }),
  batchSize: Space.choice([8, 16, 32, 64], { default: 32 }),
  epochs: Space.choice([6, 12, 18], { default: 6 }),
  weightDecay: Space.logUniform(1e-3, 0.3, { default: 1e-2 }),
  warmupRatio: Space.uniform(0, 0.3, { default: 0.1 }),
  dropout: Space.uniform(0, 0.3, { default: 0.1 })
})
type Params = Space.Type<typeof space>

/** Epochs after which trials are compared; a third of them goes on each time. */
const rungs = [2, 6, 18]

const base = LoadModel({ files: Source.folder(new URL("../data/base/", import.meta.url)) })
const train = Node.at(names, "train")
const validation = Node.at(names, "validation")

/** Fine-tunes from a model and evaluates on validation data. */
const trial = (model: typeof base, params: Params, budgets: ReadonlyArray<number>, seed: number) => {
  const tuned = fineTuneThrough({ model, train }, { ...params, schedule: "cosine", seed }, budgets)
  return Node.all({
    model: Node.at(tuned, "model"),
    evaluation: Evaluate({ model: Node.at(tuned, "model"), split: validation })
  })
}

const Trial = Schema.Struct({
  trial: Schema.Int,
  status: Schema.String,
  params: space.schema,
  budget: Schema.Finite,
  value: Schema.NullOr(Schema.Finite)
})

/** Says in words what the study found. */
const Summarize = Stage.make("summarize", {
  inputs: {
    trials: Schema.Array(Trial),
    spent: Schema.Finite,
    fullCost: Schema.Finite,
    selected: Evaluation,
    defaults: Evaluation,
    scratch: Evaluation,
    test: Evaluation
  },
  params: {},
  output: Schema.String,
  run: Effect.fn("Summarize")(function*({ defaults, fullCost, scratch, selected, spent, test, trials }) {
    const correct = (evaluation: Evaluation) =>
      Effect.map(
        Artifact.readTable(Prediction, evaluation.predictions),
        (rows) => rows.map((row) => Number(row.correct))
      )
    const chosen = yield* correct(selected)
    const percent = (value: number) => `${(100 * value).toFixed(1)} %`
    const range = ({ lower, upper }: Bootstrap.Interval) => `${percent(lower)} to ${percent(upper)}`
    const comparison = Effect.fnUntraced(function*(name: string, other: Evaluation) {
      const gain = Bootstrap.pairedMeanDifference(chosen, yield* correct(other), { seed: 0 })
      const points = (value: number) => `${value < 0 ? "-" : "+"}${Math.abs(100 * value).toFixed(1)}`
      return `  ${name.padEnd(34)}${percent(other.accuracy).padStart(8)}${other.f1Macro.toFixed(3).padStart(10)}${
        other.loss.toFixed(3).padStart(8)
      }   selected is ${points(gain.estimate)} points (95 %: ${points(gain.lower)} to ${points(gain.upper)})`
    })
    const row = ({ budget, params, status, trial, value }: typeof Trial.Type) =>
      `${String(trial).padStart(7)}  ${status.padEnd(10)}${String(budget).padStart(6)}  ${
        (value === null ? "-" : percent(value)).padStart(8)
      }  ${params.learningRate.toExponential(1).padStart(8)}${String(params.batchSize).padStart(7)}${
        String(params.epochs).padStart(8)
      }${params.weightDecay.toFixed(3).padStart(8)}${params.warmupRatio.toFixed(2).padStart(8)}${
        params.dropout.toFixed(2).padStart(9)
      }`
    const best = trials.toSorted((a, b) => b.budget - a.budget || (b.value ?? -1) - (a.value ?? -1))
    const interval = Bootstrap.mean(yield* correct(test), { seed: 0 })
    return [
      `Which language is this name in? ${selected.labels.length} languages, ${trials.length} trials.`,
      "",
      "  trial  status    epochs  accuracy  learning  batch  epochs  weight  warm-up  dropout",
      "                           (valid.)      rate   size    in all   decay   ratio",
      ...best.slice(0, 10).map(row),
      "",
      `On the ${selected.examples} validation names (chance: ${percent(1 / selected.labels.length)}):`,
      "",
      `  ${"".padEnd(34)}accuracy  macro-F1    loss`,
      `  ${"selected hyperparameters".padEnd(34)}${percent(selected.accuracy).padStart(8)}${
        selected.f1Macro.toFixed(3).padStart(10)
      }${selected.loss.toFixed(3).padStart(8)}`,
      yield* comparison("default hyperparameters", defaults),
      yield* comparison("selected, trained from scratch", scratch),
      "",
      `On the ${test.examples} test names, opened once for the selected model:`,
      `  accuracy ${percent(test.accuracy)} (95 % interval ${range(interval)}), macro-F1 ${
        test.f1Macro.toFixed(3)
      }, loss ${test.loss.toFixed(3)}`,
      "",
      `Budget: ${spent} epochs over all trials; every trial to the end would have taken ${fullCost}.`
    ].join("\n")
  })
})

export default Pipeline.make({
  settings: {
    trials: Stage.withDefault(Schema.Int.check(Schema.isGreaterThan(0)), 27),
    seed: Stage.withDefault(Schema.Int, 0)
  },
  node: ({ seed, trials }) => {
    const study = Study.make("language-id", {
      space,
      scheduler: SuccessiveHalving.make({ budgets: rungs }),
      trials,
      seed,
      maximize: "evaluation.accuracy",
      trial: (params, { budgets }) => trial(base, params, budgets, seed)
    })
    const best = Node.at(study, "best")
    const defaults = trial(base, Space.defaults(space), rungs, seed)
    const scratch = Node.bind("from scratch", Node.at(best, "params"), {
      example: Space.defaults(space),
      node: (params) => trial(InitializeModel({ like: base }, { seed }), params, rungs, seed)
    })
    const test = OpenTest({ sealed: Node.at(names, "test"), selection: Node.at(study, "selection") })
    return Summarize({
      trials: Node.at(study, "trials"),
      spent: Node.at(study, "spent"),
      fullCost: Node.at(study, "fullCost"),
      selected: Node.at(best, "output", "evaluation"),
      defaults: Node.at(defaults, "evaluation"),
      scratch: Node.at(scratch, "evaluation"),
      test: Evaluate({ model: Node.at(best, "output", "model"), split: test })
    })
  }
})
