import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ignored } from "../../src/model/Examples.ts"
import * as TaggedTokens from "../../src/model/TaggedTokens.ts"
import { bertTokenizer, bpeTokenizer, json, robertaTokenizer } from "./chats.ts"

interface Case {
  readonly tokenizer: "roberta" | "bert"
  readonly words: ReadonlyArray<string>
  readonly maximumLength: number
  readonly ids: ReadonlyArray<number>
  readonly wordIds: ReadonlyArray<number | null>
}

const { cases }: { readonly cases: ReadonlyArray<Case> } = json("chat/tagged.json")
const tokenizers = { roberta: robertaTokenizer, bert: bertTokenizer }

describe("TaggedTokens", () => {
  it.effect("has the tokens of transformers, and each tag where its word begins", () =>
    Effect.gen(function*() {
      assert.isAbove(cases.length, 12)
      for (const { ids, maximumLength, tokenizer, wordIds, words } of cases) {
        // A tag of its own for every word shows which word a label belongs to.
        const tags = words.map((_, index) => `T${index}`)
        const [example] = yield* TaggedTokens.encode(tokenizers[tokenizer], [{ words, tags }], { tags, maximumLength })
        const what = `${tokenizer}: ${words.join(" ")}, ${maximumLength}`
        assert.deepStrictEqual([...example!.tokens], ids, what)
        const expected = wordIds.map((word, index) => word === null || word === wordIds[index - 1] ? ignored : word)
        assert.deepStrictEqual([...example!.labels], expected, what)
        assert.deepStrictEqual([...example!.wordStarts], words.map((_, word) => wordIds.indexOf(word)), what)
      }
    }))

  it.effect("encodes every word of a tokenizer of bytes with the space before it, the first one too", () =>
    Effect.gen(function*() {
      const row = { words: ["Ada", " lived"], tags: ["a", "b"] }
      const [example] = yield* TaggedTokens.encode(bpeTokenizer, [row], { tags: ["a", "b"], maximumLength: 100 })
      assert.strictEqual(bpeTokenizer.decode(example!.tokens), " Ada lived")
    }))

  it.effect("names the row and the word of a tag that is not known, and a row without tokens", () =>
    Effect.gen(function*() {
      const options = { tags: ["O"], maximumLength: 100 }
      const fine = { words: ["a"], tags: ["O"] }
      const unknown = yield* Effect.flip(
        TaggedTokens.encode(bertTokenizer, [fine, { words: ["a", "b"], tags: ["O", "B-PER"] }], options)
      )
      assert.strictEqual(unknown.message, "Row 2, word 2: the tag \"B-PER\" is none of O. The row reads \"a b\".")
      for (const words of [[], ["\u200d"]]) {
        const nothing = yield* Effect.flip(
          TaggedTokens.encode(bertTokenizer, [fine, { words, tags: words.map(() => "O") }], options)
        )
        assert.match(nothing.message, /row 2: /)
      }
      const cut = yield* Effect.flip(TaggedTokens.encode(bertTokenizer, [fine], { tags: ["O"], maximumLength: 2 }))
      assert.strictEqual(cut._tag, "NoTaggedToken")
    }))
})
