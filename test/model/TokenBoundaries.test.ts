import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import * as TokenBoundaries from "../../src/model/TokenBoundaries.ts"
import type { Tokenizer } from "../../src/model/Tokenizer.ts"
import { bertTokenizer, bpeTokenizer, kinds } from "./chats.ts"

const plain = { specialTokens: false }
const encode = (tokenizer: Tokenizer, text: string) => [...tokenizer.encode(text, plain)]

/** What tokens say, however its characters are composed. */
const said = (tokenizer: Tokenizer, tokens: Iterable<number>) => tokenizer.decode(tokens).normalize("NFC")

const check = (tokenizer: Tokenizer, parts: ReadonlyArray<string>) => {
  const places: Array<number> = []
  for (const part of parts.slice(0, -1)) places.push((places.at(-1) ?? 0) + part.length)
  const text = parts.join("")
  const { indices, tokens } = Result.getOrThrow(TokenBoundaries.make(tokenizer).cut(text, places))
  const whole = encode(tokenizer, text), what = JSON.stringify(parts)
  // It is the text, whatever was cut.
  assert.strictEqual(said(tokenizer, tokens), said(tokenizer, whole), what)
  assert.strictEqual(indices.length, places.length)
  const aligned = places.every((place) => {
    const before = encode(tokenizer, text.slice(0, place))
    return before.every((id, index) => whole[index] === id)
  })
  // Where no token reaches across, nothing is cut.
  if (aligned) assert.deepStrictEqual([...tokens], whole, what)
  // What stands before the first place is what a model that is asked reads.
  if (places.length > 0) {
    assert.deepStrictEqual([...tokens].slice(0, indices[0]), encode(tokenizer, text.slice(0, places[0])), what)
  }
  for (const [index, place] of places.entries()) {
    assert.strictEqual(
      said(tokenizer, [...tokens].slice(0, indices[index])),
      said(tokenizer, encode(tokenizer, text.slice(0, place))),
      what
    )
  }
}

const words = Schema.Literals([
  " ",
  "\n",
  "  ",
  "\n\n",
  "the",
  " the",
  "The answer is",
  " 42",
  "42",
  "e",
  "\u0301",
  "\u00e9",
  "日本",
  "🙂",
  "<|im_start|>",
  "<|im_end|>",
  "</s>",
  "<|endoftext|>",
  "'s",
  "quick brown"
])
const Parts = Schema.NonEmptyArray(Schema.Array(words))

describe("TokenBoundaries", () => {
  it.prop("cuts any text at any places, and it stays the text", [Parts], ([parts]) => {
    for (const tokenizer of Object.values(kinds)) check(tokenizer, parts.map((part) => part.join("")))
  })

  it("does not take the space that a tokenizer puts before a text for one of the text", () => {
    for (const tokenizer of Object.values(kinds)) check(tokenizer, ["The answer is", " ", " ", " ", "the"])
  })

  it("cuts a token that reaches across", () => {
    const text = "The answer is unbelievably the lazy dog"
    for (const tokenizer of Object.values(kinds)) {
      const { cut } = TokenBoundaries.make(tokenizer)
      let across = 0
      for (let place = 1; place < text.length; place++) {
        const { indices: [index], tokens } = Result.getOrThrow(cut(text, [place]))
        assert.deepStrictEqual([...tokens].slice(0, index), encode(tokenizer, text.slice(0, place)))
        assert.strictEqual(tokenizer.decode(tokens), text)
        if (tokens.length > encode(tokenizer, text).length) across++
      }
      assert.isAbove(across, 3)
    }
  })

  it("refuses what the tokenizer cannot divide, and says where", () => {
    const within = TokenBoundaries.make(bpeTokenizer).cut("a<|im_end|>", [4])
    assert.match(Result.getOrThrow(Result.flip(within)), /within the token <\|im_end\|>/)
    // One unknown token stands for both characters: it cannot be told whose it is.
    const unknown = TokenBoundaries.make(bertTokenizer).cut("\u2603\u2603 a", [1])
    assert.match(Result.getOrThrow(Result.flip(unknown)), /no tokens that end at/)
    const apart = Result.getOrThrow(TokenBoundaries.make(bertTokenizer).cut("one two", [3]))
    assert.deepStrictEqual([...apart.tokens], encode(bertTokenizer, "one two"))
  })
})
