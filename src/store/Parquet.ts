/**
 * Parquet files from tables, and tables from Parquet files.
 *
 * Written files are deterministic: the same table and metadata give the same
 * bytes. What is read may come from elsewhere: all codecs and encodings that
 * hyparquet knows. Foreign types without an equal among ours come as the
 * nearest: decimals as Float64, JSON, enums and UUIDs as Utf8, a map as a list
 * of `{ key, value }`, times of day as integers with their unit noted, INT96
 * as a timestamp in nanoseconds, everything else that has bytes as Binary.
 */
import { Schema as ArrowSchema } from "apache-arrow/schema"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type ColumnMetaData, type FileMetaData, parquetMetadata, parquetSchema } from "hyparquet"
import { ByteWriter, type ColumnSource, ParquetWriter } from "hyparquet-writer"
import { parquetReadColumn } from "hyparquet/src/read.js"
import * as ArrowMessage from "./ArrowMessage.ts"
import { storageOf } from "./ArrowType.ts"
import * as Columns from "./Columns.ts"
import * as ParquetPages from "./ParquetPages.ts"
import * as ParquetSchema from "./ParquetSchema.ts"

/** A Parquet file that cannot be read. */
export class ParquetError extends Schema.TaggedError<ParquetError>()("ParquetError", {
  file: Schema.String,
  /** The column that could not be read, when the fault lies in one. */
  column: Schema.optionalKey(Schema.String),
  /** Counted from 1. */
  rowGroup: Schema.optionalKey(Schema.Int),
  /** What is wrong. */
  problem: Schema.String
}) {
  override get message(): string {
    const place = [
      this.column === undefined ? "" : `, column \`${this.column}\``,
      this.rowGroup === undefined ? "" : `, row group ${this.rowGroup}`
    ].join("")
    return `${this.file}${place}: ${this.problem}.`
  }
}

export interface EncodeOptions {
  /** Notes kept in the footer, beside those of the Arrow schema. Written in the order of their keys. */
  readonly metadata?: Readonly<Record<string, string>>
  /** Rows in each row group but the last. Default 122880, as DuckDB writes. */
  readonly rowGroupSize?: number
}

/**
 * A table as the bytes of a Parquet file: SNAPPY, data pages of version 2, the
 * Arrow schema under `ARROW:schema`.
 */
export const encode = (columns: Columns.Columns, options?: EncodeOptions): Uint8Array => {
  const { schema } = columns
  const notes = { ...Object.fromEntries(schema.metadata), ...options?.metadata }
  const keyValues = Object.keys(notes).toSorted().map((key) => ({ key, value: notes[key]! }))
  const described = new ArrowSchema(schema.fields, new Map(keyValues.map(({ key, value }) => [key, value])))
  const columnData = schema.fields.map((field): ColumnSource => ({
    name: field.name,
    data: columns.columns[field.name] as ColumnSource["data"],
    // A dictionary of floats would give every zero one sign, and is larger than
    // the plain values wherever they hardly repeat, as losses do not.
    ...(hasFloat(field.type) ? { encoding: "PLAIN" as const } : undefined)
  }))
  const writer = new ByteWriter()
  const parquet = new ParquetWriter({
    writer,
    schema: ParquetSchema.toParquet(schema),
    kvMetadata: [{ key: ArrowMessage.key, value: ArrowMessage.write(described) }, ...keyValues]
  })
  parquet.write({ columnData, rowGroupSize: options?.rowGroupSize ?? 122_880 })
  parquet.finish()
  return writer.getBytes()
}

const hasFloat = (type: Parameters<typeof storageOf>[0]): boolean => {
  const storage = storageOf(type)
  switch (storage?.kind) {
    case "float":
      return true
    case "list":
      return hasFloat(storage.element.type)
    case "struct":
      return storage.fields.some((field) => hasFloat(field.type))
    default:
      return false
  }
}

/** Where the bytes of a Parquet file come from. */
export interface Source<E = never> {
  /** The name for messages. */
  readonly file: string
  /** Size in bytes. */
  readonly size: number
  /** The bytes from `start` up to `end`. */
  readonly read: (start: number, end: number) => Effect.Effect<Uint8Array, E>
}

/** A file that is in memory already. */
export const ofBytes = (bytes: Uint8Array, file = "(bytes in memory)"): Source => ({
  file,
  size: bytes.length,
  read: (start, end) => Effect.succeed(bytes.subarray(start, end))
})

/** A file on disk, open as long as the scope is. */
export const ofFile = Effect.fnUntraced(function*(path: string): Effect.fn.Return<
  Source<ParquetError>,
  ParquetError,
  FileSystem.FileSystem | Scope.Scope
> {
  const fileSystem = yield* FileSystem.FileSystem
  const failed = (error: { readonly message: string }) => new ParquetError({ file: path, problem: error.message })
  const handle = yield* Effect.mapError(fileSystem.open(path, { flag: "r" }), failed)
  const { size } = yield* Effect.mapError(handle.stat, failed)
  const read = Effect.fnUntraced(function*(start: number, end: number): Effect.fn.Return<Uint8Array, ParquetError> {
    const bytes = new Uint8Array(end - start)
    let filled = 0
    while (filled < bytes.length) {
      const count = yield* Effect.mapError(
        handle.read(bytes.subarray(filled), { position: BigInt(start + filled) }),
        failed
      )
      if (count === 0) {
        return yield* new ParquetError({ file: path, problem: "the file became shorter while it was read" })
      }
      filled += count
    }
    return bytes
  })
  return { file: path, size: Number(size), read }
})

/** What the footer of a file says. */
export interface Footer {
  readonly schema: ArrowSchema
  readonly rows: number
  /** The number of rows in each row group. */
  readonly rowGroups: ReadonlyArray<number>
  /** The notes in the footer, without `ARROW:schema`. */
  readonly metadata: Readonly<Record<string, string>>
}

interface Opened extends Footer {
  readonly file: FileMetaData
  readonly fields: ReadonlyArray<ParquetSchema.ReadField>
}

const magic = 0x31524150 // "PAR1", little-endian
const encrypted = 0x45524150 // "PARE"

const open = Effect.fnUntraced(function*<E>(source: Source<E>, columns: ReadonlyArray<string> | undefined) {
  const { file, size } = source
  const fault = (problem: string) => new ParquetError({ file, problem })
  if (size === 0) return yield* fault("the file is empty")
  if (size < 12) return yield* fault(`the file has ${size} bytes, too few for a Parquet file`)
  const head = word(yield* source.read(0, 4), 0)
  const tail = yield* source.read(size - 8, size)
  if (head === encrypted || word(tail, 4) === encrypted) {
    return yield* fault("the file is encrypted, which is not supported")
  }
  if (head !== magic) return yield* fault("the file does not begin with PAR1: it is not a Parquet file")
  if (word(tail, 4) !== magic) {
    return yield* fault("the file does not end with PAR1: it is cut off, or its writer died before the footer")
  }
  const length = word(tail, 0)
  if (length > size - 12) {
    return yield* fault(`the footer claims ${length} bytes in a file of ${size}: the file is damaged`)
  }
  const footer = yield* source.read(size - 8 - length, size)
  return yield* Effect.try({
    try: () => readFooter(footer, file, columns),
    catch: (error) =>
      error instanceof ParquetError ? error : fault(`the footer cannot be read (${(error as Error).message})`)
  })
})

const word = (bytes: Uint8Array, offset: number): number =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(offset, true)

const readFooter = (footer: Uint8Array, file: string, columns: ReadonlyArray<string> | undefined): Opened => {
  const original = parquetMetadata(footer, { geoparquet: false })
  if (original.schema.some(({ name }) => typeof name !== "string")) throw new TypeError("a column has no name")
  const patched = { ...original, schema: ParquetSchema.forReading(original.schema) }
  const tree = parquetSchema(patched)
  const names = tree.children.map(({ element }) => element.name)
  for (const column of columns ?? []) {
    if (!names.includes(column)) {
      throw new ParquetError({ file, column, problem: `there is no such column, only ${names.join(", ")}` })
    }
  }
  const repeated = names.find((name, i) => names.indexOf(name) !== i)
  if (repeated !== undefined) {
    throw new ParquetError({ file, column: repeated, problem: "two columns have this name" })
  }
  const { fields, schema } = ParquetSchema.fromParquet(
    tree,
    parquetSchema(original),
    original.key_value_metadata ?? [],
    columns,
    (column, what) => new ParquetError({ file, column, problem: `it is ${what}, which is not supported` })
  )
  return {
    schema,
    fields,
    rows: Number(original.num_rows),
    rowGroups: original.row_groups.map((group) => Number(group.num_rows)),
    metadata: Object.fromEntries(schema.metadata),
    file: patched
  }
}

// A mark at the start of a text is part of it, and bytes that are no UTF-8 are an error.
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const identity = <A>(value: A): A => value

const parsers = {
  timestampFromMilliseconds: identity,
  timestampFromMicroseconds: identity,
  timestampFromNanoseconds: identity,
  dateFromDays: identity,
  stringFromBytes: (bytes: Uint8Array) => bytes && utf8.decode(bytes),
  jsonFromBytes: (bytes: Uint8Array) => bytes && utf8.decode(bytes)
}

/** Codecs beyond SNAPPY take some time to load and are seldom needed. */
const compressorsFor = (file: FileMetaData) => {
  const codecs = new Set(file.row_groups.flatMap((group) => group.columns.map((chunk) => chunk.meta_data?.codec)))
  codecs.delete("SNAPPY")
  codecs.delete("UNCOMPRESSED")
  return codecs.size === 0
    ? Effect.void
    : Effect.map(Effect.promise(() => import("hyparquet-compressors")), (module) => module.compressors)
}

const rangeOf = (chunk: ColumnMetaData) => {
  // Some writers put a zero where there is no dictionary.
  const from = Number(chunk.dictionary_page_offset || chunk.data_page_offset)
  return { from, to: from + Number(chunk.total_compressed_size) }
}

const readRowGroup = Effect.fnUntraced(function*<E>(source: Source<E>, opened: Opened, index: number) {
  const { file: metadata } = opened
  const group = metadata.row_groups[index]!
  const rows = Number(group.num_rows)
  const compressors = yield* compressorsFor(metadata)
  const fault = (column: string, problem: string) =>
    new ParquetError({ file: source.file, column, rowGroup: index + 1, problem })
  // A file of this one group, so that nothing is looked for in the others.
  const single: FileMetaData = { ...metadata, num_rows: group.num_rows, row_groups: [group] }
  const cells: Record<string, ArrayLike<unknown>> = {}
  for (const { field, normalise } of opened.fields) {
    const { name } = field
    const chunks = group.columns.flatMap(({ meta_data }) => meta_data?.path_in_schema[0] === name ? [meta_data] : [])
    const start = Math.min(...chunks.map((chunk) => rangeOf(chunk).from))
    const end = Math.max(...chunks.map((chunk) => rangeOf(chunk).to))
    if (rows === 0) {
      cells[name] = []
      continue
    }
    if (chunks.length === 0) return yield* fault(name, "the row group has no such column: the file is damaged")
    if (!(start >= 4 && end > start && end <= source.size)) {
      return yield* fault(name, `its bytes ${start} to ${end} lie outside the file of ${source.size}`)
    }
    const bytes = yield* source.read(start, end)
    for (const chunk of chunks) {
      const { from, to } = rangeOf(chunk)
      const problem = ParquetPages.fault(bytes.subarray(from - start, to - start), chunk)
      if (problem !== undefined) return yield* fault(name, `${problem}: the file is damaged`)
    }
    const values = yield* Effect.tryPromise({
      try: () =>
        parquetReadColumn({
          file: {
            byteLength: source.size,
            slice: (from, to = source.size) =>
              bytes.buffer.slice(bytes.byteOffset + from - start, bytes.byteOffset + to - start) as ArrayBuffer
          },
          metadata: single,
          columns: [name],
          utf8: false,
          geoparquet: false,
          parsers,
          ...(compressors === undefined ? undefined : { compressors })
        }),
      catch: (error) => fault(name, `it cannot be read (${(error as Error).message}): the file is damaged`)
    })
    if (values.length !== rows) {
      return yield* fault(name, `it has ${values.length} of ${rows} values: the file is damaged`)
    }
    cells[name] = normalise === undefined ? values : Array.from(values, (value) => normalise(value))
  }
  const made = Columns.fromCells(opened.schema, rows, cells)
  if (Result.isSuccess(made)) return made.success
  const { expected, field, found, row } = made.failure
  const column = opened.fields.find(({ field: { name } }) => field.startsWith(name))?.field.name ?? field
  return yield* fault(column, `row ${row} of the group holds ${found}, which is not ${expected}: the file is damaged`)
})

export interface ReadOptions {
  /** The columns to read, in the order of the file. Default: all. */
  readonly columns?: ReadonlyArray<string>
}

/** What the footer says, without reading any column. */
export const footer = <E>(source: Source<E>, options?: ReadOptions): Effect.Effect<Footer, E | ParquetError> =>
  open(source, options?.columns)

/** The row groups of a file, one table each, read as they are asked for. */
export const rowGroups = <E>(
  source: Source<E>,
  options?: ReadOptions
): Stream.Stream<Columns.Columns, E | ParquetError> =>
  Stream.unwrap(Effect.map(open(source, options?.columns), (opened) =>
    Stream.mapEffect(
      Stream.fromIterable(opened.rowGroups.keys()),
      (index) => readRowGroup(source, opened, index)
    )))

/** The whole file as one table. */
export const read = Effect.fnUntraced(function*<E>(source: Source<E>, options?: ReadOptions) {
  const opened = yield* open(source, options?.columns)
  const tables: Array<Columns.Columns> = []
  for (const index of opened.rowGroups.keys()) tables.push(yield* readRowGroup(source, opened, index))
  return tables.length === 1 ? tables[0]! : Columns.concat(opened.schema, tables)
})

/** A file in memory as one table. `file` is its name for messages. */
export const decode = (
  bytes: Uint8Array,
  options?: ReadOptions & { readonly file?: string }
): Effect.Effect<Columns.Columns, ParquetError> => read(ofBytes(bytes, options?.file), options)
