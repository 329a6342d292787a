import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Markdown from "../../src/publish/Markdown.ts"

/** Texts that would be something else in Markdown or HTML. */
const hostile = [
  "<script>alert(1)</script>",
  "<!-- ",
  "&lt;",
  "a | b",
  "`code`",
  "**bold** _it_ ~~gone~~",
  "[link](http://example.org)",
  "![picture](http://example.org/x.png)",
  "http://example.org www.example.org a@example.org",
  "line\n# heading\n\n---\n",
  "\\",
  "$x$",
  ":smile:",
  "\u202eevil\u200b",
  "{{ x }}"
]

/** What of a text could still act: characters that no backslash stands before. */
const bare = (markdown: string) => markdown.replaceAll(/\\[\s\S]/g, "")

describe("Markdown.text", () => {
  it("leaves nothing that makes markup, a link or HTML, and stays on one line", () => {
    for (const text of hostile) {
      const written = bare(Markdown.text(text))
      assert.notMatch(written, /[`*_[\]~$#|@!<>{}\n\r]|:\/\/|www\.|:\w+:/, text)
      assert.notMatch(written, /&(?!amp;|lt;|gt;)/, text)
      assert.notMatch(written, /[\u202e\u200b]/, text)
    }
  })

  it.prop("says what the text says", [Schema.String], ([text]) => {
    const read = Markdown.text(text)
      .replaceAll(/\\([!-/:-@[-`{-~])/g, "$1")
      .replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&")
    assert.strictEqual(read, Markdown.visible(text))
  })
})

describe("Markdown.code", () => {
  it("is one span whatever backticks there are, and breaks no table", () => {
    for (const text of [...hostile, "`", "``", "a``b", "` `"]) {
      const written = Markdown.code(text)
      const [, fence, inside] = /^(`+)([\s\S]*)\1$/.exec(written)!
      assert.isFalse(Array.from(inside!.matchAll(/`+/g)).some(([found]) => found.length === fence!.length), written)
      assert.notMatch(written.replaceAll("\\|", ""), /[|\n\r]/)
    }
    assert.strictEqual(Markdown.code("plain name"), "`plain name`")
    assert.strictEqual(Markdown.code(""), "\"\"")
  })
})

describe("Markdown.block", () => {
  it("ends where it should whatever it holds", () => {
    const written = Markdown.block("sh", "echo\n```\n# not a heading\n````\n")
    const fence = /^`+/.exec(written)![0]
    assert.strictEqual(written.split("\n").filter((line) => line.startsWith(fence)).length, 2)
  })
})
