/**
 * What the stages that split examples share: the side of every row, whatever
 * kind of example it is.
 */
import * as Effect from "effect/Effect"
import type * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Artifact from "../store/Artifact.ts"
import type * as Columns from "../store/Columns.ts"
import * as LoadRows from "./LoadRows.ts"
import * as Split from "./Split.ts"

/** A side of the split lacks what training or evaluation needs. */
export class UnusableSplit extends Schema.TaggedError<UnusableSplit>()("UnusableSplit", {
  side: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `The ${this.side} side of the split ${this.detail}. Give it a larger share, or bring more examples.`
  }
}

/** Which side an example is on. */
export const Assignment = Schema.Struct({
  /** Digest of the example's content. */
  example: Schema.String,
  side: Schema.Literals(["train", "validation", "test", "unused"])
})

const Fraction = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1, exclusiveMaximum: true }))
export const Fractions = Schema.Struct({ validation: Fraction, test: Fraction })
const Groups = Schema.Array(Schema.String)

/**
 * How rows of any kind are split.
 *
 * - `random`: fractions in expectation; new examples move no other.
 * - `grouped`: as `random`, by the group of a row, which stays together.
 * - `groups`: the rows of the groups listed for a side are on that side; the
 *   rest trains, or is unused where `train` is given too.
 * - `"given"`: all of `examples` train; the other sides are wired.
 *
 * Groups are those that the stage which loaded the rows was told of by `group`.
 */
export const byPlace = [
  Schema.Struct({ random: Fractions }),
  Schema.Struct({ grouped: Fractions }),
  Schema.Struct({
    groups: Schema.Struct({ train: Schema.optionalKey(Groups), validation: Groups, test: Groups })
  }),
  Schema.Literal("given")
] as const

const ByPlace = Schema.Union(byPlace)
export type ByPlace = typeof ByPlace.Type

export const error = Schema.Union([Split.SplitError, UnusableSplit])

/** The tables of examples: what is split, and sides that are there already. */
export interface Tables<Row> {
  readonly examples: Artifact.Table<Row>
  readonly validation?: Artifact.Table<Row>
  readonly test?: Artifact.Table<Row>
}

/** Rows with their keys, in the order of the table. */
export interface Keyed<Row> {
  readonly rows: ReadonlyArray<Row>
  readonly keys: ReadonlyArray<string>
}

export interface Sides<Row> {
  readonly rows: { readonly [S in Split.Side]: ReadonlyArray<Row> }
  /** Every row with its side, those of `examples` first. */
  readonly assignments: ReadonlyArray<{ readonly row: Row; readonly key: string; readonly side: Split.Side }>
}

const Grouped = Schema.Struct({ [LoadRows.groupColumn]: Schema.optionalKey(Schema.String) })

const groupsOf = Effect.fnUntraced(function*(table: Artifact.Table<unknown>) {
  const rows = yield* Artifact.readTable(Grouped, table as Artifact.Table<typeof Grouped.Type>)
  const groups = rows.map(({ group }) => group)
  const missing = groups.findIndex((group) => group === undefined)
  if (missing < 0) return groups as ReadonlyArray<string>
  return yield* new Split.SplitError({
    field: "group",
    found: `none in row ${missing + 1}`,
    expected: "the group of every example: name its column by `group` where the examples are loaded"
  })
})

/** The sides by the names of the groups. */
const byName = (
  { groups, keys, sides }: {
    readonly keys: ReadonlyArray<string>
    readonly groups: ReadonlyArray<string>
    readonly sides: { readonly train?: ReadonlyArray<string> } & Record<"validation" | "test", ReadonlyArray<string>>
  }
): Effect.Effect<ReadonlyArray<Split.Side>, Split.SplitError> => {
  const known = new Set(groups)
  const sideOf = new Map<string, Split.Side>()
  for (const side of ["train", "validation", "test"] as const) {
    for (const group of sides[side] ?? []) {
      const problem = !known.has(group)
        ? "no such group among the examples"
        : sideOf.has(group)
        ? `the group on the ${sideOf.get(group)} and the ${side} side`
        : undefined
      if (problem !== undefined) {
        const expected = "each group that is listed among the examples, and on one side"
        return Effect.fail(new Split.SplitError({ field: `group \`${group}\``, found: problem, expected }))
      }
      sideOf.set(group, side)
    }
  }
  const rest: Split.Side = sides.train === undefined ? "train" : "unused"
  return Effect.succeed(keys.map((_, row) => sideOf.get(groups[row]!) ?? rest))
}

const read = <S extends Columns.RowSchemaLike>(
  row: S,
  identity: (row: S["Type"]) => string,
  table: Artifact.Table<S["Type"]>
) => Effect.map(Artifact.readTable(row, table), (rows): Keyed<S["Type"]> => ({ rows, keys: rows.map(identity) }))

/**
 * The side of every row: of `examples` as `by` says, of the tables that are
 * wired as a side on that side. A row is known by `identity`, the digest of its
 * content. A `by` that is not for rows of every kind is done by `splitOf`.
 */
export const split = Effect.fnUntraced(function*<S extends Columns.RowSchemaLike, By = never>(
  row: S,
  identity: (row: S["Type"]) => string,
  tables: Tables<S["Type"]>,
  { by, seed, splitOf }: {
    readonly by: ByPlace | By
    readonly seed: number
    readonly splitOf?: (
      by: Exclude<By, ByPlace>,
      keyed: Keyed<S["Type"]>
    ) => Result.Result<Split.Split, Split.SplitError>
  }
) {
  const keyed = yield* read(row, identity, tables.examples)
  const sides = yield* sidesOf(
    by as ByPlace,
    keyed.keys,
    tables.examples,
    seed,
    () => splitOf!(by as Exclude<By, ByPlace>, keyed)
  )
  const assignments = keyed.rows.map((row, index) => ({ row, key: keyed.keys[index]!, side: sides[index]! }))
  for (const side of ["validation", "test"] as const) {
    const table = tables[side]
    if (table === undefined) continue
    if (sides.includes(side)) {
      return yield* new Split.SplitError({
        field: side,
        found: `a table for the ${side} side, and examples that \`by\` puts there`,
        expected: `one or the other: wire no \`${side}\`, or ask for none in \`by\``
      })
    }
    const wired = yield* read(row, identity, table)
    for (const [index, row] of wired.rows.entries()) assignments.push({ row, key: wired.keys[index]!, side })
  }
  const on = (side: Split.Side) => assignments.filter((assigned) => assigned.side === side).map(({ row }) => row)
  const rows = { train: on("train"), validation: on("validation"), test: on("test"), unused: on("unused") }
  for (const side of ["train", "validation", "test"] as const) {
    if (rows[side].length === 0) return yield* new UnusableSplit({ side, detail: "has no examples" })
  }
  return { rows, assignments } as Sides<S["Type"]>
})

const sidesOf = Effect.fnUntraced(function*(
  by: ByPlace,
  keys: ReadonlyArray<string>,
  table: Artifact.Table<unknown>,
  seed: number,
  otherwise: () => Result.Result<Split.Split, Split.SplitError>
) {
  if (by === "given") return keys.map((): Split.Side => "train")
  if ("groups" in by) return yield* byName({ keys, groups: yield* groupsOf(table), sides: by.groups })
  const { assignments } = yield* Effect.fromResult(
    "random" in by
      ? Split.random({ keys, seed, ...by.random })
      : "grouped" in by
      ? Split.grouped({ keys, groups: yield* groupsOf(table), seed, ...by.grouped })
      : otherwise()
  )
  return assignments.map(({ side }) => side)
})

/** Stores the rows of each side as a table. */
export const write = Effect.fnUntraced(function*<S extends Columns.RowSchemaLike>(row: S, sides: Sides<S["Type"]>) {
  const table = (side: Split.Side) => Artifact.writeTable(side, row, sides.rows[side])
  return {
    train: yield* table("train"),
    validation: yield* table("validation"),
    test: yield* table("test"),
    unused: yield* table("unused")
  }
})

/** Stores the side of every row. */
export const writeAssignment = (sides: Sides<unknown>) =>
  Artifact.writeTable(
    "splits",
    Assignment,
    sides.assignments.map(({ key, side }) => ({ example: key, side }))
  )
