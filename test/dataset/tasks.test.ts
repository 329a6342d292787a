import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { fileURLToPath } from "node:url"
import * as Conversation from "../../src/dataset/Conversation.ts"
import { BadRow } from "../../src/dataset/DataError.ts"
import * as HubFolder from "../../src/dataset/HubFolder.ts"
import * as LabeledText from "../../src/dataset/LabeledText.ts"
import { LoadConversations } from "../../src/dataset/LoadConversations.ts"
import { LoadExamples } from "../../src/dataset/LoadExamples.ts"
import { LoadScores } from "../../src/dataset/LoadScores.ts"
import { LoadTags } from "../../src/dataset/LoadTags.ts"
import { OpenTestConversations, OpenTestScores, OpenTestTags } from "../../src/dataset/OpenTest.ts"
import * as ScoredText from "../../src/dataset/ScoredText.ts"
import { SplitError } from "../../src/dataset/Split.ts"
import { SplitConversations } from "../../src/dataset/SplitConversations.ts"
import { SplitExamples } from "../../src/dataset/SplitExamples.ts"
import { SplitScores } from "../../src/dataset/SplitScores.ts"
import { SplitTags } from "../../src/dataset/SplitTags.ts"
import * as TaggedWords from "../../src/dataset/TaggedWords.ts"
import * as Node from "../../src/pipeline/Node.ts"
import * as Pipeline from "../../src/pipeline/Pipeline.ts"
import { Selection } from "../../src/pipeline/Selection.ts"
import * as Source from "../../src/pipeline/Source.ts"
import * as Stage from "../../src/pipeline/Stage.ts"
import * as Artifact from "../../src/store/Artifact.ts"
import { failure, file, fresh, lines } from "./runs.ts"

const hub = fileURLToPath(new URL("../fixtures/hub", import.meta.url))

const Choose = Stage.make("choose", {
  inputs: {},
  params: {},
  output: Selection,
  run: () => Effect.succeed(new Selection({ study: "s", trial: 1, metric: "loss", value: 0.5 }))
})

describe("LoadScores", () => {
  const scores = Effect.fnUntraced(function*(name: string, content: string) {
    const location = yield* file(name, content)
    const { examples } = yield* Pipeline.run(LoadScores({ file: Source.file(location) }, { text: "t", score: "s" }))
    return yield* Artifact.readTable(ScoredText.ScoredText, examples)
  })

  it.effect("reads numbers of every format, whole ones of Parquet too", () =>
    Effect.gen(function*() {
      const expected = [{ text: "a", score: 1.5 }, { text: "b", score: -2 }]
      assert.deepStrictEqual(yield* scores("a.csv", "t,s\na,1.5\nb,-2\n"), expected)
      assert.deepStrictEqual(yield* scores("a.jsonl", lines({ t: "a", s: 1.5 }, { t: "b", s: -2 })), expected)
      for (const [score, values] of [["score", [0.5, 1, 1.5]], ["stars", [1, 2, 3]]] as const) {
        const files = HubFolder.split(hub, "train")
        const { examples } = yield* Pipeline.run(LoadScores({ files }, { text: "instruction", score }))
        const rows = yield* Artifact.readTable(ScoredText.ScoredText, examples)
        assert.deepStrictEqual(rows.map((row) => row.score), [...values])
      }
    }).pipe(fresh))

  it.effect("names the row whose score is no number", () =>
    Effect.gen(function*() {
      for (const content of ["t,s\na,1\nb,high\n", "t,s\na,1\nb,\n", "t,s\na,1\nb,Infinity\n"]) {
        const error = yield* failure(scores("a.csv", content))
        assert.instanceOf(error, BadRow)
        assert.match(error.message, /row 2 \(line 3\), field `s`/)
      }
    }).pipe(fresh))
})

describe("LoadTags", () => {
  const load = Effect.fnUntraced(
    function*(name: string, content: string, tagNames?: readonly [string, ...Array<string>]) {
      const location = yield* file(name, content)
      const { examples } = yield* Pipeline.run(LoadTags(
        { file: Source.file(location) },
        { words: "w", tags: "t", ...(tagNames === undefined ? {} : { tagNames }) }
      ))
      return yield* Artifact.readTable(TaggedWords.TaggedWords, examples)
    }
  )

  it.effect("reads tags by name and by number", () =>
    Effect.gen(function*() {
      const expected = [{ words: ["Ada", "ran"], tags: ["PER", "O"] }]
      assert.deepStrictEqual(yield* load("a.jsonl", lines({ w: ["Ada", "ran"], t: ["PER", "O"] })), expected)
      assert.deepStrictEqual(yield* load("a.jsonl", lines({ w: ["Ada", "ran"], t: [1, 0] }), ["O", "PER"]), expected)
      assert.deepStrictEqual(
        yield* load("a.csv", "w;t\n".replace(";", ",") + "\"[\"\"Ada\"\",\"\"ran\"\"]\",\"[1,0]\"\n", ["O", "PER"]),
        expected
      )
      const { examples } = yield* Pipeline.run(LoadTags(
        { files: HubFolder.split(hub, "test") },
        { words: "tokens", tags: "ner_tags", tagNames: ["O", "PER"] }
      ))
      const rows = yield* Artifact.readTable(TaggedWords.TaggedWords, examples)
      assert.deepStrictEqual(rows[0], { words: ["Ada", "ran", "4"], tags: ["PER", "O", "O"] })
    }).pipe(fresh))

  it.effect("names the row whose words and tags do not go together", () =>
    Effect.gen(function*() {
      const message = (row: unknown) =>
        Effect.map(failure(load("a.jsonl", lines(row), ["O", "PER"])), ({ message }) => message)
      assert.match(
        yield* message({ w: ["a", "b"], t: [0] }),
        /field `t`: expected as many tags as words, 2, found \[0\]/
      )
      assert.match(yield* message({ w: [], t: [] }), /field `w`: expected at least one word/)
      assert.match(
        yield* message({ w: ["a"], t: [2] }),
        /field `t\[0\]`: expected one of O, PER, or its number from 0, found 2/
      )
      assert.match(yield* message({ w: ["a"], t: ["LOC"] }), /found "LOC"/)
    }).pipe(fresh))
})

describe("splits of every task", () => {
  const chats = (count: number) =>
    lines(
      ...Array.from(
        { length: count },
        (_, index) => ({ p: `question ${index}`, c: `answer ${index}`, by: `c${index % 10}` })
      )
    )

  const conversations = (location: string) =>
    Node.at(
      LoadConversations(
        { file: Source.file(location) },
        { columns: { prompt: "p", completion: "c" }, group: "by" }
      ),
      "examples"
    )

  const promptsOf = Effect.fnUntraced(function*(table: Conversation.Table) {
    return (yield* Artifact.readTable(Conversation.Conversation, table)).map(({ messages }) => messages[0]!.content)
  })
  const customer = (prompt: string) => Number(prompt.slice("question ".length)) % 10

  it.effect("keeps all conversations of a group on one side", () =>
    Effect.gen(function*() {
      const examples = conversations(yield* file("a.jsonl", chats(200)))
      const { assignment, test, train, validation } = yield* Pipeline.run(
        SplitConversations({ examples }, { by: { grouped: { validation: 0.3, test: 0.3 } }, seed: 2 })
      )
      assert.strictEqual(assignment.rows, 200)
      const sides = yield* Effect.forEach([train, validation, test], ({ examples }) => promptsOf(examples))
      const groups = sides.map((prompts) => new Set(prompts.map(customer)))
      assert.strictEqual(groups.reduce((sum, { size }) => sum + size, 0), 10)
      assert.strictEqual(sides.flat().length, 200)
    }).pipe(fresh))

  it.effect("puts the groups on the sides they are named for", () =>
    Effect.gen(function*() {
      const examples = conversations(yield* file("a.jsonl", chats(50)))
      const named = { validation: ["c1"], test: ["c2", "c3"] }
      const { test, train, unused, validation } = yield* Pipeline.run(
        SplitConversations({ examples }, { by: { groups: named }, seed: 0 })
      )
      assert.deepStrictEqual(new Set((yield* promptsOf(test.examples)).map(customer)), new Set([2, 3]))
      assert.deepStrictEqual([train, validation].map(({ examples }) => examples.rows), [35, 5])
      assert.strictEqual(unused.rows, 0)
      const some = yield* Pipeline.run(
        SplitConversations({ examples }, { by: { groups: { ...named, train: ["c0"] } }, seed: 0 })
      )
      assert.deepStrictEqual([some.train.examples.rows, some.unused.rows], [5, 30])
      for (const groups of [{ ...named, test: ["c77"] }, { ...named, test: ["c1"] }]) {
        const error = yield* failure(Pipeline.run(SplitConversations({ examples }, { by: { groups }, seed: 0 })))
        assert.instanceOf(error, SplitError)
        assert.match(error.message, /group `c\d+`/)
      }
    }).pipe(fresh))

  it.effect("takes sides that are there already", () =>
    Effect.gen(function*() {
      const train = conversations(yield* file("train.jsonl", chats(40)))
      const test = conversations(yield* file("test.jsonl", chats(7)))
      const wired = yield* Pipeline.run(SplitConversations(
        { examples: train, validation: test, test },
        { by: "given", seed: 0 }
      ))
      assert.deepStrictEqual(
        [wired.train, wired.validation, wired.test].map(({ examples }) => examples.rows),
        [40, 7, 7]
      )
      const half = yield* Pipeline.run(
        SplitConversations({ examples: train, test }, { by: { random: { validation: 0.3, test: 0 } }, seed: 0 })
      )
      assert.strictEqual(half.test.examples.rows, 7)
      assert.strictEqual(half.train.examples.rows + half.validation.examples.rows, 40)
      const twice = yield* failure(Pipeline.run(
        SplitConversations({ examples: train, test }, { by: { random: { validation: 0.3, test: 0.3 } }, seed: 0 })
      ))
      assert.match(twice.message, /wire no `test`/)
      const empty = yield* failure(
        Pipeline.run(SplitConversations({ examples: train, test }, { by: "given", seed: 0 }))
      )
      assert.match(empty.message, /validation side of the split has no examples/)
    }).pipe(fresh))

  it.effect("says that examples have no group", () =>
    Effect.gen(function*() {
      const location = yield* file("a.jsonl", chats(5))
      const examples = Node.at(LoadExamples({ file: Source.file(location) }, { text: "p", label: "c" }), "examples")
      const error = yield* failure(Pipeline.run(
        SplitExamples({ examples }, { by: { grouped: { validation: 0.3, test: 0.3 } }, seed: 0 })
      ))
      assert.match(error.message, /name its column by `group`/)
    }).pipe(fresh))

  it.effect("gives a table with groups the same rows, and labelled texts the same methods", () =>
    Effect.gen(function*() {
      const location = yield* file("a.csv", "t,l,by\na,x,1\nb,y,2\nc,x,3\nd,y,3\n")
      const load = (group?: string) =>
        LoadExamples({ file: Source.file(location) }, {
          text: "t",
          label: "l",
          ...(group === undefined ? {} : { group })
        })
      const plain = yield* Pipeline.run(load()), grouped = yield* Pipeline.run(load("by"))
      assert.deepStrictEqual(
        yield* Artifact.readTable(LabeledText.LabeledText, grouped.examples),
        yield* Artifact.readTable(LabeledText.LabeledText, plain.examples)
      )
      const { train } = yield* Pipeline.run(SplitExamples(
        { examples: Node.at(load("by"), "examples") },
        { by: { groups: { validation: ["1"], test: ["2"] } }, seed: 0 }
      ))
      assert.deepStrictEqual([train.examples.rows, train.labels], [2, ["x", "y"]])
    }).pipe(fresh))

  it.effect("splits scores and tags, knows every tag on every side, and opens the test for a choice only", () =>
    Effect.gen(function*() {
      const rows = Array.from(
        { length: 60 },
        (_, index) => ({ w: [`w${index}`], t: [`T${index % 7}`], s: index, x: `x${index}` })
      )
      const location = yield* file("a.jsonl", lines(...rows))
      const by = { random: { validation: 0.3, test: 0.3 } }
      const tags = SplitTags(
        { examples: Node.at(LoadTags({ file: Source.file(location) }, { words: "w", tags: "t" }), "examples") },
        { by, seed: 1 }
      )
      const scores = SplitScores(
        { examples: Node.at(LoadScores({ file: Source.file(location) }, { text: "x", score: "s" }), "examples") },
        { by, seed: 1 }
      )
      const { test, train, validation } = yield* Pipeline.run(tags)
      for (const side of [train, validation, test]) {
        assert.deepStrictEqual(side.labels, ["T0", "T1", "T2", "T3", "T4", "T5", "T6"])
      }
      assert.strictEqual(train.examples.rows + validation.examples.rows + test.examples.rows, 60)
      const selection = Choose({})
      const opened = yield* Pipeline.run(OpenTestTags({ sealed: Node.at(tags, "test"), selection }))
      assert.strictEqual(opened.kind, "test-tags")
      assert.strictEqual(opened.examples.digest, test.examples.digest)
      const openedScores = yield* Pipeline.run(OpenTestScores({ sealed: Node.at(scores, "test"), selection }))
      assert.deepStrictEqual([openedScores.kind, openedScores.openedFor.trial], ["test-scores", 1])
      const chats = SplitConversations(
        {
          examples: Node.at(
            LoadConversations({ file: Source.file(location) }, { columns: { text: "x" } }),
            "examples"
          )
        },
        { by, seed: 1 }
      )
      const openedChats = yield* Pipeline.run(OpenTestConversations({ sealed: Node.at(chats, "test"), selection }))
      assert.strictEqual(openedChats.kind, "test-conversations")
      assert.isAbove(openedChats.examples.rows, 0)
    }).pipe(fresh))
})
