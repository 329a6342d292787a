import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { fileURLToPath } from "node:url"
import * as Conversation from "../../src/dataset/Conversation.ts"
import type { ConversationColumns } from "../../src/dataset/ConversationColumns.ts"
import { BadRow, DataError } from "../../src/dataset/DataError.ts"
import * as HubFolder from "../../src/dataset/HubFolder.ts"
import { LoadConversations } from "../../src/dataset/LoadConversations.ts"
import * as Pipeline from "../../src/pipeline/Pipeline.ts"
import * as Source from "../../src/pipeline/Source.ts"
import * as Artifact from "../../src/store/Artifact.ts"
import { failure, file, fresh, lines } from "./runs.ts"

const hub = fileURLToPath(new URL("../fixtures/hub", import.meta.url))

const load = Effect.fnUntraced(function*(name: string, content: string, columns: ConversationColumns) {
  const location = yield* file(name, content)
  const { examples } = yield* Pipeline.run(LoadConversations({ file: Source.file(location) }, { columns }))
  return yield* Artifact.readTable(Conversation.Conversation, examples)
})

const problem = Effect.fnUntraced(function*(name: string, content: string, columns: ConversationColumns) {
  const error = yield* failure(load(name, content, columns))
  assert.instanceOf(error, BadRow)
  return error.message.slice(error.message.indexOf(", ") + 2)
})

const user = (content: string) => ({ role: "user", content })
const assistant = (content: string) => ({ role: "assistant", content })

describe("LoadConversations", () => {
  it.effect("reads running text, and prompts with completions, from any format", () =>
    Effect.gen(function*() {
      const text = { text: "body" }
      const expected = [Conversation.text("one, two\nthree")]
      assert.deepStrictEqual(yield* load("a.csv", "body,id\n\"one, two\nthree\",1\n", text), expected)
      assert.deepStrictEqual(yield* load("a.tsv", "body\tid\n\"one, two\nthree\"\t1\n", text), expected)
      assert.deepStrictEqual(yield* load("a.jsonl", lines({ body: "one, two\nthree" }), text), expected)
      assert.deepStrictEqual(
        yield* load("a.jsonl", lines({ prompt: "2+2=", completion: " 4" }), {
          prompt: "prompt",
          completion: "completion"
        }),
        [{ messages: [{ role: "prompt", content: "2+2=" }, { role: "completion", content: " 4" }] }]
      )
    }).pipe(fresh))

  it.effect("reads instructions as chats, or by a template as prompts", () =>
    Effect.gen(function*() {
      const rows = lines(
        { instruction: "Add {input}", input: "1 {instruction}", output: "2" },
        { instruction: "Say hi", input: "", output: "hi" },
        { instruction: "Say ho", input: null, output: "ho" },
        { instruction: "Say he", output: "he" }
      )
      const columns = { instruction: "instruction", input: "input", output: "output" }
      assert.deepStrictEqual(
        (yield* load("a.jsonl", rows, { ...columns, system: "Be kind." })).map(({ messages }) => messages),
        [
          [{ role: "system", content: "Be kind." }, user("Add {input}\n\n1 {instruction}"), assistant("2")],
          [{ role: "system", content: "Be kind." }, user("Say hi"), assistant("hi")],
          [{ role: "system", content: "Be kind." }, user("Say ho"), assistant("ho")],
          [{ role: "system", content: "Be kind." }, user("Say he"), assistant("he")]
        ]
      )
      const template = { withInput: "Do: {instruction}\nWith: {input}\n", withoutInput: "Do: {instruction}\n" }
      assert.deepStrictEqual((yield* load("a.jsonl", rows, { ...columns, template })).slice(0, 2), [
        Conversation.completion("Do: Add {input}\nWith: 1 {instruction}\n", "2"),
        Conversation.completion("Do: Say hi\n", "hi")
      ])
      assert.deepStrictEqual(
        yield* load("a.csv", "instruction,input,output\nSay hi,,hi\n", {
          ...columns,
          template: "{instruction}|{input}|"
        }),
        [Conversation.completion("Say hi||", "hi")]
      )
    }).pipe(fresh))

  it.effect("reads chats of OpenAI and of ShareGPT, and gives a system message to those without", () =>
    Effect.gen(function*() {
      const messages = [user("Hi"), assistant("Hello"), { role: "tool", content: "" }, assistant("Bye")]
      const own = [{ role: "system", content: "Own" }, user("a"), assistant("b")]
      const rows = lines({ messages: messages.map((message) => ({ ...message, name: "x", tool_calls: null })) }, {
        messages: own
      })
      assert.deepStrictEqual((yield* load("a.jsonl", rows, { messages: "messages" })).map((row) => row.messages), [
        messages,
        own
      ])
      assert.deepStrictEqual(
        (yield* load("a.jsonl", rows, { messages: "messages", system: "Given" })).map((row) => row.messages),
        [[{ role: "system", content: "Given" }, ...messages], own]
      )
      const shared = lines({ conversations: [{ from: "human", value: "Hi" }, { from: "gpt", value: "Hello" }] })
      assert.deepStrictEqual(yield* load("a.jsonl", shared, { conversations: "conversations" }), [{
        messages: [user("Hi"), assistant("Hello")]
      }])
      // A list in a cell of CSV is JSON.
      const cell = JSON.stringify([user("Hi"), assistant("Hello")]).replaceAll("\"", "\"\"")
      assert.deepStrictEqual(yield* load("a.csv", `chat\n"${cell}"\n`, { messages: "chat" }), [{
        messages: [user("Hi"), assistant("Hello")]
      }])
    }).pipe(fresh))

  it.effect("reads Parquet that another program wrote, in the shards of a split", () =>
    Effect.gen(function*() {
      const read = Effect.fnUntraced(function*(split: string, columns: ConversationColumns) {
        const { examples } = yield* Pipeline.run(LoadConversations({ files: HubFolder.split(hub, split) }, { columns }))
        return (yield* Artifact.readTable(Conversation.Conversation, examples)).map(({ messages }) =>
          messages.map(({ content }) => content).join("|")
        )
      })
      assert.deepStrictEqual(yield* read("train", { messages: "messages" }), [
        "question 1|answer 1 ü",
        "question 2|answer 2 ü",
        "question 3|answer 3 ü"
      ])
      assert.deepStrictEqual(yield* read("test", { conversations: "conversations" }), ["q4|a4", "q5|a5"])
      assert.deepStrictEqual(
        yield* read("test", { instruction: "instruction", input: "input", output: "output" }),
        ["do 4\n\nin 4|out 4", "do 5|out 5"]
      )
    }).pipe(fresh))

  it.effect("names the row, the line and the field of what cannot be learned from", () =>
    Effect.gen(function*() {
      const chat = (...messages: ReadonlyArray<unknown>) =>
        problem("a.jsonl", lines({ m: [user("a"), assistant("b")] }, { m: messages }), { messages: "m" })
      assert.strictEqual(yield* chat(), "row 2 (line 2), field `m`: expected at least one message, found [].")
      assert.strictEqual(
        yield* chat(user("a"), { role: "robot", content: "b" }),
        "row 2 (line 2), field `m[1].role`: expected one of the roles system, user, assistant, tool, found \"robot\"."
      )
      assert.match(yield* chat(user("a")), /field `m`: expected at least one message of the assistant, found \[\{/)
      assert.strictEqual(
        yield* chat(user("a"), assistant("")),
        "row 2 (line 2), field `m[1].content`: expected a message of the assistant that is not empty, found \"\"."
      )
      assert.match(
        yield* chat(user("a"), { role: "assistant", content: null }),
        /field `m\[1\]\.content`: expected string, found null/
      )
      assert.match(
        yield* chat(user("a"), { ...assistant("b"), tool_calls: [{ id: 1 }] }),
        /field `m\[1\]\.tool_calls`: expected no tool calls/
      )
      const shared = (...turns: ReadonlyArray<unknown>) =>
        problem("a.jsonl", lines({ c: turns }), { conversations: "c" })
      assert.match(
        yield* shared({ from: "alien", value: "x" }),
        /field `c\[0\]\.from`: expected .*"human".*found "alien"/
      )
      assert.match(yield* shared({ from: "human", value: "" }), /field `c\[0\]\.value`: expected a message of the user/)
      assert.match(
        yield* shared({ from: "human", value: "x" }),
        /field `c`: expected at least one message of the assistant/
      )
      assert.match(yield* problem("a.jsonl", lines({ text: "" }), { text: "text" }), /row 1 \(line 1\), field `text`/)
      assert.match(
        yield* problem("a.csv", "p,c\nx,\n", { prompt: "p", completion: "c" }),
        /row 1 \(line 2\), field `c`: expected a value/
      )
      const { skipped, rejected } = yield* Pipeline.run(LoadConversations(
        { file: Source.file(yield* file("b.jsonl", lines({ m: [user("a")] }, { m: [user("a"), assistant("b")] }, 7))) },
        { columns: { messages: "m" }, onBadRow: "collect" }
      ))
      assert.deepStrictEqual([skipped, rejected.rows], [2, 2])
    }).pipe(fresh))

  it.effect("refuses columns that do not fit together before anything is read", () =>
    Effect.gen(function*() {
      const run = (columns: ConversationColumns) => failure(load("a.jsonl", lines({ a: "b" }), columns))
      const columns = { instruction: "i", output: "o" }
      assert.match((yield* run({ ...columns, template: "no place" })).message, /\{instruction\}/)
      assert.match(
        (yield* run({ ...columns, template: "{instruction}{input}" })).message,
        /column, which the template asks for/
      )
      assert.match((yield* run({ ...columns, template: "{instruction}", system: "s" })).message, /write it there/)
      assert.instanceOf(yield* failure(Pipeline.run(LoadConversations({}, { columns: { text: "a" } }))), DataError)
    }).pipe(fresh))
})
