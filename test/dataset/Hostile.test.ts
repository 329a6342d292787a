import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import * as Conversation from "../../src/dataset/Conversation.ts"
import type { ConversationColumns } from "../../src/dataset/ConversationColumns.ts"
import { BadRow, DataError } from "../../src/dataset/DataError.ts"
import { LoadConversations } from "../../src/dataset/LoadConversations.ts"
import { LoadExamples } from "../../src/dataset/LoadExamples.ts"
import { LoadScores } from "../../src/dataset/LoadScores.ts"
import { LoadTags } from "../../src/dataset/LoadTags.ts"
import { SplitConversations } from "../../src/dataset/SplitConversations.ts"
import * as Node from "../../src/pipeline/Node.ts"
import * as Pipeline from "../../src/pipeline/Pipeline.ts"
import * as Source from "../../src/pipeline/Source.ts"
import * as Artifact from "../../src/store/Artifact.ts"
import { failure, file, fresh, lines } from "./runs.ts"

const text: ConversationColumns = { text: "text" }
const chat: ConversationColumns = { messages: "messages" }

const run = (location: string, columns: ConversationColumns) =>
  Pipeline.run(LoadConversations({ file: Source.file(location) }, { columns }))

const load = Effect.fnUntraced(function*(name: string, content: string | Uint8Array, columns: ConversationColumns) {
  const { examples } = yield* run(yield* file(name, content), columns)
  return (yield* Artifact.readTable(Conversation.Conversation, examples)).map(({ messages }) =>
    messages.map(({ content }) => content).join("|")
  )
})

const refusal = Effect.fnUntraced(function*(name: string, content: string | Uint8Array, columns: ConversationColumns) {
  const error = yield* failure(load(name, content, columns))
  assert.isTrue(error instanceof BadRow || error instanceof DataError, String(error))
  assert.include(error.message, name)
  // However large the data, a person can read what is wrong with it.
  assert.isBelow(error.message.length, 600)
  return error
})

const bytes = (...parts: ReadonlyArray<string | ReadonlyArray<number>>) =>
  Buffer.concat(parts.map((part) => typeof part === "string" ? Buffer.from(part) : Buffer.from(part)))

describe("hostile files", () => {
  it.effect("reads a line of 10 MB, and refuses one that is no JSON in few words", () =>
    Effect.gen(function*() {
      const long = "a\u0000é ".repeat(2_000_000)
      const [read] = yield* load("long.jsonl", lines({ text: long }), text)
      assert.strictEqual(read, long)
      const error = yield* refusal("long.jsonl", `{"text": "${"x".repeat(10_000_000)}`, text)
      assert.match(error.message, /row 1 \(line 1\): expected one JSON value/)
      const typed = yield* refusal("long.jsonl", lines({ text: [long] }), text)
      assert.match(typed.message, /field `text`: expected string/)
    }).pipe(fresh))

  it.effect("says that a file is empty, and of one without rows that a side has no examples", () =>
    Effect.gen(function*() {
      for (const name of ["a.csv", "a.tsv", "a.jsonl"]) {
        assert.match((yield* refusal(name, "", text)).message, /the file is empty/)
      }
      assert.match((yield* refusal("a.parquet", "", text)).message, /a\.parquet/)
      for (const [name, content] of [["a.csv", "text\n"], ["a.jsonl", "\n\r\n  \n"]] as const) {
        const location = yield* file(name, content)
        const examples = Node.at(LoadConversations({ file: Source.file(location) }, { columns: text }), "examples")
        const by = { random: { validation: 0.2, test: 0.2 } }
        const error = yield* failure(Pipeline.run(SplitConversations({ examples }, { by, seed: 0 })))
        assert.match(error.message, /has no examples/)
      }
    }).pipe(fresh))

  it.effect("finds bytes that are no UTF-8, and UTF-16", () =>
    Effect.gen(function*() {
      const row = yield* refusal("a.jsonl", bytes("{\"text\":\"good\"}\n{\"text\":\"b", [0xff, 0xc3], "d\"}\n"), text)
      assert.match(row.message, /row 2 \(line 2\): expected text in UTF-8, found .*b\ufffd/)
      const cells = yield* refusal("a.csv", bytes("text\ngood\nb", [0xc0, 0x80], "d\n"), text)
      assert.match(cells.message, /line 3: the bytes are not UTF-8/)
      for (const name of ["a.csv", "a.jsonl"]) {
        const wide = Buffer.from("\ufefftext\ngood\n", "utf16le")
        assert.match((yield* refusal(name, wide, text)).message, /it is UTF-16, expected UTF-8/)
      }
      const half = yield* refusal("a.jsonl", "{\"text\":\"\\ud800\"}\n", text)
      assert.match(half.message, /lone surrogates/)
    }).pipe(fresh))

  it.effect("takes marks of byte order, line ends of Windows and NULs for what they are", () =>
    Effect.gen(function*() {
      const mark = "\ufeff"
      assert.deepStrictEqual(yield* load("a.csv", `${mark}text\r\none\r\n"two\r\nlines"\r\n`, text), [
        "one",
        "two\r\nlines"
      ])
      assert.deepStrictEqual(yield* load("a.jsonl", `${mark}{"text":"one"}\r\n\r\n{"text":"t\\r\\nwo"}`, text), [
        "one",
        "t\r\nwo"
      ])
      // Only the first is a mark.
      assert.deepStrictEqual(yield* load("a.jsonl", lines({ text: `${mark}one` }), text), [`${mark}one`])
      assert.deepStrictEqual(yield* load("a.csv", "text\na\0b\n", text), ["a\0b"])
      assert.deepStrictEqual(yield* load("a.jsonl", "{\"text\":\"a\\u0000b\"}\n", text), ["a\0b"])
      const raw = yield* refusal("a.jsonl", "{\"text\":\"a\0b\"}\n", text)
      assert.match(raw.message, /expected one JSON value/)
    }).pipe(fresh))

  it.effect("is not brought down by deep nesting", () =>
    Effect.gen(function*() {
      const depth = 200_000
      const nested = "[".repeat(depth) + "]".repeat(depth)
      for (
        const inside of [nested, nested.replace("[]", "[\"\\ud83d\\ude42\"]"), nested.replace("[]", "[\"\\ud800\"]")]
      ) {
        for (const columns of [text, chat]) {
          const error = yield* refusal(
            "deep.jsonl",
            `{"${columns === text ? "text" : "messages"}":${inside}}\n`,
            columns
          )
          assert.match(error.message, /row 1/)
        }
        yield* refusal("deep.jsonl", `${inside}\n`, text)
      }
      const calls = `{"messages":[{"role":"user","content":"a","tool_calls":${nested}}]}\n`
      assert.match((yield* refusal("deep.jsonl", calls, chat)).message, /tool_calls/)
      yield* refusal("deep.csv", `messages\n"${nested}"\n`, chat)
      // What is not asked for may be as deep as it likes.
      assert.deepStrictEqual(yield* load("deep.jsonl", `{"text":"a","other":${nested}}\n`, text), ["a"])
      const objects = `${"{\"a\":".repeat(depth)}1${"}".repeat(depth)}`
      yield* refusal("deep.jsonl", `{"text":${objects}}\n`, text)
    }).pipe(fresh))

  it.effect("reads a chat of 100,000 messages, and finds the bad one at its end", () =>
    Effect.gen(function*() {
      const messages = Array.from({ length: 100_000 }, (_, index) => ({
        role: index % 2 === 0 ? "user" : "assistant",
        content: `${index}`
      }))
      const location = yield* file("long.jsonl", lines({ messages }))
      const { examples } = yield* run(location, chat)
      const [read] = yield* Artifact.readTable(Conversation.Conversation, examples)
      assert.strictEqual(read!.messages.length, 100_000)
      assert.deepStrictEqual(read!.messages.at(-1), messages.at(-1))
      const error = yield* refusal("long.jsonl", lines({ messages: [...messages, { role: "?", content: "x" }] }), chat)
      assert.match(error.message, /field `messages\[100000\]\.role`/)
    }).pipe(fresh))

  it.effect("says that a Parquet file is cut off, or none, or of other columns", () =>
    Effect.gen(function*() {
      const whole = readFileSync(new URL("../fixtures/hub/data/train-00000-of-00002.parquet", import.meta.url))
      for (const length of [3, 100, whole.length - 1]) {
        yield* refusal("cut.parquet", whole.subarray(0, length), chat)
      }
      yield* refusal("text.parquet", "text\nno parquet\n", chat)
      const other = yield* refusal("a.parquet", whole, { messages: "conversations" })
      assert.match(other.message, /the column "conversations" is .*expected .*role/)
      const missing = yield* refusal("a.parquet", whole, { messages: "chats" })
      assert.match(missing.message, /lacks "chats"/)
      const text = yield* refusal("a.parquet", whole, { text: "messages" })
      assert.match(text.message, /"messages" is .*expected utf8/)
    }).pipe(fresh))

  it.effect("is the same for every task", () =>
    Effect.gen(function*() {
      const wired = Effect.map(
        file("a.jsonl", bytes("{\"a\":1}\n", [0xff], "\n")),
        (location) => ({ file: Source.file(location) })
      )
      const empty = Effect.map(file("a.csv", ""), (location) => ({ file: Source.file(location) }))
      for (const source of [wired, empty]) {
        const inputs = yield* source
        const errors = [
          yield* failure(Pipeline.run(LoadExamples(inputs, { text: "a", label: "b" }))),
          yield* failure(Pipeline.run(LoadScores(inputs, { text: "a", score: "b" }))),
          yield* failure(Pipeline.run(LoadTags(inputs, { words: "a", tags: "b" }))),
          yield* failure(Pipeline.run(LoadConversations(inputs, { columns: { text: "a" } })))
        ]
        for (const error of errors) assert.isTrue(error instanceof BadRow || error instanceof DataError, String(error))
      }
    }).pipe(fresh))
})
