/**
 * Which rows are for training, for validation and for the test.
 *
 * A row is known by its key: the digest of its content (see
 * `Columns.rowDigests`) or an id of its own. Key and seed together give the row
 * a place in [0, 1), and the place decides its side. Neither its index nor the
 * other rows take part, so the same row always falls on the same side, wherever
 * it stands and however often it occurs. Where a method must look at other rows
 * to keep its promise, its description says how many rows an added one can move.
 *
 * Under one seed all methods use the same place for the same key.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Digest from "../store/Digest.ts"

/** `unused`: left out, by {@link perLabel} with a number of test rows. */
export type Side = "train" | "validation" | "test" | "unused"

export interface Assignment {
  readonly key: string
  readonly side: Side
}

export interface Split {
  /** Indices of the rows of each side, ascending. */
  readonly train: ReadonlyArray<number>
  readonly validation: ReadonlyArray<number>
  readonly test: ReadonlyArray<number>
  readonly unused: ReadonlyArray<number>
  /** The side of every row, in the order of the rows. */
  readonly assignments: ReadonlyArray<Assignment>
}

/** A split that cannot be made as asked. */
export class SplitError extends Schema.TaggedError<SplitError>()("SplitError", {
  /** What was asked for: `fractions`, `folds`, `label`, `time`, `rows` … */
  field: Schema.String,
  found: Schema.String,
  expected: Schema.String
}) {
  override get message(): string {
    return `Cannot split by ${this.field}: found ${this.found}, expected ${this.expected}.`
  }
}

const fail = (field: string, found: string, expected: string): Result.Result<never, SplitError> =>
  Result.fail(new SplitError({ field, found, expected }))

/**
 * The place of a key under a seed: uniform in [0, 1), from the first 53 bits of
 * SHA-256 over a mark, the seed and the key.
 */
export const place = (seed: number, key: string): number => {
  const digest = Digest.ofText(`attune.split/1\0${seed}\0${key}`)
  // 13 digits are 52 bits; the 53rd is the highest of the next digit.
  return (Number.parseInt(digest.slice(0, 13), 16) * 2 + (Number.parseInt(digest[13]!, 16) >>> 3)) / 2 ** 53
}

/** Which part of the rows goes to validation and to the test. Training has the rest. */
export interface Fractions {
  readonly validation: number
  readonly test: number
}

const checkFractions = ({ test, validation }: Fractions): Result.Result<void, SplitError> =>
  validation >= 0 && test >= 0 && validation + test < 1
    ? Result.succeed(undefined)
    : fail("fractions", `validation ${validation} and test ${test}`, "two fractions from 0 whose sum is below 1")

const checkLengths = (
  rows: number,
  others: Readonly<Record<string, ArrayLike<unknown>>>
): Result.Result<void, SplitError> => {
  for (const [name, values] of Object.entries(others)) {
    if (values.length !== rows) return fail(name, `${values.length} values`, `${rows}, one for each row`)
  }
  return Result.succeed(undefined)
}

const collect = (keys: ReadonlyArray<string>, sideOf: (row: number) => Side): Split => {
  const sides: Record<Side, Array<number>> = { train: [], validation: [], test: [], unused: [] }
  const assignments = keys.map((key, row): Assignment => {
    const side = sideOf(row)
    sides[side].push(row)
    return { key, side }
  })
  return { ...sides, assignments }
}

/**
 * The test has the lowest places, validation the next. So a larger validation
 * fraction takes rows from training alone, and the test stays as it is.
 */
const sideAt = (place: number, { test, validation }: Fractions): Side =>
  place < test ? "test" : place < test + validation ? "validation" : "train"

/**
 * Each row by its own place. The sizes are binomial: the fractions hold in
 * expectation. An added row moves no other.
 */
export const random = (
  options: { readonly keys: ReadonlyArray<string>; readonly seed: number } & Fractions
): Result.Result<Split, SplitError> =>
  Result.map(
    checkFractions(options),
    () => collect(options.keys, (row) => sideAt(place(options.seed, options.keys[row]!), options))
  )

/**
 * All rows of a group on the side of the group: the place is that of the group,
 * not of the row. The fractions hold in expectation, of groups. An added row
 * moves no other, be it of a new group or of one that is there.
 */
export const grouped = (
  options: {
    readonly keys: ReadonlyArray<string>
    readonly groups: ReadonlyArray<string>
    readonly seed: number
  } & Fractions
): Result.Result<Split, SplitError> => {
  const { groups, keys, seed } = options
  return Result.flatMap(
    checkFractions(options),
    () =>
      Result.map(checkLengths(keys.length, { groups }), () => {
        const sides = new Map<string, Side>()
        for (const group of groups) if (!sides.has(group)) sides.set(group, sideAt(place(seed, group), options))
        return collect(keys, (row) => sides.get(groups[row]!)!)
      })
  )
}

/** The distinct keys of one label in the order of their places, each with its rows. */
interface Stratum {
  readonly label: string
  readonly size: number
  readonly units: ReadonlyArray<{ readonly before: number; readonly rows: ReadonlyArray<number> }>
}

const strata = (keys: ReadonlyArray<string>, labels: ReadonlyArray<string>, seed: number): ReadonlyArray<Stratum> => {
  const byLabel = new Map<string, Map<string, Array<number>>>()
  keys.forEach((key, row) => {
    const label = labels[row]!
    let units = byLabel.get(label)
    if (units === undefined) byLabel.set(label, units = new Map())
    const rows = units.get(key)
    if (rows === undefined) units.set(key, [row])
    else rows.push(row)
  })
  return [...byLabel].map(([label, units]) => {
    const ordered = [...units]
      .map(([key, rows]) => ({ key, rows, place: place(seed, key) }))
      // Two keys at one place are as good as impossible, and still in a fixed order.
      .toSorted((a, b) => a.place - b.place || (a.key < b.key ? -1 : 1))
    let size = 0
    return {
      label,
      units: ordered.map(({ rows }) => {
        const before = size
        size += rows.length
        return { before, rows }
      }),
      size
    }
  })
}

/** Sides by rank within the label: the first `boundaries[0].upTo` rows go to its side, and so on. */
const byRank = (
  keys: ReadonlyArray<string>,
  all: ReadonlyArray<Stratum>,
  boundaries: (stratum: Stratum) => ReadonlyArray<{ readonly upTo: number; readonly side: Side }>
): Split => {
  const sides = Array.from<Side>({ length: keys.length })
  for (const stratum of all) {
    const cuts = boundaries(stratum)
    for (const { before, rows } of stratum.units) {
      const { side } = cuts.find(({ upTo }) => before < upTo)!
      for (const row of rows) sides[row] = side
    }
  }
  return collect(keys, (row) => sides[row]!)
}

/**
 * Each label in the same proportions.
 *
 * - `proportions: "expected"`: each row by its own place, as in {@link random}.
 *   Each label then has the fractions in expectation, with a binomial spread
 *   that small labels feel. An added row moves no other.
 * - `proportions: "exact"`: of each label the rows of the lowest places go to
 *   the test, the next to validation, in numbers rounded to the nearest. An
 *   added row changes the ranks in its own label: there it can move at most one
 *   other row (or set of identical rows) across each of the two boundaries, and
 *   none in any other label.
 *
 * Identical rows stay together, so a side may have some more rows than its
 * share where many are identical.
 */
export const stratified = (
  options: {
    readonly keys: ReadonlyArray<string>
    readonly labels: ReadonlyArray<string>
    readonly seed: number
    readonly proportions: "exact" | "expected"
  } & Fractions
): Result.Result<Split, SplitError> => {
  const { keys, labels, proportions, seed, test, validation } = options
  return Result.flatMap(
    checkFractions(options),
    () =>
      Result.flatMap(checkLengths(keys.length, { labels }), () =>
        proportions === "expected"
          ? random(options)
          : Result.succeed(
            byRank(keys, strata(keys, labels, seed), ({ size }) => [
              { upTo: Math.round(size * test), side: "test" },
              { upTo: Math.round(size * (test + validation)), side: "validation" },
              { upTo: size, side: "train" }
            ])
          ))
  )
}

/**
 * So many rows of each label: the lowest places train, the next validate, the
 * rest test, or the next `test` where a number is given.
 *
 * An added row changes the ranks in its own label: there it can move at most
 * one other row (or set of identical rows) across each boundary, and none in
 * any other label. Fails when a label is too small to give what is asked, one
 * test row included.
 */
export const perLabel = (options: {
  readonly keys: ReadonlyArray<string>
  readonly labels: ReadonlyArray<string>
  readonly seed: number
  readonly train: number
  readonly validation: number
  readonly test?: number
}): Result.Result<Split, SplitError> => {
  const { keys, labels, seed, test, train, validation } = options
  const counts = Object.entries({ train, validation, ...(test === undefined ? undefined : { test }) })
  for (const [name, count] of counts) {
    if (!(Number.isInteger(count) && count >= 0)) {
      return fail(`${name} rows per label`, String(count), "an integer from 0")
    }
  }
  return Result.flatMap(checkLengths(keys.length, { labels }), () => {
    const all = strata(keys, labels, seed)
    const needed = train + validation + (test ?? 1)
    const small = all.find(({ size }) => size < needed)
    if (small !== undefined) {
      return fail(`label \`${small.label}\``, `${small.size} rows`, `at least ${needed}`)
    }
    const split = byRank(keys, all, ({ size }) => [
      { upTo: train, side: "train" },
      { upTo: train + validation, side: "validation" },
      { upTo: test === undefined ? size : train + validation + test, side: "test" },
      { upTo: size, side: "unused" }
    ])
    return Result.succeed(split)
  })
}

export interface Fold {
  readonly train: ReadonlyArray<number>
  readonly validation: ReadonlyArray<number>
}

export interface Folds {
  /** Fold `i` validates on its own rows and trains on all others. */
  readonly folds: ReadonlyArray<Fold>
  /** The fold in which each row validates, in the order of the rows. */
  readonly assignments: ReadonlyArray<{ readonly key: string; readonly fold: number }>
}

/**
 * Cross-validation: every row validates in one of `folds` folds, the one its
 * place falls in, or that of its group where `groups` are given. The folds are
 * of equal size in expectation. An added row moves no other. Fails when a fold
 * would be empty.
 */
export const kFold = (options: {
  readonly keys: ReadonlyArray<string>
  readonly groups?: ReadonlyArray<string>
  readonly seed: number
  readonly folds: number
}): Result.Result<Folds, SplitError> => {
  const { folds: count, keys, seed } = options
  const units = options.groups ?? keys
  if (!(Number.isInteger(count) && count >= 2)) return fail("folds", String(count), "an integer from 2")
  return Result.flatMap(checkLengths(keys.length, { groups: units }), () => {
    const of = keys.map((_, row) => Math.floor(place(seed, units[row]!) * count))
    const rows = keys.map((_, row) => row)
    const folds = Array.from({ length: count }, (_, fold): Fold => ({
      train: rows.filter((row) => of[row] !== fold),
      validation: rows.filter((row) => of[row] === fold)
    }))
    const empty = folds.findIndex(({ validation }) => validation.length === 0)
    if (empty >= 0) {
      return fail("folds", `no row in fold ${empty + 1} of ${count}`, "more rows (or groups), or fewer folds")
    }
    return Result.succeed({ folds, assignments: keys.map((key, row) => ({ key, fold: of[row]! })) })
  })
}

/**
 * By time: what lies before `validationFrom` trains, what lies before
 * `testFrom` validates, the rest tests. A row at a cut-off itself belongs to
 * the later side. Times and cut-offs are numbers or bigints of one unit. An
 * added row moves no other.
 */
export const byTime = <T extends number | bigint>(options: {
  readonly keys: ReadonlyArray<string>
  readonly times: ArrayLike<T>
  readonly validationFrom: T
  readonly testFrom: T
}): Result.Result<Split, SplitError> => {
  const { keys, testFrom, times, validationFrom } = options
  if (!(validationFrom <= testFrom)) {
    return fail("time", `validation from ${validationFrom}, test from ${testFrom}`, "validation before the test")
  }
  return Result.flatMap(checkLengths(keys.length, { times }), () => {
    for (let row = 0; row < keys.length; row++) {
      const time: unknown = times[row]
      if (typeof time !== "bigint" && !(typeof time === "number" && !Number.isNaN(time))) {
        return fail("time", `${time} in row ${row + 1}`, "a time in every row")
      }
    }
    return Result.succeed(
      collect(keys, (row) => times[row]! < validationFrom ? "train" : times[row]! < testFrom ? "validation" : "test")
    )
  })
}
