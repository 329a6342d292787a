/**
 * Parquet files, a row at a time, one row group in memory.
 *
 * A file from elsewhere may store a number narrower or wider than the schema
 * would: what converts without loss is converted, cell by cell.
 */
import type { Field } from "apache-arrow/schema"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { nameOf, storageOf } from "../store/ArrowType.ts"
import * as Columns from "../store/Columns.ts"
import * as Parquet from "../store/Parquet.ts"
import { BadRow, DataError } from "./DataError.ts"
import type * as File from "./File.ts"
import type * as RowDecoder from "./RowDecoder.ts"

/** A cell as stored in a file, as a cell of the schema. What does not convert stays, for the schema to refuse. */
type Conversion = (cell: any) => unknown

const identity: Conversion = (cell) => cell

const perMicrosecond = { ms: 1000n, us: 1n, ns: -1000n } as const

const floorDivide = (dividend: bigint, divisor: bigint): bigint =>
  dividend / divisor - (dividend % divisor < 0n ? 1n : 0n)

/** How cells of `found` become cells of `expected`, or `undefined` when they are different things. */
const conversion = (found: Field, expected: Field): Conversion | undefined => {
  const convert = present(found, expected)
  return convert === undefined || convert === identity
    ? convert
    : (cell) => cell === null || cell === undefined ? null : convert(cell)
}

const present = (found: Field, expected: Field): Conversion | undefined => {
  const from = storageOf(found.type), to = storageOf(expected.type)
  if (from === undefined || to === undefined) return undefined
  if (from.kind === "list" && to.kind === "list") {
    const convert = conversion(from.element, to.element)
    return convert === undefined || convert === identity
      ? convert
      : (cells: ReadonlyArray<unknown>) => cells.map(convert)
  }
  if (from.kind === "struct" && to.kind === "struct") {
    const converted: Array<readonly [string, Conversion]> = []
    for (const field of to.fields) {
      const other = from.fields.find(({ name }) => name === field.name)
      if (other === undefined) {
        if (field.nullable) continue
        return undefined
      }
      const convert = conversion(other, field)
      if (convert === undefined) return undefined
      converted.push([field.name, convert])
    }
    return (cells: Readonly<Record<string, unknown>>) =>
      Object.fromEntries(converted.map(([name, convert]) => [name, convert(cells[name])]))
  }
  if (nameOf(found.type) === nameOf(expected.type)) return identity
  switch (to.kind) {
    case "text":
      return from.kind === "text" ? identity : undefined
    case "float":
      if (from.kind === "float" || from.kind === "integer") return identity
      return from.kind === "bigint"
        ? (cell: bigint) => BigInt(Number(cell)) === cell ? Number(cell) : cell
        : undefined
    case "bigint":
      return from.kind === "integer" ? BigInt : from.kind === "bigint" ? identity : undefined
    case "integer":
      if (from.kind === "integer") return identity
      return from.kind === "bigint"
        ? (cell: bigint) => BigInt.asIntN(32, cell) === cell ? Number(cell) : cell
        : undefined
    case "timestamp":
      // Our own timestamps are in microseconds: of nanoseconds the rest is cut off.
      if (from.kind === "date") return (cell: number) => BigInt(cell) * 86_400_000_000n
      if (from.kind !== "timestamp" || to.unit !== "us") return undefined
      return (cell: bigint) =>
        perMicrosecond[from.unit] > 0n ? cell * perMicrosecond[from.unit] : floorDivide(cell, 1000n)
    default:
      return undefined
  }
}

const listed = (names: ReadonlyArray<string>): string => names.map((name) => JSON.stringify(name)).join(", ")

/** The conversion of every column of the schema that the file has. */
const match = (
  file: string,
  found: ReadonlyArray<Field>,
  expected: ReadonlyArray<Field>
): Effect.Effect<ReadonlyMap<string, Conversion>, DataError> => {
  const conversions = new Map<string, Conversion>()
  const missing: Array<string> = []
  for (const field of expected) {
    const other = found.find(({ name }) => name === field.name)
    if (other === undefined) {
      if (!field.nullable) missing.push(field.name)
      continue
    }
    const convert = conversion(other, field)
    if (convert === undefined) {
      const problem = `the column ${JSON.stringify(field.name)} is ${nameOf(other.type)}, expected ${
        nameOf(field.type)
      }`
      return Effect.fail(new DataError({ file, reason: "column-type", problem }))
    }
    conversions.set(field.name, convert)
  }
  if (missing.length === 0) return Effect.succeed(conversions)
  const problem = `the file lacks ${listed(missing)}: expected ${listed(expected.map(({ name }) => name))}, found ${
    listed(found.map(({ name }) => name))
  }`
  return Effect.fail(new DataError({ file, reason: "missing-column", problem }))
}

const ofParquetError = (error: Parquet.ParquetError | DataError): DataError =>
  error._tag === "DataError"
    ? error
    : new DataError({ file: error.file, reason: "damaged", problem: error.message.slice(error.file.length + 2, -1) })

/**
 * The rows of a file. A row that does not fit the schema is a `BadRow` in its
 * place; what concerns the whole file (no such file, not Parquet, cut off, no
 * such column, a column of another type) ends the stream. Only the columns of
 * the schema are read.
 */
export const rows = <S extends RowDecoder.RowSchema, R>(
  rowSchema: S,
  { name: file, source: open }: File.File<R>
): Stream.Stream<Result.Result<S["Type"], BadRow>, DataError, Exclude<R, Scope.Scope>> =>
  Stream.unwrap(Effect.gen(function*() {
    const source = yield* Effect.mapError(open, ofParquetError)
    const footer = yield* Effect.mapError(Parquet.footer(source), ofParquetError)
    const expected = Columns.schemaOf(rowSchema).fields
    const conversions = yield* match(file, footer.schema.fields, expected)
    const decode = Columns.rowDecoder(rowSchema)
    let row = 0
    return Parquet.rowGroups(source, { columns: [...conversions.keys()] }).pipe(
      Stream.mapError(ofParquetError),
      Stream.flatMap((table) =>
        Stream.fromIterable(Array.from({ length: table.length }, (_, i): Result.Result<S["Type"], BadRow> => {
          row++
          const cells: Record<string, unknown> = {}
          for (const [name, convert] of conversions) cells[name] = convert(table.columns[name]![i])
          const decoded = decode(cells)
          return Result.isSuccess(decoded)
            ? Result.succeed(decoded.success)
            : Result.fail(new BadRow({ file, row, ...decoded.failure }))
        }))
      )
    )
  }))
