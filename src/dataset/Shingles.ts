/**
 * Texts as sets of shingles: all runs of so many characters, or words, in a row
 * (Broder, "On the resemblance and containment of documents", 1997).
 *
 * A shingle is known by its hash, MurmurHash3_x86_32 (Appleby 2011, in the
 * public domain), where each character is one 32-bit block: the hash of the
 * shingle in UTF-32, little endian. A word is one block too, its own hash.
 */

/** What a shingle is: how many characters (Unicode code points), or words, in a row. */
export interface Shingle {
  readonly of: "characters" | "words"
  readonly length: number
}

const scramble = (block: number): number => {
  const product = Math.imul(block, 0xcc9e2d51)
  return Math.imul((product << 15) | (product >>> 17), 0x1b873593)
}

const absorb = (state: number, scrambled: number): number => {
  const mixed = state ^ scrambled
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe6546b64) | 0
}

/** The finalizer of MurmurHash3: a permutation of the 32-bit integers in which each bit takes part in all. */
export const mix = (value: number): number => {
  let mixed = value
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return mixed ^ (mixed >>> 16)
}

/** MurmurHash3_x86_32 of the blocks from `start` to before `end`, in [0, 2^32). */
export const hash = (blocks: ArrayLike<number>, start: number, end: number, seed: number): number => {
  let state = seed
  for (let i = start; i < end; i++) state = absorb(state, scramble(blocks[i]!))
  return mix(state ^ (4 * (end - start))) >>> 0
}

/** The hashes of the shingles of a text, in their order in the text. What is returned holds until the next text. */
export interface Hashes {
  readonly values: Uint32Array
  readonly count: number
}

export interface Shingles {
  /** One hash for each shingle of the text; a shingle that occurs twice is there twice. */
  readonly hashes: (text: string) => Hashes
  /**
   * The set of the text's shingles, as ascending numbers below 2^53 made of two
   * hashes: two of a million different shingles are taken for one in about one of
   * 18,000 cases.
   */
  readonly set: (text: string) => Float64Array
}

// Two seeds make two hashes of one shingle.
const seeds = [0x9747b28c, 0x3c6ef372] as const

/**
 * How texts are cut into shingles. A text that is shorter than a shingle is one
 * shingle, so it resembles none but itself; the empty text is one, too.
 */
export const make = ({ length, of }: Shingle): Shingles => {
  let units = new Uint32Array(1024)
  let first = new Uint32Array(1024)
  let second = new Uint32Array(1024)

  const reserve = (size: number) => {
    if (size <= units.length) return
    const larger = 2 ** Math.ceil(Math.log2(size))
    units = new Uint32Array(larger)
    first = new Uint32Array(larger)
    second = new Uint32Array(larger)
  }

  /** Writes the code points of a text to `units`. */
  const characters = (text: string): number => {
    let count = 0
    for (let i = 0; i < text.length; i++) {
      const point = text.codePointAt(i)!
      if (point > 0xffff) i++
      units[count++] = point
    }
    return count
  }

  /** Writes the hashes of the words between spaces to `units`, in place of their characters. */
  const words = (text: string, seed: number): number => {
    const length = characters(text)
    let count = 0
    let start = 0
    for (let i = 0; i <= length; i++) {
      if (i < length && units[i] !== 0x20) continue
      // Where the hash goes, the characters have been read.
      if (i > start) units[count++] = hash(units, start, i, seed)
      start = i + 1
    }
    return count
  }

  const roll = (text: string, seed: number, out: Uint32Array): number => {
    const count = of === "characters" ? characters(text) : words(text, seed)
    for (let i = 0; i < count; i++) units[i] = scramble(units[i]!)
    const width = Math.min(length, count)
    const shingles = count - width + 1
    for (let i = 0; i < shingles; i++) {
      let state = seed
      for (let j = i; j < i + width; j++) state = absorb(state, units[j]!)
      out[i] = mix(state ^ (4 * width))
    }
    return shingles
  }

  const hashes = (text: string): Hashes => {
    reserve(text.length + 1)
    const count = roll(text, seeds[0], first)
    return { values: first, count }
  }

  const set = (text: string): Float64Array => {
    reserve(text.length + 1)
    const count = roll(text, seeds[0], first)
    roll(text, seeds[1], second)
    const all = new Float64Array(count)
    for (let i = 0; i < count; i++) all[i] = (second[i]! >>> 11) * 2 ** 32 + first[i]!
    all.sort()
    let distinct = 0
    for (let i = 0; i < count; i++) if (i === 0 || all[i] !== all[i - 1]) all[distinct++] = all[i]!
    return all.slice(0, distinct)
  }

  return { hashes, set }
}

/**
 * The Jaccard similarity of two sets of ascending numbers: the size of what they
 * share, divided by the size of both together. It is 0 as soon as it is known to
 * be below `atLeast`.
 */
export const jaccard = (a: Float64Array, b: Float64Array, atLeast = 0): number => {
  const sum = a.length + b.length
  // What must be shared to reach `atLeast`; half a shingle of slack lets rounding refuse none.
  const needed = (atLeast * sum) / (1 + atLeast) - 0.5
  let shared = 0
  let i = 0, j = 0
  while (i < a.length && j < b.length) {
    if (shared + Math.min(a.length - i, b.length - j) < needed) return 0
    // Without a branch that is hard to predict, this is three times as fast.
    const end = Math.min(i + 16, a.length)
    while (i < end && j < b.length) {
      const left = a[i]!, right = b[j]!
      const isLeft = left <= right ? 1 : 0, isRight = right <= left ? 1 : 0
      i += isLeft
      j += isRight
      shared += isLeft & isRight
    }
  }
  const similarity = shared / (sum - shared)
  return similarity < atLeast ? 0 : similarity
}
