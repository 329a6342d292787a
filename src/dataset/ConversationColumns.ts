/**
 * How the columns of a file become a conversation: the ways in which data sets
 * for language models are written down.
 */
import * as Schema from "effect/Schema"
import * as Conversation from "./Conversation.ts"
import type * as LoadRows from "./LoadRows.ts"

const Column = Schema.NonEmptyString

const System = Schema.optionalKey(Schema.NonEmptyString)

/** Only chats have system messages. */
const NoSystem = Schema.optionalKey(Schema.Never)

const Template = Schema.String.check(
  Schema.makeFilter((template) =>
    template.includes("{instruction}") ? undefined : "a template that contains {instruction}"
  )
)

/**
 * Which columns there are, and what they mean.
 *
 * - `{ text }`: running text.
 * - `{ prompt, completion }`: what is given and what is to follow, joined as
 *   they stand.
 * - `{ instruction, input, output }`: as in Alpaca; `input` is optional and may
 *   be empty. A chat of one question and one answer, the question being the
 *   instruction, an empty line and the input. With a `template`, in which
 *   `{instruction}` and `{input}` stand for the columns, a prompt and its
 *   completion; give two templates where rows without an input need another.
 * - `{ messages }`: a list of `{ role, content }`, as for OpenAI and TRL.
 * - `{ conversations }`: a list of `{ from, value }`, as in ShareGPT.
 *
 * `system` beside the columns of a chat is the system message of chats that
 * have none.
 */
export const ConversationColumns = Schema.Union([
  Schema.Struct({ text: Column, system: NoSystem }),
  Schema.Struct({ prompt: Column, completion: Column, system: NoSystem }),
  Schema.Struct({
    instruction: Column,
    input: Schema.optionalKey(Column),
    output: Column,
    template: Schema.optionalKey(
      Schema.Union([Template, Schema.Struct({ withInput: Template, withoutInput: Template })])
    ),
    system: System
  }).check(
    Schema.makeFilter(({ input, system, template }) => {
      if (template === undefined) return undefined
      if (system !== undefined) {
        return { path: ["system"], issue: "no system message beside a template: write it there" }
      }
      const asks = typeof template === "string" ? template.includes("{input}") : true
      return asks && input === undefined
        ? { path: ["input"], issue: "the name of a column, which the template asks for" }
        : undefined
    })
  ),
  Schema.Struct({ messages: Column, system: System }),
  Schema.Struct({ conversations: Column, system: System })
])
export type ConversationColumns = typeof ConversationColumns.Type

/** Who speaks in ShareGPT's files, as a role. */
const speakers: Readonly<Record<string, string>> = {
  system: "system",
  human: "user",
  user: "user",
  gpt: "assistant",
  chatgpt: "assistant",
  assistant: "assistant",
  tool: "tool",
  observation: "tool"
}

const withSystem = (
  messages: ReadonlyArray<Conversation.Message>,
  system: string | undefined
): Conversation.Conversation => ({
  messages: system === undefined || messages.some(({ role }) => role === "system")
    ? messages
    : [{ role: "system", content: system }, ...messages]
})

const fill = (template: string, instruction: string, input: string): string =>
  // One pass, so that an instruction that speaks of {input} stays as it is.
  template.replace(/\{(instruction|input)\}/g, (_, name: string) => name === "input" ? input : instruction)

const flawIn = (messages: ReadonlyArray<Conversation.Message>, column: string) => {
  const found = Conversation.flaw(messages)
  return found === undefined ? undefined : { path: [column, ...found.path], expected: found.expected }
}

/** How the rows of a file become conversations. In JSON lines a column that may be missing may be null too. */
export const reader = (
  columns: ConversationColumns,
  jsonLines: boolean
): LoadRows.Reader<Conversation.Conversation> => {
  if ("text" in columns) {
    const { text } = columns
    return {
      fields: { [text]: Schema.NonEmptyString },
      toRow: (cells) => Conversation.text(cells[text])
    }
  }
  if ("prompt" in columns) {
    const { completion, prompt } = columns
    return {
      fields: { [prompt]: Schema.NonEmptyString, [completion]: Schema.NonEmptyString },
      toRow: (cells) => Conversation.completion(cells[prompt], cells[completion])
    }
  }
  if ("instruction" in columns) {
    const { input, instruction, output, template } = columns
    const Input = Schema.optionalKey(jsonLines ? Schema.NullOr(Schema.String) : Schema.String)
    return {
      fields: {
        [instruction]: Schema.NonEmptyString,
        [output]: Schema.NonEmptyString,
        ...(input === undefined ? {} : { [input]: Input })
      },
      toRow: (cells) => {
        const asked: string = cells[instruction], given: string = (input === undefined ? "" : cells[input]) ?? ""
        if (template === undefined) {
          const content = given === "" ? asked : `${asked}\n\n${given}`
          return withSystem(
            [{ role: "user", content }, { role: "assistant", content: cells[output] }],
            columns.system
          )
        }
        const form = typeof template === "string"
          ? template
          : given === ""
          ? template.withoutInput
          : template.withInput
        return Conversation.completion(fill(form, asked, given), cells[output])
      }
    }
  }
  if ("messages" in columns) {
    const { messages } = columns
    // What is called besides the text would be lost, so only rows without calls are taken.
    const calls = jsonLines
      ? {
        tool_calls: Schema.optionalKey(
          Schema.NullOr(Schema.Array(Schema.Json).check(Schema.isMaxLength(0, { message: "no tool calls" })))
        )
      }
      : {}
    return {
      fields: { [messages]: Schema.Array(Schema.Struct({ ...Conversation.Message.fields, ...calls })) },
      flaw: (cells) => flawIn(cells[messages], messages),
      toRow: (cells) =>
        withSystem(
          cells[messages].map(({ content, role }: Conversation.Message) => ({ role, content })),
          columns.system
        )
    }
  }
  const { conversations } = columns
  return {
    fields: {
      [conversations]: Schema.Array(Schema.Struct({
        from: Schema.Literals(["system", "human", "user", "gpt", "chatgpt", "assistant", "tool", "observation"]),
        value: Schema.String
      }))
    },
    flaw: (cells) => {
      const found = flawIn(messagesOf(cells[conversations]), conversations)
      const field = found?.path[2] === "content" ? "value" : "from"
      return found === undefined
        ? undefined
        : { ...found, path: [...found.path.slice(0, 2), ...found.path.length > 2 ? [field] : []] }
    },
    toRow: (cells) => withSystem(messagesOf(cells[conversations]), columns.system)
  }
}

const messagesOf = (
  turns: ReadonlyArray<{ readonly from: string; readonly value: string }>
): ReadonlyArray<Conversation.Message> => turns.map(({ from, value }) => ({ role: speakers[from]!, content: value }))
