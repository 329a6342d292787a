/**
 * One kind of result table: its columns with their units, which of them vary
 * between runs that compute the same (times, machines), and how a table of that
 * kind is kept under the store's `tables/`.
 *
 * Each file says in its key-value metadata what it is:
 *
 * | key                | value                                                      |
 * | ------------------ | ---------------------------------------------------------- |
 * | `attune.table`     | the kind, such as `metrics`                                |
 * | `attune.format`    | version of the columns of this kind                        |
 * | `attune.study`     | name of the study, in the tables of a study                |
 * | `attune.complete`  | `false` while the study is running                         |
 * | `attune.content`   | digest of the content without the varying columns          |
 * | `attune.source`    | digest of all that the table was made from                 |
 * | `attune.varying`   | JSON list of the varying columns                           |
 *
 * A kind may have further notes of its own, which it names.
 */
import { type Field, Schema as ArrowSchema } from "apache-arrow/schema"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Columns from "../store/Columns.ts"
import * as Digest from "../store/Digest.ts"
import * as Parquet from "../store/Parquet.ts"
import { Store } from "../store/Store.ts"
import type { StoreError } from "../store/StoreError.ts"

export interface ResultTable {
  /** The kind, which is also the name of the view in queries. */
  readonly name: string
  /** Raised when a column changes its name, type or meaning. */
  readonly format: number
  /** The columns that every table of this kind has. */
  readonly schema: ArrowSchema
  /** Columns that differ between runs that compute the same. */
  readonly varying: ReadonlyArray<string>
  /** Columns that a table may have besides, in words. */
  readonly open: string | undefined
  /** Further notes in the metadata of the file: what each key says. */
  readonly notes: Readonly<Record<string, string>>
}

export const make = (options: {
  readonly name: string
  readonly format: number
  readonly row: Columns.RowSchemaLike
  readonly varying?: ReadonlyArray<string>
  readonly open?: string
  readonly notes?: Readonly<Record<string, string>>
}): ResultTable => ({
  name: options.name,
  format: options.format,
  schema: Columns.schemaOf(options.row),
  varying: options.varying ?? [],
  open: options.open,
  notes: options.notes ?? {}
})

/** A column of a schema, with its meaning and, for a quantity, its unit. */
export const column = <S extends Schema.Top>(schema: S, description: string, units?: string): S["Rebuild"] =>
  schema.annotate(units === undefined ? { description } : { description, units })

/** A column whose cells may be missing. */
export const optional = <S extends Schema.Top>(schema: S, description: string, units?: string) =>
  column(Schema.NullOr(schema), description, units)

/** Whole numbers of 32 bits. */
export const Int32 = Schema.Int.annotate({ columnType: "int32" })

/**
 * The names of further columns that are none of those taken. Queries ignore
 * case in names, so a name that differs in case alone counts as taken: it gets
 * `_2`, `_3` and so on.
 */
export const freeNames = (taken: Iterable<string>): (wanted: string) => string => {
  const used = new Set<string>()
  for (const name of taken) used.add(name.toLowerCase())
  return (wanted) => {
    let name = wanted
    for (let i = 2; used.has(name.toLowerCase()); i++) name = `${wanted}_${i}`
    used.add(name.toLowerCase())
    return name
  }
}

/** A table from one array of cells a column. The caller made the cells, so one that does not fit is a defect. */
export const fromCells = (
  fields: ReadonlyArray<Field>,
  length: number,
  cells: Readonly<Record<string, ArrayLike<unknown>>>
): Columns.Columns => Result.getOrThrow(Columns.fromCells(new ArrowSchema([...fields]), length, cells))

export const fromRecords = (
  fields: ReadonlyArray<Field>,
  records: ReadonlyArray<Readonly<Record<string, unknown>>>
): Columns.Columns => Result.getOrThrow(Columns.fromRecords(new ArrowSchema([...fields]), records))

const without = (columns: Columns.Columns, names: ReadonlyArray<string>): Columns.Columns => ({
  ...columns,
  schema: new ArrowSchema(columns.schema.fields.filter(({ name }) => !names.includes(name)))
})

/** The digest of what a table says without its varying columns: equal for equal studies, whoever ran them. */
export const contentDigest = (table: ResultTable, columns: Columns.Columns): string =>
  Columns.digest(without(columns, table.varying))

export interface Target {
  readonly table: ResultTable
  /** Relative to the folder of tables. */
  readonly file: string
  readonly study?: string
  /** False for a study that is still running. */
  readonly complete?: boolean
  /** Further notes for the metadata of the file, those that the kind has. */
  readonly notes?: Readonly<Record<string, string>>
}

/** The absolute path of a table's file. */
export const pathOf = (store: Store["Service"], file: string): string => path.resolve(store.root, "tables", file)

/** A file read piece by piece, without a service. */
const withSource = <A, E>(
  file: string,
  use: (source: Parquet.Source) => Effect.Effect<A, E>
): Effect.Effect<A | undefined, E> =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      try {
        return fs.openSync(file, "r")
      } catch {
        return undefined
      }
    }),
    (descriptor) =>
      descriptor === undefined
        ? Effect.undefined
        : use({
          file,
          size: fs.fstatSync(descriptor).size,
          read: (start, end) =>
            Effect.sync(() => {
              const bytes = new Uint8Array(end - start)
              return bytes.subarray(0, fs.readSync(descriptor, bytes, 0, bytes.length, start))
            })
        }),
    (descriptor) => Effect.sync(() => descriptor === undefined ? undefined : fs.closeSync(descriptor))
  )

/** The notes in the footer of a table's file, or `undefined` where there is no file that can be read. */
export const notesOf = (file: string): Effect.Effect<Notes | undefined, never, Store> =>
  readable(file, (source) => Effect.map(Parquet.footer(source, { columns: [] }), ({ metadata }) => metadata))

export type Notes = Readonly<Record<string, string>>

/** The columns of this kind that a file has, and its notes; `undefined` where there is no file that can be read. */
export const read = (
  table: ResultTable,
  file: string
): Effect.Effect<{ readonly columns: Columns.Columns; readonly notes: Notes } | undefined, never, Store> =>
  readable(file, (source) =>
    Effect.gen(function*() {
      const { metadata, schema } = yield* Parquet.footer(source)
      const there = new Set(schema.names)
      const wanted = table.schema.names.filter((name) => there.has(name)).map(String)
      return { columns: yield* Parquet.read(source, { columns: wanted }), notes: metadata }
    }))

const readable = Effect.fnUntraced(function*<A, E>(
  file: string,
  use: (source: Parquet.Source) => Effect.Effect<A, E>
): Effect.fn.Return<A | undefined, never, Store> {
  const store = yield* Store
  // A damaged table is no loss: it is made anew.
  return yield* withSource(pathOf(store, file), use).pipe(Effect.catchCause(() => Effect.undefined))
})

const sourceOf = ({ complete, notes, study, table }: Target, source: string): string =>
  Digest.ofJson([
    table.name,
    table.format,
    study ?? null,
    complete ?? true,
    source,
    ...(notes === undefined ? [] : [notes])
  ])

/** Whether the file there was made from this. */
const isCurrent = (target: Target, source: string) =>
  Effect.map(notesOf(target.file), (notes) => notes?.["attune.source"] === sourceOf(target, source))

/**
 * Writes a table unless the one that is there was made from the same: `source`
 * is a digest of all that the columns are computed from.
 */
export const publish = Effect.fnUntraced(function*(
  target: Target,
  source: string,
  columns: Effect.Effect<Columns.Columns, StoreError, Store>
): Effect.fn.Return<void, StoreError, Store> {
  if (yield* isCurrent(target, source)) return
  const store = yield* Store
  const { study, table } = target
  const made = yield* columns
  const bytes = Parquet.encode(made, {
    metadata: {
      "attune.table": table.name,
      "attune.format": String(table.format),
      "attune.complete": String(target.complete ?? true),
      "attune.content": contentDigest(table, made),
      "attune.source": sourceOf(target, source),
      "attune.varying": JSON.stringify(table.varying),
      ...(study === undefined ? {} : { "attune.study": study }),
      ...target.notes
    }
  })
  yield* store.putTable(target.file, bytes)
})
