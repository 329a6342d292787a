/**
 * A model's own chat template: how the messages of a chat become one text.
 *
 * The language is Jinja, run by @huggingface/jinja with the surroundings that
 * transformers gives a template (`apply_chat_template` and
 * `utils/chat_template_utils.py`): the names of the special tokens, no tools and
 * no documents, `raise_exception`, `strftime_now`, ranges of at most 100,000.
 */
import { Environment, Interpreter, Template } from "@huggingface/jinja"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Message } from "../dataset/Conversation.ts"
import * as Marks from "./Marks.ts"
import * as PythonStrip from "./PythonStrip.ts"
import { strftime } from "./Strftime.ts"
import * as Tokenizer from "./Tokenizer.ts"

/** The model has no chat template that could be used. */
export class NoChatTemplate extends Schema.TaggedError<NoChatTemplate>()("NoChatTemplate", {
  detail: Schema.String
}) {
  override get message() {
    return `Chats need the model's chat template, and ${this.detail}. Bring one as chat_template.jinja beside the ` +
      `tokenizer, or load the data as prompts and completions.`
  }
}

/** The template refused the messages by its own rules. */
export class TemplateRaised extends Schema.TaggedError<TemplateRaised>()("TemplateRaised", {
  /** What the template says. */
  raised: Schema.String
}) {
  override get message() {
    return `The model's chat template refuses the messages: ${this.raised}`
  }
}

/** The template is not one that we can run. */
export class UnsupportedTemplate extends Schema.TaggedError<UnsupportedTemplate>()("UnsupportedTemplate", {
  reason: Schema.String
}) {
  override get message() {
    return `The model's chat template cannot be run: ${this.reason}.`
  }
}

export const ChatTemplateError = Schema.Union([NoChatTemplate, TemplateRaised, UnsupportedTemplate])
export type ChatTemplateError = typeof ChatTemplateError.Type

/** A part of a text: the index of its first UTF-16 unit, and of the first that is no longer in it. */
export interface Span {
  readonly start: number
  readonly end: number
}

export interface ChatTemplate {
  /** The template as the model brings it. */
  readonly source: string
  /** Whether it says by `{% generation %}` what the model is to write. */
  readonly marksGeneration: boolean
  /** The text of the messages. */
  readonly render: (
    messages: ReadonlyArray<Message>,
    options?: RenderOptions
  ) => Result.Result<string, TemplateRaised | UnsupportedTemplate>
  /** The text of the messages and what of it stands between `{% generation %}` and `{% endgeneration %}`, in order. */
  readonly renderMarked: (
    messages: ReadonlyArray<Message>
  ) => Result.Result<
    { readonly text: string; readonly spans: ReadonlyArray<Span> },
    TemplateRaised | UnsupportedTemplate
  >
}

export interface RenderOptions {
  /** End with what stands before an answer of the assistant (false unless given). */
  readonly generationPrompt?: boolean
}

export interface Options {
  /** The text of each special token by its name in tokenizer_config.json, as in `bos_token`. */
  readonly specialTokens?: Readonly<Record<string, string>>
  /**
   * What `strftime_now` gives, in UTC. Unless it is given there is no such
   * function: a template that asks whether there is takes its own fallback, and
   * a rendered text depends on nothing but the template and the messages.
   */
  readonly now?: Date
}

const generationTag = /\{%([-+]?)\s*(end)?generation\s*([-+]?)%\}/g

/** `range` of Jinja's sandbox, which refuses more. */
const longestRange = 100_000

const range = (start: number, stop?: number, step = 1): ReadonlyArray<number> => {
  const [from, to] = stop === undefined ? [0, start] : [start, stop]
  const length = step === 0 ? Infinity : Math.max(0, Math.ceil((to - from) / step))
  if (!(length <= longestRange)) throw new Error(`it asks for a range of ${length} numbers`)
  return Array.from({ length }, (_, index) => from + index * step)
}

/** What a template throws by `raise_exception`. */
class Raised extends Error {}

const unsupported = (reason: string) => new UnsupportedTemplate({ reason })

const parse = (source: string): Result.Result<Template["parsed"], UnsupportedTemplate> =>
  Result.try({
    try: () => {
      const program = new Template(source).parsed
      PythonStrip.correct(program)
      return program
    },
    catch: (cause) => unsupported(`it does not parse (${(cause as Error).message})`)
  })

/** Compiles a template from its text. */
export const make = (
  source: string,
  { now, specialTokens = {} }: Options = {}
): Result.Result<ChatTemplate, UnsupportedTemplate> =>
  Result.gen(function*() {
    const marksGeneration = source.search(generationTag) >= 0
    // As in transformers the tags are a call block: a scope of their own, and white space as around any other block.
    const program = yield* parse(
      source.replace(generationTag, (_, before: string, end: string | undefined, after: string) =>
        `{%${before} ${end === undefined ? "call attune_generation()" : "endcall"} ${after}%}`)
    )
    const macro = yield* parse(
      "{% macro attune_generation() %}{{ attune_begin }}{{ caller() }}{{ attune_end }}{% endmacro %}"
    )
    const run = (
      messages: ReadonlyArray<Message>,
      generationPrompt: boolean,
      [begin, end]: readonly [string, string]
    ): Result.Result<string, TemplateRaised | UnsupportedTemplate> => {
      const environment = new Environment()
      const variables: Readonly<Record<string, unknown>> = {
        true: true,
        True: true,
        false: false,
        False: false,
        none: null,
        None: null,
        range,
        ...PythonStrip.functions,
        raise_exception: (message: unknown) => {
          throw new Raised(String(message))
        },
        ...(now === undefined ? {} : {
          strftime_now: (format: string) =>
            strftime(now, format)
        }),
        ...specialTokens,
        messages: messages.map(({ content, role }) => ({ role, content })),
        tools: null,
        documents: null,
        add_generation_prompt: generationPrompt,
        attune_begin: begin,
        attune_end: end
      }
      return Result.try({
        try: () => {
          for (const [name, value] of Object.entries(variables)) {
            environment.set(name, value)
          }
          const interpreter = new Interpreter(environment)
          interpreter.run(macro)
          return String(interpreter.run(program).value)
        },
        catch: (cause) =>
          cause instanceof Raised
            ? new TemplateRaised({ raised: cause.message })
            : unsupported(`running it failed (${(cause as Error).message})`)
      })
    }
    return {
      source,
      marksGeneration,
      render: (messages, options) =>
        run(messages, options?.generationPrompt ?? false, ["", ""]),
      renderMarked: (messages) =>
        Result.gen(function*() {
          const [begin, end] = Marks.free(messages)
          if (begin === undefined || end === undefined) {
            return yield* Result.fail(unsupported("the messages use every mark that is free"))
          }
          const plain = yield* run(messages, false, ["", ""])
          const marked = yield* run(messages, false, [begin, end])
          const { spans, text } = unmark(marked, [begin, end])
          if (text === plain && spans !== undefined) return { text, spans }
          return yield* Result.fail(
            unsupported("it changes what stands between {% generation %} and {% endgeneration %} afterwards")
          )
        })
    } satisfies ChatTemplate
  })

/** Takes the marks out of a text; the spans are `undefined` where the marks are not in pairs. */
const unmark = (marked: string, [begin, end]: readonly [string, string]) => {
  const spans: Array<Span> = []
  let text = "", paired = true
  let start: number | undefined
  for (const part of marked.split(new RegExp(`([${begin}${end}])`))) {
    if (part === begin) {
      paired &&= start === undefined
      start = text.length
    } else if (part === end) {
      if (start === undefined) paired = false
      else spans.push({ start, end: text.length })
      start = undefined
    } else text += part
  }
  return { text, spans: paired && start === undefined ? spans : undefined }
}

const Named = Schema.Struct({ name: Schema.String, template: Schema.String })
const Config = Schema.fromJsonString(Schema.Struct({
  chat_template: Schema.optionalKey(Schema.NullOr(Schema.Union([Schema.String, Schema.Array(Named)])))
}))

const decoder = new TextDecoder("utf-8", { fatal: true })

const textOf = (file: string, bytes: Uint8Array): Effect.Effect<string, NoChatTemplate> =>
  Effect.try({
    try: () => decoder.decode(bytes),
    catch: () => new NoChatTemplate({ detail: `${file} is not text in UTF-8` })
  })

/**
 * The chat template that belongs to a tokenizer: that of `file`, the bytes of
 * chat_template.jinja, else `chat_template` of tokenizer_config.json. Of several
 * with names it is the one called `name`, which is "default" unless given.
 */
export const ofTokenizer = Effect.fnUntraced(function*(
  tokenizer: Pick<Tokenizer.Tokenizer, "files">,
  options: { readonly file?: Uint8Array; readonly name?: string; readonly now?: Date } = {}
): Effect.fn.Return<ChatTemplate, NoChatTemplate | UnsupportedTemplate> {
  const { config } = Tokenizer.fileNames
  const text = yield* textOf(config, tokenizer.files.config)
  const specialTokens = specialTokensOf(text)
  const compile = (source: string) =>
    Effect.fromResult(make(source, { specialTokens, ...(options.now === undefined ? {} : { now: options.now }) }))
  if (options.file !== undefined) return yield* compile(yield* textOf("chat_template.jinja", options.file))
  const { chat_template: found } = yield* Schema.decodeEffect(Config)(text).pipe(
    Effect.mapError(() =>
      new NoChatTemplate({ detail: `\`chat_template\` in ${config} is neither a text nor a list of named ones` })
    )
  )
  if (typeof found === "string") return yield* compile(found)
  if (found === undefined || found === null) {
    return yield* new NoChatTemplate({ detail: `there is neither chat_template.jinja nor one in ${config}` })
  }
  const name = options.name ?? "default"
  const named = found.find((template) => template.name === name)
  if (named !== undefined) return yield* compile(named.template)
  const names = found.map((template) => template.name).join(", ")
  return yield* new NoChatTemplate({ detail: `${config} has none called ${name}, only ${names}` })
})

const specialTokenNames = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"]

/** The special tokens that tokenizer_config.json names, as a template sees them. */
const specialTokensOf = (config: string): Readonly<Record<string, string>> => {
  const json = parseObject(config)
  return Object.fromEntries(specialTokenNames.flatMap((name) => {
    const value = json[name]
    const content = typeof value === "string" ? value : (value as { readonly content?: unknown } | null)?.content
    return typeof content === "string" ? [[name, content]] : []
  }))
}

const parseObject = (text: string): Readonly<Record<string, unknown>> => {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === "object" && value !== null ? value as Record<string, unknown> : {}
  } catch {
    return {}
  }
}
