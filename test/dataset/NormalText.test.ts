import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as NormalText from "../../src/dataset/NormalText.ts"

const { caseFolding }: { caseFolding: ReadonlyArray<{ text: string; folded: string }> } = JSON.parse(
  fs.readFileSync(new URL("../fixtures/dataset/minhash.json", import.meta.url), "utf8")
)

const keep = (text: string) => NormalText.normalize(text, { punctuation: "keep" })
const ignore = (text: string) => NormalText.normalize(text, { punctuation: "ignore" })

describe("NormalText", () => {
  it("makes equal what differs by case, white space or what is not seen", () => {
    assert.strictEqual(keep("  Hello,\n\t WORLD "), "hello, world")
    assert.strictEqual(keep("no\u00a0break \u3000wide"), "no break wide")
    assert.strictEqual(keep("soft\u00adhyphen, zero\u200bwidth, \ufeffmark"), "softhyphen, zerowidth, mark")
    assert.strictEqual(keep("cafe\u0301"), keep("CAFÉ"))
    assert.strictEqual(keep(" \n"), "")
  })

  it("makes equal what Unicode folds, as Python does it", () => {
    for (const { folded, text } of caseFolding) assert.strictEqual(keep(text), keep(folded), text)
  })

  it("leaves different letters different, and itself unchanged", () => {
    const texts = ["a", "ä", "o", "ö", "ø", "1", "l", "е", "e", "が", "か", "?!", "...", "日本"]
    assert.strictEqual(new Set(texts.map(keep)).size, texts.length)
    for (const text of texts) assert.strictEqual(keep(keep(text)), keep(text))
  })

  it("ignores punctuation only where asked, and never all of a text", () => {
    assert.notStrictEqual(keep("Well, yes."), keep("Well yes"))
    assert.strictEqual(ignore("Well, yes."), ignore("«well» — yes!"))
    assert.strictEqual(ignore("3+4"), "3+4")
    assert.notStrictEqual(ignore("?!"), ignore("..."))
  })

  it("takes half a surrogate pair, which no file can hold, for the replacement character", () => {
    assert.strictEqual(keep("a\ud800b"), "a\ufffdb")
  })
})
