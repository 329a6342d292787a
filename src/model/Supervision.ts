/**
 * From conversations to what a language model is trained on: token ids, and for each position whether it is learned.
 *
 * The rule is that the supervised tokens are those which the model will have to write after what it will be given to
 * read, token for token:
 *
 * - Running text is encoded as a text is, with the special tokens that the tokenizer puts around it, and ended by the
 *   end-of-text token. All of it is learned.
 * - A prompt is encoded as it will be when a model is asked, and its completion so that the two together are the joined
 *   text (see `TokenBoundaries`): where a token would reach across, the two are encoded apart. The completion is learned,
 *   and the end-of-text token after it.
 * - A chat is rendered once and encoded without further special tokens, since the template writes them. The answers are
 *   learned, with the token that ends each (see `AssistantSpans`).
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Conversation from "../dataset/Conversation.ts"
import * as RowProblem from "../store/RowProblem.ts"
import * as AssistantSpans from "./AssistantSpans.ts"
import { type ChatTemplate, NoChatTemplate } from "./ChatTemplate.ts"
import * as EventLoop from "./EventLoop.ts"
import { ignored } from "./Examples.ts"
import * as SpecialTokens from "./SpecialTokens.ts"
import * as TokenBoundaries from "./TokenBoundaries.ts"
import type { Tokenizer } from "./Tokenizer.ts"

/**
 * What is learned.
 *
 * - `completions`: what the model is to write, whatever the conversation is: running text, the completion of a prompt,
 *   every answer of a chat.
 * - `assistant`: every answer of a chat. Conversations that are no chats are refused.
 * - `last-assistant`: the last answer of a chat, also where the template writes earlier ones otherwise once the chat goes
 *   on (as those that leave out what was thought).
 * - `all`: every token.
 */
export const Loss = Schema.Literals(["completions", "assistant", "last-assistant", "all"])
export type Loss = typeof Loss.Type

/**
 * What happens to a conversation of more tokens than `maximumLength`: it is cut at its end, or at its start, it is left
 * out, or it is an error.
 */
export const Truncation = Schema.Literals(["end", "start", "drop", "fail"])
export type Truncation = typeof Truncation.Type

export interface Options {
  readonly loss: Loss
  /** In tokens. */
  readonly maximumLength: number
  readonly truncation: Truncation
  /** The model's own; needed where there are chats. */
  readonly template?: ChatTemplate | undefined
}

const row = {
  /** Counted from 1, in the table that is read: after a split it is another than in the file. */
  row: Schema.Int,
  /** How the conversation begins, by which it is found in a file. */
  begins: Schema.optionalKey(Schema.String)
}

/** Which row an error is about. */
interface Place {
  readonly row: number
  readonly begins?: string
}

const placeOf = (row: number, { messages: [first] }: Conversation.Conversation): Place => ({
  row,
  ...first === undefined ? {} : { begins: RowProblem.show(first.content) }
})

const reads = ({ begins }: Place): string => begins === undefined ? "" : ` The row reads ${begins}.`

/** Nothing can be learned from a row. */
export class NothingSupervised extends Schema.TaggedError<NothingSupervised>()("NothingSupervised", {
  ...row,
  reason: Schema.String
}) {
  override get message() {
    return `Nothing can be learned from row ${this.row}: ${this.reason}.${reads(this)}`
  }
}

/** A row is longer than allowed, and was not to be cut. */
export class TooLong extends Schema.TaggedError<TooLong>()("TooLong", {
  ...row,
  tokens: Schema.Int,
  maximumLength: Schema.Int
}) {
  override get message() {
    return `Row ${this.row} has ${this.tokens} tokens, and ${this.maximumLength} are allowed. Cut it ("end" or "start"), ` +
      `leave it out ("drop"), or allow more by maximumLength.${reads(this)}`
  }
}

/** The model's chat template cannot render a row. */
export class NotRendered extends Schema.TaggedError<NotRendered>()("NotRendered", { ...row, reason: Schema.String }) {
  override get message() {
    return `Row ${this.row}: ${this.reason}${reads(this)}`
  }
}

/** The chat template writes a chat otherwise when it goes on, so that an answer cannot be told from the rest. */
export class UnstableTemplate extends Schema.TaggedError<UnstableTemplate>()("UnstableTemplate", {
  ...row,
  /** Which message, counted from 1. */
  turn: Schema.Int,
  reason: Schema.String
}) {
  override get message() {
    return `Row ${this.row}, message ${this.turn}: the model's chat template does not let its answer be told from the ` +
      `rest: ${this.reason}. Learn the last answer alone ("last-assistant"), or give a template that marks the answers ` +
      `by {% generation %} and {% endgeneration %}.${reads(this)}`
  }
}

/** The tokenizer cannot encode the parts of a row so that together they are the row. */
export class NotDivisible
  extends Schema.TaggedError<NotDivisible>()("NotDivisible", { ...row, reason: Schema.String })
{
  override get message() {
    return `Row ${this.row} cannot be divided into what is given and what is learned: ${this.reason}.${reads(this)}`
  }
}

/** A conversation ends with nothing that a model could be asked for. */
export class NothingAsked
  extends Schema.TaggedError<NothingAsked>()("NothingAsked", { ...row, reason: Schema.String })
{
  override get message() {
    return `A model cannot be asked for what row ${this.row} ends with: ${this.reason}. Those with the completion of a ` +
      `prompt or with an answer of the assistant are judged by what is generated, running text by ` +
      `EvaluateLanguageModel.${reads(this)}`
  }
}

/** The tokenizer has no token that ends a text. */
export class NoEndOfText extends Schema.TaggedError<NoEndOfText>()("NoEndOfText", {}) {
  override get message() {
    return "Texts and completions are ended by the tokenizer's eos_token, and tokenizer_config.json names none: " +
      "a model would never learn to stop. Add `eos_token` there."
  }
}

export const SupervisionError = Schema.Union([
  NothingSupervised,
  NothingAsked,
  TooLong,
  NotRendered,
  UnstableTemplate,
  NotDivisible,
  NoEndOfText,
  NoChatTemplate
])
export type SupervisionError = typeof SupervisionError.Type

/** A conversation as a language model is trained on it, as `Examples.Example` has it. */
export interface Supervised {
  readonly tokens: Int32Array
  /** For each position its token where it is learned, `Examples.ignored` elsewhere; not shifted. */
  readonly labels: Int32Array
}

export interface Encoded {
  readonly examples: ReadonlyArray<Supervised>
  /** The row of each example, counted from 1: they differ where rows were dropped. */
  readonly rows: ReadonlyArray<number>
  /** Rows that were cut, and rows that were left out, since they were too long. */
  readonly truncated: ReadonlyArray<number>
  readonly dropped: ReadonlyArray<number>
}

/** Whether any of the conversations is a chat, which takes a template. */
export const needsTemplate = (conversations: ReadonlyArray<Conversation.Conversation>): boolean =>
  conversations.some((conversation) => Conversation.kindOf(conversation) === "chat")

/** Before they are cut: the tokens, and which are learned, as ranges of indices. */
interface Divided {
  readonly tokens: Int32Array
  readonly learned: ReadonlyArray<readonly [number, number]>
}

/** What encodes one conversation after the other with one tokenizer. */
const encoder = (tokenizer: Tokenizer, { loss, template }: Pick<Options, "loss" | "template">) => {
  const boundaries = TokenBoundaries.make(tokenizer)
  const { after, before } = SpecialTokens.around(tokenizer)
  const { endOfTextId } = tokenizer

  /** Given and learned text, with what stands around a text. */
  const texts = (place: Place, given: string, learned: string): Result.Result<Divided, SupervisionError> =>
    Result.gen(function*() {
      if (endOfTextId === undefined) return yield* Result.fail(new NoEndOfText())
      const { indices: [cut], tokens } = yield* Result.mapError(
        boundaries.cut(given + learned, [given.length]),
        (reason) => new NotDivisible({ ...place, reason })
      )
      const ended = after.includes(endOfTextId) || tokens.at(-1) === endOfTextId
      const ending = ended ? after : [endOfTextId, ...after]
      const start = given === "" || loss === "all" ? 0 : before.length + cut!
      const end = before.length + tokens.length + ending.indexOf(endOfTextId) + 1
      return { tokens: Int32Array.from([...before, ...tokens, ...ending]), learned: [[start, end]] }
    })

  const chat = (
    place: Place,
    messages: ReadonlyArray<Conversation.Message>
  ): Result.Result<Divided, SupervisionError> =>
    Result.gen(function*() {
      if (template === undefined) return yield* Result.fail(new NoChatTemplate({ detail: "none was given" }))
      const rendered = loss === "all"
        ? Result.map(template.render(messages), (text) => ({ text, spans: [{ start: 0, end: text.length }] }))
        : AssistantSpans.find(template, messages, loss === "last-assistant" ? "last" : "all", boundaries.addedTokens)
      const { spans, text } = yield* Result.mapError(rendered, (error) =>
        error._tag === "Unstable"
          ? new UnstableTemplate({ ...place, turn: error.turn, reason: error.reason })
          : new NotRendered({ ...place, reason: error.message }))
      if (spans.every(({ end, start }) => end <= start)) {
        return yield* Result.fail(
          new NothingSupervised({
            ...place,
            reason: template.marksGeneration
              ? "the chat template marks nothing by {% generation %}"
              : "it has no message of the assistant"
          })
        )
      }
      const { indices, tokens } = yield* Result.mapError(
        boundaries.cut(text, spans.flatMap(({ end, start }) => [start, end])),
        (reason) => new NotDivisible({ ...place, reason })
      )
      return {
        tokens,
        learned: spans.map((_, index): readonly [number, number] => [indices[2 * index]!, indices[2 * index + 1]!])
      }
    })

  return (row: number, conversation: Conversation.Conversation): Result.Result<Divided, SupervisionError> => {
    const { messages } = conversation
    const place = placeOf(row, conversation)
    const kind = Conversation.kindOf(conversation)
    if (kind === undefined) {
      const roles = [...new Set(messages.map(({ role }) => role))].slice(0, 10).join(", ")
      return Result.fail(
        new NothingSupervised({
          ...place,
          reason: messages.length === 0
            ? "it has no message"
            : `its roles (${roles}) are those of no kind of conversation`
        })
      )
    }
    if (kind === "chat") return chat(place, messages)
    if (loss === "assistant" || loss === "last-assistant") {
      const what = kind === "text" ? "running text" : "a prompt and its completion"
      return Result.fail(
        new NothingSupervised({
          ...place,
          reason: `it is ${what}, and only answers of the assistant are to be learned`
        })
      )
    }
    if (kind === "text") return texts(place, "", messages[0]!.content)
    return texts(place, messages[0]!.content, messages[1]!.content)
  }
}

/** How many conversations are encoded before the rest of the process has its turn. */
const atOnce = 64

/**
 * Encodes conversations for training. Every example has a supervised token that can be predicted, one that is not its
 * first; a row that has none, before or after it was cut, is an error that names it.
 */
export const encode = Effect.fn("Supervision.encode")(function*(
  tokenizer: Tokenizer,
  conversations: ReadonlyArray<Conversation.Conversation>,
  options: Options
): Effect.fn.Return<Encoded, SupervisionError> {
  const divide = encoder(tokenizer, options)
  const { maximumLength, truncation } = options
  const examples: Array<Supervised> = [], rows: Array<number> = []
  const truncated: Array<number> = [], dropped: Array<number> = []
  for (const [index, conversation] of conversations.entries()) {
    if (index % atOnce === atOnce - 1) yield* EventLoop.turn
    const row = index + 1
    const { learned, tokens } = yield* Effect.fromResult(divide(row, conversation))
    const labels = new Int32Array(tokens.length).fill(ignored)
    for (const [start, end] of learned) labels.set(tokens.subarray(start, end), start)
    const excess = tokens.length - maximumLength
    if (excess > 0) {
      if (truncation === "fail") {
        return yield* new TooLong({ ...placeOf(row, conversation), tokens: tokens.length, maximumLength })
      }
      if (truncation === "drop") {
        dropped.push(row)
        continue
      }
      truncated.push(row)
    }
    const start = excess > 0 && truncation === "start" ? excess : 0
    const example = {
      tokens: tokens.slice(start, start + maximumLength),
      labels: labels.slice(start, start + maximumLength)
    }
    // The first position has nothing before it to be predicted from.
    if (example.labels.findIndex((label, position) => position > 0 && label !== ignored) < 0) {
      const [kept, other] = truncation === "end" ? ["start", "start"] : ["end", "end"]
      return yield* new NothingSupervised({
        ...placeOf(row, conversation),
        reason: excess > 0
          ? `what is to be learned lies beyond the ${maximumLength} tokens that are kept at its ${kept}, of ` +
            `${tokens.length}; cut its ${other} instead (truncation "${other}"), leave it out ("drop"), or allow more ` +
            "by maximumLength"
          : "it has no token to learn that stands after another"
      })
    }
    examples.push(example)
    rows.push(row)
  }
  return { examples, rows, truncated, dropped }
})

/** What a model is asked with, and what it should then write. */
export interface Question {
  /** The tokens it is given. */
  readonly tokens: Int32Array
  /** The text it should write: a completion, or the content of the last answer. */
  readonly answer: string
}

/**
 * The tokens with which a model is asked for what a conversation ends with: the prompt, or the chat up to its last
 * answer. They are those that stand before the answer in what it is trained on.
 */
export const ask = (
  tokenizer: Tokenizer,
  conversation: Conversation.Conversation,
  options: { readonly row: number; readonly template?: ChatTemplate | undefined }
): Result.Result<Question, SupervisionError> =>
  Result.gen(function*() {
    const { messages } = conversation
    const { template } = options
    const place = placeOf(options.row, conversation)
    switch (Conversation.kindOf(conversation)) {
      case "completion": {
        const { before } = SpecialTokens.around(tokenizer)
        const prompt = tokenizer.encode(messages[0]!.content, { specialTokens: false })
        return { tokens: Int32Array.from([...before, ...prompt]), answer: messages[1]!.content }
      }
      case "chat": {
        if (template === undefined) return yield* Result.fail(new NoChatTemplate({ detail: "none was given" }))
        const last = messages.findLastIndex(({ role }) => role === "assistant")
        if (last < 0) {
          return yield* Result.fail(new NothingAsked({ ...place, reason: "it has no message of the assistant" }))
        }
        const text = yield* Result.mapError(
          template.render(messages.slice(0, last), { generationPrompt: true }),
          ({ message }) => new NotRendered({ ...place, reason: message })
        )
        return { tokens: tokenizer.encode(text, { specialTokens: false }), answer: messages[last]!.content }
      }
      default: {
        const reason = Conversation.kindOf(conversation) === "text" ? "it is running text" : "it is no conversation"
        return yield* Result.fail(new NothingAsked({ ...place, reason }))
      }
    }
  })
