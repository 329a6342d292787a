/**
 * The text of tokens that go on from others.
 *
 * What a token reads as may depend on those before it: a character of several bytes can be spread over several tokens, and
 * decoders of the SentencePiece kind drop the space at the start of a text. So tokens are decoded behind some that precede
 * them, whose text is taken off again.
 */
import type { Tokenizer } from "./Tokenizer.ts"

/** What a decoder puts for bytes that are no character, or not yet. */
const replacement = "\ufffd"

/** How many tokens may be without a character of their own while one is coming: UTF-8 takes at most 4 bytes. */
const longestCharacter = 4

/** How many tokens before a text are decoded with it. */
const context = 8

/** The length of what two texts begin with alike. */
const shared = (first: string, second: string): number => {
  let length = 0
  while (length < first.length && first[length] === second[length]) length++
  return length
}

const read = (tokenizer: Tokenizer, ids: ReadonlyArray<number>): string =>
  tokenizer.decode(ids, { skipSpecialTokens: true })

/** What `tokens` add to the text of `before`; special tokens have no text, broken characters are U+FFFD. */
export const decode = (tokenizer: Tokenizer, before: ArrayLike<number>, tokens: ArrayLike<number>): string => {
  const tail = Array.from(before).slice(-context)
  const whole = read(tokenizer, [...tail, ...Array.from(tokens)])
  return whole.slice(shared(read(tokenizer, tail), whole))
}

/** The text of tokens that come one after the other, as far as it is certain. */
export interface Reader {
  /** Takes the next token, and gives the text that has become certain by it: none in the middle of a character. */
  readonly push: (token: number) => string
}

/** Reads what goes on from the tokens `before`. Each token costs the same, however long the text grows. */
export const reader = (tokenizer: Tokenizer, before: ArrayLike<number>): Reader => {
  let known = Array.from(before).slice(-context)
  let fresh: Array<number> = []
  return {
    push: (token) => {
      fresh.push(token)
      const whole = read(tokenizer, [...known, ...fresh])
      // Beyond that many it is not a character to come, but bytes that are none.
      if (whole.endsWith(replacement) && fresh.length < longestCharacter) return ""
      const text = whole.slice(shared(read(tokenizer, known), whole))
      known = [...known, ...fresh].slice(-context)
      fresh = []
      return text
    }
  }
}
