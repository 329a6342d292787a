/**
 * Pairs of rows of a split whose texts are equal or alike: which rows have which
 * text, how many pairs any two sides have, and the first of them.
 */
import * as Schema from "effect/Schema"
import * as Digest from "../store/Digest.ts"

/** The sides of a split, in the order in which a pair of them is named. */
const sides = ["train", "validation", "test"] as const
export const Side = Schema.Literals(sides)
export type Side = typeof Side.Type

const kindsInOrder = ["exact", "near", "contained"] as const

/**
 * - `exact`: the same text in its normal form.
 * - `near`: two texts whose similarity reaches the threshold.
 * - `contained`: the text of example A has the whole text of example B in it.
 *
 * A pair is of one kind: it is `contained` rather than `near`.
 */
export const Kind = Schema.Literals(kindsInOrder)
export type Kind = typeof Kind.Type

/** Two examples. Where one of them is a test example, without texts and labels. */
export const Pair = Schema.Struct({
  kind: Kind,
  sideA: Side,
  /** Digest of the example's content. */
  exampleA: Schema.String,
  sideB: Side,
  exampleB: Schema.String,
  /** The Jaccard similarity of the sets of shingles. */
  similarity: Schema.Finite,
  /** The text, or its first 200 characters. */
  textA: Schema.NullOr(Schema.String),
  textB: Schema.NullOr(Schema.String),
  /** The label; in conversations the answer. */
  labelA: Schema.NullOr(Schema.String),
  labelB: Schema.NullOr(Schema.String),
  sameLabel: Schema.NullOr(Schema.Boolean)
})
export type Pair = typeof Pair.Type

/** How many pairs of a kind two sides have, or one side has in itself. */
export const Count = Schema.Struct({
  kind: Kind,
  sideA: Side,
  sideB: Side,
  pairs: Schema.Int,
  /** Rows of side A that are in such a pair. */
  rowsA: Schema.Int,
  rowsB: Schema.Int,
  /** Pairs whose labels differ; `null` where a test row takes part, or rows have no label. */
  conflictingPairs: Schema.NullOr(Schema.Int)
})
export type Count = typeof Count.Type

/** A row of a side, as far as the comparison goes. */
export interface Row {
  /** The digest of its content. */
  readonly example: string
  readonly text: string
  readonly label: string | null
}

interface Example {
  readonly digest: string
  readonly text: string
  /** How many rows of the side are this example. */
  readonly rows: number
}

/** The rows of one text that are on one side and have one label. */
interface Group {
  /** Index in {@link sides}. */
  readonly side: number
  readonly label: string | null
  /** In the order of their digests. */
  readonly examples: ReadonlyArray<Example>
  readonly rows: number
}

/** A text in its normal form, and the rows that have it. */
export interface Text {
  readonly normal: string
  readonly groups: ReadonlyArray<Group>
  /** How many rows have it, by side. */
  readonly rows: Uint32Array
}

export interface Texts {
  /** In the order of the digests of their normal forms, which depends on no order of rows. */
  readonly texts: ReadonlyArray<Text>
  /** For each side, the index of each row's text. */
  readonly textOf: ReadonlyArray<Uint32Array>
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

const textOf = (
  normal: string,
  entries: ReadonlyArray<{ readonly side: number; readonly row: Row }>
): Text => {
  const rows = new Uint32Array(sides.length)
  const groups = new Map<string, { readonly side: number; readonly label: string | null; readonly rows: Array<Row> }>()
  for (const { row, side } of entries) {
    rows[side]!++
    const key = row.label === null ? `${side}` : `${side}:${row.label}`
    const known = groups.get(key)
    if (known === undefined) groups.set(key, { side, label: row.label, rows: [row] })
    else known.rows.push(row)
  }
  return {
    normal,
    rows,
    groups: [...groups].toSorted(([a], [b]) => compare(a, b)).map(([_, { label, rows, side }]) => {
      const byDigest = new Map<string, { digest: string; text: string; rows: number }>()
      for (const { example, text } of rows) {
        const known = byDigest.get(example)
        if (known === undefined) byDigest.set(example, { digest: example, text, rows: 1 })
        else known.rows++
      }
      const examples = [...byDigest.values()].toSorted((a, b) => compare(a.digest, b.digest))
      return { side, label, examples, rows: rows.length }
    })
  }
}

/** The different texts of the rows of each side. `normals` has the normal form of each row's text. */
export const group = (
  rows: ReadonlyArray<ReadonlyArray<Row>>,
  normals: ReadonlyArray<ReadonlyArray<string>>
): Texts => {
  const entries = new Map<string, Array<{ readonly side: number; readonly index: number; readonly row: Row }>>()
  normals.forEach((ofSide, side) => {
    ofSide.forEach((normal, index) => {
      const entry = { side, index, row: rows[side]![index]! }
      const known = entries.get(normal)
      if (known === undefined) entries.set(normal, [entry])
      else known.push(entry)
    })
  })
  const numbers = normals.map((ofSide) => new Uint32Array(ofSide.length))
  const texts = [...entries.keys()]
    .map((normal) => ({ normal, digest: Digest.ofText(normal) }))
    .toSorted((a, b) => compare(a.digest, b.digest))
    .map(({ normal }, number) => {
      const own = entries.get(normal)!
      for (const { index, side } of own) numbers[side]![index] = number
      return textOf(normal, own)
    })
  return { texts, textOf: numbers }
}

const test = sides.indexOf("test")

/** How many characters of a text are shown. */
const shown = 200

const shorten = (text: string): string => {
  if (text.length <= shown) return text
  const characters = Array.from(text.slice(0, 2 * shown + 2))
  return characters.length <= shown ? text : `${characters.slice(0, shown).join("")}…`
}

const pairOf = (kind: Kind, a: Group, first: Example, b: Group, second: Example, similarity: number): Pair => {
  if (kind !== "contained" && a.side === b.side && second.digest < first.digest) {
    return pairOf(kind, b, second, a, first, similarity)
  }
  const sealed = a.side === test || b.side === test
  return {
    kind,
    sideA: sides[a.side]!,
    exampleA: first.digest,
    sideB: sides[b.side]!,
    exampleB: second.digest,
    similarity,
    // A training text that is nearly a test text gives the test text away, and their labels each other.
    textA: sealed ? null : shorten(first.text),
    textB: sealed ? null : shorten(second.text),
    labelA: sealed || a.label === null ? null : shorten(a.label),
    labelB: sealed || b.label === null ? null : shorten(b.label),
    sameLabel: sealed || a.label === null || b.label === null ? null : a.label === b.label
  }
}

/** Which are listed first: conflicts, then the most similar, then by digest. No order of rows takes part. */
const byInterest = (a: Pair, b: Pair): number =>
  Number(a.sameLabel !== false) - Number(b.sameLabel !== false) || b.similarity - a.similarity
  || compare(a.exampleA, b.exampleA) || compare(a.exampleB, b.exampleB)

interface Tally {
  pairs: number
  conflicting: number
  /** The pairs to list, with some more between two cuts. */
  readonly list: Array<Pair>
  /** The last that is listed, once there are as many as there may be. */
  last: Pair | undefined
}

/** What a text is in a pair with another. Each is a place in the text's marks, with a bit for each side. */
const role = { near: 0, container: 1, contained: 2 } as const

/** The bits of all roles for the first side. */
const anyRole = 0b1001001

/** The pairs of a set of texts: all are counted, so many of each kind between any two sides are kept. */
export interface Ledger {
  /** Counts a pair of two texts that are alike. Pairs of rows with the same text are counted by themselves. */
  readonly near: (x: number, y: number, similarity: number) => void
  /** Counts a text and one that is inside it. */
  readonly contained: (outer: number, inner: number, similarity: number) => void
  /** Whether the rows of this text on a side are in a pair with another side. */
  readonly leaks: (text: number, side: number) => boolean
  readonly close: () => { readonly pairs: ReadonlyArray<Pair>; readonly counts: ReadonlyArray<Count> }
}

/** A ledger of texts on the sides of these indices. `kinds` are those that are looked for. */
export const ledger = (
  texts: ReadonlyArray<Text>,
  present: ReadonlyArray<number>,
  kinds: ReadonlyArray<Kind>,
  listed: number
): Ledger => {
  const marks = new Uint16Array(texts.length)
  const labelled = texts.every(({ groups }) => groups.every(({ label }) => label !== null))
  const tallies = Array.from(
    { length: kindsInOrder.length * sides.length * sides.length },
    (): Tally => ({ pairs: 0, conflicting: 0, list: [], last: undefined })
  )
  const tallyOf = (kind: Kind, sideA: number, sideB: number): Tally =>
    tallies[(kindsInOrder.indexOf(kind) * sides.length + sideA) * sides.length + sideB]!

  const cut = (tally: Tally) => {
    const { list } = tally
    list.sort(byInterest)
    if (list.length > listed) list.length = listed
    tally.last = list.length === listed ? list.at(-1) : undefined
  }

  const add = (kind: Kind, a: Group, b: Group, pairs: number, similarity: number) => {
    const tally = tallyOf(kind, a.side, b.side)
    tally.pairs += pairs
    const conflicts = a.label !== null && b.label !== null && a.label !== b.label
    if (conflicts) tally.conflicting += pairs
    const shows = conflicts && a.side !== test && b.side !== test
    // Most pairs of a large cluster end here: there are enough that come before them.
    const { last } = tally
    if (last !== undefined && similarity < last.similarity && (!shows || last.sameLabel === false)) return
    let room = listed
    for (const [i, first] of a.examples.entries()) {
      // Within a group each two are a pair once, and an example is one with its own copies.
      for (const second of a === b ? b.examples.slice(first.rows > 1 ? i : i + 1) : b.examples) {
        if (room-- <= 0) break
        tally.list.push(pairOf(kind, a, first, b, second, similarity))
      }
      if (room <= 0) break
    }
    if (tally.list.length > 4 * listed + 64) cut(tally)
  }

  const mark = (text: number, as: number, partner: number) => {
    const { rows } = texts[partner]!
    for (const side of present) if (rows[side]! > 0) marks[text]! |= 1 << (3 * as + side)
  }

  for (const { groups } of texts) {
    groups.forEach((a, i) => {
      if (a.rows > 1) add("exact", a, a, (a.rows * (a.rows - 1)) / 2, 1)
      for (const b of groups.slice(i + 1)) add("exact", a, b, a.rows * b.rows, 1)
    })
  }

  const near = (x: number, y: number, similarity: number) => {
    mark(x, role.near, y)
    mark(y, role.near, x)
    for (const a of texts[x]!.groups) {
      for (const b of texts[y]!.groups) {
        if (a.side <= b.side) add("near", a, b, a.rows * b.rows, similarity)
        else add("near", b, a, a.rows * b.rows, similarity)
      }
    }
  }

  const contained = (outer: number, inner: number, similarity: number) => {
    mark(outer, role.container, inner)
    mark(inner, role.contained, outer)
    for (const a of texts[outer]!.groups) {
      for (const b of texts[inner]!.groups) add("contained", a, b, a.rows * b.rows, similarity)
    }
  }

  const leaks = (text: number, side: number) =>
    present.some((other) =>
      other !== side && (texts[text]!.rows[other]! > 0 || (marks[text]! & (anyRole << other)) !== 0)
    )

  /** How many rows of `side` have a partner on `other`, for which they are what `as` says. */
  const rowsIn = (kind: Kind, as: number, side: number, other: number): number =>
    texts.reduce((sum, { rows }, text) => {
      const partnered = kind === "exact"
        ? rows[other]! > (side === other ? 1 : 0)
        : (marks[text]! & (1 << (3 * as + other))) !== 0
      return partnered ? sum + rows[side]! : sum
    }, 0)

  const close = () => {
    const pairs: Array<Pair> = []
    const counts: Array<Count> = []
    for (const a of present) {
      for (const b of present) {
        for (const kind of kinds) {
          // Only containment has a direction.
          if (kind !== "contained" && a > b) continue
          const tally = tallyOf(kind, a, b)
          cut(tally)
          for (const pair of tally.list) pairs.push(pair)
          counts.push({
            kind,
            sideA: sides[a]!,
            sideB: sides[b]!,
            pairs: tally.pairs,
            rowsA: rowsIn(kind, kind === "contained" ? role.container : role.near, a, b),
            rowsB: rowsIn(kind, kind === "contained" ? role.contained : role.near, b, a),
            conflictingPairs: a === test || b === test || !labelled ? null : tally.conflicting
          })
        }
      }
    }
    return { pairs, counts }
  }

  return { near, contained, leaks, close }
}
