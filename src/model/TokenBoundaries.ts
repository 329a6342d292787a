/**
 * The tokens of a text, cut at given places: where what a model reads ends and what it is to write begins.
 *
 * A token may reach across such a place: "is " and "42" are tokens of their own, and "is 42" has the token " 42". A model
 * that is asked only ever sees the tokens of what stands before the place, so the text is cut there and the two parts
 * are encoded on their own. Where no token reaches across, the tokens are those of the whole text.
 *
 * The tokenizer gives no offsets, so each place is found by encoding what stands before it and comparing. Added tokens
 * (`<|im_end|>`) are cut out of a text before anything else, hence the comparison starts at the last of them.
 */
import * as Result from "effect/Result"
import type { Tokenizer } from "./Tokenizer.ts"

/** Tokens of a text with the places at which it was to be cut, as indices of tokens. */
export interface Cut {
  readonly tokens: Int32Array
  /** For each place how many tokens stand before it. */
  readonly indices: ReadonlyArray<number>
}

export interface Boundaries {
  /** Every token that is cut out of a text as it stands, special or not. */
  readonly addedTokens: ReadonlyArray<string>
  /**
   * Encodes a text without adding special tokens. `places` are indices of UTF-16 units, ascending. Fails with the reason
   * when the parts of a text cannot be encoded so that together they are the text.
   */
  readonly cut: (text: string, places: ReadonlyArray<number>) => Result.Result<Cut, string>
}

interface Added {
  readonly id: number
  readonly content: string
}

const decoder = new TextDecoder()

/** `Tokenizer.fromFiles` has read the file, so it is JSON. */
const addedTokensOf = (tokenizer: Tokenizer): ReadonlyArray<Added> => {
  const { added_tokens: added } = JSON.parse(decoder.decode(tokenizer.files.tokenizer)) as {
    readonly added_tokens?: ReadonlyArray<Added> | null
  }
  return (added ?? []).filter(({ content, id }) =>
    typeof content === "string" && content !== "" && Number.isInteger(id)
  )
}

const unknownIdOf = (tokenizer: Tokenizer): number | undefined => {
  const config = JSON.parse(decoder.decode(tokenizer.files.config)) as { readonly unk_token?: unknown }
  const token = config.unk_token
  const content = typeof token === "string" ? token : (token as { readonly content?: unknown } | null)?.content
  return typeof content === "string" ? tokenizer.idOf(content) : undefined
}

type Ids = ReadonlyArray<number>

const startsWith = (whole: Ids, part: Ids, from = 0): boolean =>
  from + part.length <= whole.length && part.every((id, index) => whole[from + index] === id)

/** A stretch of text from one added token, which it begins with, to the next. */
interface Chunk {
  readonly start: number
  readonly text: string
  readonly tokens: Ids
  /** The length of the added token. */
  readonly lead: number
}

export const make = (tokenizer: Tokenizer): Boundaries => {
  const added = addedTokensOf(tokenizer)
  const contents = new Map(added.map(({ content, id }) => [id, content]))
  const unknownId = unknownIdOf(tokenizer)
  const encode = (text: string): Ids => text === "" ? [] : Array.from(tokenizer.encode(text, { specialTokens: false }))

  const chunksOf = (text: string): ReadonlyArray<Chunk> => {
    const tokens = encode(text)
    const chunks: Array<Chunk> = []
    let start = 0, first = 0, lead = 0, cursor = 0
    const close = (end: number, last: number) => {
      if (end > start || last > first) {
        chunks.push({ start, text: text.slice(start, end), tokens: tokens.slice(first, last), lead })
      }
    }
    for (const [index, id] of tokens.entries()) {
      const content = contents.get(id)
      const at = content === undefined ? -1 : text.indexOf(content, cursor)
      if (at < 0) continue
      close(at, index)
      start = at
      first = index
      lead = content!.length
      cursor = at + lead
    }
    close(text.length, tokens.length)
    return chunks
  }

  // Some tokenizers put a space before the first word of whatever they are given, which must not be taken for one of the
  // text.
  const line = encode("\n")
  const withSpace = !startsWith([...line, ...encode("a")], encode("\na"))

  /** Whether tokens may stand for more than the text before `next`: an unknown token does not say where it ends. */
  const vague = (tokens: Ids, next: string): boolean =>
    unknownId !== undefined && tokens.at(-1) === unknownId && !/^\s/.test(next)

  /** Tokens of `text` where it follows `before`, whose tokens are given. */
  const continuation = (before: string, given: Ids, text: string): Ids | undefined => {
    const whole = encode(before + text)
    if (startsWith(whole, given) && !vague(given, text)) return whole.slice(given.length)
    // A normalizer may have composed characters across the place.
    const surface = (tokens: Ids) => tokenizer.decode(tokens).normalize("NFC")
    const expected = surface(whole)
    const fits = (tokens: Ids) => surface([...given, ...tokens]) === expected
    const alone = encode(text)
    if (fits(alone)) return alone
    const after = encode(`\n${text}`)
    const rest = startsWith(after, line) ? after.slice(line.length) : undefined
    return rest !== undefined && fits(rest) ? rest : undefined
  }

  /** The tokens of a chunk, cut at places within it. */
  const cutChunk = ({ lead, text, tokens }: Chunk, places: ReadonlyArray<number>): Result.Result<Cut, string> => {
    let current = tokens
    let place = 0, index = 0
    const indices: Array<number> = []
    const aligned = (next: number): number | undefined => {
      if (next === lead) return lead === 0 ? 0 : 1
      if (next === text.length) return current.length
      // From the place before, which takes less time, or from the start of the chunk, which all tokenizers allow.
      const starts = withSpace || place === 0 ? [[0, 0]] as const : [[place, index], [0, 0]] as const
      for (const [from, at] of starts) {
        const part = encode(text.slice(from, next))
        if (startsWith(current, part, at) && !vague(part, text.slice(next, next + 1))) return at + part.length
      }
      return undefined
    }
    for (const next of places) {
      if (next > 0 && next < lead) return Result.fail(`it would be cut within the token ${text.slice(0, lead)}`)
      let found = next === 0 ? 0 : next === place ? index : aligned(next)
      if (found === undefined) {
        const before = current.slice(0, index)
        const left = continuation(text.slice(0, place), before, text.slice(place, next))
        const given = left === undefined ? [] : [...before, ...left]
        const right = left === undefined ? undefined : continuation(text.slice(0, next), given, text.slice(next))
        if (right === undefined) {
          return Result.fail(
            `it has no tokens that end at ${JSON.stringify(text.slice(Math.max(0, next - 20), next))}, where the next `
              + "part begins"
          )
        }
        current = [...given, ...right]
        found = given.length
      }
      indices.push(found)
      place = next
      index = found
    }
    return Result.succeed({ tokens: Int32Array.from(current), indices })
  }

  return {
    addedTokens: added.map(({ content }) => content),
    cut: (text, places) =>
      Result.gen(function*() {
        const tokens: Array<number> = []
        const indices: Array<number> = []
        let passed = 0
        for (const chunk of chunksOf(text)) {
          const end = chunk.start + chunk.text.length
          const inside: Array<number> = []
          while (passed < places.length && places[passed]! < end) inside.push(places[passed++]! - chunk.start)
          const cut = yield* cutChunk(chunk, inside)
          for (const index of cut.indices) indices.push(tokens.length + index)
          for (const id of cut.tokens) tokens.push(id)
        }
        while (indices.length < places.length) indices.push(tokens.length)
        return { tokens: Int32Array.from(tokens), indices }
      })
  }
}
