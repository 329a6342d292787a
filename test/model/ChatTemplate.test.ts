import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import * as ChatTemplate from "../../src/model/ChatTemplate.ts"
import * as Tokenizer from "../../src/model/Tokenizer.ts"
import { bpeTokenizer, fixture, named, template } from "./chats.ts"

const bytes = (value: unknown) => new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value))
const user = [{ role: "user", content: "Hi" }]
const failure = <A, E>(result: Result.Result<A, E>): E => Result.getOrThrow(Result.flip(result))
const shown = (source: string, content = "Hi", options?: ChatTemplate.Options) =>
  Result.getOrThrow(template(source, options).render([{ role: "user", content }]))

describe("ChatTemplate", () => {
  it("renders as transformers does, with and without what stands before an answer", () => {
    assert.isAbove(fixture.cases.length, 50)
    for (const { conversation, raised, template: name, text, withPrompt } of fixture.cases) {
      const messages = fixture.conversations[conversation]!, what = `${name}, conversation ${conversation}`
      const rendered = named(name).render(messages)
      if (raised !== undefined) {
        const error = failure(rendered)
        assert.instanceOf(error, ChatTemplate.TemplateRaised, what)
        assert.strictEqual((error as ChatTemplate.TemplateRaised).raised, raised, what)
        continue
      }
      assert.strictEqual(Result.getOrThrow(rendered), text, what)
      assert.strictEqual(Result.getOrThrow(named(name).render(messages, { generationPrompt: true })), withPrompt, what)
    }
  })

  it("says what stands between the generation tags, and leaves no mark in the text", () => {
    for (const name of ["generation", "generation-loose"]) {
      for (const { conversation, text } of fixture.cases.filter((one) => one.template === name)) {
        const messages = fixture.conversations[conversation]!
        const marked = Result.getOrThrow(named(name).renderMarked(messages))
        assert.strictEqual(marked.text, text)
        const answers = messages.filter(({ role }) => role === "assistant").map(({ content }) => content)
        assert.deepStrictEqual(
          marked.spans.map(({ end, start }) => text.slice(start, end).replace(/\s/g, "")),
          answers.map((content) => `${content}<|im_end|>`.replace(/\s/g, ""))
        )
      }
    }
    // The characters it marks with may stand in a message themselves.
    const content = "\ufdd0 and \ufdd1"
    const { spans, text } = Result.getOrThrow(named("generation").renderMarked([{ role: "assistant", content }]))
    assert.strictEqual(text.slice(spans[0]!.start, spans[0]!.end), `${content}<|im_end|>`)
  })

  it("knows the dates of strftime, in UTC, and only when it is told the time", () => {
    const now = new Date("2026-03-04T17:06:07Z")
    const format = "{{ strftime_now('%Y-%m-%d %H:%M:%S %B %b %A %a %j %I %p %y %-d %%') }}"
    assert.strictEqual(shown(format, "", { now }), "2026-03-04 17:06:07 March Mar Wednesday Wed 063 05 PM 26 4 %")
    const error = failure(template("{{ strftime_now('%Q') }}").render(user))
    assert.match(error.message, /a date with %Q/)
    const timeless = Result.getOrThrow(ChatTemplate.make("{{ strftime_now is defined }}"))
    assert.strictEqual(Result.getOrThrow(timeless.render(user)), "false")
  })

  it("strips the characters it is told, and otherwise what Python takes for white space", () => {
    assert.strictEqual(shown("{{ messages[0].content.strip('\\n') }}|", "\n a \n"), " a |")
    assert.strictEqual(shown("{{ messages[0].content.lstrip('ab') }}|", "abc "), "c |")
    assert.strictEqual(shown("{{ messages[0].content.rstrip() }}|", " c\x85\u3000"), " c|")
    // A byte-order mark is no white space to Python.
    assert.strictEqual(shown("{{ messages[0].content | trim }}|", " \ufeffx "), "\ufeffx|")
  })

  it("gives templates the special tokens, and no tools", () => {
    const config = { bos_token: "<s>", eos_token: { content: "</s>" }, pad_token: null }
    const source = "{{ bos_token }}{{ eos_token }}{{ pad_token is defined }}{{ tools is none }}"
    const files = { tokenizer: bpeTokenizer.files.tokenizer, config: bytes({ ...config, chat_template: source }) }
    const made = Effect.runSync(ChatTemplate.ofTokenizer({ files }))
    assert.strictEqual(Result.getOrThrow(made.render(user)), "<s></s>falsetrue")
  })

  it("says what is wrong with a template", () => {
    const unparsed = failure(ChatTemplate.make("{% for x in %}"))
    assert.match(unparsed.message, /cannot be run: it does not parse/)
    const unknown = failure(template("{{ messages | nonsense }}").render(user))
    assert.instanceOf(unknown, ChatTemplate.UnsupportedTemplate)
    assert.match(unknown.message, /nonsense/)
    const endless = failure(template("{% for i in range(10 ** 9) %}x{% endfor %}").render(user))
    assert.match(endless.message, /range of 1000000000 numbers/)
  })

  it.effect("takes chat_template.jinja, else the one in tokenizer_config.json, by name if there are several", () =>
    Effect.gen(function*() {
      const of = (chat_template: unknown, options?: Parameters<typeof ChatTemplate.ofTokenizer>[1]) =>
        ChatTemplate.ofTokenizer(
          { files: { tokenizer: new Uint8Array(), config: bytes({ chat_template }) } },
          options
        )
      const several = [{ name: "default", template: "d" }, { name: "rag", template: "r" }]
      assert.strictEqual((yield* of("plain")).source, "plain")
      assert.strictEqual((yield* of("plain", { file: bytes("file") })).source, "file")
      assert.strictEqual((yield* of(several)).source, "d")
      assert.strictEqual((yield* of(several, { name: "rag" })).source, "r")
      const missing = yield* Effect.flip(of(several, { name: "tool" }))
      assert.match(missing.message, /none called tool, only default, rag/)
      for (const [found, expected] of [[undefined, /there is neither/], [7, /neither a text nor a list/]] as const) {
        const error = yield* Effect.flip(of(found))
        assert.instanceOf(error, ChatTemplate.NoChatTemplate)
        assert.match(error.message, expected)
      }
      const broken = yield* Effect.flip(of("x", { file: Uint8Array.of(0xff, 0xfe) }))
      assert.match(broken.message, /not text in UTF-8/)
      assert.strictEqual(
        (yield* Effect.flip(ChatTemplate.ofTokenizer(yield* Tokenizer.fromFiles(Tokenizer.byteLevel()))))._tag,
        "NoChatTemplate"
      )
    }))
})
