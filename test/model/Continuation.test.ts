import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import * as Continuation from "../../src/model/Continuation.ts"
import * as StopStrings from "../../src/model/StopStrings.ts"
import * as Tokenizer from "../../src/model/Tokenizer.ts"

const read = (path: string) => new Uint8Array(readFileSync(new URL(`../fixtures/${path}`, import.meta.url)))

const tokenizers = {
  bytes: Tokenizer.byteLevel(),
  "byte-level BPE": { tokenizer: read("hf/gpt2/tokenizer.json"), config: read("hf/gpt2/tokenizer_config.json") },
  // Of Llama 2's kind: a word begins with "▁", and the decoder drops the first of a text.
  "BPE with spaces as letters": {
    tokenizer: read("chat/spaced-tokenizer.json"),
    config: new TextEncoder().encode("{\"tokenizer_class\":\"LlamaTokenizer\",\"eos_token\":\"</s>\"}")
  }
}

const texts = [
  "The  land of   Gu.",
  "naïve café — 東京 😀👩‍👩‍👧 done",
  " leading",
  "a\n\nb\tc ",
  "Ελλάδα и Россия",
  "trailing \n"
]

const open = (name: keyof typeof tokenizers) => Tokenizer.fromFiles(tokenizers[name])

describe("the text of tokens that go on from others", () => {
  it.effect.each(Object.keys(tokenizers) as ReadonlyArray<keyof typeof tokenizers>)(
    "is what they add to the text before, wherever it is cut between characters, with %s",
    (name) =>
      Effect.gen(function*() {
        const tokenizer = yield* open(name)
        let cuts = 0
        for (const text of texts) {
          const ids = tokenizer.encode(text, { specialTokens: false })
          const whole = tokenizer.decode(ids)
          for (let cut = 1; cut <= ids.length; cut++) {
            const before = tokenizer.decode(ids.slice(0, cut))
            if (!whole.startsWith(before)) continue
            cuts++
            assert.strictEqual(before + Continuation.decode(tokenizer, ids.slice(0, cut), ids.slice(cut)), whole)
          }
        }
        assert.isAbove(cuts, 40)
      })
  )

  it.effect.each(Object.keys(tokenizers) as ReadonlyArray<keyof typeof tokenizers>)(
    "comes piece by piece as it would at once, and never with half of a character, with %s",
    (name) =>
      Effect.gen(function*() {
        const tokenizer = yield* open(name)
        for (const text of texts) {
          const ids = tokenizer.encode(text, { specialTokens: false })
          const reader = Continuation.reader(tokenizer, [])
          const pieces = Array.from(ids, reader.push)
          assert.strictEqual(pieces.join(""), tokenizer.decode(ids))
          assert.isFalse(pieces.some((piece) => piece.includes("\ufffd")))
        }
      })
  )

  it.effect("does not wait for ever for a character that never comes", () =>
    Effect.gen(function*() {
      const tokenizer = yield* open("bytes")
      const [lead] = tokenizer.encode("é")
      const reader = Continuation.reader(tokenizer, [])
      const text = [...Array.from({ length: 12 }, () => lead!), ...tokenizer.encode("end")].map(reader.push).join("")
      assert.match(text, /^\ufffd+end$/)
    }))

  it.effect("has no special tokens", () =>
    Effect.gen(function*() {
      const tokenizer = yield* open("byte-level BPE")
      const end = tokenizer.endOfTextId!
      const land = tokenizer.encode("land")
      assert.strictEqual(Continuation.decode(tokenizer, [end], [...land, end, ...land]), "landland")
    }))
})

describe("stop strings", () => {
  it("are found where the first of them begins", () => {
    assert.strictEqual(StopStrings.find("one two three", ["three", "two"]), 4)
    assert.strictEqual(StopStrings.find("one two three", ["two"], 5), -1)
    assert.strictEqual(StopStrings.find("one", []), -1)
  })

  it.effect("are found across tokens, whether they begin or end within one", () =>
    Effect.gen(function*() {
      const tokenizer = yield* open("byte-level BPE")
      for (const text of texts) {
        const ids = tokenizer.encode(text, { specialTokens: false })
        const whole = tokenizer.decode(ids)
        for (let start = 0; start < whole.length; start++) {
          for (const length of [1, 3, 6]) {
            const stop = whole.slice(start, start + length)
            // Half of a surrogate pair is no text.
            if (!stop.isWellFormed()) continue
            const watch = StopStrings.watch(tokenizer, [], [stop])
            let found: string | undefined
            for (const id of ids) found ??= watch.push(id)
            assert.strictEqual(found, whole.slice(0, whole.indexOf(stop)))
          }
        }
      }
    }))
})
