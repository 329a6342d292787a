/**
 * What the assistant wrote in the text of a chat: the parts that a model is to learn.
 *
 * Where the template marks them by `{% generation %}`, these are they. Where it does not, which is the rule among
 * published models, they are found by rendering the chat up to each message of the assistant: such a part begins where
 * that rendering ends, with what stands before an answer (`add_generation_prompt`), and ends with the message's own
 * content and the end-of-turn token that the template writes after it. So a part is what the model will have to write
 * after what it will be given to read.
 */
import * as Result from "effect/Result"
import type { Message } from "../dataset/Conversation.ts"
import type { ChatTemplate, Span, TemplateRaised, UnsupportedTemplate } from "./ChatTemplate.ts"
import * as Marks from "./Marks.ts"

/** A template that writes the beginning of a chat differently once the chat goes on. */
export interface Unstable {
  readonly _tag: "Unstable"
  /** The message of the assistant that cannot be told, counted from 1 among all messages. */
  readonly turn: number
  readonly reason: string
}

export interface Marked {
  readonly text: string
  readonly spans: ReadonlyArray<Span>
}

type Found = Result.Result<Marked, Unstable | TemplateRaised | UnsupportedTemplate>

/** Rendering up to every turn takes time that grows with the square of their number: this many messages in all. */
const mostRendered = 5_000_000

const unstable = (turn: number, reason: string): Unstable => ({ _tag: "Unstable", turn: turn + 1, reason })

/** The parts that the assistant wrote, in `which` of its messages. `endings` are the tokens that may end a turn. */
export const find = (
  template: ChatTemplate,
  messages: ReadonlyArray<Message>,
  which: "all" | "last",
  endings: ReadonlyArray<string>
): Found => {
  const turns = messages.flatMap(({ role }, index) => role === "assistant" ? [index] : [])
  const asked = which === "last" ? turns.slice(-1) : turns
  if (asked.length === 0) return Result.map(template.render(messages), (text) => ({ text, spans: [] }))
  return template.marksGeneration
    ? byTags(template, messages, asked, which)
    : byPrefixes(template, messages, asked, endings)
}

const byTags = (
  template: ChatTemplate,
  messages: ReadonlyArray<Message>,
  asked: ReadonlyArray<number>,
  which: "all" | "last"
): Found =>
  Result.gen(function*() {
    const { spans, text } = yield* template.renderMarked(messages)
    const turn = asked[0]!
    if (which === "all" || turn === 0) return { text, spans }
    const asking = yield* template.render(messages.slice(0, turn), { generationPrompt: true })
    // Some templates begin an answer otherwise than they ask for one.
    const before = text.startsWith(asking) ? asking : yield* template.render(messages.slice(0, turn))
    return text.startsWith(before)
      ? { text, spans: spans.filter(({ end }) => end > before.length) }
      : yield* Result.fail(unstable(turn, difference(before, text)))
  })

const byPrefixes = (
  template: ChatTemplate,
  messages: ReadonlyArray<Message>,
  asked: ReadonlyArray<number>,
  endings: ReadonlyArray<string>
): Found =>
  Result.gen(function*() {
    if (asked.length * messages.length > mostRendered) {
      return yield* Result.fail(unstable(
        asked[0]!,
        `the chat has ${messages.length} messages, too many to be rendered up to each answer: cut it into several, or `
          + "mark the answers in the template by {% generation %}"
      ))
    }
    const text = yield* template.render(messages)
    const ends = endsOf(template, messages, text, asked, endings)
    const spans: Array<Span> = []
    for (const [index, turn] of asked.entries()) {
      const asking = template.render(messages.slice(0, turn), { generationPrompt: true })
      if (turn === 0 && Result.isFailure(asking)) {
        const reason = "the chat begins with it, and the template has no text to ask for it with: begin with the user"
        return yield* Result.fail(unstable(turn, reason))
      }
      const before = yield* asking
      if (!text.startsWith(before)) return yield* Result.fail(unstable(turn, difference(before, text)))
      const end = ends[index] ?? (yield* endByPrefix(template, messages, text, turn, endings))
      if (end <= before.length || before.length < (spans.at(-1)?.end ?? 0)) {
        return yield* Result.fail(unstable(turn, "it has no place of its own in the text of the chat"))
      }
      spans.push({ start: before.length, end })
    }
    return { text, spans }
  })

/** Where what a model is asked with differs from the text it would learn from. */
const difference = (asked: string, text: string): string => {
  let same = 0
  while (same < asked.length && asked[same] === text[same]) same++
  const around = (whole: string) => JSON.stringify(whole.slice(Math.max(0, same - 20), same + 30))
  return `a model that is asked for it reads ${around(asked)}, where the text of the whole chat has ${around(text)}`
}

/**
 * The end of each answer, found by a mark at the end of its content; `undefined` where the mark does not come through.
 * What the template writes after an answer belongs to it, through the last token that may end a turn, as far as it writes
 * the same after an answer with which a chat ends. So a model learns to stop.
 */
const endsOf = (
  template: ChatTemplate,
  messages: ReadonlyArray<Message>,
  text: string,
  asked: ReadonlyArray<number>,
  endings: ReadonlyArray<string>
): ReadonlyArray<number | undefined> => {
  const [mark] = Marks.free(messages)
  const none = asked.map(() => undefined)
  if (mark === undefined) return none
  const final = asked.at(-1)!
  const partsOf = (chat: ReadonlyArray<Message>, turns: ReadonlyArray<number>, form: (content: string) => string) => {
    const wanted = new Set(turns)
    const marked = template.render(chat.map(({ content, role }, index) => ({
      role,
      content: wanted.has(index) ? `${form(content)}${mark}` : content
    })))
    return Result.isSuccess(marked) ? marked.success.split(mark) : []
  }
  // A template may take white space off the end of an answer, and must then not be kept from it by the mark.
  for (const form of [(content: string) => content, (content: string) => content.trimEnd()]) {
    const parts = partsOf(messages, asked, form)
    if (parts.length !== asked.length + 1 || parts.join("") !== text) continue
    const closed = final === messages.length - 1 ? parts : partsOf(messages.slice(0, final + 1), [final], form)
    const rest = closed.at(-1)
    if (rest === undefined) return none
    const closings = closingsOf(rest, endings)
    let at = 0
    return parts.slice(0, -1).map((part) => {
      at += part.length
      const closing = closings.find((closing) => text.startsWith(closing, at))
      return closing === undefined ? undefined : at + closing.length
    })
  }
  return none
}

/** What may close an answer that `rest` follows: its beginnings that end in one of the tokens, the longest first. */
const closingsOf = (rest: string, endings: ReadonlyArray<string>): ReadonlyArray<string> => {
  const closings = endings.flatMap((ending) => {
    const ends: Array<number> = []
    for (let at = rest.indexOf(ending); at >= 0; at = rest.indexOf(ending, at + 1)) ends.push(at + ending.length)
    return ends
  })
  return closings.length === 0 ? [rest] : closings.toSorted((a, b) => b - a).map((end) => rest.slice(0, end))
}

/** The end of an answer as the end of the chat up to it, less the white space behind the last token that may end a turn. */
const endByPrefix = (
  template: ChatTemplate,
  messages: ReadonlyArray<Message>,
  text: string,
  turn: number,
  endings: ReadonlyArray<string>
): Result.Result<number, Unstable | TemplateRaised | UnsupportedTemplate> =>
  Result.gen(function*() {
    const after = yield* template.render(messages.slice(0, turn + 1))
    if (!text.startsWith(after)) {
      return yield* Result.fail(
        unstable(turn, "its end cannot be found, since the template writes it differently when the chat goes on")
      )
    }
    const trimmed = after.trimEnd()
    return endings.some((ending) => trimmed.endsWith(ending)) ? trimmed.length : after.length
  })
