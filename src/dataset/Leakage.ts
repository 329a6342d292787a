/**
 * Texts that stand on two sides of a split, or twice on one: equal ones, ones that
 * are nearly equal, and ones that are inside others.
 *
 * Texts are compared in their normal form, so what differs by case or spaces alone
 * is equal. Nearly equal texts are found by MinHash and banding, and a pair counts
 * only if the Jaccard similarity of its sets of shingles reaches the threshold.
 * Thus what is reported is true, and what is missed has a known probability.
 *
 * What is found depends on the rows of each side, not on their order. The text and
 * the label of a test row take part in the comparison, and are in nothing that
 * comes out.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Containment from "./Containment.ts"
import * as LeakingPairs from "./LeakingPairs.ts"
import * as MinHash from "./MinHash.ts"
import * as NormalText from "./NormalText.ts"
import * as Shingles from "./Shingles.ts"

/** The rows of each side. `test` is left out where there is none. */
export interface Rows {
  readonly train: ReadonlyArray<LeakingPairs.Row>
  readonly validation: ReadonlyArray<LeakingPairs.Row>
  readonly test?: ReadonlyArray<LeakingPairs.Row> | undefined
}

export interface Options {
  /** The Jaccard similarity from which on two texts are nearly equal, above 0 and up to 1. */
  readonly threshold: number
  readonly shingle: Shingles.Shingle
  readonly punctuation: "keep" | "ignore"
  /** The length of a signature. More of them miss fewer pairs and take longer. */
  readonly permutations: number
  readonly seed: number
  /** Texts of at least so many characters (UTF-16 code units) are sought inside others; without it none is. */
  readonly containedFrom?: number | undefined
  /** How many pairs of each kind are listed for each pair of sides. All are counted. */
  readonly listed: number
  /** How many pairs of texts may be compared before the check gives up. */
  readonly comparisons: number
}

export interface Findings {
  readonly pairs: ReadonlyArray<LeakingPairs.Pair>
  readonly counts: ReadonlyArray<LeakingPairs.Count>
  /** Indices of the rows of each side that are in a pair with another side, ascending. */
  readonly leaking: Readonly<Record<LeakingPairs.Side, ReadonlyArray<number>>>
  /** How the signatures were cut. */
  readonly banding: MinHash.Banding
  /** The probability that a pair at the threshold is missed. It falls as the similarity rises. */
  readonly missedAtThreshold: number
}

/** The texts are so alike that comparing those that look alike would take too long. */
export class TooAlike extends Schema.TaggedError<TooAlike>()("TooAlike", {
  texts: Schema.Int,
  comparisons: Schema.Int,
  threshold: Schema.Finite
}) {
  override get message(): string {
    return `More than ${this.comparisons} pairs among ${this.texts} different texts look alike at a similarity of `
      + `${this.threshold}, as texts do that share a template. Raise \`threshold\`, take longer shingles or words `
      + "(`shingle`), check a field without the template, or raise `comparisons` and wait."
  }
}

/** The sets of shingles of texts, made when they are asked for and kept while there is room. */
const shingleSets = (texts: ReadonlyArray<LeakingPairs.Text>, shingles: Shingles.Shingles) => {
  const room = 2 ** 24
  const kept = new Map<number, Float64Array>()
  let size = 0
  return (text: number): Float64Array => {
    const known = kept.get(text)
    if (known !== undefined) return known
    const made = shingles.set(texts[text]!.normal)
    if (size + made.length > room) {
      kept.clear()
      size = 0
    }
    kept.set(text, made)
    size += made.length
    return made
  }
}

/** Other fibers have their turn when so many milliseconds have passed since the last. */
const turnMilliseconds = 10

/**
 * Compares all rows of all sides. Fails with {@link TooAlike} rather than going on
 * without end, since texts that all look alike have to be compared all with all.
 *
 * Takes the texts once more in their normal form, 4 bytes for each permutation and
 * some 16 for each band of each different text, and up to 128 MiB of shingles.
 */
export const check = Effect.fnUntraced(function*(given: Rows, options: Options): Effect.fn.Return<Findings, TooAlike> {
  let turned = performance.now()
  const isDue = () => performance.now() - turned > turnMilliseconds
  const turn = Effect.map(Effect.yieldNow, () => {
    turned = performance.now()
  })

  const rows = [given.train, given.validation, given.test ?? []]
  const present = given.test === undefined ? [0, 1] : [0, 1, 2]
  const normals: Array<Array<string>> = [[], [], []]
  for (const side of present) {
    for (const { text } of rows[side]!) {
      normals[side]!.push(NormalText.normalize(text, options))
      if (isDue()) yield* turn
    }
  }
  const { textOf, texts } = LeakingPairs.group(rows, normals)
  const shortest = options.containedFrom
  const kinds = ["exact", "near", ...(shortest === undefined ? [] : ["contained"] as const)] as const
  const ledger = LeakingPairs.ledger(texts, present, kinds, options.listed)
  const shingles = Shingles.make(options.shingle)
  const setOf = shingleSets(texts, shingles)
  let comparisons = 0
  const tooAlike = () =>
    new TooAlike({ texts: texts.length, comparisons: options.comparisons, threshold: options.threshold })

  if (shortest !== undefined) {
    const finder = Containment.finder(texts.length, shortest)
    for (const { normal } of texts) {
      finder.count(normal)
      if (isDue()) yield* turn
    }
    for (const [number, { normal }] of texts.entries()) {
      finder.seek(number, normal)
      if (isDue()) yield* turn
    }
    for (const [outer, { normal }] of texts.entries()) {
      finder.within(outer, normal, (inner) => {
        comparisons++
        if (comparisons <= options.comparisons) {
          ledger.contained(outer, inner, Shingles.jaccard(setOf(outer), setOf(inner)))
        }
      })
      if (comparisons > options.comparisons) return yield* tooAlike()
      if (isDue()) yield* turn
    }
  }

  const keys = MinHash.permutations(options.permutations, options.seed)
  const banding = MinHash.banding(options.threshold, options.permutations)
  const atLeast = MinHash.agreement(options.threshold, options.permutations)
  const signatures = new Int32Array(texts.length * keys.length)
  const index = MinHash.index(banding, texts.length)
  const found = new Int32Array(texts.length)
  /** Compares a text with the candidates from this one on, and says where it stopped: at the end, or when a turn is due. */
  const compare = (number: number, candidates: number, from: number): number => {
    const { normal } = texts[number]!
    const offset = number * keys.length
    for (let at = from; at < candidates; at++) {
      // Reading the clock for each would take as long as comparing signatures does.
      if (at % 64 === 63 && at > from && isDue()) return at
      const other = found[at]!
      if (!MinHash.agrees(signatures, offset, other * keys.length, keys.length, atLeast)) continue
      const similarity = Shingles.jaccard(setOf(number), setOf(other), options.threshold)
      if (similarity === 0 || isContained(normal, texts[other]!.normal, shortest)) continue
      ledger.near(number, other, similarity)
    }
    return candidates
  }

  for (const [number, { normal }] of texts.entries()) {
    const offset = number * keys.length
    MinHash.sign(keys, shingles.hashes(normal), signatures, offset)
    const candidates = index.add(signatures, offset, found)
    comparisons += candidates
    if (comparisons > options.comparisons) return yield* tooAlike()
    for (let compared = 0; compared < candidates;) {
      compared = compare(number, candidates, compared)
      if (isDue()) yield* turn
    }
    if (isDue()) yield* turn
  }

  const leaking = (side: number): ReadonlyArray<number> => {
    const indices: Array<number> = []
    textOf[side]!.forEach((text, row) => {
      if (ledger.leaks(text, side)) indices.push(row)
    })
    return indices
  }
  return {
    ...ledger.close(),
    leaking: { train: leaking(0), validation: leaking(1), test: leaking(2) },
    banding,
    missedAtThreshold: 1 - MinHash.candidateProbability(options.threshold, banding) + MinHash.refusedAtThreshold
  }
})

/** Whether the pair has been counted as `contained`. */
const isContained = (a: string, b: string, shortest: number | undefined): boolean => {
  if (shortest === undefined) return false
  const [inner, outer] = a.length < b.length ? [a, b] : [b, a]
  return inner.length >= shortest && outer.includes(inner)
}
