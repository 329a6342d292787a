/**
 * Random numbers from a counter, not from a state that advances.
 *
 * A `Random` is addressed by a seed, a purpose and a step. The numbers at one
 * address never depend on what was drawn at another, so a run that resumes at
 * step 500 draws what an unbroken run would have drawn there.
 *
 * The generator is Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel
 * random numbers: as easy as 1, 2, 3", SC 2011).
 */

export interface Random {
  /** The next integer in [0, 2^32). */
  readonly uint32: () => number
  /** The next number in [0, 1), with 53 random bits. */
  readonly uniform: () => number
  /** The next draw from the standard normal distribution. */
  readonly normal: () => number
  /** The next integer in [0, `bound`), without bias. `bound` is at most 2^32. */
  readonly integer: (bound: number) => number
  /** A permutation of 0 .. `length - 1` (Fisher and Yates). */
  readonly permutation: (length: number) => Uint32Array
}

const M0 = 0xd2511f53
const M1 = 0xcd9e8d57
const W0 = 0x9e3779b9
const W1 = 0xbb67ae85

/** High 32 bits of the product of two 32-bit integers. */
const mulHigh = (a: number, b: number): number => {
  const aLow = a & 0xffff, aHigh = a >>> 16
  const bLow = b & 0xffff, bHigh = b >>> 16
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16)
  const carry = aLow * bHigh + (middle & 0xffff)
  return (aHigh * bHigh + Math.floor(middle / 65536) + Math.floor(carry / 65536)) >>> 0
}

/**
 * One block of Philox4x32-10: four 32-bit words from a counter of four words
 * and a key of two.
 */
export const philox4x32 = (
  counter: readonly [number, number, number, number],
  key: readonly [number, number]
): [number, number, number, number] => {
  let [c0, c1, c2, c3] = counter
  let [k0, k1] = key
  for (let round = 0; round < 10; round++) {
    const high0 = mulHigh(M0, c0), low0 = Math.imul(M0, c0) >>> 0
    const high1 = mulHigh(M1, c2), low1 = Math.imul(M1, c2) >>> 0
    c0 = (high1 ^ c1 ^ k0) >>> 0
    c1 = low1
    c2 = (high0 ^ c3 ^ k1) >>> 0
    c3 = low0
    k0 = (k0 + W0) >>> 0
    k1 = (k1 + W1) >>> 0
  }
  return [c0, c1, c2, c3]
}

/** FNV-1a of the purpose: two purposes that differ draw from different streams. */
const hash = (text: string): number => {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  return h >>> 0
}

/**
 * Where the numbers of a seed, a purpose and a step lie: the key, and the upper
 * two words of the counter. The lower two count blocks of four numbers.
 */
export interface Address {
  readonly key: readonly [number, number]
  readonly upper: readonly [number, number]
}

/**
 * The address for `purpose` at `step` under `seed`.
 *
 * `seed` and `step` are integers in [0, 2^53); `purpose` is a short constant
 * such as `"dropout"`.
 */
export const address = (seed: number, purpose: string, step = 0): Address => ({
  key: [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0],
  // The high bits of a step (at most 21) leave room for nothing else in a
  // counter word, so they are folded into the purpose.
  upper: [step >>> 0, (hash(purpose) ^ Math.imul(Math.floor(step / 2 ** 32), 0x9e3779b1)) >>> 0]
})

/** The random numbers for `purpose` at `step` under `seed`, as {@link address} takes them. */
export const make = (seed: number, purpose: string, step = 0): Random => at(address(seed, purpose, step))

/** The random numbers at an address. */
export const at = ({ key, upper }: Address): Random => {
  let block = 0
  let words: readonly [number, number, number, number] = [0, 0, 0, 0]
  let used = 4
  const uint32 = () => {
    if (used === 4) {
      words = philox4x32([block >>> 0, Math.floor(block / 2 ** 32), ...upper], key)
      block++
      used = 0
    }
    return words[used++ as 0 | 1 | 2 | 3]
  }
  const uniform = () => ((uint32() >>> 5) * 67108864 + (uint32() >>> 6)) / 9007199254740992
  const normal = () => {
    // Box and Muller 1958, one of the pair: a draw then always costs four words,
    // whatever was drawn before it.
    const radius = Math.sqrt(-2 * Math.log(1 - uniform()))
    return radius * Math.cos(2 * Math.PI * uniform())
  }
  const integer = (bound: number) => {
    // Lemire's rejection, in its plain form: refuse the incomplete last interval.
    const limit = 4294967296 - (4294967296 % bound)
    let draw = uint32()
    while (draw >= limit) draw = uint32()
    return draw % bound
  }
  const permutation = (length: number) => {
    const order = new Uint32Array(length)
    for (let i = 0; i < length; i++) order[i] = i
    for (let i = length - 1; i > 0; i--) {
      const j = integer(i + 1)
      const swapped = order[i]!
      order[i] = order[j]!
      order[j] = swapped
    }
    return order
  }
  return { uint32, uniform, normal, integer, permutation }
}
