/**
 * Ending a text at the first of some strings, wherever in a token that is.
 */
import * as Continuation from "./Continuation.ts"
import type { Tokenizer } from "./Tokenizer.ts"

/** The index at which the first of the strings begins in a text, looking from an index on; -1 where none does. */
export const find = (text: string, strings: ReadonlyArray<string>, from = 0): number => {
  let first = -1
  for (const string of strings) {
    const at = text.indexOf(string, from)
    if (at >= 0 && (first < 0 || at < first)) first = at
  }
  return first
}

export interface Watch {
  /** Takes the next token, and gives the text before the first of the strings once there is one. */
  readonly push: (token: number) => string | undefined
}

/** Watches a text that goes on from the tokens of a prompt, which itself may hold the strings. */
export const watch = (tokenizer: Tokenizer, prompt: ArrayLike<number>, strings: ReadonlyArray<string>): Watch => {
  const reader = Continuation.reader(tokenizer, prompt)
  const longest = Math.max(0, ...strings.map(({ length }) => length))
  let text = ""
  return {
    push: (token) => {
      // A string that ends in the new text may begin in what was there.
      const from = Math.max(0, text.length - longest + 1)
      text += reader.push(token)
      const at = find(text, strings, from)
      return at < 0 ? undefined : text.slice(0, at)
    }
  }
}
