/**
 * The Arrow types that a column may have, and what a cell of each looks like
 * in memory.
 *
 * | Arrow type                          | cell                                   |
 * | ----------------------------------- | -------------------------------------- |
 * | Utf8, Dictionary of Utf8            | `string`, well-formed UTF-16           |
 * | Binary                              | `Uint8Array`                           |
 * | Bool                                | `boolean`                              |
 * | Int8, 16, 32 and Uint8, 16, 32      | `number`, an integer in range          |
 * | Int64, Uint64                       | `bigint`                               |
 * | Float32, Float64                    | `number`                               |
 * | Timestamp                           | `bigint`, count of units since 1970    |
 * | DateDay                             | `number`, days since 1970-01-01        |
 * | List                                | array of cells                         |
 * | Struct                              | plain object of cells                  |
 *
 * A missing cell is `null`, in a nullable field only.
 */
import { TimeUnit } from "apache-arrow/enum"
import type { Field } from "apache-arrow/schema"
import { DataType } from "apache-arrow/type"

export type Cell = unknown

/** What a cell of a type is, apart from what Arrow calls the type. */
export type Storage =
  | { readonly kind: "text" }
  | { readonly kind: "bytes" }
  | { readonly kind: "boolean" }
  | { readonly kind: "integer"; readonly bits: 8 | 16 | 32; readonly signed: boolean }
  | { readonly kind: "bigint"; readonly signed: boolean }
  | { readonly kind: "float"; readonly bits: 32 | 64 }
  | { readonly kind: "timestamp"; readonly unit: "ms" | "us" | "ns"; readonly utc: boolean }
  | { readonly kind: "date" }
  | { readonly kind: "list"; readonly element: Field }
  | { readonly kind: "struct"; readonly fields: ReadonlyArray<Field> }

const storages = new WeakMap<DataType, Storage>()

/** How cells of `type` are held, or `undefined` for an Arrow type that columns cannot have. */
export const storageOf = (type: DataType): Storage | undefined => {
  const known = storages.get(type)
  if (known !== undefined) return known
  const storage = classify(type)
  if (storage !== undefined) storages.set(type, storage)
  return storage
}

const classify = (type: DataType): Storage | undefined => {
  if (DataType.isUtf8(type)) return { kind: "text" }
  if (DataType.isDictionary(type)) return DataType.isUtf8(type.dictionary) ? { kind: "text" } : undefined
  if (DataType.isBinary(type)) return { kind: "bytes" }
  if (DataType.isBool(type)) return { kind: "boolean" }
  if (DataType.isInt(type)) {
    return type.bitWidth === 64
      ? { kind: "bigint", signed: type.isSigned }
      : { kind: "integer", bits: type.bitWidth, signed: type.isSigned }
  }
  if (DataType.isFloat(type)) {
    // Precision is HALF, SINGLE, DOUBLE in this order.
    return type.precision === 0 ? undefined : { kind: "float", bits: type.precision === 1 ? 32 : 64 }
  }
  if (DataType.isTimestamp(type)) {
    const utc = type.timezone !== null && type.timezone !== undefined && type.timezone !== ""
    switch (type.unit) {
      case TimeUnit.MILLISECOND:
        return { kind: "timestamp", unit: "ms", utc }
      case TimeUnit.MICROSECOND:
        return { kind: "timestamp", unit: "us", utc }
      case TimeUnit.NANOSECOND:
        return { kind: "timestamp", unit: "ns", utc }
      default:
        return undefined
    }
  }
  if (DataType.isDate(type)) return type.unit === 0 ? { kind: "date" } : undefined
  if (DataType.isList(type)) {
    const element = type.children[0]
    return element === undefined || storageOf(element.type) === undefined ? undefined : { kind: "list", element }
  }
  if (DataType.isStruct(type)) {
    return type.children.some((child) => storageOf(child.type) === undefined)
      ? undefined
      : { kind: "struct", fields: type.children }
  }
  return undefined
}

/**
 * The name of a type, with the nullability of what is nested in it, such as
 * `list<float64?>`. The names enter digests: they never change.
 */
export const nameOf = (type: DataType): string => {
  const storage = storageOf(type)
  if (storage === undefined) return String(type)
  switch (storage.kind) {
    case "text":
      return DataType.isDictionary(type) ? "dictionary<utf8>" : "utf8"
    case "bytes":
      return "binary"
    case "boolean":
      return "bool"
    case "integer":
      return `${storage.signed ? "int" : "uint"}${storage.bits}`
    case "bigint":
      return storage.signed ? "int64" : "uint64"
    case "float":
      return `float${storage.bits}`
    case "timestamp":
      return storage.utc ? `timestamp<${storage.unit}, UTC>` : `timestamp<${storage.unit}>`
    case "date":
      return "date"
    case "list":
      return `list<${nameOf(storage.element.type)}${storage.element.nullable ? "?" : ""}>`
    case "struct":
      return `struct<${
        storage.fields.map((field) =>
          `${JSON.stringify(field.name)}: ${nameOf(field.type)}${field.nullable ? "?" : ""}`
        ).join(", ")
      }>`
  }
}

/** A cell that its field cannot hold: where in the row, what was expected. */
export interface Mismatch {
  readonly path: string
  readonly expected: string
  readonly found: Cell
}

// A lone surrogate has no UTF-8 encoding, so Parquet would give back another text.
const loneSurrogate = /\p{Surrogate}/u

/** Looks for what makes `cell` unfit for a field, or returns `undefined` when it fits. */
export const mismatch = (type: DataType, nullable: boolean, cell: Cell, path: string): Mismatch | undefined => {
  const storage = storageOf(type)
  if (storage === undefined) return { path, expected: `a type that columns can hold, not ${type}`, found: cell }
  if (cell === null || cell === undefined) {
    return nullable ? undefined : { path, expected: `${nameOf(type)}, which is never missing here`, found: cell }
  }
  const unless = (fits: boolean, expected: string): Mismatch | undefined =>
    fits ? undefined : { path, expected, found: cell }
  switch (storage.kind) {
    case "text":
      if (typeof cell !== "string") return unless(false, "a text")
      return unless(!loneSurrogate.test(cell), "a text without lone surrogates")
    case "bytes":
      return unless(cell instanceof Uint8Array, "a Uint8Array")
    case "boolean":
      return unless(typeof cell === "boolean", "true or false")
    case "float":
      return unless(typeof cell === "number", "a number")
    case "integer": {
      const minimum = storage.signed ? -(2 ** (storage.bits - 1)) : 0
      const maximum = 2 ** (storage.signed ? storage.bits - 1 : storage.bits) - 1
      return unless(
        typeof cell === "number" && Number.isInteger(cell) && cell >= minimum && cell <= maximum,
        `an integer from ${minimum} to ${maximum}`
      )
    }
    case "bigint":
    case "timestamp": {
      const signed = storage.kind === "timestamp" || storage.signed
      return unless(
        typeof cell === "bigint" && cell === (signed ? BigInt.asIntN(64, cell) : BigInt.asUintN(64, cell)),
        `a bigint of 64 bits${signed ? "" : ", not negative"}`
      )
    }
    case "date":
      return unless(typeof cell === "number" && Number.isInteger(cell) && cell === (cell | 0), "a whole number of days")
    case "list": {
      if (!Array.isArray(cell)) return unless(false, "an array")
      const { element } = storage
      for (let i = 0; i < cell.length; i++) {
        const problem = mismatch(element.type, element.nullable, cell[i], `${path}[${i}]`)
        if (problem !== undefined) return problem
      }
      return undefined
    }
    case "struct": {
      if (typeof cell !== "object" || Array.isArray(cell)) return unless(false, "an object")
      for (const field of storage.fields) {
        const inner = (cell as Record<string, unknown>)[field.name]
        const problem = mismatch(field.type, field.nullable, inner, `${path}.${field.name}`)
        if (problem !== undefined) return problem
      }
      return undefined
    }
  }
}
