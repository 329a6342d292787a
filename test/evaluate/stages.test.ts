import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import * as fs from "node:fs"
import * as Conversation from "../../src/dataset/Conversation.ts"
import * as LabeledText from "../../src/dataset/LabeledText.ts"
import * as ScoredText from "../../src/dataset/ScoredText.ts"
import * as Splits from "../../src/dataset/Splits.ts"
import * as TaggedWords from "../../src/dataset/TaggedWords.ts"
import * as Chrf from "../../src/evaluate/Chrf.ts"
import { Evaluate, Prediction } from "../../src/evaluate/Evaluate.ts"
import { EvaluateGenerations, GenerationPrediction } from "../../src/evaluate/EvaluateGenerations.ts"
import { EvaluateLanguageModel, LanguageModelPrediction } from "../../src/evaluate/EvaluateLanguageModel.ts"
import { EvaluateScores, ScorePrediction } from "../../src/evaluate/EvaluateScores.ts"
import { EvaluateTags, TagPrediction } from "../../src/evaluate/EvaluateTags.ts"
import * as Predict from "../../src/evaluate/Predict.ts"
import * as Tagging from "../../src/evaluate/Tagging.ts"
import * as Local from "../../src/executor/Local.ts"
import type { Config } from "../../src/model/Architecture.ts"
import * as Checkpoint from "../../src/model/Checkpoint.ts"
import * as Family from "../../src/model/Family.ts"
import * as Gpt2 from "../../src/model/Gpt2.ts"
import * as PretrainedModel from "../../src/model/PretrainedModel.ts"
import * as TaggedTokens from "../../src/model/TaggedTokens.ts"
import * as Tokenizer from "../../src/model/Tokenizer.ts"
import { CodeIdentity } from "../../src/pipeline/Code.ts"
import type * as Node from "../../src/pipeline/Node.ts"
import * as Pipeline from "../../src/pipeline/Pipeline.ts"
import { Selection } from "../../src/pipeline/Selection.ts"
import * as Stage from "../../src/pipeline/Stage.ts"
import * as Query from "../../src/results/Query.ts"
import * as FullBudget from "../../src/search/schedulers/FullBudget.ts"
import * as Space from "../../src/search/space/Space.ts"
import * as Study from "../../src/search/Study.ts"
import * as Artifact from "../../src/store/Artifact.ts"
import { Store } from "../../src/store/Store.ts"
import { Backend } from "../../src/tensor/Backend.ts"
import * as Reciting from "../model/Reciting.ts"
import { record, temporaryFolder } from "../results/studies.ts"

const backend = Backend.layer("wasm")

const layer = <E>(store: Layer.Layer<Store, E>) =>
  Layer.mergeAll(store, Local.layer({ backend }), backend, Layer.succeed(CodeIdentity, () => Effect.succeed("1")))

const fresh = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  effect.pipe(Effect.provide(layer(Store.layerMemory), { local: true }))

const base = Gpt2.config({ vocabularySize: 257, positions: 40, width: 32, layers: 2, heads: 2, endOfTextId: 256 })

/** An untrained model of some liveliness. */
const untrained = (config: Config) =>
  Checkpoint.untrained({ ...config, initializer_range: 0.3 }, Tokenizer.byteLevel(), 3)

/** The same with weights that are no numbers. */
const broken = (checkpoint: Checkpoint.Checkpoint): Checkpoint.Checkpoint => {
  const name = "transformer.ln_f.weight"
  const { data, shape } = checkpoint.tensors.get(name)!
  return { ...checkpoint, tensors: new Map([...checkpoint.tensors, [name, { shape, data: data.map(() => NaN) }]]) }
}

/** A tokenizer of bytes with one more special token. */
const marked = (): Tokenizer.Files => {
  const files = Tokenizer.byteLevel()
  const json = JSON.parse(new TextDecoder().decode(files.tokenizer))
  json.added_tokens.push({ ...json.added_tokens[0], id: 257, content: "<|end|>" })
  json.model.vocab["<|end|>"] = 257
  return { ...files, tokenizer: new TextEncoder().encode(JSON.stringify(json)) }
}

/** A model of these classes, or with this head. */
const labelled = (labels: ReadonlyArray<string>, head: "sequence-classification" | "token-classification") =>
  Effect.flatMap(Family.withHead(base, head, labels), untrained)

const classes = ["even", "odd", "other"]
const tags = ["B-LOC", "I-LOC", "B-PER", "O"]

const models = {
  classifier: labelled(classes, "sequence-classification"),
  regression: Effect.flatMap(Family.withHead(base, "sequence-regression"), untrained),
  tagger: labelled(tags, "token-classification"),
  plainTagger: labelled(["NOUN", "O", "VERB"], "token-classification"),
  language: untrained(base),
  /** Goes on along these texts. */
  reciter: Reciting.reciting(["ab:cdef", "gh?ij;", "kl=MNO", "pq.rs"]),
  /** Answers chats; its template ends turns by a mark that neither config.json nor the tokenizer names. */
  chatter: Effect.map(
    // C to F after a colon, and then the mark.
    Reciting.following([[25, 34], [34, 35], [35, 36], [36, 37], [37, 257]], { vocab_size: 258 }),
    (checkpoint): Checkpoint.Checkpoint => ({
      ...checkpoint,
      companions: new Map([
        ...checkpoint.companions,
        ["tokenizer.json", marked().tokenizer],
        [
          "chat_template.jinja",
          new TextEncoder().encode(
            "{% for m in messages %}{{ m.role }}:{{ m.content }}<|end|>{% endfor %}"
              + "{% if add_generation_prompt %}assistant:{% endif %}"
          )
        ]
      ])
    })
  ),
  broken: Effect.map(Effect.flatMap(Family.withHead(base, "sequence-regression"), untrained), broken),
  brokenLanguage: Effect.map(untrained(base), broken)
}

const Model = Stage.make("model", {
  inputs: {},
  params: { which: Schema.String },
  output: PretrainedModel.PretrainedModel,
  run: Effect.fn("Model")(function*(_, { which }) {
    return yield* PretrainedModel.store(yield* Effect.orDie(models[which as keyof typeof models]))
  })
})

/** The validation or the test side of a split of these rows. */
const Rows = Stage.make("rows", {
  inputs: {},
  params: { of: Schema.String, side: Schema.Literals(["validation", "test"]), labels: Schema.Array(Schema.String) },
  output: Schema.Union([
    Splits.ValidationSplit,
    Splits.TestSplit,
    Splits.ValidationScores,
    Splits.TestScores,
    Splits.ValidationTags,
    Splits.TestTags,
    Splits.ValidationConversations,
    Splits.TestConversations
  ]),
  run: Effect.fn("Rows")(function*(_, { labels, of, side }) {
    const openedFor = new Selection({ study: "s", trial: 1, metric: "loss", value: 0.5 })
    const test = side === "test"
    switch (of) {
      case "texts": {
        const examples = yield* Artifact.writeTable("examples", LabeledText.LabeledText, texts)
        return test
          ? new Splits.TestSplit({ examples, labels, openedFor })
          : new Splits.ValidationSplit({ examples, labels })
      }
      case "scores": {
        const examples = yield* Artifact.writeTable("examples", ScoredText.ScoredText, scores)
        return test ? new Splits.TestScores({ examples, openedFor }) : new Splits.ValidationScores({ examples })
      }
      case "tags": {
        const examples = yield* Artifact.writeTable("examples", TaggedWords.TaggedWords, sentences)
        return test
          ? new Splits.TestTags({ examples, labels, openedFor })
          : new Splits.ValidationTags({ examples, labels })
      }
      default: {
        const rows = conversations[of as keyof typeof conversations]
        const examples = yield* Artifact.writeTable("examples", Conversation.Conversation, rows)
        return test
          ? new Splits.TestConversations({ examples, openedFor })
          : new Splits.ValidationConversations({ examples })
      }
    }
  })
})

const texts = Array.from({ length: 20 }, (_, i) => ({
  text: "abcdefghij".slice(i % 7).repeat(1 + i % 3),
  label: classes[i % 3]!
}))
const scores = texts.map(({ text }, i) => ({ text, score: i / 4 - 2 }))
const sentences = Array.from({ length: 8 }, (_, i) => ({
  words: ["Ann", "went", "to", "New", "York", "on", "day", `${i}`].slice(i % 3),
  tags: ["B-PER", "O", "O", "B-LOC", "I-LOC", "O", "O", "O"].slice(i % 3)
}))
const completions = [["ab:", "cdef"], ["gh?", "IJ;"], ["kl=", "MN"], ["pq.", "xx"]] as const
const conversations = {
  completions: completions.map(([prompt, completion]) => Conversation.completion(prompt, completion)),
  running: ["ab:cdef", "pq.rs"].map(Conversation.text),
  /** In letters of two bytes. */
  wide: [Conversation.completion("a", "éèê")],
  longPrompt: [Conversation.completion("abcdefghij".repeat(6), "x")],
  long: [Conversation.text("abcdefghij".repeat(6)), Conversation.text("short")],
  chats: [
    {
      messages: [
        { role: "user", content: "hi" },
        { role: "assistant", content: "XY" },
        { role: "user", content: "and" },
        { role: "assistant", content: " CDEF " }
      ]
    },
    { messages: [{ role: "user", content: "and?" }, { role: "assistant", content: "CDEFG" }] }
  ]
}

const model = (which: keyof typeof models) => Model({}, { which })
const rows = <A>(of: string, side: "validation" | "test" = "validation", labels: ReadonlyArray<string> = []) =>
  Rows({}, { of, side, labels }) as unknown as Node.Node<A, never, never>

/** The failure of a pipeline that is expected to have one. */
const failure = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(effect), (error) => error as unknown)

const mean = (values: ReadonlyArray<number>) => values.reduce((sum, value) => sum + value, 0) / values.length

describe("Evaluate", () => {
  const evaluate = (params: { readonly maximumLength?: number } = {}) =>
    Evaluate(
      { model: model("classifier"), split: rows<Splits.ValidationSplit>("texts", "validation", classes) },
      params
    )

  it.effect("scores every text of a side, and keeps what was predicted", () =>
    Effect.gen(function*() {
      const found = yield* Pipeline.run(evaluate())
      const predictions = yield* Artifact.readTable(Prediction, found.predictions)
      assert.strictEqual(found.examples, 20)
      assert.closeTo(found.accuracy, mean(predictions.map(({ correct }) => correct ? 1 : 0)), 1e-12)
      assert.closeTo(found.loss, mean(predictions.map(({ loss }) => loss)), 1e-6)
      const right = (label: string) => predictions.filter((one) => one.label === label && one.correct).length
      const recalls = classes.map((label) => right(label) / texts.filter((one) => one.label === label).length)
      assert.closeTo(found.balancedAccuracy, mean(recalls), 1e-12)
      assert.isTrue(Math.abs(found.f1Weighted - found.f1Macro) > 1e-9)
    }).pipe(fresh))

  it.effect("cuts texts where it is told to", () =>
    Effect.gen(function*() {
      const cut = yield* Pipeline.run(evaluate({ maximumLength: 3 }))
      const checkpoint = yield* models.classifier
      const tokenizer = yield* Checkpoint.tokenizerOf(checkpoint)
      const { meanLoss } = yield* Predict.classify({
        checkpoint,
        examples: texts.map(({ label, text }) => ({
          tokens: tokenizer.encode(text).slice(0, 3),
          label: classes.indexOf(label)
        }))
      })
      assert.closeTo(cut.loss, meanLoss, 1e-6)
      assert.notStrictEqual(cut.loss, (yield* Pipeline.run(evaluate())).loss)
    }).pipe(fresh))
})

describe("EvaluateScores", () => {
  it.effect("scores a regression on either side", () =>
    Effect.gen(function*() {
      for (const side of ["validation", "test"] as const) {
        const found = yield* Pipeline.run(
          EvaluateScores({ model: model("regression"), split: rows<Splits.TestScores>("scores", side) })
        )
        const predictions = yield* Artifact.readTable(ScorePrediction, found.predictions)
        assert.deepStrictEqual(predictions.map(({ score }) => score), scores.map(({ score }) => score))
        assert.deepStrictEqual([...new Set(predictions.map(({ split }) => split))], [side])
        assert.deepStrictEqual(predictions.map(({ example }) => example), scores.map(ScoredText.identity))
        const errors = predictions.map(({ predicted, score }) => predicted - score)
        assert.isAbove(new Set(errors).size, 10)
        assert.closeTo(found.loss, mean(errors.map((error) => error ** 2)), 1e-6)
        assert.closeTo(found.rootMeanSquaredError, Math.sqrt(found.loss), 1e-6)
        assert.closeTo(found.meanAbsoluteError, mean(errors.map(Math.abs)), 1e-6)
        assert.isTrue(Math.abs(found.spearman) <= 1)
        assert.strictEqual(found.split, side)
      }
    }).pipe(fresh))

  it.effect("says so, and does not fail, when a model gives no numbers", () =>
    Effect.gen(function*() {
      const found = yield* Pipeline.run(
        EvaluateScores({ model: model("broken"), split: rows<Splits.ValidationScores>("scores") })
      )
      assert.isNaN(found.loss)
      assert.isNaN(found.pearson)
    }).pipe(fresh))

  it.effect("refuses a model of another kind", () =>
    Effect.gen(function*() {
      const error = yield* failure(Pipeline.run(
        EvaluateScores({ model: model("language"), split: rows<Splits.ValidationScores>("scores") })
      ))
      assert.match(
        (error as Error).message,
        /continues texts, and this stage evaluates one that gives texts a number: wire it to what FineTuneScores puts out/
      )
    }).pipe(fresh))
})

describe("EvaluateTags", () => {
  const evaluate = (
    which: keyof typeof models,
    params: { readonly maximumLength?: number; readonly scheme?: "plain" | "prefixed" } = {}
  ) => EvaluateTags({ model: model(which), split: rows<Splits.ValidationTags>("tags", "validation", tags) }, params)

  it.effect("scores words and entities", () =>
    Effect.gen(function*() {
      const found = yield* Pipeline.run(evaluate("tagger"))
      const predictions = yield* Artifact.readTable(TagPrediction, found.predictions)
      assert.deepStrictEqual(predictions.map(({ words }) => words), sentences.map(({ words }) => words))
      const expected = Tagging.evaluate(
        sentences.map(({ tags }) => tags),
        predictions.map(({ predicted }) => predicted)
      )
      assert.deepStrictEqual([found.accuracy, found.f1, found.precision, found.recall, found.words, found.entities], [
        expected.tokenAccuracy,
        expected.f1,
        expected.precision,
        expected.recall,
        expected.tokens,
        expected.support
      ])
      assert.isAbove(new Set(predictions.flatMap(({ predicted }) => predicted)).size, 1)
      const sum = (field: "entities" | "predictedEntities" | "rightEntities" | "rightWords") =>
        predictions.reduce((sum, row) => sum + row[field], 0)
      assert.closeTo(found.f1, 2 * sum("rightEntities") / (sum("entities") + sum("predictedEntities")), 1e-12)
      assert.closeTo(found.accuracy, sum("rightWords") / found.words, 1e-12)
      assert.strictEqual(found.unseenWords, 0)
      // What the model says of a word is what it says at the word's first token.
      const checkpoint = yield* models.tagger
      const tokenizer = yield* Checkpoint.tokenizerOf(checkpoint)
      const encoded = yield* TaggedTokens.encode(tokenizer, sentences, { tags, maximumLength: 40 })
      const { losses, meanLoss } = yield* Predict.tag({ checkpoint, examples: encoded })
      assert.closeTo(found.loss, meanLoss, 1e-6)
      assert.deepStrictEqual(predictions.map(({ loss }) => loss), Array.from(losses))
    }).pipe(fresh))

  it.effect("counts words that were cut off as outside of any entity", () =>
    Effect.gen(function*() {
      const found = yield* Pipeline.run(evaluate("tagger", { maximumLength: 10 }))
      assert.isAbove(found.unseenWords, 8)
      const predictions = yield* Artifact.readTable(TagPrediction, found.predictions)
      assert.isTrue(predictions.every(({ predicted }) => predicted.at(-1) === "O"))
      assert.strictEqual(found.words, (yield* Pipeline.run(evaluate("tagger"))).words)
    }).pipe(fresh))

  it.effect("names a tag that the model does not know", () =>
    Effect.gen(function*() {
      const error = yield* failure(Pipeline.run(evaluate("plainTagger")))
      assert.match((error as Error).message, /Row 1, word 1: the tag "B-PER" is none of NOUN, O, VERB/)
      const other = yield* failure(Pipeline.run(evaluate("language")))
      assert.match((other as Error).message, /The model continues texts, .* wire it to what FineTuneTags puts out/)
    }).pipe(fresh))
})

describe("EvaluateLanguageModel", () => {
  const evaluate = (
    which: keyof typeof models,
    of: keyof typeof conversations,
    params: Parameters<typeof EvaluateLanguageModel>[1] = {}
  ) => EvaluateLanguageModel({ model: model(which), split: rows<Splits.ValidationConversations>(of) }, params)
  const table = (found: { readonly predictions: Artifact.Table<LanguageModelPrediction> }) =>
    Artifact.readTable(LanguageModelPrediction, found.predictions)

  it.effect("takes the loss of completions alone, with the end of the text", () =>
    Effect.gen(function*() {
      const found = yield* Pipeline.run(evaluate("language", "completions"))
      const predictions = yield* table(found)
      assert.deepStrictEqual(predictions.map(({ text }) => text), completions.map(([, completion]) => completion))
      assert.deepStrictEqual(predictions.map(({ tokens }) => tokens), completions.map(([, text]) => text.length + 1))
      const nats = predictions.reduce((sum, { nats }) => sum + nats, 0)
      const bytes = completions.reduce((sum, [, text]) => sum + text.length, 0)
      assert.strictEqual(found.bytes, bytes)
      assert.closeTo(found.loss, nats / found.tokens, 1e-9)
      assert.closeTo(found.perplexity, Math.exp(found.loss), 1e-6)
      assert.closeTo(found.bitsPerByte, nats / bytes / Math.LN2, 1e-9)
      assert.deepStrictEqual(
        predictions.map(({ example }) => example),
        conversations.completions.map(Conversation.identity)
      )
    }).pipe(fresh))

  it.effect("counts bytes and characters of what was predicted", () =>
    Effect.gen(function*() {
      const [row] = yield* table(yield* Pipeline.run(evaluate("language", "wide")))
      assert.deepStrictEqual([row!.text, row!.bytes, row!.characters, row!.tokens], ["éèê", 6, 3, 7])
    }).pipe(fresh))

  it.effect("knows a model that says the right thing", () =>
    Effect.gen(function*() {
      const found = yield* Pipeline.run(evaluate("reciter", "running"))
      assert.strictEqual(found.accuracy, 1)
      assert.isBelow(found.loss, 1e-3)
      // The first letter of running text is not predicted.
      assert.deepStrictEqual((yield* table(found)).map(({ text }) => text), ["b:cdef", "q.rs"])
      assert.isBelow((yield* Pipeline.run(evaluate("reciter", "completions"))).accuracy, 1)
    }).pipe(fresh))

  it.effect("takes the answers of chats, or only the last", () =>
    Effect.gen(function*() {
      const all = yield* table(yield* Pipeline.run(evaluate("chatter", "chats")))
      assert.deepStrictEqual(all.map(({ text }) => text), ["XY CDEF ", "CDEFG"])
      const last = yield* table(yield* Pipeline.run(evaluate("chatter", "chats", { loss: "last-assistant" })))
      assert.deepStrictEqual(last.map(({ text }) => text), [" CDEF ", "CDEFG"])
      const error = yield* failure(Pipeline.run(evaluate("language", "chats")))
      assert.match((error as Error).message, /Chats need the model's chat template/)
    }).pipe(fresh))

  it.effect("says how many conversations were cut or left out, and whose rows are left", () =>
    Effect.gen(function*() {
      const cut = yield* Pipeline.run(evaluate("language", "long"))
      assert.deepStrictEqual([cut.examples, cut.truncated, cut.dropped], [2, 1, 0])
      const dropped = yield* Pipeline.run(evaluate("language", "long", { truncation: "drop" }))
      assert.deepStrictEqual([dropped.examples, dropped.truncated, dropped.dropped], [1, 0, 1])
      assert.deepStrictEqual(
        (yield* table(dropped)).map(({ example }) => example),
        [Conversation.identity(conversations.long[1]!)]
      )
    }).pipe(fresh))
})

describe("EvaluateGenerations", () => {
  const evaluate = (
    which: keyof typeof models,
    of: keyof typeof conversations,
    params: Parameters<typeof EvaluateGenerations>[1] = {},
    side: "validation" | "test" = "validation"
  ) => EvaluateGenerations({ model: model(which), split: rows<Splits.ValidationConversations>(of, side) }, params)
  const table = (found: { readonly predictions: Artifact.Table<GenerationPrediction> }) =>
    Artifact.readTable(GenerationPrediction, found.predictions)

  it.effect("compares what the model writes after a prompt with the completion", () =>
    Effect.gen(function*() {
      const found = yield* Pipeline.run(evaluate("reciter", "completions", {}, "test"))
      const predictions = yield* table(found)
      assert.deepStrictEqual(
        predictions.map((row) => [row.prompt, row.reference, row.generated, row.exactMatch, row.normalizedExactMatch]),
        [
          ["ab:", "cdef", "cdef", true, true],
          ["gh?", "IJ;", "ij;", false, true],
          ["kl=", "MN", "MNO", false, false],
          ["pq.", "xx", "rs", false, false]
        ]
      )
      assert.deepStrictEqual([found.exactMatch, found.normalizedExactMatch, found.tokenF1], [0.25, 0.5, 0.5])
      assert.deepStrictEqual(found.stopped, { endOfText: 4, stopString: 0, maximumNewTokens: 0, positions: 0 })
      const generated = predictions.map((row) => row.generated)
      const references = predictions.map((row) => [row.reference])
      assert.strictEqual(found.chrf, Chrf.evaluate(generated, references))
      assert.strictEqual(found.rougeL, 0.5)
      assert.strictEqual(found.tokens, 5 + 4 + 4 + 3)
      assert.isTrue(predictions.every(({ split, stopped }) => split === "test" && stopped === "end-of-text"))
    }).pipe(fresh))

  it.effect("tells texts that were stopped from those that ended", () =>
    Effect.gen(function*() {
      const { stopped } = yield* Pipeline.run(
        evaluate("reciter", "completions", { maximumNewTokens: 3, stopStrings: [";", "de"] })
      )
      assert.deepStrictEqual(stopped, { endOfText: 1, stopString: 2, maximumNewTokens: 1, positions: 0 })
    }).pipe(fresh))

  it.effect("asks with the chat template, up to the last answer, and knows the mark that ends an answer", () =>
    Effect.gen(function*() {
      const found = yield* Pipeline.run(evaluate("chatter", "chats"))
      const predictions = yield* table(found)
      assert.deepStrictEqual(predictions.map((row) => [row.prompt, row.reference, row.generated, row.exactMatch]), [
        ["user:hi<|end|>assistant:XY<|end|>user:and<|end|>assistant:", "CDEF", "CDEF", true],
        ["user:and?<|end|>assistant:", "CDEFG", "CDEF", false]
      ])
      assert.strictEqual(found.stopped.endOfText, 2)
    }).pipe(fresh))

  it.effect("draws the same texts again with the same seed, and others with another", () =>
    Effect.gen(function*() {
      const drawn = (seed: number) =>
        Effect.flatMap(
          Pipeline.run(evaluate("language", "completions", { temperature: 1, topP: 0.95, maximumNewTokens: 8, seed })),
          table
        )
      const first = yield* drawn(1)
      assert.deepStrictEqual(yield* drawn(1).pipe(fresh), first)
      assert.notDeepEqual(yield* drawn(2), first)
    }).pipe(fresh))

  it.effect("refuses running text, and prompts that leave no room unless they may be cut", () =>
    Effect.gen(function*() {
      const text = yield* failure(Pipeline.run(evaluate("reciter", "running")))
      assert.match((text as Error).message, /what row 1 ends with: it is running text\..* by EvaluateLanguageModel/)
      const long = yield* failure(Pipeline.run(evaluate("language", "longPrompt")))
      assert.match((long as Error).message, /Prompt 1 has 60 tokens, and the model has positions for 40/)
      const { examples } = yield* Pipeline.run(evaluate("language", "longPrompt", { longPrompts: "cut-start" }))
      assert.strictEqual(examples, 1)
    }).pipe(fresh))

  it.effect("fails, and says why, for a model whose training has diverged", () =>
    Effect.gen(function*() {
      const error = yield* failure(Pipeline.run(evaluate("brokenLanguage", "completions")))
      assert.match((error as Error).message, /logits are not finite numbers/)
    }).pipe(fresh))
})

describe("what a study keeps of evaluations", () => {
  it.effect("has the predictions of every kind, and their scores as metrics to optimise", () =>
    Effect.gen(function*() {
      const split = rows<Splits.ValidationConversations>("completions")
      yield* record(Study.make("written", {
        space: Space.make({ maximumNewTokens: Space.choice([2, 8]) }),
        scheduler: FullBudget.make(1),
        trials: 2,
        first: [{ maximumNewTokens: 2 }, { maximumNewTokens: 8 }],
        maximize: "exactMatch",
        trial: (params) => EvaluateGenerations({ model: model("reciter"), split }, params)
      }))
      yield* record(Study.make("tagged", {
        space: Space.make({ maximumLength: Space.choice([10, 40]) }),
        scheduler: FullBudget.make(1),
        trials: 2,
        maximize: "f1",
        trial: (params) =>
          EvaluateTags(
            { model: model("tagger"), split: rows<Splits.ValidationTags>("tags", "validation", tags) },
            params
          )
      }))
      const { rows: written } = yield* Query.run(
        "select trial, reference, generated, exactMatch, stopped from predictions where study = 'written' order by trial, prompt"
      )
      assert.strictEqual(written.length, 8)
      assert.deepStrictEqual(written[4], {
        trial: 1,
        reference: "cdef",
        generated: "cdef",
        exactMatch: true,
        stopped: "end-of-text"
      })
      assert.strictEqual(written[0]!["stopped"], "maximum-new-tokens")
      const { rows: tagged } = yield* Query.run(
        "select words, tags, predicted, rightWords from predictions where study = 'tagged' order by trial limit 1"
      )
      assert.deepStrictEqual([tagged[0]!["words"], tagged[0]!["tags"]], [sentences[0]!.words, sentences[0]!.tags])
      assert.strictEqual((tagged[0]!["predicted"] as ReadonlyArray<string>).length, 8)
    }).pipe(
      (effect) => Effect.flatMap(temporaryFolder, (root) => Effect.provide(effect, layer(Store.layer(root)))),
      Effect.scoped
    ))
})

describe("the tables of predictions", () => {
  it("are documented column by column", () => {
    const text = fs.readFileSync(new URL("../../docs/tables.md", import.meta.url), "utf8")
    const rows = {
      evaluate: Prediction,
      "evaluate-scores": ScorePrediction,
      "evaluate-tags": TagPrediction,
      "evaluate-language-model": LanguageModelPrediction,
      "evaluate-generations": GenerationPrediction
    }
    for (const [stage, { fields }] of Object.entries(rows)) {
      const line = text.split("\n").find((line) => line.startsWith(`| \`${stage}\` |`)) ?? ""
      const columns = Array.from((line.split("|")[2] ?? "").matchAll(/`(\w+)`/g), ([, name]) => name)
      assert.deepStrictEqual(columns, Object.keys(fields), stage)
    }
  })
})
