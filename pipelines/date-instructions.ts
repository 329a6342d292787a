/**
 * Instruction tuning with an adapter: a small language model learns to write a date, given in words of languages that it has
 * never read, as ISO 8601. It learns the answers only, its own weights stay as they are, and what counts is how often it
 * writes the very answer.
 *
 *     npx attune run pipelines/date-instructions.ts
 */
import {
  Artifact,
  Bootstrap,
  EvaluateGenerations,
  FineTuneConversations,
  fineTuneConversationsThrough,
  GenerationEvaluation,
  GenerationPrediction,
  LoadModel,
  Node,
  OpenTestConversations,
  Pipeline,
  Source,
  Space,
  SplitConversations,
  Stage,
  Study,
  SuccessiveHalving
} from "attune"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { DateInstructions, icu, unread } from "./date-texts.ts"

const space = Space.from(FineTuneConversations, { adapter: "lora" }, {
  // Models this small take other rates and more passes than those that the ranges are for.
  learningRate: Space.logUniform(5e-4, 2e-2, { default: 3e-3 }),
  epochs: Space.choice([8, 16, 24], { default: 8 }),
  batchSize: Space.choice([8, 16], { default: 16 })
})
type Params = Space.Type<typeof space>

/** Epochs after which trials are compared: earlier there is hardly a right answer to tell them by. */
const rungs = [8, 24]

const base = LoadModel({ files: Source.folder(new URL("../data/dates-base/", import.meta.url)) })
const instructions = SplitConversations({ examples: DateInstructions({}, { count: 600, seed: 1, icu }) }, {
  by: { random: { validation: 0.25, test: 0.25 } },
  seed: 0
})
const train = Node.at(instructions, "train")
const validation = Node.at(instructions, "validation")

/** A date takes ten characters and a space, and the end of the text. */
const decoding = { maximumNewTokens: 16 }

const trial = (params: Params, budgets: ReadonlyArray<number>) => {
  const tuned = fineTuneConversationsThrough(
    { model: base, train },
    { ...params, loss: "completions", seed: 0 },
    budgets
  )
  return Node.all({
    model: Node.at(tuned, "model"),
    evaluation: EvaluateGenerations({ model: Node.at(tuned, "model"), split: validation }, decoding)
  })
}

const Summarize = Stage.make("summarize-dates", {
  inputs: {
    base: GenerationEvaluation,
    defaults: GenerationEvaluation,
    selected: GenerationEvaluation,
    params: space.schema
  },
  params: { languages: Schema.Array(Schema.String) },
  output: Schema.String,
  run: Effect.fn("SummarizeDates")(function*({ base, defaults, params, selected }, { languages }) {
    const percent = (value: number) => `${(100 * value).toFixed(1)} %`
    const line = (name: string, { exactMatch, rougeL }: GenerationEvaluation) =>
      `  ${name.padEnd(30)}${percent(exactMatch).padStart(9)}${rougeL.toFixed(3).padStart(10)}`
    const answers = yield* Artifact.readTable(GenerationPrediction, selected.predictions)
    const { lower, upper } = Bootstrap.mean(answers.map(({ exactMatch }) => Number(exactMatch)), { seed: 0 })
    return [
      `Dates in ${languages.join(", ")}, of which the model had read nothing; ${selected.examples} of them:`,
      "",
      `  ${"".padEnd(30)}   exact   ROUGE-L`,
      line("before", base),
      line("default hyperparameters", defaults),
      line("selected hyperparameters", selected),
      "",
      `The selected model is right in ${percent(lower)} to ${percent(upper)} (95 % interval), with ${
        Object.entries(params).map(([name, value]) => `${name} ${String(value)}`).join(", ")
      }.`,
      "",
      ...answers.slice(0, 6).map(({ exactMatch, generated, prompt }) =>
        `  ${exactMatch ? "✓" : "✗"} ${prompt.split("\n")[0]!.slice("Date: ".length).padEnd(40)}${generated.trim()}`
      )
    ].join("\n")
  })
})

export default Pipeline.make({
  settings: {
    trials: Stage.withDefault(Schema.Int.check(Schema.isGreaterThan(0)), 18),
    seed: Stage.withDefault(Schema.Int, 0)
  },
  node: ({ seed, trials }) => {
    const study = Study.make("date-instructions", {
      space,
      scheduler: SuccessiveHalving.make({ budgets: rungs }),
      trials,
      seed,
      maximize: "evaluation.exactMatch",
      trial: (params, { budgets }) => trial(params, budgets)
    })
    const test = OpenTestConversations({
      sealed: Node.at(instructions, "test"),
      selection: Node.at(study, "selection")
    })
    const evaluate = <E, R>(model: Parameters<typeof EvaluateGenerations>[0]["model"] & Node.Node<unknown, E, R>) =>
      EvaluateGenerations({ model, split: test }, decoding)
    return Summarize({
      base: evaluate(base),
      defaults: evaluate(Node.at(trial(Space.defaults(space), rungs), "model")),
      selected: evaluate(Node.at(study, "best", "output", "model")),
      params: Node.at(study, "best", "params")
    }, { languages: unread })
  }
})
