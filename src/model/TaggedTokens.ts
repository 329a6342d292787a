/**
 * Tagged words as token ids, with the tag of each word at its first token.
 *
 * The tokenizer gives no offsets, so each word is encoded on its own. Tokenizers of bytes (RoBERTa, GPT-2) tell words by
 * the space before them: each word, the first one too, is encoded with one, as transformers does with
 * `is_split_into_words` and `add_prefix_space`. Others take a word as it is.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { TaggedWords } from "../dataset/TaggedWords.ts"
import * as RowProblem from "../store/RowProblem.ts"
import * as EventLoop from "./EventLoop.ts"
import { ignored } from "./Examples.ts"
import * as SpecialTokens from "./SpecialTokens.ts"
import type { Tokenizer } from "./Tokenizer.ts"

/** A sentence as a token classifier is trained on it, as `Examples.Example` has it. */
export interface TaggedTokens {
  readonly tokens: Int32Array
  /** The index of the tag where a word begins, `Examples.ignored` elsewhere. */
  readonly labels: Int32Array
  /** Where each word begins; -1 for words that have no token, or lie beyond the end. */
  readonly wordStarts: Int32Array
}

export interface Options {
  /** All tags, in the order of their indices. */
  readonly tags: ReadonlyArray<string>
  /** In tokens, special ones included. Longer sentences are cut at their end. */
  readonly maximumLength: number
}

/** A tag that is none of those that the model tells apart. */
export class UnknownTag extends Schema.TaggedError<UnknownTag>()("UnknownTag", {
  /** Counted from 1. */
  row: Schema.Int,
  /** Counted from 1. */
  word: Schema.Int,
  found: Schema.String,
  expected: Schema.Array(Schema.String),
  /** The sentence. */
  text: Schema.String
}) {
  override get message() {
    return `Row ${this.row}, word ${this.word}: the tag "${this.found}" is none of ${this.expected.join(", ")}. ` +
      `The row reads ${RowProblem.show(this.text)}.`
  }
}

/** No word of a row has a token, so there is nothing to learn from it. */
export class NoTaggedToken extends Schema.TaggedError<NoTaggedToken>()("NoTaggedToken", {
  /** Counted from 1. */
  row: Schema.Int,
  words: Schema.Int,
  /** The sentence. */
  text: Schema.String
}) {
  override get message() {
    return `Nothing can be learned from row ${this.row}: the tokenizer gives none of its ${this.words} words a token ` +
      `within the maximum length. The row reads ${RowProblem.show(this.text)}.`
  }
}

export const TaggedTokensError = Schema.Union([UnknownTag, NoTaggedToken])
export type TaggedTokensError = typeof TaggedTokensError.Type

const decoder = new TextDecoder()

/** Whether a pre-tokenizer works on bytes, where a space belongs to the word after it. */
const isByteLevel = (preTokenizer: unknown): boolean => {
  if (typeof preTokenizer !== "object" || preTokenizer === null) return false
  const { pretokenizers, type } = preTokenizer as { readonly type?: unknown; readonly pretokenizers?: unknown }
  return type === "ByteLevel" || (Array.isArray(pretokenizers) && pretokenizers.some(isByteLevel))
}

/** How a tokenizer encodes words, and what it puts around them. */
const wordEncoder = (tokenizer: Tokenizer) => {
  const json = JSON.parse(decoder.decode(tokenizer.files.tokenizer)) as { readonly pre_tokenizer?: unknown }
  const spaced = isByteLevel(json.pre_tokenizer)
  return {
    ...SpecialTokens.around(tokenizer),
    encode: (word: string): Int32Array =>
      tokenizer.encode(spaced && !/^\s/.test(word) ? ` ${word}` : word, { specialTokens: false })
  }
}

/** How many sentences are encoded before the rest of the process has its turn. */
const atOnce = 256

/** Encodes tagged words for training and evaluation: one example a row. */
export const encode = Effect.fn("TaggedTokens.encode")(function*(
  tokenizer: Tokenizer,
  rows: ReadonlyArray<TaggedWords>,
  { maximumLength, tags }: Options
): Effect.fn.Return<ReadonlyArray<TaggedTokens>, TaggedTokensError> {
  const words = wordEncoder(tokenizer)
  const indices = new Map(tags.map((tag, index) => [tag, index]))
  const room = maximumLength - words.after.length
  const examples: Array<TaggedTokens> = []
  for (const [index, row] of rows.entries()) {
    if (index % atOnce === atOnce - 1) yield* EventLoop.turn
    const tokens = [...words.before], labels: Array<number> = words.before.map(() => ignored)
    const wordStarts = new Int32Array(row.words.length).fill(-1)
    for (const [word, text] of row.words.entries()) {
      const tag = indices.get(row.tags[word]!)
      if (tag === undefined) {
        return yield* new UnknownTag({
          row: index + 1,
          word: word + 1,
          found: row.tags[word]!,
          expected: tags,
          text: row.words.join(" ")
        })
      }
      if (tokens.length >= room) continue
      for (const [place, id] of words.encode(text).entries()) {
        if (tokens.length >= room) break
        if (place === 0) wordStarts[word] = tokens.length
        labels.push(place === 0 ? tag : ignored)
        tokens.push(id)
      }
    }
    if (wordStarts.every((start) => start < 0)) {
      return yield* new NoTaggedToken({ row: index + 1, words: row.words.length, text: row.words.join(" ") })
    }
    examples.push({
      tokens: Int32Array.from([...tokens, ...words.after]),
      labels: Int32Array.from([...labels, ...words.after.map(() => ignored)]),
      wordStarts
    })
  }
  return examples
})
