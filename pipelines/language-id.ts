/**
 * The main job: which language is a name in? Fine-tunes a small pre-trained
 * model on two dozen labelled names a language, searches the hyperparameters
 * that matter, trains what it selected with other seeds too, and opens the test
 * split once, for the model it selected.
 *
 *     npx attune run pipelines/language-id.ts
 *
 * The selected model comes with a model card; `--export <folder>` copies both, for transformers to load.
 */
import {
  Artifact,
  Asha,
  Bootstrap,
  Evaluate,
  Evaluation,
  fineTuneThrough,
  InitializeModel,
  LoadModel,
  Node,
  OpenTest,
  PackageModel,
  Pipeline,
  Prediction,
  Source,
  Space,
  Stage,
  Study
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

/** Epochs after which trials are compared; the best third goes on each time. */
const rungs = [2, 6, 18]

const base = LoadModel({ files: Source.folder(new URL("../data/base/", import.meta.url)) })
const train = Node.at(names, "train")
const validation = Node.at(names, "validation")

/** Fine-tunes from a model, up to each budget in turn. */
const fineTune = (model: typeof base, params: Params, budgets: ReadonlyArray<number>, seed: number) =>
  fineTuneThrough({ model, train }, { ...params, schedule: "cosine", seed }, budgets)

/** The same, and evaluates on validation data. */
const trial = (...args: Parameters<typeof fineTune>) => {
  const model = Node.at(fineTune(...args), "model")
  return Node.all({ model, evaluation: Evaluate({ model, split: validation }) })
}

const Trial = Schema.Struct({
  trial: Schema.Int,
  status: Schema.String,
  params: space.schema,
  budget: Schema.Finite,
  value: Schema.NullOr(Schema.Finite)
})

const Finalist = Schema.Struct({
  trial: Schema.Int,
  mean: Schema.NullOr(Schema.Finite),
  standardError: Schema.NullOr(Schema.Finite)
})

/** Says in words what the study found. */
const Summarize = Stage.make("summarize", {
  inputs: {
    trials: Schema.Array(Trial),
    finalists: Schema.Array(Finalist),
    indistinguishable: Schema.Array(Schema.Int),
    spent: Schema.Finite,
    spentOnFinalists: Schema.Finite,
    fullCost: Schema.Finite,
    /** One for each seed; the first is that of the study. */
    selected: Schema.NonEmptyArray(Evaluation),
    defaults: Schema.NonEmptyArray(Evaluation),
    scratch: Schema.NonEmptyArray(Evaluation),
    test: Evaluation
  },
  params: {},
  output: Schema.String,
  run: Effect.fn("Summarize")(function*(
    { defaults, finalists, fullCost, indistinguishable, scratch, selected, spent, spentOnFinalists, test, trials }
  ) {
    const correct = (evaluation: Evaluation) =>
      Effect.map(
        Artifact.readTable(Prediction, evaluation.predictions),
        (rows) => rows.map((row) => Number(row.correct))
      )
    /** How often each example was classified correctly, over the seeds. */
    const perExample = Effect.fnUntraced(function*(evaluations: ReadonlyArray<Evaluation>) {
      const seeds = yield* Effect.forEach(evaluations, correct)
      return seeds[0]!.map((_, example) => seeds.reduce((sum, seed) => sum + seed[example]!, 0) / seeds.length)
    })
    const mean = (values: ReadonlyArray<number>) => values.reduce((sum, value) => sum + value, 0) / values.length
    const chosen = yield* perExample(selected)
    const percent = (value: number) => `${(100 * value).toFixed(1)} %`
    const range = ({ lower, upper }: Bootstrap.Interval) => `${percent(lower)} to ${percent(upper)}`
    const points = (value: number) => `${value < 0 ? "-" : "+"}${Math.abs(100 * value).toFixed(1)}`
    const evaluated = (name: string, all: ReadonlyArray<Evaluation>) => {
      const accuracies = all.map(({ accuracy }) => accuracy)
      return `  ${name.padEnd(30)}${percent(mean(accuracies)).padStart(8)}${
        `${percent(Math.min(...accuracies))} to ${percent(Math.max(...accuracies))}`.padStart(19)
      }${mean(all.map(({ f1Macro }) => f1Macro)).toFixed(3).padStart(10)}${
        mean(all.map(({ loss }) => loss)).toFixed(3).padStart(8)
      }`
    }
    const against = Effect.fnUntraced(function*(name: string, others: ReadonlyArray<Evaluation>) {
      const gain = Bootstrap.pairedMeanDifference(chosen, yield* perExample(others), { seed: 0 })
      return `  ${name.padEnd(30)}${points(gain.estimate)} points (95 % interval ${points(gain.lower)} to ${
        points(gain.upper)
      })`
    })
    const row = ({ budget, params, status, trial, value }: typeof Trial.Type) =>
      `${String(trial).padStart(7)}  ${status.padEnd(10)}${String(budget).padStart(6)}  ${
        (value === null ? "-" : percent(value)).padStart(8)
      }  ${params.learningRate.toExponential(1).padStart(8)}${String(params.batchSize).padStart(7)}${
        String(params.epochs).padStart(8)
      }${params.weightDecay.toFixed(3).padStart(8)}${params.warmupRatio.toFixed(2).padStart(8)}${
        params.dropout.toFixed(2).padStart(9)
      }`
    const finalist = ({ mean, standardError, trial }: typeof Finalist.Type, place: number) =>
      `${String(trial).padStart(7)}  ${(mean === null ? "failed" : percent(mean)).padStart(8)} ± ${
        standardError === null ? "-" : (100 * standardError).toFixed(1)
      }${
        place === 0 ?
          "  selected"
          : indistinguishable.includes(trial) ?
          "  not clearly worse, at the level of 5 %"
          : "  worse"
      }`
    const best = trials.toSorted((a, b) => b.budget - a.budget || (b.value ?? -1) - (a.value ?? -1))
    const interval = Bootstrap.mean(yield* correct(test), { seed: 0 })
    return [
      `Which language is this name in? ${selected[0].labels.length} languages, ${trials.length} trials.`,
      "",
      "  trial  status    epochs  accuracy  learning  batch  epochs  weight  warm-up  dropout",
      "                           (valid.)      rate   size    in all   decay   ratio",
      ...best.slice(0, 10).map(row),
      "",
      "Trained again with two other seeds, which decide:",
      "",
      ...finalists.map(finalist),
      "",
      `On the ${selected[0].examples} validation names (chance: ${
        percent(1 / selected[0].labels.length)
      }), each trained ${selected.length === 1 ? "once" : `with ${selected.length} seeds`}:`,
      "",
      `  ${"".padEnd(30)}accuracy   lowest, highest  macro-F1    loss`,
      evaluated("selected hyperparameters", selected),
      evaluated("default hyperparameters", defaults),
      evaluated("selected, trained from scratch", scratch),
      "",
      "What was gained, on the same names:",
      "",
      yield* against("by tuning, over the defaults", defaults),
      yield* against("by pre-training, over scratch", scratch),
      "",
      `On the ${test.examples} test names, opened once for the selected model:`,
      `  accuracy ${percent(test.accuracy)} (95 % interval ${range(interval)}), macro-F1 ${
        test.f1Macro.toFixed(3)
      }, loss ${test.loss.toFixed(3)}`,
      "",
      `Budget: ${
        spent - spentOnFinalists
      } epochs for ${trials.length} trials, where every trial to the end would have taken ${fullCost}; ${spentOnFinalists} more to train the best again.`
    ].join("\n")
  })
})

export default Pipeline.make({
  settings: {
    trials: Stage.withDefault(Schema.Int.check(Schema.isGreaterThan(0)), 30),
    seed: Stage.withDefault(Schema.Int, 0),
    /** With how many seeds the results that are compared in the end are trained. */
    repeats: Stage.withDefault(Schema.Int.check(Schema.isGreaterThan(0)), 3)
  },
  node: ({ repeats, seed, trials }) => {
    const study = Study.make("language-id", {
      space,
      scheduler: Asha.make({ budgets: rungs, unit: "epochs" }),
      trials,
      seed,
      // Of many noisy values the best is better than what is behind it: new seeds decide.
      finalists: { trials: 3, repeats: 2 },
      maximize: "evaluation.accuracy",
      trial: (params, rung) => trial(base, params, rung.budgets, rung.seed)
    })
    const best = Node.at(study, "best")
    /** One evaluation for each seed. */
    const overSeeds = <E, R>(evaluation: (seed: number) => Node.Node<Evaluation, E, R>) =>
      Node.all([evaluation(seed), ...Array.from({ length: repeats - 1 }, (_, i) => evaluation(seed + i + 1))])
    const tuned = (params: Params) => overSeeds((seed) => Node.at(trial(base, params, rungs, seed), "evaluation"))
    const untrained = (seed: number) => InitializeModel({ like: base }, { seed })
    const bestParams = Node.at(best, "params")
    const selected = Node.bind("selected", bestParams, { example: Space.defaults(space), node: tuned })
    const scratch = Node.bind("from scratch", bestParams, {
      example: Space.defaults(space),
      node: (params) => overSeeds((seed) => Node.at(trial(untrained(seed), params, rungs, seed), "evaluation"))
    })
    const defaults = tuned(Space.defaults(space))
    const model = Node.at(best, "output", "model")
    const opened = OpenTest({ sealed: Node.at(names, "test"), selection: Node.at(study, "selection") })
    const test = Evaluate({ model, split: opened })
    const summary = Summarize({
      trials: Node.at(study, "trials"),
      finalists: Node.at(study, "finalists"),
      indistinguishable: Node.at(study, "indistinguishable"),
      spent: Node.at(study, "spent"),
      spentOnFinalists: Node.at(study, "spentOnFinalists"),
      fullCost: Node.at(study, "fullCost"),
      selected,
      defaults,
      scratch,
      test
    })
    /** The run of the selected trial: how long it was. */
    const training = Node.bind("training", Node.all({ params: bestParams, budget: Node.at(best, "budget") }), {
      example: { params: Space.defaults(space), budget: rungs.at(-1)! },
      node: ({ budget, params }) => fineTune(base, params, rungs.filter((rung) => rung <= budget), seed)
    })
    const packaged = PackageModel({
      model,
      base,
      data: names,
      study,
      training,
      validation: Node.at(best, "output", "evaluation"),
      test,
      seeds: selected,
      defaults
    }, {
      name: "language-id",
      description:
        "Says which of 42 languages, all written in Latin script, the name of a region, a language or a currency is in.",
      hyperparameters: { schedule: "cosine", seed },
      datasetName: "Names in the Unicode Common Locale Data Repository, release 48",
      pipeline: "pipelines/language-id.ts",
      settings: { trials, seed, repeats }
    })
    return Node.all({ summary, model: packaged })
  }
})
