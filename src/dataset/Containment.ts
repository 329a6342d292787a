/**
 * Which texts stand whole inside others. Jaccard similarity does not see it: a
 * question inside a long page shares little with the page as a whole.
 *
 * Every text that may be inside another is known by one of its windows, so many
 * characters in a row, of those it has the rarest. A text that contains it has
 * that window, too. Where the hash of a window says so, the texts themselves are
 * compared, so what is found is exact and nothing is missed. The windows are hashed
 * as Karp and Rabin do ("Efficient randomized pattern-matching algorithms", 1987),
 * with arithmetic modulo 2^32.
 */
import * as Shingles from "./Shingles.ts"

/** The widest window. A wider one is rarer, but has to fit into the shortest text. */
const widest = 32

const base = 0x01000193

/** Base to the power of `exponent`, modulo 2^32. */
const power = (exponent: number): number => {
  let product = 1
  for (let i = 0; i < exponent; i++) product = Math.imul(product, base)
  return product
}

export interface Finder {
  /** Adds a text, as the next, to those that may contain others and stand in others. Texts are numbered from 0. */
  readonly count: (text: string) => void
  /** Makes the text of this number, one that was counted, one to look for. */
  readonly seek: (number: number, text: string) => void
  /** Calls `found` with the number of each sought text that is inside this one and shorter, each once. */
  readonly within: (number: number, text: string, found: (inner: number) => void) => void
}

/**
 * A finder for up to `capacity` texts of which those with at least `shortest`
 * characters are sought. All texts are counted first, then made known by `seek`,
 * then searched by `within`. Characters are UTF-16 code units here.
 */
export const finder = (capacity: number, shortest: number): Finder => {
  const width = Math.min(shortest, widest)
  const leading = power(width - 1)
  // How often a window occurs, in a table that may count several as one: it serves to choose a rare one.
  const frequencies = new Uint32Array(2 ** 22)
  const mask = frequencies.length - 1

  const buckets = 2 ** Math.ceil(Math.log2(Math.max(2, capacity * 2)))
  const heads = new Int32Array(buckets).fill(-1)
  const next = new Int32Array(capacity)
  const windows = new Int32Array(capacity)
  const offsets = new Int32Array(capacity)
  const texts = Array.from<string>({ length: capacity }).fill("")
  const seen = new Int32Array(capacity).fill(-1)

  /** The hash of the window before the one that ends at `end` moved on by one character. */
  const start = (text: string): number => {
    let state = 0
    for (let i = 0; i < width - 1; i++) state = (Math.imul(state, base) + text.charCodeAt(i)) | 0
    return state
  }

  const count = (text: string) => {
    if (text.length < width) return
    let state = start(text)
    for (let end = width - 1; end < text.length; end++) {
      state = (Math.imul(state, base) + text.charCodeAt(end)) | 0
      frequencies[Shingles.mix(state) & mask]!++
      state = (state - Math.imul(leading, text.charCodeAt(end - width + 1))) | 0
    }
  }

  const seek = (number: number, text: string) => {
    if (text.length < shortest) return
    let state = start(text)
    let rarest = 0, least = Infinity, at = 0
    for (let end = width - 1; end < text.length; end++) {
      state = (Math.imul(state, base) + text.charCodeAt(end)) | 0
      const window = Shingles.mix(state)
      if (frequencies[window & mask]! < least) {
        least = frequencies[window & mask]!
        rarest = window
        at = end - width + 1
      }
      state = (state - Math.imul(leading, text.charCodeAt(end - width + 1))) | 0
    }
    windows[number] = rarest
    offsets[number] = at
    texts[number] = text
    const bucket = rarest & (buckets - 1)
    next[number] = heads[bucket]!
    heads[bucket] = number
  }

  const within = (number: number, text: string, found: (inner: number) => void) => {
    if (text.length <= shortest) return
    let state = start(text)
    for (let end = width - 1; end < text.length; end++) {
      state = (Math.imul(state, base) + text.charCodeAt(end)) | 0
      const window = Shingles.mix(state)
      for (let inner = heads[window & (buckets - 1)]!; inner >= 0; inner = next[inner]!) {
        if (windows[inner] !== window || seen[inner] === number) continue
        const sought = texts[inner]!
        if (sought.length < text.length && text.startsWith(sought, end - width + 1 - offsets[inner]!)) {
          seen[inner] = number
          found(inner)
        }
      }
      state = (state - Math.imul(leading, text.charCodeAt(end - width + 1))) | 0
    }
  }

  return { count, seek, within }
}
