import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { readFileSync } from "node:fs"
import * as Tokenizer from "../../src/model/Tokenizer.ts"

const fixture = (path: string) => new Uint8Array(readFileSync(new URL(`../fixtures/hf/${path}`, import.meta.url)))
const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))
const gpt2 = { tokenizer: fixture("gpt2/tokenizer.json"), config: fixture("gpt2/tokenizer_config.json") }
const bert = {
  tokenizer: fixture("gpt2-classification/tokenizer.json"),
  config: fixture("gpt2-classification/tokenizer_config.json")
}

describe("Tokenizer", () => {
  it.effect("encodes and decodes awkward strings as the Rust tokenizers do", () =>
    Effect.gen(function*() {
      const tokenizer = yield* Tokenizer.fromFiles(gpt2)
      const cases: ReadonlyArray<{ text: string; ids: Array<number>; decoded: string }> = JSON.parse(
        new TextDecoder().decode(fixture("tokenizer-bpe.json"))
      )
      assert.isAbove(cases.length, 100)
      for (const { decoded, ids, text } of cases) {
        assert.deepStrictEqual([...tokenizer.encode(text, { specialTokens: false })], ids, JSON.stringify(text))
        assert.strictEqual(tokenizer.decode(ids, { skipSpecialTokens: true }), decoded)
      }
      assert.strictEqual(tokenizer.vocabularySize, 384)
      assert.strictEqual(tokenizer.endOfTextId, 0)
      assert.strictEqual(tokenizer.paddingId, 1)
    }))

  it.effect("does so with pieces of words, whose texts begin and end with special tokens", () =>
    Effect.gen(function*() {
      const tokenizer = yield* Tokenizer.fromFiles(bert)
      const cases: ReadonlyArray<{ text: string; ids: Array<number>; decoded: string }> = JSON.parse(
        new TextDecoder().decode(fixture("tokenizer-wordpiece.json"))
      )
      assert.isAbove(cases.length, 100)
      for (const { decoded, ids, text } of cases) {
        assert.deepStrictEqual([...tokenizer.encode(text)], ids, JSON.stringify(text))
        assert.strictEqual(tokenizer.decode(ids, { skipSpecialTokens: true }), decoded, JSON.stringify(text))
      }
      assert.strictEqual(tokenizer.vocabularySize, 1059)
      assert.deepStrictEqual([2, 3].map((id) => tokenizer.tokenOf(id)), ["[CLS]", "[SEP]"])
    }))

  it.effect("cuts the text and keeps the special tokens around it", () =>
    Effect.gen(function*() {
      const tokenizer = yield* Tokenizer.fromFiles(bert)
      const whole = [...tokenizer.encode("one two three four five")]
      const cut = [...tokenizer.encode("one two three four five", { maximumLength: 4 })]
      assert.strictEqual(cut.length, 4)
      assert.deepStrictEqual([cut[0], cut[3]], [whole[0], whole.at(-1)])
      assert.deepStrictEqual(cut.slice(1, 3), whole.slice(1, 3))
      assert.strictEqual(tokenizer.tokenOf(cut[0]!), "[CLS]")
      assert.deepStrictEqual([...tokenizer.encode("one two", { maximumLength: 50 })], [...tokenizer.encode("one two")])
    }))

  it.effect("counts the texts that it cuts, and not those that just fit", () =>
    Effect.gen(function*() {
      const texts = ["one two", "one two three", "one two three four", "one two three four five", ""]
      for (const [files, specialTokens] of [[bert, true], [bert, false], [gpt2, true]] as const) {
        const tokenizer = yield* Tokenizer.fromFiles(files)
        const lengths = texts.map((text) => tokenizer.encode(text, { specialTokens }).length)
        const options = { specialTokens, vocabularySize: tokenizer.vocabularySize }
        const maximumLength = lengths[1]!
        const { tokens, truncated } = yield* Tokenizer.encodeAll(tokenizer, texts, { ...options, maximumLength })
        assert.strictEqual(truncated, 2)
        assert.deepStrictEqual(
          tokens,
          texts.map((text) => tokenizer.encode(text, { specialTokens, maximumLength }))
        )
        assert.deepStrictEqual(tokens.map(({ length }) => length), lengths.map((one) => Math.min(one, maximumLength)))
        assert.strictEqual((yield* Tokenizer.encodeAll(tokenizer, texts, options)).truncated, 0)
      }
    }))

  it.effect.prop(
    "makes a byte-level tokenizer: one token a byte, and the text comes back",
    [Schema.String],
    ([text]) =>
      Effect.gen(function*() {
        // What UTF-8 cannot hold (a lone surrogate) is not a text; the special token's own text is one token.
        if (/\p{Surrogate}/u.test(text) || text.includes(Tokenizer.endOfText)) return
        const tokenizer = yield* Tokenizer.fromFiles(Tokenizer.byteLevel())
        const ids = tokenizer.encode(text)
        assert.strictEqual(ids.length, new TextEncoder().encode(text).length)
        assert.strictEqual(tokenizer.decode(ids), text)
        assert.isTrue(ids.every((id) => id < 256))
      })
  )

  it.effect("gives each byte GPT-2's id for it", () =>
    Effect.gen(function*() {
      const tokenizer = yield* Tokenizer.fromFiles(Tokenizer.byteLevel())
      assert.deepStrictEqual([...tokenizer.encode("!A ")], [0, 32, 220])
      assert.deepStrictEqual([...tokenizer.encode("é")], [127, 102])
      assert.deepStrictEqual([...tokenizer.encode(`a${Tokenizer.endOfText}`)], [64, 256])
      assert.deepStrictEqual(
        [tokenizer.beginningOfTextId, tokenizer.endOfTextId, tokenizer.paddingId, tokenizer.vocabularySize],
        [256, 256, 256, 257]
      )
      assert.strictEqual(tokenizer.decode([64, 256], { skipSpecialTokens: true }), "a")
      assert.strictEqual(tokenizer.decode([]), "")
    }))

  it.effect("refuses an id that the model has no embedding for, saying where it stands", () =>
    Effect.gen(function*() {
      const tokenizer = yield* Tokenizer.fromFiles(Tokenizer.byteLevel())
      const error = yield* Effect.flip(Tokenizer.encodeAll(tokenizer, ["ab", "aé"], { vocabularySize: 120 }))
      assert.deepInclude(error, { _tag: "TokenOutOfRange", id: 127, example: 1, position: 1, vocabularySize: 120 })
      assert.match(error.message, /Token 127/)
      assert.lengthOf((yield* Tokenizer.encodeAll(tokenizer, ["ab", "aé"], { vocabularySize: 257 })).tokens, 2)
    }))

  for (
    const [what, files] of [
      ["a tokenizer.json that is cut", { ...gpt2, tokenizer: gpt2.tokenizer.subarray(0, 500) }],
      ["a tokenizer.json that is not UTF-8", { ...gpt2, tokenizer: Uint8Array.of(0x22, 0xff, 0x22) }],
      ["a list", { ...gpt2, tokenizer: bytes([]) }],
      ["an object without a model", { ...gpt2, tokenizer: bytes({}) }],
      ["an id that is not a number", {
        ...gpt2,
        tokenizer: bytes({
          ...JSON.parse(new TextDecoder().decode(gpt2.tokenizer)),
          model: { type: "BPE", vocab: { a: "x" }, merges: [] }
        })
      }]
    ] as const
  ) {
    it.effect(`refuses ${what}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Tokenizer.fromFiles(files))
        assert.strictEqual(error._tag, "InvalidTokenizer")
        assert.match(error.message, /tokenizer\.json/)
      }))
  }
})
