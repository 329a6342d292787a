import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Yaml from "../../src/publish/Yaml.ts"
import * as FrontMatter from "./FrontMatter.ts"

const Text = Schema.String.check(Schema.makeFilter((text: string) => text.isWellFormed()))
const Leaf = Schema.Union([Text, Schema.Finite, Schema.Boolean])
const Mapping = Schema.Record(Text, Schema.Union([Leaf, Schema.Array(Leaf), Schema.Array(Schema.Record(Text, Leaf))]))

describe("Yaml", () => {
  it.prop("is read back as what was written", [Mapping], ([mapping]) => {
    // JSON has no minus zero, no more than YAML's whole numbers have.
    const plain = JSON.parse(JSON.stringify({ mapping }))
    assert.deepStrictEqual(FrontMatter.parse(Yaml.block(plain)), plain)
  })

  it("quotes what would be something else without quotes", () => {
    for (
      const text of ["no", "1e3", "2024-01-01", "# x", "- a", "a: b", "", " ", "null", "~", "---", "&a", "*a", "!!x"]
    ) {
      assert.deepStrictEqual(FrontMatter.parse(Yaml.block({ text })), { text })
      assert.match(Yaml.block({ text }), /^text: ".*"$/)
    }
  })

  it("keeps every text on one line of what can be seen", () => {
    const hostile = "a\"\\\n---\r\u0085\u2028\u2029\u0000\u007f\ufeff\u202e\u{1f600}\ud800é"
    const written = Yaml.block({ hostile })
    assert.strictEqual(
      written,
      "hostile: \"a\\\"\\\\\\u000a---\\u000d\\u0085\\u2028\\u2029\\u0000\\u007f\\ufeff\\u202e\u{1f600}\ufffdé\""
    )
    assert.deepStrictEqual(FrontMatter.parse(written), { hostile: hostile.toWellFormed() })
  })

  it("writes numbers that YAML 1.1 takes for numbers", () => {
    assert.strictEqual(Yaml.block({ a: 1e-7, b: 1.5e300, c: -0.25, d: 3 }), "a: 1.0e-7\nb: 1.5e+300\nc: -0.25\nd: 3")
  })
})
