import type { Tokenizer } from "./Tokenizer.ts"

/** The ids that a tokenizer puts before and after every text, as its post-processor says. */
export interface Surroundings {
  readonly before: ReadonlyArray<number>
  readonly after: ReadonlyArray<number>
}

/** Finds what a tokenizer puts around a text, from what it puts around one. */
export const around = (tokenizer: Tokenizer): Surroundings => {
  const text = "a"
  const plain = tokenizer.encode(text, { specialTokens: false }), whole = Array.from(tokenizer.encode(text))
  const start = whole.findIndex((_, index) => plain.every((id, offset) => whole[index + offset] === id))
  return start < 0
    ? { before: [], after: [] }
    : { before: whole.slice(0, start), after: whole.slice(start + plain.length) }
}
