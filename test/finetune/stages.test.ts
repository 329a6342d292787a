/**
 * Each kind of example from its rows to a fine-tuned model that has learned them, in rungs, with what is trained and how
 * varied from one to the next.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { fileURLToPath } from "node:url"
import * as Conversation from "../../src/dataset/Conversation.ts"
import * as LabeledText from "../../src/dataset/LabeledText.ts"
import * as ScoredText from "../../src/dataset/ScoredText.ts"
import * as Splits from "../../src/dataset/Splits.ts"
import * as TaggedWords from "../../src/dataset/TaggedWords.ts"
import { Evaluate } from "../../src/evaluate/Evaluate.ts"
import { EvaluateGenerations } from "../../src/evaluate/EvaluateGenerations.ts"
import { EvaluateScores } from "../../src/evaluate/EvaluateScores.ts"
import { EvaluateTags } from "../../src/evaluate/EvaluateTags.ts"
import * as Local from "../../src/executor/Local.ts"
import { Pretrain, Text } from "../../src/finetune/Pretrain.ts"
import * as Rungs from "../../src/finetune/Rungs.ts"
import * as Checkpoint from "../../src/model/Checkpoint.ts"
import * as Gpt2 from "../../src/model/Gpt2.ts"
import * as Llama from "../../src/model/Llama.ts"
import { LoadModel } from "../../src/model/LoadModel.ts"
import * as PretrainedModel from "../../src/model/PretrainedModel.ts"
import * as Tokenizer from "../../src/model/Tokenizer.ts"
import { CodeIdentity } from "../../src/pipeline/Code.ts"
import * as Node from "../../src/pipeline/Node.ts"
import * as Pipeline from "../../src/pipeline/Pipeline.ts"
import * as Source from "../../src/pipeline/Source.ts"
import * as Stage from "../../src/pipeline/Stage.ts"
import * as Artifact from "../../src/store/Artifact.ts"
import { Store } from "../../src/store/Store.ts"
import { Backend } from "../../src/tensor/Backend.ts"

const backend = Backend.layer("wasm")
const run = <A, E>(node: Node.Node<A, E>) =>
  Pipeline.run(node).pipe(
    Effect.provide(
      Layer.mergeAll(
        Store.layerMemory,
        Local.layer({ backend }),
        Layer.succeed(CodeIdentity, () => Effect.succeed("1"))
      ),
      { local: true }
    )
  )

const shape = { vocabularySize: 257, positions: 48, width: 32, layers: 2, heads: 2, endOfTextId: 256, dropout: 0 }

const Model = Stage.make("tiny-model", {
  inputs: {},
  params: { family: Schema.Literals(["gpt2", "llama"]), template: Stage.withDefault(Schema.String, "") },
  output: PretrainedModel.PretrainedModel,
  run: Effect.fn("TinyModel")(function*(_, { family, template }) {
    const config = family === "gpt2"
      ? Gpt2.config({ ...shape, initializerRange: 0.1 })
      : Llama.config({ ...shape, initializerRange: 0.1 })
    const model = yield* Checkpoint.untrained(config, Tokenizer.byteLevel(), 1).pipe(Effect.orDie)
    const files: ReadonlyArray<readonly [string, Uint8Array]> = template === ""
      ? []
      : [["chat_template.jinja", new TextEncoder().encode(template)]]
    return yield* PretrainedModel.store({ ...model, companions: new Map([...model.companions, ...files]) })
  })
})

const animals = ["cat", "dog", "cow", "hen"], cities = ["Rome", "Oslo", "Bonn", "Lima"]
const sentences = animals.flatMap((animal) => cities.map((city) => `the ${animal} is in ${city}`))

const Labelled = Stage.make("labelled", {
  inputs: {},
  params: {},
  output: Schema.Struct({ train: Splits.TrainSplit, validation: Splits.ValidationSplit }),
  run: Effect.fn("Labelled")(function*() {
    const rows = sentences.map((text) => ({ text, label: /cat|dog/.test(text) ? "pet" : "farm" }))
    // The opposite of what is learned: the better that is, the higher this loss.
    const opposite = rows.map(({ label, text }) => ({ text, label: label === "pet" ? "farm" : "pet" }))
    const write = (of: typeof rows) => Artifact.writeTable("examples", LabeledText.LabeledText, of)
    const labels = ["farm", "pet"]
    return {
      train: new Splits.TrainSplit({ examples: yield* write(rows), labels }),
      validation: new Splits.ValidationSplit({ examples: yield* write(opposite), labels })
    }
  })
})

const Scored = Stage.make("scored", {
  inputs: {},
  params: {},
  output: Schema.Struct({ train: Splits.TrainScores, validation: Splits.ValidationScores }),
  run: Effect.fn("Scored")(function*() {
    const rows = sentences.map((text) => ({ text, score: animals.findIndex((animal) => text.includes(animal)) - 1.5 }))
    const examples = yield* Artifact.writeTable("examples", ScoredText.ScoredText, rows)
    return { train: new Splits.TrainScores({ examples }), validation: new Splits.ValidationScores({ examples }) }
  })
})

const Tagged = Stage.make("tagged", {
  inputs: {},
  params: {},
  output: Schema.Struct({ train: Splits.TrainTags, validation: Splits.ValidationTags }),
  run: Effect.fn("Tagged")(function*() {
    const rows = sentences.map((text) => {
      const words = text.split(" ")
      return { words, tags: words.map((word) => cities.includes(word) ? "B-LOC" : "O") }
    })
    const examples = yield* Artifact.writeTable("examples", TaggedWords.TaggedWords, rows)
    const labels = ["B-LOC", "O"]
    return {
      train: new Splits.TrainTags({ examples, labels }),
      validation: new Splits.ValidationTags({ examples, labels })
    }
  })
})

const Chats = Stage.make("chats", {
  inputs: {},
  params: {},
  output: Schema.Struct({ train: Splits.TrainConversations, validation: Splits.ValidationConversations }),
  run: Effect.fn("Chats")(function*() {
    const sounds = ["mew", "woof", "moo", "cluck"]
    const rows = animals.map((animal, index) => ({
      messages: [{ role: "user", content: `What says the ${animal}?` }, { role: "assistant", content: sounds[index]! }]
    }))
    const examples = yield* Artifact.writeTable("examples", Conversation.Conversation, rows)
    return {
      train: new Splits.TrainConversations({ examples }),
      validation: new Splits.ValidationConversations({ examples })
    }
  })
})

const Texts = Stage.make("texts", {
  inputs: {},
  params: { text: Schema.String },
  output: Artifact.table(Text),
  run: Effect.fn("Texts")(function*(_, { text }) {
    return yield* Artifact.writeTable("texts", Text, [{ text }])
  })
})

const Relabelled = Stage.make("relabelled", {
  inputs: {},
  params: {},
  output: Schema.Struct({ train: Splits.TrainSplit, validation: Splits.ValidationSplit }),
  run: Effect.fn("Relabelled")(function*() {
    const examples = yield* Artifact.writeTable("examples", LabeledText.LabeledText, [
      { text: "a heron", label: "bird" }
    ])
    const only = { examples, labels: ["bird"] }
    return { train: new Splits.TrainSplit(only), validation: new Splits.ValidationSplit(only) }
  })
})

const template = "{% for m in messages %}{{ m.role[0] }}: {{ m.content }}<|endoftext|>{% endfor %}"
  + "{% if add_generation_prompt %}a: {% endif %}"

describe("fine-tuning", () => {
  it.effect("so short that two rungs are one step is over at the first, and the same model at the second", () =>
    Effect.gen(function*() {
      const data = Labelled({})
      const inputs = { model: Model({}, { family: "llama" }), train: Node.at(data, "train") }
      const through = (rungs: ReadonlyArray<number>) =>
        Rungs.fineTuneThrough(inputs, { learningRate: 0.01, epochs: 0.2, batchSize: 4 }, rungs)
      const { early, late } = yield* run(Node.all({ early: through([0.1]), late: through([0.1, 0.2]) }))
      assert.deepInclude(early, { steps: early.totalSteps, state: null })
      assert.deepStrictEqual(late, early)
    }))

  it.effect("of a classifier, with an adapter, ends early and is the same model at every later rung", () =>
    Effect.gen(function*() {
      const model = Model({}, { family: "llama" })
      const data = Labelled({})
      const inputs = { model, train: Node.at(data, "train"), validation: Node.at(data, "validation") }
      const params = {
        learningRate: 0.01,
        epochs: 60,
        adapter: "lora",
        loraAlpha: 16,
        patience: 3,
        restoreBest: true,
        seed: 0
      } as const
      const [early, late] = [
        Rungs.fineTuneThrough(inputs, params, [20]),
        Rungs.fineTuneThrough(inputs, params, [20, 40, 60])
      ]
      const found = yield* run(Node.all({
        early,
        late,
        evaluation: Evaluate({ model: Node.at(late, "model"), split: Node.at(data, "validation") })
      }))
      assert.isTrue(found.late.stoppedEarly)
      assert.isBelow(found.late.steps, found.late.totalSteps)
      assert.deepStrictEqual(found.late, found.early)
      assert.strictEqual(found.late.state, null)
      assert.closeTo(found.evaluation.loss, found.late.best!.loss, 1e-4)
      assert.includeMembers(found.late.model.files.map(({ name }) => name), ["adapter_model.safetensors"])
    }))

  it.effect("of a regression", () =>
    Effect.gen(function*() {
      const data = Scored({})
      const tuned = Rungs.fineTuneScoresThrough(
        { model: Model({}, { family: "gpt2" }), train: Node.at(data, "train") },
        { learningRate: 0.01, epochs: 40, batchSize: 4, schedule: "cosine", warmupRatio: 0.1, seed: 0 },
        [10, 40]
      )
      const { r2 } = yield* run(EvaluateScores({ model: Node.at(tuned, "model"), split: Node.at(data, "validation") }))
      assert.isAbove(r2, 0.9)
    }))

  it.effect("of a tagger, its rows packed", () =>
    Effect.gen(function*() {
      const data = Tagged({})
      const tuned = Rungs.fineTuneTagsThrough(
        { model: Model({}, { family: "llama" }), train: Node.at(data, "train") },
        { learningRate: 0.01, epochs: 20, batchSize: 4, packing: true, optimizer: "lion", weightDecay: 0.01, seed: 0 },
        []
      )
      const { f1 } = yield* run(EvaluateTags({ model: Node.at(tuned, "model"), split: Node.at(data, "validation") }))
      assert.strictEqual(f1, 1)
    }))

  it.effect("of a chat model, on its answers in its own template", () =>
    Effect.gen(function*() {
      const data = Chats({})
      const tuned = Rungs.fineTuneConversationsThrough(
        { model: Model({}, { family: "llama", template }), train: Node.at(data, "train") },
        { learningRate: 0.01, epochs: 60, batchSize: 4, microBatchSize: 1, loss: "assistant", emaDecay: 0.8, seed: 0 },
        [30, 60]
      )
      const found = yield* run(
        EvaluateGenerations({ model: Node.at(tuned, "model"), split: Node.at(data, "validation") }, {
          maximumNewTokens: 12
        })
      )
      assert.strictEqual(found.exactMatch, 1)
      assert.strictEqual(found.stopped.endOfText, 4)
    }))

  it.effect("says of a label that the model is not trained for in which text it is", () =>
    Effect.gen(function*() {
      const tuned = Rungs.fineTuneThrough(
        {
          model: Model({}, { family: "gpt2" }),
          train: Node.at(Labelled({}), "train"),
          validation: Node.at(Relabelled({}), "validation")
        },
        { learningRate: 0.01 },
        []
      )
      const error = yield* Effect.flip(run(tuned))
      assert.match(String(error.message), /Example 1: "a heron" has the label "bird", .* the labels farm, pet/)
    }))

  it.effect("on running text sees no more of it than maximumLength", () =>
    Effect.gen(function*() {
      const model = Model({}, { family: "gpt2" })
      const pretrained = (text: string, maximumLength: number) =>
        Effect.map(
          run(Pretrain({ model, texts: Texts({}, { text }) }, { learningRate: 0.01, epochs: 1, maximumLength })),
          ({ model: { files } }) => files.find(({ name }) => name === "model.safetensors")!.digest
        )
      assert.strictEqual(yield* pretrained("abc and on", 4), yield* pretrained("abc or so", 4))
      assert.notStrictEqual(yield* pretrained("abc and on", 8), yield* pretrained("abc or so", 8))
    }))

  it.effect("refuses a classifier of one class", () =>
    Effect.gen(function*() {
      const tuned = Rungs.fineTuneThrough(
        { model: Model({}, { family: "gpt2" }), train: Node.at(Relabelled({}), "train") },
        { learningRate: 0.01 },
        []
      )
      const error = yield* Effect.flip(run(tuned))
      assert.match(String(error.message), /The examples: all have the label "bird"/)
    }))

  it.effect("says that a family has no model for a task", () =>
    Effect.gen(function*() {
      const folder = fileURLToPath(new URL("../fixtures/hf/bert", import.meta.url))
      const model = LoadModel({ files: Source.folder(folder) })
      const tuned = Rungs.fineTuneConversationsThrough(
        { model, train: Node.at(Chats({}), "train") },
        { learningRate: 0.01 },
        []
      )
      const error = yield* Effect.flip(run(tuned))
      assert.match(String(error.message), /type "bert" cannot be trained for causal-language-modeling/)
    }))

  it.effect("says how many texts were cut, and how many were left out", () =>
    Effect.gen(function*() {
      const params = { learningRate: 0.01, epochs: 1, maximumLength: 18 }
      const model = Model({}, { family: "gpt2", template })
      const left = <E>(
        tuned: Node.Node<{ readonly examples: number; readonly truncated: number; readonly dropped: number }, E>
      ) => Effect.map(run(tuned), ({ dropped, examples, truncated }) => ({ examples, truncated, dropped }))
      // "the cat is in Rome" has eighteen bytes, as have all of them.
      const texts = Rungs.fineTuneThrough({ model, train: Node.at(Labelled({}), "train") }, params, [])
      assert.deepStrictEqual(yield* left(texts), { examples: 16, truncated: 0, dropped: 0 })
      const short = Rungs.fineTuneThrough({ model, train: Node.at(Labelled({}), "train") }, {
        ...params,
        maximumLength: 17
      }, [])
      assert.deepStrictEqual(yield* left(short), { examples: 16, truncated: 16, dropped: 0 })
      const tags = Rungs.fineTuneTagsThrough({ model, train: Node.at(Tagged({}), "train") }, {
        ...params,
        maximumLength: 12
      }, [])
      assert.deepStrictEqual(yield* left(tags), { examples: 16, truncated: 16, dropped: 0 })
      // Of the chats the hen's is the longest.
      const chats = (truncation: "start" | "drop") =>
        Rungs.fineTuneConversationsThrough(
          { model, train: Node.at(Chats({}), "train") },
          { ...params, maximumLength: 30, truncation },
          []
        )
      assert.deepStrictEqual(yield* left(chats("start")), { examples: 4, truncated: 1, dropped: 0 })
      assert.deepStrictEqual(yield* left(chats("drop")), { examples: 3, truncated: 0, dropped: 1 })
    }))

  it.effect("says which row cannot be learned from", () =>
    Effect.gen(function*() {
      const data = Chats({})
      const tuned = (params: { readonly maximumLength?: number; readonly template?: string }) =>
        Rungs.fineTuneConversationsThrough(
          {
            model: Model({}, { family: "gpt2", template: params.template ?? template }),
            train: Node.at(data, "train")
          },
          {
            learningRate: 0.01,
            ...(params.maximumLength === undefined ? {} : { maximumLength: params.maximumLength })
          },
          []
        )
      const cut = yield* Effect.flip(run(tuned({ maximumLength: 12 })))
      assert.match(
        String(cut.message),
        /row 1: what is to be learned lies beyond the 12 tokens .*truncation "start".* The row reads "/
      )
      const none = yield* Effect.flip(run(tuned({ template: "{{ raise_exception('no chats') }}" })))
      assert.match(String(none.message), /Row 1: .*no chats/)
    }))
})
