import { assert, describe, it } from "@effect/vitest"
import * as LanguageModel from "../../src/evaluate/LanguageModel.ts"

describe("LanguageModel", () => {
  it("costs a bit a token and eight bits a byte where the odds say so", () => {
    // Each of 10 tokens was as likely as not: a bit each, and perplexity 2.
    const text = "ab".repeat(10)
    const coin = LanguageModel.score([LanguageModel.counts(text, 10 * Math.LN2, 10)])
    assert.closeTo(coin.perplexity, 2, 1e-12)
    assert.closeTo(coin.bitsPerByte, 0.5, 1e-12)
    // Bytes drawn from all 256 alike.
    assert.closeTo(LanguageModel.bitsPerByte(5 * Math.log(256), 5), 8, 1e-12)
    assert.closeTo(LanguageModel.perplexity(Math.log(256)), 256, 1e-9)
  })

  it("is the same per byte whatever the tokens, unlike perplexity", () => {
    const text = "The same text, the same total loss."
    const coarse = LanguageModel.score([LanguageModel.counts(text, 21, 7)])
    const fine = LanguageModel.score([LanguageModel.counts(text, 21, 35)])
    assert.strictEqual(coarse.bitsPerByte, fine.bitsPerByte)
    assert.isTrue(coarse.perplexity > 10 * fine.perplexity)
  })

  it("counts UTF-8 bytes and code points", () => {
    for (
      const [text, bytes, characters] of [["", 0, 0], ["é", 2, 1], ["e\u0301", 3, 2], ["日本", 6, 2], [
        "😀a",
        5,
        2
      ]] as const
    ) {
      assert.deepStrictEqual([LanguageModel.bytesOf(text), LanguageModel.charactersOf(text)], [bytes, characters], text)
      assert.strictEqual(LanguageModel.bytesOf(text), new TextEncoder().encode(text).length)
    }
    const { bitsPerByte, bitsPerCharacter } = LanguageModel.score([LanguageModel.counts("日本", 3, 2)])
    assert.closeTo(bitsPerCharacter, 3 * bitsPerByte, 1e-12)
  })

  it("weighs texts by their length, and lists them as often as they are listed", () => {
    const texts = [LanguageModel.counts("long text", 18, 6), LanguageModel.counts("x", 1, 1)]
    assert.closeTo(LanguageModel.score(texts).meanLoss, 19 / 7, 1e-15)
    assert.closeTo(LanguageModel.score(texts).bitsPerByte, 19 / 10 / Math.LN2, 1e-12)
    assert.closeTo(LanguageModel.score(texts, [1, 1, 0]).meanLoss, 20 / 8, 1e-15)
    assert.isNaN(LanguageModel.score([]).perplexity)
  })
})
