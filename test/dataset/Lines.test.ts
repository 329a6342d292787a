import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Lines from "../../src/dataset/Lines.ts"

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

const textOf = (line: Uint8Array): string => new TextDecoder("utf-8", { ignoreBOM: true }).decode(line)

describe("Lines", () => {
  it.prop(
    "are the same wherever the file is cut",
    [
      Schema.Array(Schema.Literals(["a", "é", "😀", "\n", "\r\n", "\r", "\ufeff", ""])),
      Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 40 })))
    ],
    ([parts, cuts]) => {
      const text = parts.join("")
      const bytes = bytesOf(text)
      const lines = Lines.make()
      const found: Array<Uint8Array> = []
      let start = 0
      for (const cut of [...cuts, bytes.length].toSorted((a, b) => a - b)) {
        const end = Math.min(cut, bytes.length)
        found.push(...lines.push(bytes.subarray(start, end)))
        start = end
        assert.isAtMost(lines.held(), start)
      }
      found.push(...lines.end())
      // A CR at the very end of the file may be half of a line end that was cut off.
      const expected = text.replace(/\r$/, "").split(/\r?\n/)
      // What ends in a line feed has no line after it.
      if (text.endsWith("\n") || text === "") expected.pop()
      assert.deepStrictEqual(found.map(textOf), expected)
    }
  )

  it("know what is no UTF-8", () => {
    assert.isUndefined(Lines.notUtf8(bytesOf("Zoë 😀")))
    assert.strictEqual(Lines.notUtf8(new Uint8Array([0x5a, 0x6f, 0xeb])), "\"Zo\ufffd\"")
    assert.isTrue(Lines.isUtf16(new Uint8Array([0xff, 0xfe, 0x61, 0])))
    assert.isFalse(Lines.isUtf16(bytesOf("\ufeffa")))
    assert.strictEqual(textOf(Lines.withoutMark(bytesOf("\ufeffa"))), "a")
  })
})
