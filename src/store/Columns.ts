/**
 * A table in memory: one array a column, described by an Arrow schema.
 *
 * What a cell is in memory depends on the Arrow type of its column and is
 * listed in `ArrowType.ts`. Which columns a row schema gives is listed in
 * `RowSchema.ts`.
 */
import { type Field, Schema as ArrowSchema } from "apache-arrow/schema"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import { type Mismatch, mismatch, nameOf, storageOf } from "./ArrowType.ts"
import * as ColumnDigest from "./ColumnDigest.ts"
import * as RowProblem from "./RowProblem.ts"
import * as RowSchema from "./RowSchema.ts"

/**
 * The cells of one column: a typed array when the field is never missing and
 * is Float64, Float32, Int32, Int64 or a timestamp, else a plain array.
 */
export type Column = ReadonlyArray<unknown> | Float64Array | Float32Array | Int32Array | BigInt64Array

export interface Columns {
  readonly schema: ArrowSchema
  /** The number of rows. */
  readonly length: number
  readonly columns: Readonly<Record<string, Column>>
}

/** The schema of a row: a `Schema.Struct` or a `Schema.Class`. */
export type RowSchemaLike = Schema.Constraint & { readonly Type: object }

/** A row that its schema does not allow in the table. */
export class RowRejected extends Schema.TaggedError<RowRejected>()("RowRejected", {
  /** Counted from 1. */
  row: Schema.Int,
  field: Schema.String,
  found: Schema.String,
  expected: Schema.String
}) {
  override get message(): string {
    const place = this.field === "" ? `Row ${this.row}` : `Row ${this.row}, field \`${this.field}\``
    return `${place}: expected ${this.expected}, found ${this.found}.`
  }
}

/** A table whose columns are not those that its reader asks for. */
export class SchemaMismatch extends Schema.TaggedError<SchemaMismatch>()("SchemaMismatch", {
  field: Schema.String,
  found: Schema.String,
  expected: Schema.String
}) {
  override get message(): string {
    return `Column \`${this.field}\`: the row schema expects ${this.expected}, the table has ${this.found}.`
  }
}

export { UnsupportedField } from "./RowSchema.ts"

interface Compiled extends RowSchema.RowSchema {
  readonly encode: (row: unknown) => Result.Result<unknown, Schema.SchemaError>
  readonly decode: (cells: unknown) => Result.Result<unknown, Schema.SchemaError>
}

const compiled = new WeakMap<SchemaAST.AST, Compiled>()

const compile = (rowSchema: RowSchemaLike): Compiled => {
  const known = compiled.get(rowSchema.ast)
  if (known !== undefined) return known
  const codec = Schema.toCodecIso(rowSchema)
  const made: Compiled = {
    ...RowSchema.compile(SchemaAST.toEncoded(codec.ast)),
    encode: Schema.encodeUnknownResult(codec),
    decode: Schema.decodeUnknownResult(codec)
  }
  compiled.set(rowSchema.ast, made)
  return made
}

/**
 * The Arrow schema of a table of such rows.
 *
 * Throws {@link RowSchema.UnsupportedField} naming the field when the schema
 * has a type that no column can hold.
 */
export const schemaOf = (rowSchema: RowSchemaLike): ArrowSchema => compile(rowSchema).schema

const allocate = (field: Field, length: number): { readonly column: Column; readonly set: SetCell } => {
  const storage = storageOf(field.type)
  if (!field.nullable && storage !== undefined) {
    const typed = storage.kind === "float"
      ? (storage.bits === 64 ? new Float64Array(length) : new Float32Array(length))
      : storage.kind === "integer" && storage.bits === 32 && storage.signed
      ? new Int32Array(length)
      : undefined
    if (typed !== undefined) return { column: typed, set: (i, cell) => typed[i] = cell as number }
    if (storage.kind === "timestamp" || (storage.kind === "bigint" && storage.signed)) {
      const integers = new BigInt64Array(length)
      return { column: integers, set: (i, cell) => integers[i] = cell as bigint }
    }
  }
  const cells = Array.from<unknown>({ length }).fill(null)
  return { column: cells, set: (i, cell) => cells[i] = cell ?? null }
}

type SetCell = (index: number, cell: unknown) => void

const rejected = (row: number, problem: Mismatch): RowRejected =>
  new RowRejected({ row, field: problem.path, found: RowProblem.show(problem.found), expected: problem.expected })

const build = (schema: ArrowSchema, length: number, columns: ReadonlyArray<Column>): Columns => ({
  schema,
  length,
  columns: Object.fromEntries(schema.fields.map((field, i) => [field.name, columns[i]!]))
})

/**
 * A table from cells that are already in the representation of their type,
 * one array a field. Every cell is checked against its field.
 */
export const fromCells = (
  schema: ArrowSchema,
  length: number,
  cells: Readonly<Record<string, ArrayLike<unknown>>>
): Result.Result<Columns, RowRejected> => {
  const columns: Array<Column> = []
  for (const field of schema.fields) {
    const { column, set } = allocate(field, length)
    const source = cells[field.name] ?? []
    for (let i = 0; i < length; i++) {
      const cell = source[i]
      const problem = mismatch(field.type, field.nullable, cell, field.name)
      if (problem !== undefined) return Result.fail(rejected(i + 1, problem))
      set(i, cell)
    }
    columns.push(column)
  }
  return Result.succeed(build(schema, length, columns))
}

/** A table from records of cells, each checked against its field. A missing key is a missing cell. */
export const fromRecords = (
  schema: ArrowSchema,
  records: ReadonlyArray<Readonly<Record<string, unknown>>>
): Result.Result<Columns, RowRejected> =>
  fromCells(
    schema,
    records.length,
    Object.fromEntries(schema.fields.map((field) => [field.name, records.map((record) => record[field.name])]))
  )

/**
 * A table from rows of a schema, checks of the schema included.
 *
 * Throws {@link RowSchema.UnsupportedField} as {@link schemaOf} does.
 */
export const fromRows = <S extends RowSchemaLike>(
  rowSchema: S,
  rows: ReadonlyArray<S["Type"]>
): Effect.Effect<Columns, RowRejected> => Effect.suspend(() => Effect.fromResult(fromRowsResult(rowSchema, rows)))

const fromRowsResult = (rowSchema: RowSchemaLike, rows: ReadonlyArray<object>): Result.Result<Columns, RowRejected> => {
  const { encode, schema, toCells } = compile(rowSchema)
  const slots = schema.fields.map((field) => ({ field, ...allocate(field, rows.length) }))
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]
    const encoded = encode(row)
    if (Result.isFailure(encoded)) {
      return Result.fail(new RowRejected({ row: i + 1, ...RowProblem.ofIssue(encoded.failure.issue, row) }))
    }
    let cells: Record<string, unknown>
    try {
      cells = toCells(encoded.success as Record<string, unknown>)
    } catch (error) {
      // Only a field kept as JSON text can refuse here.
      return Result.fail(
        new RowRejected({ row: i + 1, field: "", found: RowProblem.show(row), expected: (error as Error).message })
      )
    }
    for (const { field, set } of slots) {
      const cell = cells[field.name]
      const problem = mismatch(field.type, field.nullable, cell, field.name)
      if (problem !== undefined) return Result.fail(rejected(i + 1, problem))
      set(i, cell)
    }
  }
  return Result.succeed(build(schema, rows.length, slots.map(({ column }) => column)))
}

/**
 * The rows of a table, each decoded and checked by the schema.
 *
 * Columns that the schema does not mention are left out. A time is cut to
 * whole milliseconds, the precision of `DateTime` and `Date`; the cells keep
 * what the table holds.
 */
export const toRows = <S extends RowSchemaLike>(
  rowSchema: S,
  columns: Columns
): Effect.Effect<ReadonlyArray<S["Type"]>, RowRejected | SchemaMismatch> =>
  Effect.suspend(() => Effect.fromResult(toRowsResult(rowSchema, columns)))

const toRowsResult = <S extends RowSchemaLike>(
  rowSchema: S,
  columns: Columns
): Result.Result<ReadonlyArray<S["Type"]>, RowRejected | SchemaMismatch> => {
  const mismatched = compare(schemaOf(rowSchema), columns.schema)
  if (mismatched !== undefined) return Result.fail(mismatched)
  const decode = rowDecoder(rowSchema)
  const rows: Array<S["Type"]> = []
  for (let i = 0; i < columns.length; i++) {
    const decoded = decode(record(columns, i))
    if (Result.isFailure(decoded)) return Result.fail(new RowRejected({ row: i + 1, ...decoded.failure }))
    rows.push(decoded.success)
  }
  return Result.succeed(rows)
}

/** How one row's cells, by name and in the representation of its schema's columns, become a row. */
export const rowDecoder = <S extends RowSchemaLike>(
  rowSchema: S
): (cells: Readonly<Record<string, unknown>>) => Result.Result<S["Type"], RowProblem.RowProblem> => {
  const { decode, fromCells: fromCellsOf } = compile(rowSchema)
  return (cells) => {
    const decoded = decode(fromCellsOf(cells))
    return Result.isFailure(decoded)
      ? Result.fail(RowProblem.ofIssue(decoded.failure.issue, cells))
      : Result.succeed(decoded.success as S["Type"])
  }
}

/** What keeps a table of `found` from being read as `expected`. Nullability is left to the rows. */
const compare = (expected: ArrowSchema, found: ArrowSchema): SchemaMismatch | undefined => {
  for (const field of expected.fields) {
    const other = found.fields.find(({ name }) => name === field.name)
    const type = plainName(field)
    if (other === undefined) {
      if (field.nullable) continue
      const names = found.fields.map(({ name }) => name).join(", ")
      return new SchemaMismatch({ field: field.name, expected: type, found: `no such column, only ${names}` })
    }
    if (plainName(other) !== type) {
      return new SchemaMismatch({ field: field.name, expected: type, found: plainName(other) })
    }
  }
  return undefined
}

const plainName = (field: Field): string =>
  nameOf(field.type).replaceAll("?", "").replaceAll("dictionary<utf8>", "utf8")

const record = (columns: Columns, row: number): Record<string, unknown> => {
  const cells: Record<string, unknown> = {}
  for (const field of columns.schema.fields) cells[field.name] = columns.columns[field.name]![row]
  return cells
}

/** The cells of each row, by the name of the column. */
export const toRecords = (columns: Columns): ReadonlyArray<Readonly<Record<string, unknown>>> =>
  Array.from({ length: columns.length }, (_, i) => record(columns, i))

/** The rows at `indices`, in that order. */
export const select = (columns: Columns, indices: ArrayLike<number>): Columns => {
  const picked = columns.schema.fields.map((field) => {
    const { column, set } = allocate(field, indices.length)
    const source = columns.columns[field.name]!
    for (let i = 0; i < indices.length; i++) {
      const index = indices[i]!
      if (!(index >= 0 && index < columns.length)) {
        throw new RangeError(`Row index ${index} is outside a table of ${columns.length} rows.`)
      }
      set(i, source[index])
    }
    return column
  })
  return build(columns.schema, indices.length, picked)
}

/** One table after another. All have the fields of `schema`. */
export const concat = (schema: ArrowSchema, tables: ReadonlyArray<Columns>): Columns => {
  const length = tables.reduce((sum, table) => sum + table.length, 0)
  const joined = schema.fields.map((field) => {
    const { column, set } = allocate(field, length)
    let row = 0
    for (const table of tables) {
      const source = table.columns[field.name]!
      for (let i = 0; i < table.length; i++) set(row++, source[i])
    }
    return column
  })
  return build(schema, length, joined)
}

/**
 * The digest of what the table says: names, types and nullability of its
 * columns, then every cell. Equal for equal content, however it was stored.
 */
export const digest = (columns: Columns): string =>
  ColumnDigest.ofTable(columns.schema, columns.length, columns.columns)

/**
 * The digest of each row: of its cells by name, those that are missing left
 * out. A row keeps its digest when columns change places, when a column
 * without a value in that row is added, and when an integer is stored wider.
 *
 * With `names` only those columns count, as when a row is known by its id.
 */
export const rowDigests = (columns: Columns, names?: ReadonlyArray<string>): ReadonlyArray<string> => {
  const absent = names?.find((name) => columns.columns[name] === undefined)
  if (absent !== undefined) {
    throw new RangeError(`The table has no column ${absent}, only ${columns.schema.names.join(", ")}.`)
  }
  const schema = names === undefined ? columns.schema : columns.schema.select([...names])
  return ColumnDigest.ofRows(schema, columns.length, columns.columns)
}
