import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Schema } from "effect"
import {
  CheckLeakage,
  CheckLeakageOfConversations,
  CheckLeakageOfScores,
  CheckLeakageOfTags,
  LeakageFound
} from "../../src/dataset/CheckLeakage.ts"
import * as Conversation from "../../src/dataset/Conversation.ts"
import * as LabeledText from "../../src/dataset/LabeledText.ts"
import * as LeakingPairs from "../../src/dataset/LeakingPairs.ts"
import * as ScoredText from "../../src/dataset/ScoredText.ts"
import { UnusableSplit } from "../../src/dataset/SplitRows.ts"
import * as Splits from "../../src/dataset/Splits.ts"
import * as TaggedWords from "../../src/dataset/TaggedWords.ts"
import * as Local from "../../src/executor/Local.ts"
import { CodeIdentity } from "../../src/pipeline/Code.ts"
import * as Node from "../../src/pipeline/Node.ts"
import * as Pipeline from "../../src/pipeline/Pipeline.ts"
import * as Stage from "../../src/pipeline/Stage.ts"
import * as Artifact from "../../src/store/Artifact.ts"
import { Store } from "../../src/store/Store.ts"

const TestLayer = Layer.mergeAll(
  Store.layerMemory,
  Local.layer(),
  Layer.succeed(CodeIdentity, () => Effect.succeed("1"))
)
const fresh = <A, E, R>(effect: Effect.Effect<A, E, R>) => effect.pipe(Effect.provide(TestLayer, { local: true }))
const errorOf = <A, E>(exit: Exit.Exit<A, E>): unknown => Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined

const late =
  "The parcel that I ordered on Monday has not arrived yet, although the tracking page says it was handed over."
const money =
  "Could you please tell me when the refund for the blue jacket will be on my account? It has been two weeks now."
const locked = "Mein Konto ist gesperrt, seit ich das Kennwort dreimal falsch eingegeben habe."
const secret = money.replace("blue", "teal")

const labels = ["delivery", "login", "payment"]
const Rows = Schema.Array(LabeledText.LabeledText)
const Sides = Schema.Struct({
  train: Splits.TrainSplit,
  validation: Splits.ValidationSplit,
  test: Splits.SealedTestSplit
})

/** The sides of a split as they are given. */
const Given = Stage.make("given", {
  inputs: {},
  params: { train: Rows, validation: Rows, test: Rows },
  output: Sides,
  run: Effect.fn("Given")(function*(_, { test, train, validation }) {
    const write = (rows: typeof Rows.Type) => Artifact.writeTable("rows", LabeledText.LabeledText, rows)
    return {
      train: new Splits.TrainSplit({ examples: yield* write(train), labels }),
      validation: new Splits.ValidationSplit({ examples: yield* write(validation), labels }),
      test: new Splits.SealedTestSplit({ examples: yield* write(test), labels })
    }
  })
})

const rows = {
  train: [
    { text: late, label: "delivery" },
    { text: money, label: "payment" },
    { text: "Where is my order?", label: "delivery" },
    { text: "I paid twice.", label: "payment" },
    { text: locked, label: "login" },
    { text: locked.toUpperCase(), label: "delivery" }
  ],
  validation: [{ text: late.replace("Monday", "Sunday"), label: "payment" }, { text: "Who are you?", label: "login" }],
  test: [{ text: secret, label: "payment" }, { text: "Do you ship to Norway?", label: "delivery" }]
}

const wire = (given = Given({}, rows)) => ({
  train: Node.at(given, "train"),
  validation: Node.at(given, "validation"),
  sealed: Node.at(given, "test")
})

describe("CheckLeakage", () => {
  it.effect("reports what it finds and gives the training side back as it was", () =>
    Effect.gen(function*() {
      const given = yield* Pipeline.run(Given({}, rows))
      const { report, summary, train } = yield* Pipeline.run(CheckLeakage(wire(), {}))
      assert.deepStrictEqual(train, given.train)
      assert.deepInclude(summary, { leaking: { train: 2, validation: 1, test: 1 }, dropped: 0 })
      assert.isBelow(summary.missedAtThreshold, 0.002)
      const pairs = yield* Artifact.readTable(LeakingPairs.Pair, report)
      assert.deepStrictEqual(
        pairs.map(({ kind, sameLabel, sideA, sideB }) => [kind, sideA, sideB, sameLabel]),
        [["exact", "train", "train", false], ["near", "train", "validation", false], ["near", "train", "test", null]]
      )
      assert.deepInclude(pairs[1], {
        exampleA: LabeledText.identity(rows.train[0]!),
        exampleB: LabeledText.identity(rows.validation[0]!),
        textA: late,
        labelA: "delivery",
        labelB: "payment"
      })
    }).pipe(fresh))

  it.effect("drops from training what is on another side, and keeps duplicates within it", () =>
    Effect.gen(function*() {
      const { summary, train } = yield* Pipeline.run(CheckLeakage(wire(), { policy: "drop-from-train" }))
      assert.strictEqual(summary.dropped, 2)
      assert.deepStrictEqual(yield* Artifact.readTable(LabeledText.LabeledText, train.examples), rows.train.slice(2))
      assert.deepStrictEqual(train.labels, labels)
      const again = CheckLeakage({
        ...wire(),
        train: Node.at(CheckLeakage(wire(), { policy: "drop-from-train" }), "train")
      }, {
        policy: "fail"
      })
      assert.strictEqual((yield* Pipeline.run(again)).summary.dropped, 0)
    }).pipe(fresh))

  it.effect("does not look at the test where it is not wired", () =>
    Effect.gen(function*() {
      const { sealed: _, ...sides } = wire()
      const { summary } = yield* Pipeline.run(CheckLeakage(sides, { policy: "drop-from-train" }))
      assert.deepStrictEqual(summary.leaking, { train: 1, validation: 1, test: 0 })
      assert.isTrue(summary.counts.every(({ sideA, sideB }) => sideA !== "test" && sideB !== "test"))
    }).pipe(fresh))

  it.effect("fails where it is told to, with numbers, the first pairs and what to do", () =>
    Effect.gen(function*() {
      const error = errorOf(yield* Effect.exit(Pipeline.run(CheckLeakage(wire(), { policy: "fail" }))))
      assert.instanceOf(error, LeakageFound)
      const { message } = error as LeakageFound
      assert.match(message, /2 training, 1 validation and 1 test rows/)
      assert.match(message, /1 near between train and validation, 1 near between train and test/)
      assert.include(message, `train ${JSON.stringify(late)} and validation`)
      assert.match(message, /policy: "drop-from-train"/)
      assert.notInclude(message, "blue jacket")
      // Dropping training rows is no advice where they are not what leaks.
      const outside = Given({}, { ...rows, validation: [rows.validation[1]!, { text: secret, label: "payment" }] })
      const sides = { ...wire(outside), train: Node.at(Given({}, { ...rows, train: rows.train.slice(4) }), "train") }
      const withoutTrain = errorOf(yield* Effect.exit(Pipeline.run(CheckLeakage(sides, { policy: "fail" }))))
      assert.match((withoutTrain as LeakageFound).message, /1 exact between validation and test/)
      assert.notInclude((withoutTrain as LeakageFound).message, "drop-from-train")
      assert.match((withoutTrain as LeakageFound).message, /Split so that/)
      const unrelated = Given({}, { ...rows, validation: rows.validation.slice(1), test: rows.test.slice(1) })
      yield* Pipeline.run(CheckLeakage(wire(unrelated), { policy: "fail" }))
    }).pipe(fresh))

  it.effect("refuses to drop all examples of a label, or all there are", () =>
    Effect.gen(function*() {
      const drop = (train: typeof Rows.Type) =>
        Effect.map(
          Effect.exit(Pipeline.run(CheckLeakage(wire(Given({}, { ...rows, train })), { policy: "drop-from-train" }))),
          errorOf
        )
      const label = yield* drop(rows.train.slice(0, 3))
      assert.instanceOf(label, UnusableSplit)
      assert.match((label as UnusableSplit).message, /has no example of the label "payment" but such as/)
      assert.match(((yield* drop(rows.train.slice(0, 2))) as UnusableSplit).message, /has no example but such as/)
    }).pipe(fresh))

  it.effect("puts no word of a test text into what it stores, nor its label", () =>
    Effect.gen(function*() {
      const test = [{ text: secret, label: "unspoken" }, { text: late.toUpperCase(), label: "unspoken" }]
      const given = Given({}, { ...rows, test })
      for (const policy of ["report", "drop-from-train"] as const) {
        const output = yield* Pipeline.run(CheckLeakage(wire(given), { policy, containedFrom: 20 }))
        const stored = JSON.stringify([
          output,
          yield* Artifact.readTable(LeakingPairs.Pair, output.report),
          yield* Artifact.readTable(LabeledText.LabeledText, output.train.examples)
        ])
        assert.isAbove(output.summary.leaking.test, 0)
        for (const word of ["teal jacket", "unspoken", "THE PARCEL"]) assert.notInclude(stored, word)
        // The training text that is nearly the test text is in no report either.
        assert.strictEqual(stored.includes("blue jacket"), policy === "report")
        const report = JSON.stringify(yield* Artifact.readTable(LeakingPairs.Pair, output.report))
        assert.notInclude(report, "blue jacket")
      }
    }).pipe(fresh))
})

const Dialogue = Schema.Array(Conversation.Conversation)
const GivenConversations = Stage.make("given-conversations", {
  inputs: {},
  params: { train: Dialogue, validation: Dialogue, test: Dialogue },
  output: Schema.Struct({
    train: Splits.TrainConversations,
    validation: Splits.ValidationConversations,
    test: Splits.SealedTestConversations
  }),
  run: Effect.fn("GivenConversations")(function*(_, { test, train, validation }) {
    const write = (rows: typeof Dialogue.Type) => Artifact.writeTable("rows", Conversation.Conversation, rows)
    return {
      train: new Splits.TrainConversations({ examples: yield* write(train) }),
      validation: new Splits.ValidationConversations({ examples: yield* write(validation) }),
      test: new Splits.SealedTestConversations({ examples: yield* write(test) })
    }
  })
})

const chat = (...turns: ReadonlyArray<string>): Conversation.Conversation => ({
  messages: [
    {
      role: "system",
      content: "You are the assistant of a shop and answer in one sentence, politely and to the point."
    },
    ...turns.map((content, i) => ({ role: i % 2 === 0 ? "user" : "assistant", content }))
  ]
})

describe("CheckLeakageOfConversations", () => {
  const conversations = {
    train: [
      chat("When do you open?", "At nine."),
      chat(late, "It will be there tomorrow."),
      Conversation.completion("2026-03-01 is ", "a Sunday"),
      Conversation.text(locked)
    ],
    validation: [
      chat("Do you ship to Norway?", "Yes."),
      chat(late, "I am sorry to hear that."),
      Conversation.completion("2026-03-01  is", "the first of March"),
      Conversation.text(locked)
    ],
    test: [chat("Hello", "Hello!", late, "It is lost.")]
  }
  const check = (compare?: "prompt" | "whole") => {
    const given = GivenConversations({}, conversations)
    return CheckLeakageOfConversations({
      train: Node.at(given, "train"),
      validation: Node.at(given, "validation"),
      sealed: Node.at(given, "test")
    }, { policy: "drop-from-train", ...(compare === undefined ? {} : { compare }) })
  }

  it.effect("compares what is asked, and counts different answers as conflicts", () =>
    Effect.gen(function*() {
      const { report, summary, train } = yield* Pipeline.run(check())
      assert.deepStrictEqual(summary.leaking, { train: 3, validation: 3, test: 1 })
      const kept = yield* Artifact.readTable(Conversation.Conversation, train.examples)
      assert.deepStrictEqual(kept, conversations.train.slice(0, 1))
      const pairs = yield* Artifact.readTable(LeakingPairs.Pair, report)
      const shown = pairs.filter(({ sideB }) => sideB === "validation")
      assert.deepInclude(shown.find(({ textA }) => textA === late), {
        labelA: "It will be there tomorrow.",
        labelB: "I am sorry to hear that.",
        sameLabel: false
      })
      assert.deepInclude(shown.find(({ textA }) => textA === locked), { labelA: null, sameLabel: null })
    }).pipe(fresh))

  it.effect("compares all that is said when asked to", () =>
    Effect.gen(function*() {
      const { report } = yield* Pipeline.run(check("whole"))
      const pairs = yield* Artifact.readTable(LeakingPairs.Pair, report)
      // Two chats that share the system's instructions alone are different.
      assert.isFalse(pairs.some(({ textA, textB }) => `${textA}${textB}`.includes("Norway")))
      const exact = pairs.filter(({ kind, sideB }) => kind === "exact" && sideB === "validation")
      assert.deepStrictEqual(exact.map(({ textA }) => textA), [locked])
    }).pipe(fresh))
})

const Scored = Schema.Array(ScoredText.ScoredText)
const GivenScores = Stage.make("given-scores", {
  inputs: {},
  params: { train: Scored, validation: Scored },
  output: Schema.Struct({ train: Splits.TrainScores, validation: Splits.ValidationScores }),
  run: Effect.fn("GivenScores")(function*(_, { train, validation }) {
    const write = (rows: typeof Scored.Type) => Artifact.writeTable("rows", ScoredText.ScoredText, rows)
    return {
      train: new Splits.TrainScores({ examples: yield* write(train) }),
      validation: new Splits.ValidationScores({ examples: yield* write(validation) })
    }
  })
})

const Tagged = Schema.Array(TaggedWords.TaggedWords)
const GivenTags = Stage.make("given-tags", {
  inputs: {},
  params: { train: Tagged, validation: Tagged },
  output: Schema.Struct({ train: Splits.TrainTags, validation: Splits.ValidationTags }),
  run: Effect.fn("GivenTags")(function*(_, { train, validation }) {
    const write = (rows: typeof Tagged.Type) => Artifact.writeTable("rows", TaggedWords.TaggedWords, rows)
    const labels = ["name", "other"]
    return {
      train: new Splits.TrainTags({ examples: yield* write(train), labels }),
      validation: new Splits.ValidationTags({ examples: yield* write(validation), labels })
    }
  })
})

describe("the check of other examples", () => {
  it.effect("compares the texts of scores, and counts different scores as conflicts", () =>
    Effect.gen(function*() {
      const given = GivenScores({}, {
        train: [{ text: late, score: 2 }, { text: money, score: 1.5 }, { text: money.toLowerCase(), score: 1 }],
        validation: [{ text: late.replace("Monday", "Sunday"), score: 2 }]
      })
      const { summary, train } = yield* Pipeline.run(
        CheckLeakageOfScores({ train: Node.at(given, "train"), validation: Node.at(given, "validation") }, {
          policy: "drop-from-train"
        })
      )
      assert.strictEqual(summary.counts[0]!.conflictingPairs, 1)
      assert.deepStrictEqual(
        (yield* Artifact.readTable(ScoredText.ScoredText, train.examples)).map(({ score }) => score),
        [1.5, 1]
      )
    }).pipe(fresh))

  it.effect("compares the sentences of tagged words, and keeps a word of every tag", () =>
    Effect.gen(function*() {
      const ada = {
        words: ["Ada", "wrote", "the", "first", "program"],
        tags: ["name", "other", "other", "other", "other"]
      }
      const given = (train: typeof Tagged.Type) => {
        const node = GivenTags({}, { train, validation: [ada] })
        return CheckLeakageOfTags({ train: Node.at(node, "train"), validation: Node.at(node, "validation") }, {
          policy: "drop-from-train"
        })
      }
      const other = { words: ["It", "rains"], tags: ["other", "other"] }
      const bob = { words: ["Bob", "reads"], tags: ["name", "other"] }
      const { train } = yield* Pipeline.run(given([ada, other, bob]))
      assert.deepStrictEqual(yield* Artifact.readTable(TaggedWords.TaggedWords, train.examples), [other, bob])
      assert.deepStrictEqual(train.labels, ["name", "other"])
      const error = errorOf(yield* Effect.exit(Pipeline.run(given([ada, other]))))
      assert.match((error as UnusableSplit).message, /has no word with the tag "name" but such as/)
    }).pipe(fresh))
})
