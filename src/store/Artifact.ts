/**
 * Artifacts as they appear inside the output of a stage: a handle that says
 * what the bytes are and where, so that outputs stay small and travel between
 * processes as JSON while tables, tensors and files stay in the store.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Types from "effect/Types"
import * as Columns from "./Columns.ts"
import * as Digest from "./Digest.ts"
import * as Disk from "./Disk.ts"
import * as Parquet from "./Parquet.ts"
import type { ObjectReference } from "./RunRecord.ts"
import { type Address, Store } from "./Store.ts"
import { fromCause, StoreError } from "./StoreError.ts"

const stored = {
  /** The role it plays, as in "predictions". */
  name: Schema.String,
  /** Identity: SHA-256 of the canonical content. Equal content has equal digests whoever wrote it. */
  digest: Schema.String,
  /** Integrity: SHA-256 of the bytes as stored. */
  sha256: Schema.String,
  bytes: Schema.Int
}

const TableHandle = Schema.Struct({
  $artifact: Schema.Literal("table"),
  ...stored,
  rows: Schema.Int,
  extension: Schema.Literal("parquet")
})

/** A stored table whose rows decode as `Row`. */
export interface Table<out Row> extends Schema.Schema.Type<typeof TableHandle> {
  readonly "~row"?: Types.Covariant<Row>
}

/** The schema of a table with rows of a schema, to be used in inputs and outputs of stages. */
export const table = <Row extends Columns.RowSchemaLike>(
  _row: Row
): Schema.Codec<Table<Row["Type"]>, typeof TableHandle.Encoded> =>
  TableHandle as unknown as Schema.Codec<Table<Row["Type"]>, typeof TableHandle.Encoded>

/** A stored file: a checkpoint's weights, a tokenizer, a picture. `extension` is the ending of its name. */
export const File = Schema.Struct({ $artifact: Schema.Literal("file"), ...stored, extension: Schema.String })
export type File = typeof File.Type

/** A file outside the store that a pipeline reads: its content counts, its place does not. */
export const ExternalFile = Schema.Struct({
  $artifact: Schema.Literal("external"),
  name: Schema.String,
  digest: Schema.String,
  bytes: Schema.Int,
  path: Schema.String
})
export type ExternalFile = typeof ExternalFile.Type

/**
 * Stores rows as a Parquet table. `name` is its role, such as "predictions".
 *
 * A row that does not fit its own schema is a defect: types rule it out.
 */
export const writeTable = <Row extends Columns.RowSchemaLike>(
  name: string,
  row: Row,
  rows: ReadonlyArray<Row["Type"]>
): Effect.Effect<Table<Row["Type"]>, StoreError, Store> =>
  Columns.fromRows(row, rows).pipe(Effect.orDie, Effect.flatMap((columns) => writeColumns(name, columns)))

/** Stores columns as a Parquet table. */
export const writeColumns = Effect.fnUntraced(function*(
  name: string,
  columns: Columns.Columns
): Effect.fn.Return<Table<any>, StoreError, Store> {
  const store = yield* Store
  const digest = Columns.digest(columns)
  const address = yield* store.putObject(Parquet.encode(columns, { metadata: { "attune.digest": digest } }), "parquet")
  return { $artifact: "table", name, digest, rows: columns.length, ...address, extension: "parquet" }
})

const unreadable = (table: Table<unknown>, path: string) => (error: { readonly message: string }) =>
  new StoreError({ operation: `read the table "${table.name}"`, path, reason: "corrupt", detail: error.message })

/** The columns of a stored table. */
export const readColumns = Effect.fnUntraced(function*(
  table: Table<unknown>
): Effect.fn.Return<Columns.Columns, StoreError, Store> {
  const store = yield* Store
  const bytes = yield* store.getObject(table)
  return yield* Parquet.decode(bytes).pipe(Effect.mapError(unreadable(table, store.objectPath(table))))
})

/** The rows of a stored table, decoded by their schema. */
export const readTable = Effect.fnUntraced(function*<Row extends Columns.RowSchemaLike>(
  row: Row,
  table: Table<Row["Type"]>
): Effect.fn.Return<ReadonlyArray<Row["Type"]>, StoreError, Store> {
  const store = yield* Store
  const columns = yield* readColumns(table)
  return yield* Columns.toRows(row, columns).pipe(Effect.mapError(unreadable(table, store.objectPath(table))))
})

/** Stores bytes as a file named `name`, whose ending is kept. */
export const writeFile = Effect.fnUntraced(function*(
  name: string,
  bytes: Uint8Array
): Effect.fn.Return<File, StoreError, Store> {
  const store = yield* Store
  const ending = /\.([A-Za-z0-9]+)$/.exec(name)?.[1] ?? "bin"
  const address = yield* store.putObject(bytes, ending)
  return { $artifact: "file", name, digest: address.sha256, ...address }
})

/** The bytes of a stored file, or of one outside the store, verified against its digest. */
export const readFile = Effect.fnUntraced(function*(
  file: File | ExternalFile
): Effect.fn.Return<Uint8Array, StoreError, Store> {
  const store = yield* Store
  if (file.$artifact === "file") return yield* store.getObject(file)
  const bytes = yield* Effect.try({
    try: () => Disk.readWhole(file.path),
    catch: fromCause("read a source file", file.path)
  })
  if (Digest.ofBytes(bytes) === file.digest) return bytes
  return yield* new StoreError({
    operation: "read a source file",
    path: file.path,
    reason: "other",
    detail: "it changed while the pipeline was running; run the same command again"
  })
})

interface AnyHandle extends Partial<Address> {
  readonly $artifact: string
  readonly name: string
  readonly digest: string
  readonly bytes: number
  readonly rows?: number
}

const isHandle = (value: unknown): value is AnyHandle =>
  typeof value === "object" && value !== null && "$artifact" in value && "digest" in value

/** The objects in the store that an encoded output refers to. */
export const references = (output: Schema.Json): ReadonlyArray<ObjectReference> => {
  const found: Array<ObjectReference> = []
  const visit = (value: Schema.Json | undefined, field: string) => {
    if (typeof value !== "object" || value === null) return
    if (isHandle(value)) {
      const { $artifact, bytes, digest, extension, name, rows, sha256 } = value
      if (sha256 === undefined || extension === undefined) return
      found.push({ field, kind: $artifact, name, digest, sha256, bytes, rows: rows ?? null, extension })
    } else if (Array.isArray(value)) value.forEach((item, index) => visit(item, join(field, String(index))))
    else for (const [key, item] of Object.entries(value)) visit(item, join(field, key))
  }
  visit(output, "")
  return found
}

/** An encoded output with each artifact as a line of text, for a person to read. */
export const summarize = (value: Schema.Json): Schema.Json => {
  if (typeof value !== "object" || value === null) return value
  if (isHandle(value)) {
    const size = value.rows === undefined ? `${value.bytes} bytes` : `${value.rows} rows, ${value.bytes} bytes`
    return `${value.name} (${value.$artifact === "table" ? "table" : "file"}, ${size}, ${value.digest.slice(0, 12)})`
  }
  if (Array.isArray(value)) return value.map(summarize)
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, summarize(item!)]))
}

const join = (path: string, key: string) => path === "" ? key : `${path}.${key}`

/**
 * The digest of an encoded output. A handle counts by the digest of its content
 * alone: how it was compressed, and where it lies, changes nothing downstream.
 */
export const digestOf = (output: Schema.Json): string => Digest.ofJson(identityOf(output))

const identityOf = (value: Schema.Json): Schema.Json => {
  if (typeof value !== "object" || value === null) return value
  if (isHandle(value)) {
    return { $artifact: value.$artifact === "external" ? "file" : value.$artifact, digest: value.digest }
  }
  if (Array.isArray(value)) return value.map(identityOf)
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, identityOf(item!)]))
}
