import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Schema } from "effect"
import * as Conversation from "../../src/dataset/Conversation.ts"
import type { ChatTemplate } from "../../src/model/ChatTemplate.ts"
import { ignored } from "../../src/model/Examples.ts"
import * as Supervision from "../../src/model/Supervision.ts"
import type { Tokenizer } from "../../src/model/Tokenizer.ts"
import { bpeTokenizer, fixture, named, robertaTokenizer, spacedTokenizer, template, untagged } from "./chats.ts"

type Messages = ReadonlyArray<Conversation.Message>

const whole = { maximumLength: Infinity, truncation: "fail", loss: "completions" } as const

const encode = (
  messages: Messages,
  options: Partial<Supervision.Options> = {},
  tokenizer: Tokenizer = bpeTokenizer
): Supervision.Supervised =>
  Effect.runSync(Supervision.encode(tokenizer, [{ messages }], { ...whole, ...options })).examples[0]!

const failure = (
  conversations: ReadonlyArray<Conversation.Conversation>,
  options: Partial<Supervision.Options> = {},
  tokenizer: Tokenizer = bpeTokenizer
): Supervision.SupervisionError =>
  Effect.runSync(Effect.flip(Supervision.encode(tokenizer, conversations, { ...whole, ...options })))

const mask = ({ labels }: Supervision.Supervised) => Array.from(labels, (label) => label === ignored ? 0 : 1)

/** The stretches of supervised tokens, and of the others, as text. */
const stretches = ({ labels, tokens }: Supervision.Supervised, tokenizer = bpeTokenizer) => {
  const learned: Array<Array<number>> = [], given: Array<Array<number>> = []
  for (const [index, token] of tokens.entries()) {
    const isLearned = labels[index] !== ignored
    if (isLearned) assert.strictEqual(labels[index], token)
    const list = isLearned ? learned : given
    const before = index > 0 && (labels[index - 1] !== ignored) === isLearned
    if (before) list.at(-1)!.push(token)
    else list.push([token])
  }
  const text = (list: Array<Array<number>>) => list.map((tokens) => tokenizer.decode(tokens))
  return { learned: text(learned), given: text(given) }
}

const answers = (messages: Messages, ending = "<|im_end|>", shown = (content: string) => content) =>
  messages.filter(({ role }) => role === "assistant").map(({ content }) => `${shown(content)}${ending}`)

const Content = Schema.NonEmptyArray(Schema.Literals([
  "a",
  "Hello",
  " ",
  "\n",
  ".",
  " 42",
  "日本",
  "e\u0301",
  "🙂",
  "{{ x }}",
  "<b>",
  "user",
  "assistant"
]))
/** A system message or none, then questions and answers, and at times a question that is not answered. */
const Chat = Schema.Struct({
  system: Schema.NullOr(Content),
  turns: Schema.NonEmptyArray(Schema.Tuple([Content, Content])),
  open: Schema.NullOr(Content)
})
const messagesOf = ({ open, system, turns }: typeof Chat.Type): Messages => {
  const text = (parts: ReadonlyArray<string>) => `x${parts.join("")}`
  return [
    ...(system === null ? [] : [{ role: "system", content: text(system) }]),
    ...turns.flatMap(([question, answer]) => [
      { role: "user", content: text(question) },
      { role: "assistant", content: text(answer) }
    ]),
    ...(open === null ? [] : [{ role: "user", content: text(open) }])
  ]
}

const trimmed = (content: string) => content.trim()
const templates: ReadonlyArray<readonly [string, ChatTemplate, string, (content: string) => string]> = [
  ["chatml", named("chatml"), "<|im_end|>", (content) => content],
  ["default-system", named("default-system"), "<|im_end|>", (content) => content],
  ["headers", named("headers"), "<|im_end|>", trimmed],
  ["stripping", named("stripping"), "<|im_end|>", trimmed],
  ["generation", named("generation"), "<|im_end|>", (content) => content],
  ["plain", named("plain"), "\n", (content) => ` ${content}`]
]

describe("chats", () => {
  it("has the tokens and the mask of transformers where the template marks the answers", () => {
    let compared = 0
    for (const { conversation, ids, mask: expected, template: name } of fixture.cases) {
      if (expected === undefined) continue
      const example = encode(fixture.conversations[conversation]!, { template: named(name), loss: "assistant" })
      assert.deepStrictEqual([...example.tokens], ids, `${name}, conversation ${conversation}`)
      // One template ends an answer with a line feed that belongs to it.
      assert.deepStrictEqual(mask(example), expected, `${name}, conversation ${conversation}`)
      compared++
    }
    assert.isAbove(compared, 9)
  })

  it("has the tokens of transformers with every token learned, whatever the template", () => {
    for (const { conversation, ids, raised, template: name } of fixture.cases) {
      if (raised !== undefined) continue
      const example = encode(fixture.conversations[conversation]!, { template: named(name), loss: "all" })
      assert.deepStrictEqual([...example.tokens], ids, `${name}, conversation ${conversation}`)
      assert.deepStrictEqual([...example.labels], ids)
    }
  })

  it("finds the same answers when the template does not mark them", () => {
    const source = fixture.templates["generation"]!
    assert.isFalse(untagged(source).marksGeneration)
    for (const messages of fixture.conversations) {
      for (const loss of ["assistant", "last-assistant"] as const) {
        const marked = encode(messages, { template: template(source), loss })
        const found = encode(messages, { template: untagged(source), loss })
        assert.deepStrictEqual([...found.tokens], [...marked.tokens])
        assert.deepStrictEqual(mask(found), mask(marked))
      }
    }
  })

  it.prop("learns the answers and what ends them, and nothing else", [Chat], ([chat]) => {
    const messages = messagesOf(chat)
    for (const [name, template, ending, shown] of templates) {
      const { learned } = stretches(encode(messages, { template }))
      assert.deepStrictEqual(learned, answers(messages, ending, shown), name)
      const last = stretches(encode(messages, { template, loss: "last-assistant" })).learned
      assert.deepStrictEqual(last, learned.slice(-1), name)
    }
  })

  it.prop("reads before the last answer what a model that is asked for it reads", [Chat], ([chat]) => {
    const messages = messagesOf(chat)
    for (const [name, template] of templates) {
      const { labels, tokens } = encode(messages, { template, loss: "last-assistant" })
      const asked = Result.getOrThrow(Supervision.ask(bpeTokenizer, { messages }, { row: 1, template }))
      const first = labels.findIndex((label) => label !== ignored)
      assert.deepStrictEqual(asked.tokens, tokens.slice(0, first), name)
      assert.strictEqual(asked.answer, messages.findLast(({ role }) => role === "assistant")!.content)
    }
  })

  it("learns of a template that drops what was thought what the model will write", () => {
    const messages = fixture.conversations[3]!, thinking = named("thinking")
    const { given, learned } = stretches(encode(messages, { template: thinking }))
    assert.deepStrictEqual(learned, ["so<|im_end|>", "<think>\nho\n</think>\n\nthus<|im_end|>"])
    assert.isTrue(given.every((text) => !text.includes("thus") && !text.includes("so<")))
    const last = stretches(encode(messages, { template: thinking, loss: "last-assistant" }))
    assert.deepStrictEqual(last.learned, ["<think>\nho\n</think>\n\nthus<|im_end|>"])
  })

  it("learns of two answers in a row both, and of what a tool says nothing", () => {
    const { learned } = stretches(encode(fixture.conversations[5]!, { template: named("chatml") }))
    assert.deepStrictEqual(learned, ["wait<|im_end|>", "It is 42.<|im_end|>"])
  })

  it("cuts a token that a template would let reach into an answer", () => {
    // The header ends in a line feed, and this answer begins with one.
    const messages = [{ role: "user", content: "Hi" }, { role: "assistant", content: "\n\nsee" }]
    for (const tokenizer of [bpeTokenizer, spacedTokenizer]) {
      const example = encode(messages, { template: named("chatml") }, tokenizer)
      assert.deepStrictEqual(stretches(example, tokenizer).learned.map(trimmed), ["see<|im_end|>"])
      const { tokens } = Result.getOrThrow(
        Supervision.ask(tokenizer, { messages }, { row: 1, template: named("chatml") })
      )
      assert.deepStrictEqual(example.tokens.slice(0, tokens.length), tokens)
      assert.strictEqual(example.labels.findIndex((label) => label !== ignored), tokens.length)
    }
  })

  it("learns everything that closes an answer, also where the end of the chat is closed twice", () => {
    const closing = template(
      "{% for m in messages %}{{ m.role }}: {{ m.content }}<|head|>.<|im_end|>\n{% endfor %}"
        + "{% if add_generation_prompt %}assistant:{% else %}{{ eos_token }}{% endif %}"
    )
    const { learned } = stretches(encode(fixture.conversations[1]!, { template: closing }))
    assert.deepStrictEqual(learned, [" 1.<|head|>.<|im_end|>", " 2 and 3.<|head|>.<|im_end|>\n<|endoftext|>"])
    const { learned: open } = stretches(encode(fixture.conversations[4]!, { template: closing }))
    assert.deepStrictEqual(open, [" b<|head|>.<|im_end|>"])
  })

  it("refuses a template that asks for an answer with what no answer has before it", () => {
    const asking = template(
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{% endfor %}"
        + "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
    )
    const error = failure([{ messages: fixture.conversations[0]! }], { template: asking })
    assert.instanceOf(error, Supervision.UnstableTemplate)
    assert.match(error.message, /Row 1, message 2: .*<think>.*{% generation %}/s)
  })

  it("refuses earlier answers of a template that rewrites what stands before them, and takes the last one", () => {
    const rewriting = template(
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}{% if loop.last or loop.nextitem.role == 'assistant' "
        + "and loop.revindex == 2 %} (be brief){% endif %}<|im_end|>{% endfor %}"
        + "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    const messages = fixture.conversations[1]!
    const error = failure([{ messages }], { template: rewriting })
    assert.instanceOf(error, Supervision.UnstableTemplate)
    assert.match(error.message, /last-assistant/)
  })

  it("says that a chat begins with an answer that no model could be asked for", () => {
    const indexing = template(
      "{% if not messages %}{{ raise_exception('none') }}{% endif %}" + fixture.templates["chatml"]
    )
    const messages = [{ role: "assistant", content: "I begin" }, { role: "user", content: "ok" }]
    assert.match(failure([{ messages }], { template: indexing }).message, /message 1: .*begin with the user/)
    assert.deepStrictEqual(stretches(encode(messages, { template: named("chatml") })).learned, ["I begin<|im_end|>"])
  })

  it("names the row that the template refuses, and the one without an answer", () => {
    const good = { messages: fixture.conversations[0]! }
    const refused = failure([good, { messages: fixture.conversations[1]! }], { template: named("strict") })
    assert.instanceOf(refused, Supervision.NotRendered)
    assert.match(refused.message, /^Row 2: .*Roles must alternate, not system at 0/)
    const unanswered = [{ role: "user", content: "Hi" }]
    for (const name of ["chatml", "generation"]) {
      const error = failure([good, good, { messages: unanswered }], { template: named(name) })
      assert.instanceOf(error, Supervision.NothingSupervised)
      assert.match(error.message, /row 3/)
    }
    const silent = template(
      "{% for m in messages %}{{ m.content }}{% if false %}{% generation %}{% endgeneration %}{% endif %}{% endfor %}"
    )
    assert.match(failure([good], { template: silent }).message, /row 1: the chat template marks nothing/)
    assert.strictEqual(failure([good])._tag, "NoChatTemplate")
  })
})

describe("prompts and completions", () => {
  it.prop(
    "reads the prompt as a model that is asked does, learns the completion, and stops",
    [Content, Content, Schema.Literals(["bpe", "spaced", "roberta"])],
    ([prompt, completion, which]) => {
      const tokenizer = { bpe: bpeTokenizer, spaced: spacedTokenizer, roberta: robertaTokenizer }[which]
      const conversation = Conversation.completion(`x${prompt.join("")}`, completion.join(""))
      const example = encode(conversation.messages, {}, tokenizer)
      const { answer, tokens } = Result.getOrThrow(Supervision.ask(tokenizer, conversation, { row: 1 }))
      assert.deepStrictEqual(example.tokens.slice(0, tokens.length), tokens)
      assert.isTrue(example.labels.slice(0, tokens.length).every((label) => label === ignored))
      const ending = which === "roberta" ? 1 : 0
      const learned = example.labels.slice(tokens.length, example.labels.length - ending)
      assert.isTrue(learned.every((label) => label !== ignored))
      assert.strictEqual(learned.at(-1), tokenizer.endOfTextId)
      assert.strictEqual(answer, completion.join(""))
      const joined = tokenizer.decode(example.tokens, { skipSpecialTokens: true })
      assert.strictEqual(joined.trimStart(), `x${prompt.join("")}${answer}`)
    }
  )

  it("learns everything when asked to, and ends a text once", () => {
    const text = [{ role: "text", content: "one two" }]
    const end = bpeTokenizer.endOfTextId!
    assert.deepStrictEqual(stretches(encode(text)).learned, ["one two<|endoftext|>"])
    assert.deepStrictEqual(
      [...encode([{ role: "text", content: "one<|endoftext|>" }]).tokens].filter((id) => id === end).length,
      1
    )
    const pair = Conversation.completion("one", " two").messages
    assert.deepStrictEqual(stretches(encode(pair)).learned, [" two<|endoftext|>"])
    assert.deepStrictEqual(stretches(encode(pair, { loss: "all" })).learned, ["one two<|endoftext|>"])
    assert.strictEqual(spacedTokenizer.decode(encode(text, {}, spacedTokenizer).tokens), "<s> one two</s>")
  })

  it("refuses to learn answers where there are none, and roles of no kind", () => {
    const rows = [Conversation.text("a"), Conversation.completion("a", "b")]
    for (const row of rows) {
      for (const loss of ["assistant", "last-assistant"] as const) {
        assert.match(failure([row], { loss }).message, /row 1: .*only answers of the assistant/)
      }
    }
    for (const roles of [[], ["prompt"], ["prompt", "assistant"], ["completion", "prompt"], ["text", "text"]]) {
      const error = failure([{ messages: roles.map((role) => ({ role, content: "a" })) }])
      assert.instanceOf(error, Supervision.NothingSupervised)
    }
  })

  it("says that a tokenizer has no token to end a text with", () => {
    const endless = { ...bpeTokenizer, endOfTextId: undefined }
    assert.strictEqual(failure([Conversation.text("a")], {}, endless)._tag, "NoEndOfText")
  })
})

describe("truncation", () => {
  const long = Conversation.completion("The question that is asked", " and the answer")
  const tokens = encode(long.messages)
  const length = tokens.tokens.length

  it("cuts at the end or at the start, and lists what it cut", () => {
    const rows = [Conversation.text("ab"), long]
    for (const truncation of ["end", "start"] as const) {
      const { examples, truncated } = Effect.runSync(
        Supervision.encode(bpeTokenizer, rows, { ...whole, truncation, maximumLength: length - 2 })
      )
      const from = truncation === "end" ? 0 : 2
      assert.deepStrictEqual(examples[1]!.tokens, tokens.tokens.slice(from, from + length - 2))
      assert.deepStrictEqual(examples[1]!.labels, tokens.labels.slice(from, from + length - 2))
      assert.deepStrictEqual(truncated, [2])
    }
  })

  it("leaves out, or fails with the row", () => {
    const rows = [long, Conversation.text("ab")]
    const { dropped, examples, rows: kept } = Effect.runSync(
      Supervision.encode(bpeTokenizer, rows, { ...whole, truncation: "drop", maximumLength: 5 })
    )
    assert.deepStrictEqual([dropped, kept, examples.length], [[1], [2], 1])
    const error = failure(rows, { maximumLength: 5 })
    assert.instanceOf(error, Supervision.TooLong)
    assert.match(error.message, new RegExp(`Row 1 has ${length} tokens, and 5 are allowed`))
  })

  it("never keeps a row of which nothing is learned", () => {
    const error = failure([Conversation.text("ab"), long], { truncation: "end", maximumLength: 8 })
    assert.instanceOf(error, Supervision.NothingSupervised)
    assert.match(error.message, /row 2: what is to be learned lies beyond the 8 tokens that are kept at its start/)
    // The only supervised token would be the first, which nothing stands before.
    const first = failure([Conversation.text("ab")], { truncation: "start", maximumLength: 1 })
    assert.strictEqual(first._tag, "NothingSupervised")
  })
})

describe("long chats", () => {
  const chat = (turns: number): Messages =>
    Array.from({ length: turns }, (_, index) => ({ role: index % 2 === 0 ? "user" : "assistant", content: "ok" }))

  it("encodes a chat of 100,000 messages where the template marks the answers, and else says that it is too long", () => {
    const messages = chat(100_000)
    const { labels } = encode(messages, { template: named("generation") })
    // Two letters and the end of the turn.
    assert.isAbove(labels.filter((label) => label !== ignored).length, 99_999)
    const error = failure([{ messages }], { template: named("chatml") })
    assert.instanceOf(error, Supervision.UnstableTemplate)
    assert.match(error.message, /100000 messages, too many/)
    const last = encode(chat(5000), { template: named("chatml"), loss: "last-assistant" })
    assert.deepStrictEqual(stretches(last).learned, ["ok<|im_end|>"])
  })
})
