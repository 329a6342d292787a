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
export const mostRendered = 5_000_000

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
    if (which === "all") return { text, spans }
    const turn = asked[0]!
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
    const ends = yield* endsOf(template, messages, text, asked, endings)
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
      if (end <= before.length) {
        return yield* Result.fail(unstable(turn, "nothing of the answer is in the text of the chat"))
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
 * The end of each answer, found by a mark at the end of its content; `undefined` where the mark does not come through. What
 * follows the content up to the first token that may end a turn is part of the answer, as far as the template writes it
 * after every answer.
 */
const endsOf = (
  template: ChatTemplate,
  messages: ReadonlyArray<Message>,
  text: string,
  asked: ReadonlyArray<number>,
  endings: ReadonlyArray<string>
): Result.Result<ReadonlyArray<number | undefined>, TemplateRaised | UnsupportedTemplate> =>
  Result.gen(function*() {
    const [mark] = Marks.free(messages)
    const none = asked.map(() => undefined)
    if (mark === undefined) return none
    const wanted = new Set(asked)
    // A template may take white space off the end of an answer, and must then not be kept from it by the mark.
    const forms = [(content: string) => content, (content: string) => content.trimEnd()]
    for (const form of forms) {
      const parts = (yield* template.render(messages.map(({ content, role }, index) => ({
        role,
        content: wanted.has(index) ? `${form(content)}${mark}` : content
      })))).split(mark)
      if (parts.length !== asked.length + 1 || parts.join("") !== text) continue
      const ends: Array<number> = []
      let at = 0
      const final = asked.at(-1)!
      // What the template writes after an answer with which the chat ends.
      const rest = final === messages.length - 1 ? parts.at(-1)! : (yield* template.render(
        messages.slice(0, final + 1).map(({ content, role }, index) => ({
          role,
          content: index === final ? `${form(content)}${mark}` : content
        }))
      )).split(mark).at(-1)!
      const last = turnEnd(rest, endings)
      for (const part of parts.slice(0, -1)) {
        at += part.length
        ends.push(at)
      }
      return ends.map((end) => text.startsWith(last, end) ? end + last.length : undefined)
    }
    return none
  })

/** What ends a turn, at the beginning of the text that follows an answer. */
const turnEnd = (rest: string, endings: ReadonlyArray<string>): string => {
  let found: string | undefined
  for (const ending of endings) {
    const at = rest.indexOf(ending)
    if (at >= 0 && (found === undefined || at + ending.length < found.length)) found = rest.slice(0, at + ending.length)
  }
  return found ?? rest
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
