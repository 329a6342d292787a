import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Schema } from "effect"
import * as Split from "../../src/dataset/Split.ts"
import * as Random from "../../src/random/Random.ts"
import * as Columns from "../../src/store/Columns.ts"

const made = <A>(result: Result.Result<A, Split.SplitError>): A =>
  Result.isSuccess(result) ? result.success : assert.fail(result.failure.message)

const refused = <A>(result: Result.Result<A, Split.SplitError>): Split.SplitError =>
  Result.isFailure(result) ? result.failure : assert.fail("nothing was refused")

/** Rows with labels of very different sizes, groups, and some rows that occur twice. */
const rowsOf = (count: number, seed = 0) => {
  const random = Random.make(seed, "split rows")
  return Array.from({ length: count }, (_, i) => {
    const id = random.uniform() < 0.05 ? Math.floor(i / 2) : i
    return {
      key: `row ${seed} ${id}`,
      label: `label ${id % 10 < 6 ? 0 : id % 4}`,
      group: `group ${id % 50}`,
      time: id % 97
    }
  })
}

type Row = ReturnType<typeof rowsOf>[number]

const fractions = { validation: 0.2, test: 0.1 }

/** Every method that gives three sides, as a function of the rows alone. */
const methods: Readonly<Record<string, (rows: ReadonlyArray<Row>, seed: number) => Split.Split>> = {
  random: (rows, seed) => made(Split.random({ keys: rows.map((row) => row.key), seed, ...fractions })),
  "stratified, expected": (rows, seed) =>
    made(Split.stratified({ ...labelled(rows), seed, proportions: "expected", ...fractions })),
  "stratified, exact": (rows, seed) =>
    made(Split.stratified({ ...labelled(rows), seed, proportions: "exact", ...fractions })),
  "per label": (rows, seed) => made(Split.perLabel({ ...labelled(rows), seed, train: 8, validation: 4 })),
  "per label with a number of test rows": (rows, seed) =>
    made(Split.perLabel({ ...labelled(rows), seed, train: 8, validation: 4, test: 3 })),
  grouped: (rows, seed) =>
    made(Split.grouped({
      keys: rows.map((row) => row.key),
      groups: rows.map((row) => row.group),
      seed,
      ...fractions
    })),
  "by time": (rows) =>
    made(Split.byTime({
      keys: rows.map((row) => row.key),
      times: rows.map((row) => row.time),
      validationFrom: 60,
      testFrom: 80
    }))
}

const labelled = (rows: ReadonlyArray<Row>) => ({
  keys: rows.map((row) => row.key),
  labels: rows.map((row) => row.label)
})

const sidesOf = (split: Split.Split): ReadonlyMap<string, Split.Side> =>
  new Map(split.assignments.map(({ key, side }) => [key, side]))

const size = 1200

describe.each(Object.entries(methods))("Split: %s", (name, split) => {
  it("puts every row on one side, and says the same in both ways", () => {
    const rows = rowsOf(size)
    const { assignments, ...sides } = split(rows, 1)
    const seen = Array.from<Split.Side>({ length: size })
    for (const [side, indices] of Object.entries(sides)) {
      for (const index of indices) {
        assert.isUndefined(seen[index])
        seen[index] = side as Split.Side
      }
      assert.deepStrictEqual(indices, indices.toSorted((a, b) => a - b))
    }
    assert.deepStrictEqual(assignments, rows.map(({ key }, i) => ({ key, side: seen[i]! })))
  })

  it("keeps identical rows together", () => {
    const rows = rowsOf(size)
    const sides = new Map<string, Split.Side>()
    for (const { key, side } of split([...rows, ...rows.slice(0, 200)], 1).assignments) {
      assert.strictEqual(sides.get(key) ?? side, side)
      sides.set(key, side)
    }
    assert.isBelow(sides.size, size)
  })

  it("does not look at where a row stands", () => {
    const rows = rowsOf(size)
    const permuted = [...Random.make(9, "order").permutation(size)].map((index) => rows[index]!)
    assert.deepStrictEqual(
      [...sidesOf(split(permuted, 1))].toSorted(),
      [...sidesOf(split(rows, 1))].toSorted()
    )
  })

  const strict = !["stratified, exact", "per label", "per label with a number of test rows"].includes(name)

  it(strict ? "moves no row when others come or go" : "moves at most one row across each boundary", () => {
    const rows = rowsOf(size)
    const before = sidesOf(split(rows, 3))
    if (strict) {
      for (const [key, side] of sidesOf(split([...rowsOf(500, 77), ...rows], 3))) {
        assert.strictEqual(before.get(key) ?? side, side)
      }
      for (const [key, side] of sidesOf(split(rows.slice(300), 3))) assert.strictEqual(before.get(key), side)
      return
    }
    const boundaries = name.endsWith("test rows") ? 3 : 2
    for (const added of rowsOf(60, 77)) {
      const after = sidesOf(split([added, ...rows], 3))
      const moved = rows.filter(({ key }) => before.get(key) !== after.get(key))
      assert.isAtMost(new Set(moved.map(({ key }) => key)).size, boundaries)
      for (const { label } of moved) assert.strictEqual(label, added.label)
    }
  })

  if (name !== "by time") {
    it("is another split under another seed", () => {
      const rows = rowsOf(size)
      const one = sidesOf(split(rows, 1)), two = sidesOf(split(rows, 2))
      const moved = [...one].filter(([key, side]) => two.get(key) !== side).length
      assert.isAbove(moved, name.startsWith("per label") ? 20 : size / 10)
    })
  }
})

/** Whether a count of a binomial is within five standard deviations of its mean, and some for very rare events. */
const plausible = (count: number, trials: number, probability: number): boolean =>
  Math.abs(count - trials * probability) <= 3 + 5 * Math.sqrt(trials * probability * (1 - probability))

describe("Split.place", () => {
  it("is uniform", () => {
    const count = 20_000, bins = 20
    const histogram = Array.from<number>({ length: bins }).fill(0)
    for (let i = 0; i < count; i++) {
      const place = Split.place(5, `key ${i}`)
      assert.isTrue(place >= 0 && place < 1)
      histogram[Math.floor(place * bins)]!++
    }
    for (const inBin of histogram) assert.isTrue(plausible(inBin, count, 1 / bins), histogram.join(" "))
  })

  it("is a fixed function of seed and key", () => {
    // From Python: int(hashlib.sha256(b"attune.split/1\x007\x00abc").hexdigest()[:14], 16) >> 3, over 2**53.
    assert.strictEqual(Split.place(7, "abc"), 0.8805695154875086)
  })
})

describe("Split sizes", () => {
  const rows = Array.from({ length: 5000 }, (_, i) => ({ key: `${i}`, label: `${i % 7 === 0 ? "rare" : "common"}` }))
  const keys = rows.map(({ key }) => key), labels = rows.map(({ label }) => label)

  it.prop(
    "are within the bounds of a binomial for any seed and fractions",
    [Schema.Int, Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 0.49 }))],
    ([seed, fraction]) => {
      const split = made(Split.random({ keys: keys.slice(0, 1000), seed, validation: fraction, test: fraction / 2 }))
      assert.isTrue(plausible(split.validation.length, 1000, fraction))
      assert.isTrue(plausible(split.test.length, 1000, fraction / 2))
    },
    { arbitrary: { runs: 30 } } as never
  )

  it("are exact for each label where that was asked", () => {
    const split = made(Split.stratified({ keys, labels, seed: 1, proportions: "exact", ...fractions }))
    const count = (side: "train" | "validation" | "test", label: string) =>
      split[side].filter((row) => labels[row] === label).length
    const rare = labels.filter((label) => label === "rare").length
    assert.strictEqual(count("test", "rare"), Math.round(rare * 0.1))
    assert.strictEqual(count("validation", "rare"), Math.round(rare * 0.3) - Math.round(rare * 0.1))
    assert.strictEqual(count("test", "common"), Math.round((5000 - rare) * 0.1))
    const drawn = made(Split.stratified({ keys, labels, seed: 1, proportions: "expected", ...fractions }))
    assert.isTrue(plausible(drawn.test.filter((row) => labels[row] === "rare").length, rare, 0.1))
  })

  it("are those asked for per label", () => {
    const split = made(Split.perLabel({ keys, labels, seed: 4, train: 24, validation: 50, test: 100 }))
    for (const label of ["rare", "common"]) {
      const count = (rows: ReadonlyArray<number>) => rows.filter((row) => labels[row] === label).length
      assert.strictEqual(count(split.train), 24)
      assert.strictEqual(count(split.validation), 50)
      assert.strictEqual(count(split.test), 100)
    }
    assert.strictEqual(split.unused.length, 5000 - 2 * 174)
    const open = made(Split.perLabel({ keys, labels, seed: 4, train: 24, validation: 50 }))
    assert.deepStrictEqual(open.train, split.train)
    assert.strictEqual(open.test.length, 5000 - 2 * 74)
    assert.strictEqual(open.unused.length, 0)
  })

  it("leave the test as it is when validation grows", () => {
    const small = made(Split.random({ keys, seed: 1, validation: 0.1, test: 0.1 }))
    const large = made(Split.random({ keys, seed: 1, validation: 0.3, test: 0.1 }))
    assert.deepStrictEqual(large.test, small.test)
    const validating = new Set(large.validation)
    assert.isTrue(small.validation.every((row) => validating.has(row)))
  })
})

describe("Split.grouped", () => {
  it("never lets a group straddle", () => {
    const rows = rowsOf(size)
    const { assignments } = methods["grouped"]!(rows, 2)
    const sides = new Map<string, Split.Side>()
    assignments.forEach(({ side }, row) => {
      const { group } = rows[row]!
      assert.strictEqual(sides.get(group) ?? side, side)
      sides.set(group, side)
    })
    assert.deepStrictEqual([...new Set(sides.values())].toSorted(), ["test", "train", "validation"])
  })
})

describe("Split.kFold", () => {
  const rows = rowsOf(size)
  const keys = rows.map(({ key }) => key)

  it("validates every row in one fold, and trains on it in all others", () => {
    const { assignments, folds } = made(Split.kFold({ keys, seed: 1, folds: 5 }))
    assert.deepStrictEqual(
      folds.flatMap(({ validation }) => validation).toSorted((a, b) => a - b),
      keys.map((_, row) => row)
    )
    for (const [index, { train, validation }] of folds.entries()) {
      assert.strictEqual(train.length + validation.length, size)
      assert.isTrue(validation.every((row) => assignments[row]!.fold === index && assignments[row]!.key === keys[row]))
      assert.isTrue(train.every((row) => assignments[row]!.fold !== index))
      assert.isTrue(plausible(validation.length, size, 0.2))
      // Identical rows are never on both sides of a fold.
      const trained = new Set(train.map((row) => keys[row]))
      assert.isFalse(validation.some((row) => trained.has(keys[row]!)))
    }
  })

  it("moves no row when others come or go, and keeps groups whole", () => {
    const groups = rows.map(({ group }) => group)
    const before = made(Split.kFold({ keys, groups, seed: 1, folds: 4 })).assignments
    const after = made(Split.kFold({ keys: keys.slice(100), groups: groups.slice(100), seed: 1, folds: 4 })).assignments
    assert.deepStrictEqual(after, before.slice(100))
    const folds = new Map(groups.map((group, row) => [group, before[row]!.fold]))
    assert.isTrue(groups.every((group, row) => folds.get(group) === before[row]!.fold))
  })
})

describe("Split.byTime", () => {
  it("puts a row at a cut-off on the later side, for numbers and for timestamps", () => {
    const keys = ["a", "b", "c", "d", "e"]
    const numbers = made(Split.byTime({ keys, times: [9, 10, 19, 20, 0], validationFrom: 10, testFrom: 20 }))
    assert.deepStrictEqual(numbers.assignments.map(({ side }) => side), [
      "train",
      "validation",
      "validation",
      "test",
      "train"
    ])
    const times = new BigInt64Array([9n, 10n, 19n, 20n, 0n])
    assert.deepStrictEqual(made(Split.byTime({ keys, times, validationFrom: 10n, testFrom: 20n })), numbers)
  })
})

describe("Split", () => {
  it("says what cannot be done", () => {
    const keys = ["a", "b", "c"], labels = ["x", "x", "y"]
    const messages = [
      refused(Split.random({ keys, seed: 1, validation: 0.5, test: 0.5 })),
      refused(Split.random({ keys, seed: 1, validation: -0.1, test: 0 })),
      refused(Split.stratified({ keys, labels: ["x"], seed: 1, proportions: "exact", ...fractions })),
      refused(Split.perLabel({ keys, labels, seed: 1, train: 1, validation: 0 })),
      refused(Split.perLabel({ keys, labels, seed: 1, train: 1.5, validation: 0 })),
      refused(Split.kFold({ keys, seed: 1, folds: 1 })),
      refused(Split.kFold({ keys, seed: 1, folds: 50 })),
      refused(Split.byTime({ keys, times: [1, Number.NaN, 2], validationFrom: 1, testFrom: 2 })),
      refused(Split.byTime({ keys, times: [1, 2, 3], validationFrom: 3, testFrom: 2 }))
    ].map(({ message }) => message)
    assert.deepStrictEqual(messages, [
      "Cannot split by fractions: found validation 0.5 and test 0.5, expected two fractions from 0 whose sum is below 1.",
      "Cannot split by fractions: found validation -0.1 and test 0, expected two fractions from 0 whose sum is below 1.",
      "Cannot split by labels: found 1 values, expected 3, one for each row.",
      "Cannot split by label `y`: found 1 rows, expected at least 2.",
      "Cannot split by train rows per label: found 1.5, expected an integer from 0.",
      "Cannot split by folds: found 1, expected an integer from 2.",
      messages[6]!,
      "Cannot split by time: found NaN in row 2, expected a time in every row.",
      "Cannot split by time: found validation from 3, test from 2, expected validation before the test."
    ])
    assert.match(messages[6]!, /no row in fold \d+ of 50/)
  })

  it.effect("knows rows of a table by their content, or by the columns that name them", () =>
    Effect.gen(function*() {
      const Example = Schema.Struct({ id: Schema.Int, text: Schema.String })
      const examples = Array.from({ length: 200 }, (_, id) => ({ id, text: `text ${id}` }))
      const table = yield* Columns.fromRows(Example, examples)
      const edited = yield* Columns.fromRows(Example, examples.map(({ id }) => ({ id, text: `corrected ${id}` })))
      const sides = (keys: ReadonlyArray<string>) =>
        made(Split.random({ keys, seed: 1, ...fractions })).assignments.map(({ side }) => side)
      assert.deepStrictEqual(sides(Columns.rowDigests(edited, ["id"])), sides(Columns.rowDigests(table, ["id"])))
      assert.notDeepEqual(sides(Columns.rowDigests(edited)), sides(Columns.rowDigests(table)))
      assert.throws(() => Columns.rowDigests(table, ["name"]), /no column name, only id, text/)
    }))
})
