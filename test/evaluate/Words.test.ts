import { assert, describe, it } from "@effect/vitest"
import * as Words from "../../src/evaluate/Words.ts"

describe("Words", () => {
  it("splits at white space as Python knows it", () => {
    assert.deepStrictEqual(Words.split(" a\u00a0b\u3000c\x1cd\x85e\u2003f\u2028g\t\n "), [..."abcdefg"])
    // No white space to Python, though \s matches the first: the byte order mark and the zero-width space.
    assert.deepStrictEqual(Words.split("a\ufeffb\u200bc"), ["a\ufeffb\u200bc"])
    assert.deepStrictEqual(Words.split(" \n"), [])
  })

  it("takes white space off the end alone", () => {
    assert.strictEqual(Words.trimEnd(" a \x1f\u3000\n"), " a")
    assert.strictEqual(Words.trimEnd("a\ufeff"), "a\ufeff")
  })
})
