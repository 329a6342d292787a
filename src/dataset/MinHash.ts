/**
 * MinHash signatures, and banding to find texts that resemble each other without
 * comparing all with all.
 *
 * Under a random permutation of all shingles, the smallest of one set is the
 * smallest of the other with a probability that is their Jaccard similarity
 * (Broder, "On the resemblance and containment of documents", 1997). A signature
 * holds the smallest under each of many permutations. It is cut into bands of so
 * many rows, and two texts that agree on a whole band are candidates (Leskovec,
 * Rajaraman and Ullman, "Mining of Massive Datasets", chapter 3.4).
 */
import * as Random from "../random/Random.ts"
import * as Shingles from "./Shingles.ts"

/** How a signature is cut. */
export interface Banding {
  readonly bands: number
  /** Rows of the signature in each band. */
  readonly rows: number
}

/** The probability that two sets of this Jaccard similarity are candidates: 1 - (1 - s^r)^b. */
export const candidateProbability = (similarity: number, { bands, rows }: Banding): number =>
  1 - (1 - similarity ** rows) ** bands

/** The integral of `f`, by Simpson's rule. 256 steps give {@link candidateProbability} to six digits or more. */
const integral = (f: (x: number) => number, from: number, to: number): number => {
  const steps = 256
  const step = (to - from) / steps
  let sum = f(from) + f(to)
  for (let i = 1; i < steps; i++) sum += f(from + i * step) * (i % 2 === 0 ? 2 : 4)
  return (sum * step) / 3
}

/** How much of the range of similarities below the threshold makes candidates that are then refused. */
export const falsePositives = (threshold: number, banding: Banding): number =>
  integral((similarity) => candidateProbability(similarity, banding), 0, threshold)

/** How much of the range of similarities from the threshold on is missed. */
export const falseNegatives = (threshold: number, banding: Banding): number =>
  integral((similarity) => 1 - candidateProbability(similarity, banding), threshold, 1)

/**
 * The banding for a threshold and a number of permutations: of all that fit, the
 * one with the smallest weighted sum of {@link falsePositives} and
 * {@link falseNegatives}, the criterion of the Python package datasketch.
 *
 * `falsePositiveWeight` is from 0 to 1; false negatives have the rest. The default
 * is far from even, since a false positive costs a comparison and a false negative
 * is a duplicate that nobody is told of. With 128 permutations and a threshold of
 * 0.8 it gives 21 bands of 6 rows, which miss 1 of 600 pairs at the threshold
 * itself; with even weights there would be 9 bands of 13 rows, which miss 60 of 100.
 */
export const banding = (threshold: number, permutations: number, falsePositiveWeight = 0.002): Banding => {
  let best: Banding = { bands: permutations, rows: 1 }
  let least = Infinity
  for (let bands = 1; bands <= permutations; bands++) {
    for (let rows = 1; rows * bands <= permutations; rows++) {
      const tried = { bands, rows }
      const error = falsePositiveWeight * falsePositives(threshold, tried)
        + (1 - falsePositiveWeight) * falseNegatives(threshold, tried)
      if (error < least) {
        least = error
        best = tried
      }
    }
  }
  return best
}

/** How seldom {@link agreement} refuses a pair that reaches the threshold. */
export const refusedAtThreshold = 1e-6

/**
 * In how many places the signatures of a pair must agree for the pair to be worth
 * a comparison of its sets: the most that a pair at the threshold falls short of
 * with a probability of at most {@link refusedAtThreshold}. The number of places
 * in which two signatures agree is binomial.
 */
export const agreement = (threshold: number, permutations: number): number => {
  if (threshold >= 1) return permutations
  let logarithm = permutations * Math.log1p(-threshold)
  let below = 0
  for (let places = 0; places < permutations; places++) {
    below += Math.exp(logarithm)
    if (below > refusedAtThreshold) return places
    logarithm += Math.log((permutations - places) / (places + 1)) + Math.log(threshold) - Math.log1p(-threshold)
  }
  return permutations
}

/**
 * The permutations: shingles are 32-bit hashes, and a permutation of the 32-bit
 * integers is an exclusive or with a key of its own, then the finalizer of
 * MurmurHash3. The keys are drawn from the counter-based generator.
 */
export const permutations = (count: number, seed: number): Int32Array => {
  const random = Random.make(seed, "minhash")
  const keys = new Set<number>()
  while (keys.size < count) keys.add(random.uint32() | 0)
  return Int32Array.from(keys)
}

/** Writes the signature of a set of shingles, one 32-bit integer for each key, to `out` from `offset` on. */
export const sign = (keys: Int32Array, { count, values }: Shingles.Hashes, out: Int32Array, offset: number): void => {
  for (let row = 0; row < keys.length; row++) {
    const key = keys[row]!
    let least = 0x7fffffff
    for (let i = 0; i < count; i++) {
      // `Shingles.mix`, written out: this is where the time goes.
      let mixed = values[i]! ^ key
      mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
      mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
      mixed ^= mixed >>> 16
      if (mixed < least) least = mixed
    }
    out[offset + row] = least
  }
}

/** Whether two signatures agree in at least so many places. */
export const agrees = (
  signatures: Int32Array,
  a: number,
  b: number,
  length: number,
  atLeast: number
): boolean => {
  let allowed = length - atLeast
  for (let row = 0; row < length && allowed >= 0;) {
    // Counted without a branch, as in `Shingles.jaccard`.
    const end = Math.min(row + 16, length)
    for (; row < end; row++) allowed -= signatures[a + row] === signatures[b + row] ? 0 : 1
  }
  return allowed >= 0
}

/** The buckets of each band, to which signatures are added one by one. */
export interface Index {
  /**
   * Adds the signature that begins at `offset` as the next, and writes to `found`
   * the numbers of the earlier ones that share a band with it, each once. Returns
   * how many these are. Signatures are numbered from 0.
   */
  readonly add: (signatures: Int32Array, offset: number, found: Int32Array) => number
}

/**
 * An empty index for up to `capacity` signatures. Takes 8 bytes for each band of
 * each signature, and 4 to 8 more for its buckets.
 */
export const index = ({ bands, rows }: Banding, capacity: number): Index => {
  const buckets = 2 ** Math.ceil(Math.log2(Math.max(2, capacity)))
  const heads = new Int32Array(bands * buckets).fill(-1)
  const next = new Int32Array(bands * capacity)
  const keys = new Int32Array(bands * capacity)
  const seen = new Int32Array(capacity).fill(-1)
  let size = 0
  const add = (signatures: Int32Array, offset: number, found: Int32Array): number => {
    const added = size++
    let count = 0
    for (let band = 0; band < bands; band++) {
      const start = offset + band * rows
      const key = Shingles.hash(signatures, start, start + rows, band) | 0
      const bucket = band * buckets + (key & (buckets - 1))
      const base = band * capacity
      for (let other = heads[bucket]!; other >= 0; other = next[base + other]!) {
        if (keys[base + other] === key && seen[other] !== added) {
          seen[other] = added
          found[count++] = other
        }
      }
      keys[base + added] = key
      next[base + added] = heads[bucket]!
      heads[bucket] = added
    }
    return count
  }
  return { add }
}
