/**
 * One table out of many stored ones, such as the metrics of all stage runs of a
 * study, with columns in front that say where each row comes from.
 */
import { Field, Schema as ArrowSchema } from "apache-arrow/schema"
import { type DataType, Float64, Int64, Utf8 } from "apache-arrow/type"
import * as Effect from "effect/Effect"
import { nameOf, storageOf } from "../store/ArrowType.ts"
import * as Artifact from "../store/Artifact.ts"
import * as Columns from "../store/Columns.ts"
import * as Digest from "../store/Digest.ts"
import type { ObjectReference } from "../store/RunRecord.ts"
import type { Store } from "../store/Store.ts"
import type { StoreError } from "../store/StoreError.ts"
import * as JsonText from "./JsonText.ts"
import * as ResultTable from "./ResultTable.ts"

export interface Part {
  /** Cells of the columns in front, the same in all rows of the part. */
  readonly front: Readonly<Record<string, string | number>>
  readonly reference: ObjectReference
}

/** The digest of all that {@link columns} depends on, without reading any part. */
export const source = (parts: ReadonlyArray<Part>): string =>
  Digest.ofJson(parts.map(({ front, reference }) => [front, reference.digest, reference.sha256]))

const read = ({ bytes, digest, name, rows, sha256 }: ObjectReference) =>
  Artifact.readColumns({
    $artifact: "table",
    name,
    digest,
    sha256,
    bytes,
    rows: rows ?? 0,
    extension: "parquet"
  })

/**
 * The rows of all parts, in the order of the parts.
 *
 * The columns of `table` that are not in `front` are taken from the parts by
 * name; after them come the other columns of the parts. One that is not in all
 * parts is null in the rest. One whose type differs is widened: integers to
 * int64, numbers to float64, anything else to text, values that are no text as
 * JSON.
 */
export const columns = Effect.fnUntraced(function*(
  table: ResultTable.ResultTable,
  front: ReadonlyArray<string>,
  parts: ReadonlyArray<Part>
): Effect.fn.Return<Columns.Columns, StoreError, Store> {
  // Trials that share a stage run share its object.
  const known = new Map<string, Columns.Columns>()
  const tables: Array<Columns.Columns> = []
  for (const { reference } of parts) {
    const found = known.get(reference.sha256) ?? (yield* read(reference))
    known.set(reference.sha256, found)
    tables.push(found)
  }
  const length = tables.reduce((sum, { length }) => sum + length, 0)
  const fields: Array<Field> = []
  const joined: Record<string, Columns.Column> = {}
  const free = ResultTable.freeNames(table.schema.names.map(String))
  const others = new Set(tables.flatMap(({ schema }) => schema.fields.map(({ name }) => name)))
  for (const field of table.schema.fields) {
    fields.push(field)
    if (front.includes(field.name)) {
      joined[field.name] = repeat(field, parts, tables, length)
      continue
    }
    others.delete(field.name)
    const { cells, nullable, type } = join(field.name, tables, length)
    if (length > 0 && (nullable || nameOf(type) !== nameOf(field.type))) {
      throw new TypeError(`A table of the kind "${table.name}" has no column "${field.name}" of ${nameOf(field.type)}.`)
    }
    joined[field.name] = cells
  }
  for (const name of others) {
    const { cells, notes, nullable, type } = join(name, tables, length)
    const field = new Field(free(name), type, nullable, notes)
    fields.push(field)
    joined[field.name] = cells
  }
  // All cells come out of tables that were checked when they were read.
  return { schema: new ArrowSchema(fields), length, columns: joined }
})

/** A column in front. */
const repeat = (
  field: Field,
  parts: ReadonlyArray<Part>,
  tables: ReadonlyArray<Columns.Columns>,
  length: number
): Columns.Column => {
  const cells = storageOf(field.type)?.kind === "integer" ? new Int32Array(length) : Array.from<unknown>({ length })
  let row = 0
  parts.forEach((part, i) => {
    const end = row + tables[i]!.length
    cells.fill(part.front[field.name] as never, row, end)
    row = end
  })
  return cells
}

const join = (name: string, tables: ReadonlyArray<Columns.Columns>, length: number) => {
  const fields = tables.map(({ schema }) => schema.fields.find((field) => field.name === name))
  const types = new Map(fields.flatMap((field) => field === undefined ? [] : [[nameOf(field.type), field.type]]))
  const { toCell, type } = common([...types.values()])
  const sources = tables.map(({ columns }) => columns[name])
  return {
    type,
    cells: concatenate(sources, length) ?? tables.flatMap((table, i) => {
      const source = sources[i]
      return Array.from({ length: table.length }, (_, row) => {
        const cell = source?.[row] ?? null
        return cell === null ? null : toCell(cell, fields[i]!.type)
      })
    }),
    nullable: fields.some((field) => field === undefined || field.nullable),
    notes: fields.find((field) => field !== undefined)?.metadata ?? null
  }
}

/** Typed arrays of one kind, one after another. */
const concatenate = (
  sources: ReadonlyArray<Columns.Column | undefined>,
  length: number
): Columns.Column | undefined => {
  const first = sources[0]
  if (first === undefined || Array.isArray(first)) return undefined
  if (sources.some((source) => source?.constructor !== first.constructor)) return undefined
  const joined = new (first.constructor as new(length: number) => Float64Array)(length)
  let row = 0
  for (const source of sources as ReadonlyArray<Float64Array>) {
    joined.set(source, row)
    row += source.length
  }
  return joined
}

const common = (
  types: ReadonlyArray<DataType>
): { readonly type: DataType; readonly toCell: (cell: unknown, type: DataType) => unknown } => {
  const storages = types.map((type) => storageOf(type))
  if (storages.every((storage) => storage?.kind === "text")) return { type: new Utf8(), toCell: (cell) => cell }
  if (types.length === 1) return { type: types[0]!, toCell: (cell) => cell }
  const isInteger = (storage: (typeof storages)[number]) =>
    storage?.kind === "integer" || (storage?.kind === "bigint" && storage.signed)
  if (storages.every(isInteger)) return { type: new Int64(), toCell: (cell) => BigInt(cell as number | bigint) }
  if (storages.every((storage) => isInteger(storage) || storage?.kind === "bigint" || storage?.kind === "float")) {
    return { type: new Float64(), toCell: Number }
  }
  return {
    type: new Utf8(),
    toCell: (cell, type) => storageOf(type)?.kind === "text" ? cell : JsonText.of(cell)
  }
}
