/**
 * What the stages that load examples share: rows of the reader's files, with
 * the bad ones dealt with as asked, as a stored table.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stage from "../pipeline/Stage.ts"
import { type Storage, storageOf } from "../store/ArrowType.ts"
import * as Artifact from "../store/Artifact.ts"
import type * as Columns from "../store/Columns.ts"
import * as Parquet from "../store/Parquet.ts"
import type { Store } from "../store/Store.ts"
import type { StoreError } from "../store/StoreError.ts"
import { BadRow, DataError } from "./DataError.ts"
import type * as File from "./File.ts"
import * as Read from "./Read.ts"
import type * as RowDecoder from "./RowDecoder.ts"

/** A row that was left out, as the message to its author would say. */
export const Rejected = Schema.Struct({
  file: Schema.String,
  /** Row of data, from 1, and the line it begins on in files of text. */
  row: Schema.Int,
  line: Schema.NullOr(Schema.Int),
  field: Schema.String,
  found: Schema.String,
  expected: Schema.String
})

/** One file, or all of several in turn. */
export const inputs = {
  file: Schema.optionalKey(Artifact.ExternalFile),
  files: Schema.optionalKey(Schema.Array(Artifact.ExternalFile))
}

/** What happens to a bad row. */
export const onBadRow = Stage.withDefault(Schema.Literals(["fail", "skip", "collect"]), "fail")

/** The column that says what a row belongs to, for splits that keep groups together. */
export const group = Schema.optionalKey(Schema.NonEmptyString)

export const error = Schema.Union([BadRow, DataError])

/** What was left out: how many rows, and which. */
export const leftOut = { skipped: Schema.Int, rejected: Artifact.table(Rejected) }

/** How the rows of one file are read. */
export interface Reader<Row> {
  /** The columns it reads. */
  readonly fields: Schema.Struct.Fields
  /** What is wrong with a row whose fields are as they should be, and where. */
  readonly flaw?: (
    cells: Cells
  ) => { readonly path: ReadonlyArray<string | number>; readonly expected: string } | undefined
  readonly toRow: (cells: Cells) => Row
}

/** The decoded cells of a row by the names of their columns. */
export type Cells = Readonly<Record<string, any>>

/** The stored column that says what a row belongs to. */
export const groupColumn = "group"

/**
 * Reads files, each by the reader that `readerOf` gives for it, and stores the
 * rows. With `group` the table has that column too, named {@link groupColumn};
 * who reads the table by the schema of its rows does not see it.
 */
export const load = Effect.fnUntraced(function*<S extends Schema.Struct<any>>(stage: string, row: S, options: {
  readonly file?: Artifact.ExternalFile
  readonly files?: ReadonlyArray<Artifact.ExternalFile>
  readonly onBadRow: "fail" | "skip" | "collect"
  readonly group?: string
  readonly readerOf: (file: File.InMemory) => Effect.Effect<Reader<S["Type"]>>
}) {
  const inputs = [...(options.file === undefined ? [] : [options.file]), ...(options.files ?? [])]
  if (inputs.length === 0) {
    const problem = "it is wired to no file; give it `file` or `files`"
    return yield* new DataError({ file: stage, reason: "missing-file", problem })
  }
  const { group, onBadRow, readerOf } = options
  const read = yield* Effect.forEach(inputs, (input) =>
    Effect.gen(function*() {
      const file = { name: input.name, bytes: yield* Artifact.readFile(input) }
      const { fields, flaw, toRow } = yield* readerOf(file)
      const grouping = group === undefined ? {} : { [group]: yield* labelOf(file, group) }
      const columns = Schema.Struct({ ...grouping, ...fields })
      const schema = flaw === undefined ? columns : columns.check(Schema.makeFilter((cells: Cells) => {
        const found = flaw(cells)
        return found === undefined ? undefined : { path: found.path, issue: found.expected }
      }))
      const { badRows, rows } = yield* Read.all(schema as unknown as RowDecoder.RowSchema, file, { onBadRow })
      const made = rows.map((cells: Cells) =>
        group === undefined ? toRow(cells) : { ...toRow(cells), [groupColumn]: String(cells[group]) }
      )
      return { badRows, made }
    }))
  const stored = group === undefined ? row : Schema.Struct({ ...row.fields, [groupColumn]: Schema.String })
  const examples: Artifact.Table<S["Type"]> = yield* Artifact.writeTable(
    "examples",
    stored as Columns.RowSchemaLike,
    read.flatMap(({ made }) => made)
  ) as Effect.Effect<Artifact.Table<any>, StoreError, Store>
  return {
    examples,
    skipped: read.reduce((sum, { badRows }) => sum + badRows.count, 0),
    rejected: yield* Artifact.writeTable(
      "rejected",
      Rejected,
      read.flatMap(({ badRows }) => badRows.rows).map(({ expected, field, file, found, line, row }) => ({
        file,
        row,
        line: line ?? null,
        field,
        found,
        expected
      }))
    )
  }
})

/** Whether cells of the file are JSON values, which may be null where other formats have no value. */
export const isJsonLines = ({ name }: File.InMemory): boolean => /\.(jsonl|ndjson)$/i.test(name)

const storageIn = Effect.fnUntraced(function*({ bytes, name }: File.InMemory, column: string) {
  if (!/\.parquet$/i.test(name)) return undefined
  // A damaged file is reported by its reader.
  const footer = yield* Effect.option(Parquet.footer(Parquet.ofBytes(bytes, name)))
  const field = Option.getOrUndefined(footer)?.schema.fields.find((field) => field.name === column)
  return field === undefined ? undefined : storageOf(field.type)
})

const isInteger = (storage: Storage | undefined): boolean => storage?.kind === "integer" || storage?.kind === "bigint"

/**
 * What a label may be in a file: text, or a number that stands for a class. A
 * column of Parquet is one or the other throughout; a cell of CSV is always text.
 */
export const labelOf = Effect.fnUntraced(function*(file: File.InMemory, column: string) {
  if (isJsonLines(file)) return Schema.Union([Schema.NonEmptyString, Schema.Finite])
  return isInteger(yield* storageIn(file, column)) ? Schema.Int : Schema.NonEmptyString
})

/** What a list of labels may be in a file: as {@link labelOf}, in a list. */
export const labelsOf = Effect.fnUntraced(function*(file: File.InMemory, column: string) {
  const storage = yield* storageIn(file, column)
  if (storage === undefined) return Schema.Array(Schema.Union([Schema.NonEmptyString, Schema.Int]))
  return Schema.Array(
    storage.kind === "list" && isInteger(storageOf(storage.element.type)) ? Schema.Int : Schema.NonEmptyString
  )
})
