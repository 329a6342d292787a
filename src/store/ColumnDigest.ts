/**
 * Digests of tables and of their rows, over bytes that do not depend on how
 * the table was stored.
 */
import type { Field, Schema as ArrowSchema } from "apache-arrow/schema"
import type { DataType } from "apache-arrow/type"
import { nameOf, storageOf } from "./ArrowType.ts"
import * as Digest from "./Digest.ts"

type Cells = ArrayLike<unknown>

/**
 * SHA-256 over, in this order: the canonical JSON of the number of rows and of
 * name, type and nullability of each field; then for each column a bitmap of
 * the cells that are there (nullable columns only, least significant bit
 * first), and the cells that are there: integers and floats little-endian at
 * their width (one NaN for all, `-0` kept), a byte for a boolean, texts and
 * bytes as their lengths (32 bits each) and then their UTF-8 bytes, lists as
 * their lengths and then their elements as a column, structs field by field.
 */
export const ofTable = (schema: ArrowSchema, length: number, columns: Readonly<Record<string, Cells>>): string => {
  const hasher = Digest.hasher()
  hasher.update(Digest.canonicalJson({
    format: "attune.columns/1",
    rows: length,
    fields: schema.fields.map((field) => ({ name: field.name, type: nameOf(field.type), nullable: field.nullable }))
  }))
  for (const field of schema.fields) column(hasher, field, columns[field.name]!, length)
  return hasher.digest()
}

const column = (hasher: Digest.Hasher, field: Field, cells: Cells, length: number): void => {
  if (!field.nullable) return values(hasher, field.type, cells, length)
  const bitmap = new Uint8Array((length + 7) >>> 3)
  const present: Array<unknown> = []
  for (let i = 0; i < length; i++) {
    const cell = cells[i]
    if (cell === null || cell === undefined) continue
    bitmap[i >>> 3]! |= 1 << (i & 7)
    present.push(cell)
  }
  hasher.update(bitmap)
  values(hasher, field.type, present, present.length)
}

/** Cells of `width` bytes, written a block at a time. */
const fixed = (
  hasher: Digest.Hasher,
  cells: Cells,
  length: number,
  width: number,
  write: (view: DataView, offset: number, cell: any) => void
): void => {
  const block = 8192
  const view = new DataView(new ArrayBuffer(Math.min(block, length) * width))
  for (let start = 0; start < length; start += block) {
    const end = Math.min(start + block, length)
    for (let i = start; i < end; i++) write(view, (i - start) * width, cells[i])
    hasher.update(new Uint8Array(view.buffer, 0, (end - start) * width))
  }
}

const lengths = (hasher: Digest.Hasher, cells: Cells, length: number, of: (cell: any) => number): void =>
  fixed(hasher, cells, length, 4, (view, offset, cell) => view.setUint32(offset, of(cell), true))

// The bits of a NaN are left open by ECMAScript: these are chosen for all.
const nan64 = 0x7ff8000000000000n
const nan32 = 0x7fc00000

const values = (hasher: Digest.Hasher, type: DataType, cells: Cells, length: number): void => {
  const storage = storageOf(type)
  if (storage === undefined) throw new TypeError(`No digest of a column of the type ${type}.`)
  switch (storage.kind) {
    case "float":
      return storage.bits === 64
        ? fixed(
          hasher,
          cells,
          length,
          8,
          (view, offset, cell: number) =>
            Number.isNaN(cell) ? view.setBigUint64(offset, nan64, true) : view.setFloat64(offset, cell, true)
        )
        : fixed(
          hasher,
          cells,
          length,
          4,
          (view, offset, cell: number) =>
            Number.isNaN(cell) ? view.setUint32(offset, nan32, true) : view.setFloat32(offset, cell, true)
        )
    case "integer":
      return fixed(hasher, cells, length, storage.bits / 8, (view, offset, cell: number) => {
        if (storage.bits === 8) view.setUint8(offset, cell)
        else if (storage.bits === 16) view.setUint16(offset, cell, true)
        else view.setUint32(offset, cell, true)
      })
    case "date":
      return fixed(hasher, cells, length, 4, (view, offset, cell: number) => view.setInt32(offset, cell, true))
    case "bigint":
    case "timestamp":
      return fixed(hasher, cells, length, 8, (view, offset, cell: bigint) => view.setBigUint64(offset, cell, true))
    case "boolean":
      return fixed(hasher, cells, length, 1, (view, offset, cell: boolean) => view.setUint8(offset, cell ? 1 : 0))
    case "text":
      lengths(hasher, cells, length, (cell: string) => Buffer.byteLength(cell, "utf8"))
      for (let i = 0; i < length; i++) hasher.update(cells[i] as string)
      return
    case "bytes":
      lengths(hasher, cells, length, (cell: Uint8Array) => cell.byteLength)
      for (let i = 0; i < length; i++) hasher.update(cells[i] as Uint8Array)
      return
    case "list": {
      lengths(hasher, cells, length, (cell: ReadonlyArray<unknown>) => cell.length)
      const elements: Array<unknown> = []
      for (let i = 0; i < length; i++) for (const element of cells[i] as ReadonlyArray<unknown>) elements.push(element)
      return column(hasher, storage.element, elements, elements.length)
    }
    case "struct":
      for (const field of storage.fields) {
        const inner = Array.from({ length }, (_, i) => (cells[i] as Record<string, unknown>)[field.name])
        column(hasher, field, inner, length)
      }
  }
}

/**
 * SHA-256 of each row, as a JSON object of the cells that are there: keys in
 * code-unit order, integers and times as digits, `NaN` and the infinities as
 * texts, bytes as hexadecimal digits.
 */
export const ofRows = (
  schema: ArrowSchema,
  length: number,
  columns: Readonly<Record<string, Cells>>
): ReadonlyArray<string> => {
  const write = members(schema.fields)
  return Array.from({ length }, (_, i) => Digest.ofText(write((name) => columns[name]![i])))
}

const members = (fields: ReadonlyArray<Field>): (cellOf: (name: string) => unknown) => string => {
  const sorted = fields
    .map(({ name, type }) => ({ name, key: JSON.stringify(name), write: writer(type) }))
    .toSorted((a, b) => a.name < b.name ? -1 : 1)
  return (cellOf) => {
    let text = ""
    for (const { key, name, write } of sorted) {
      const cell = cellOf(name)
      if (cell !== null && cell !== undefined) text += `${text === "" ? "" : ","}${key}:${write(cell)}`
    }
    return `{${text}}`
  }
}

const writer = (type: DataType): (cell: any) => string => {
  const storage = storageOf(type)
  if (storage === undefined) throw new TypeError(`No digest of a row with the type ${type}.`)
  switch (storage.kind) {
    case "text":
    case "boolean":
    case "integer":
    case "date":
      return JSON.stringify
    case "float":
      return (cell: number) => Number.isFinite(cell) ? JSON.stringify(cell) : JSON.stringify(String(cell))
    case "bigint":
    case "timestamp":
      return (cell: bigint) => cell.toString()
    case "bytes":
      return (cell: Uint8Array) => `"${Buffer.from(cell.buffer, cell.byteOffset, cell.byteLength).toString("hex")}"`
    case "list": {
      const write = writer(storage.element.type)
      return (cell: ReadonlyArray<unknown>) =>
        `[${cell.map((element) => element === null || element === undefined ? "null" : write(element)).join(",")}]`
    }
    case "struct": {
      const write = members(storage.fields)
      return (cell: Record<string, unknown>) => write((name) => cell[name])
    }
  }
}
