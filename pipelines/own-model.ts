/**
 * A template: tunes an adapter for a chat model of the Hugging Face hub on conversations of your own, and says how much
 * better than the model as it comes it answers. Copy it, or set it:
 *
 *     npx attune run pipelines/own-model.ts --set model=HuggingFaceTB/SmolLM2-135M-Instruct --set data=my-chats.jsonl
 *
 * The data is a file of JSON lines with a list of `messages`, each with a `role` and its `content`, as
 * data/currencies.jsonl is. `model` may also be a folder that holds a model. With `--export <folder>` the adapter is put there,
 * with a model card, for PEFT to load.
 */
import {
  EvaluateGenerations,
  EvaluateLanguageModel,
  FineTuneConversations,
  fineTuneConversationsThrough,
  Hub,
  LoadConversations,
  LoadModel,
  Node,
  OpenTestConversations,
  PackageModel,
  Pipeline,
  Source,
  Space,
  SplitConversations,
  Stage,
  Study,
  SuccessiveHalving
} from "attune"
import * as Schema from "effect/Schema"
import * as path from "node:path"

const space = Space.from(FineTuneConversations, { adapter: "lora" })
type Params = Space.Type<typeof space>

const atLeastOne = Schema.Int.check(Schema.isGreaterThan(0))

export default Pipeline.make({
  settings: {
    model: Stage.withDefault(Schema.NonEmptyString, "HuggingFaceTB/SmolLM2-135M-Instruct"),
    /** A branch, a tag or, for results to keep, a commit. */
    revision: Stage.withDefault(Schema.NonEmptyString, "main"),
    data: Stage.withDefault(Schema.NonEmptyString, path.join(import.meta.dirname, "../data/currencies.jsonl")),
    trials: Stage.withDefault(atLeastOne, 8),
    /** Longer conversations are cut at their end. */
    maximumLength: Stage.withDefault(atLeastOne, 512),
    maximumNewTokens: Stage.withDefault(atLeastOne, 64),
    seed: Stage.withDefault(Schema.Int, 0)
  },
  node: ({ data, maximumLength, maximumNewTokens, model, revision, seed, trials }) => {
    const isFolder = path.isAbsolute(model) || model.startsWith(".")
    const base = LoadModel({ files: isFolder ? Source.folder(model) : Hub.model(model, { revision }) })
    const loaded = LoadConversations({ file: Source.file(data) }, { columns: { messages: "messages" } })
    const split = SplitConversations({ examples: Node.at(loaded, "examples") }, {
      by: { random: { validation: 0.15, test: 0.15 } },
      seed: 0
    })
    const train = Node.at(split, "train"), validation = Node.at(split, "validation")

    const trial = (params: Params, budgets: ReadonlyArray<number>) => {
      // A micro-batch of 4 and checkpointing keep memory low; they change no result.
      const thrift = { microBatchSize: 4, gradientCheckpointing: true }
      const tuned = fineTuneConversationsThrough(
        { model: base, train },
        { ...params, ...thrift, maximumLength, loss: "assistant", seed },
        budgets
      )
      const inputs = { model: Node.at(tuned, "model"), split: validation }
      return Node.all({ model: Node.at(tuned, "model"), evaluation: EvaluateLanguageModel(inputs, { maximumLength }) })
    }
    const study = Study.make("own-model", {
      space,
      scheduler: SuccessiveHalving.make({ budgets: [1, 3] }),
      trials,
      seed,
      minimize: "evaluation.loss",
      trial: (params, { budgets }) => trial(params, budgets)
    })

    // The test is opened once, for the model that was selected.
    const test = OpenTestConversations({ sealed: Node.at(split, "test"), selection: Node.at(study, "selection") })
    const selected = Node.at(study, "best", "output", "model")
    const before = EvaluateGenerations({ model: base, split: test }, { maximumNewTokens })
    const after = EvaluateGenerations({ model: selected, split: test }, { maximumNewTokens })
    const packaged = PackageModel({ model: selected, base, data: split, study, test: after }, {
      name: "own-model",
      // An adapter alone says whose it is; what belongs to a folder of this machine goes out with its base.
      ...(isFolder ? { adapter: "merge" } : { base: model }),
      datasetName: path.basename(data),
      pipeline: "pipelines/own-model.ts"
    })
    return Node.all({
      hyperparameters: Node.at(study, "best", "params"),
      exactMatch: Node.all({ before: Node.at(before, "exactMatch"), after: Node.at(after, "exactMatch") }),
      rougeL: Node.all({ before: Node.at(before, "rougeL"), after: Node.at(after, "rougeL") }),
      model: packaged
    })
  }
})
