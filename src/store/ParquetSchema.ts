/**
 * Between Arrow schemas and Parquet schemas.
 *
 * A file of ours carries its Arrow schema under the key `ARROW:schema`, as
 * files of Arrow's own libraries do, so that a reader of Arrow gets back
 * dictionaries, time zones and the notes on each field.
 */
import { Field, Schema as ArrowSchema } from "apache-arrow/schema"
import {
  Binary,
  Bool,
  type DataType,
  DateDay,
  Dictionary,
  Float32,
  Float64,
  Int16,
  Int32,
  Int64,
  Int8,
  List,
  Struct,
  TimestampMicrosecond,
  TimestampMillisecond,
  TimestampNanosecond,
  Uint16,
  Uint32,
  Uint64,
  Uint8,
  Utf8
} from "apache-arrow/type"
import type { KeyValue, SchemaElement, SchemaTree } from "hyparquet"
import * as ArrowMessage from "./ArrowMessage.ts"
import { type Storage, storageOf } from "./ArrowType.ts"

const leafOf = (storage: Storage): Omit<SchemaElement, "name" | "repetition_type"> => {
  switch (storage.kind) {
    case "text":
      return { type: "BYTE_ARRAY", converted_type: "UTF8", logical_type: { type: "STRING" } }
    case "bytes":
      return { type: "BYTE_ARRAY" }
    case "boolean":
      return { type: "BOOLEAN" }
    case "float":
      return { type: storage.bits === 64 ? "DOUBLE" : "FLOAT" }
    case "integer":
      if (storage.bits === 32 && storage.signed) return { type: "INT32" }
      return {
        type: "INT32",
        converted_type: `${storage.signed ? "INT" : "UINT"}_${storage.bits}`,
        logical_type: { type: "INTEGER", bitWidth: storage.bits, isSigned: storage.signed }
      }
    case "bigint":
      if (storage.signed) return { type: "INT64" }
      return {
        type: "INT64",
        converted_type: "UINT_64",
        logical_type: { type: "INTEGER", bitWidth: 64, isSigned: false }
      }
    case "date":
      return { type: "INT32", converted_type: "DATE", logical_type: { type: "DATE" } }
    case "timestamp": {
      const unit = ({ ms: "MILLIS", us: "MICROS", ns: "NANOS" } as const)[storage.unit]
      const logical_type = { type: "TIMESTAMP", isAdjustedToUTC: storage.utc, unit } as const
      // The older converted types mean a time in UTC, and know no nanoseconds.
      return storage.utc && unit !== "NANOS"
        ? { type: "INT64", converted_type: `TIMESTAMP_${unit}`, logical_type }
        : { type: "INT64", logical_type }
    }
    case "list":
    case "struct":
      throw new TypeError("A nested column is not a leaf.")
  }
}

const elementsOf = (field: Field, name: string): Array<SchemaElement> => {
  const storage = storageOf(field.type)
  if (storage === undefined) {
    throw new TypeError(`Column ${field.name} has the Arrow type ${field.type}, which is not written to Parquet.`)
  }
  const repetition_type = field.nullable ? "OPTIONAL" : "REQUIRED"
  switch (storage.kind) {
    case "list":
      return [
        { name, repetition_type, num_children: 1, converted_type: "LIST", logical_type: { type: "LIST" } },
        { name: "list", repetition_type: "REPEATED", num_children: 1 },
        ...elementsOf(storage.element, "element")
      ]
    case "struct":
      return [
        { name, repetition_type, num_children: storage.fields.length },
        ...storage.fields.flatMap((child) => elementsOf(child, child.name))
      ]
    default:
      return [{ name, repetition_type, ...leafOf(storage) }]
  }
}

/** The Parquet schema of a table, root first, in depth-first order. */
export const toParquet = (schema: ArrowSchema): Array<SchemaElement> => [
  { name: "schema", num_children: schema.fields.length },
  ...schema.fields.flatMap((field) => elementsOf(field, field.name))
]

/** How the values that hyparquet gives become cells; `undefined` when they are cells as they come. */
export type Normalise = ((value: any) => unknown) | undefined

export interface ReadField {
  readonly field: Field
  readonly normalise: Normalise
}

/**
 * Changes elements so that hyparquet hands over what it would otherwise
 * convert with loss: decimals become their unscaled integers, maps their
 * entries, geometries their bytes.
 */
export const forReading = (elements: ReadonlyArray<SchemaElement>): Array<SchemaElement> =>
  elements.map((element) => {
    const { converted_type, logical_type, ...rest } = element
    switch (converted_type ?? logical_type?.type) {
      case "LIST":
        return { ...element, converted_type: "LIST" }
      case "MAP":
      case "MAP_KEY_VALUE":
      case "DECIMAL":
      case "BSON":
      case "INTERVAL":
      case "GEOMETRY":
      case "GEOGRAPHY":
        return rest
      default:
        return element
    }
  })

const decimal = (unscaled: number | bigint | Uint8Array, scale: number): number => {
  let integer = 0n
  if (unscaled instanceof Uint8Array) {
    for (const byte of unscaled) integer = integer * 256n + BigInt(byte)
    integer = BigInt.asIntN(unscaled.length * 8, integer)
  } else integer = BigInt(unscaled)
  // Through the decimal text, so that the result is the nearest number.
  return Number(`${integer}e${-scale}`)
}

const nullable = (normalise: NonNullable<Normalise>): NonNullable<Normalise> => (value) =>
  value === null || value === undefined ? null : normalise(value)

// hyparquet leaves some missing values undefined.
const eachElement = (normalise: Normalise): NonNullable<Normalise> => (value: ReadonlyArray<unknown>) =>
  value.map((element) => normalise === undefined ? (element ?? null) : normalise(element))

/** The Arrow type of a leaf as hyparquet gives it; `original` is the element before {@link forReading}. */
const leafType = (original: SchemaElement): { readonly type: DataType; readonly normalise: Normalise } => {
  const plain = (type: DataType) => ({ type, normalise: undefined })
  const { converted_type: converted, logical_type: logical, type } = original
  if (converted === "DECIMAL" || logical?.type === "DECIMAL") {
    const scale = original.scale ?? (logical?.type === "DECIMAL" ? logical.scale : 0)
    return { type: new Float64(), normalise: (value) => decimal(value, scale) }
  }
  if (logical?.type === "VARIANT") throw new UnsupportedColumn("a VARIANT")
  if (type === "BOOLEAN") return plain(new Bool())
  if (type === "FLOAT") return plain(new Float32())
  if (type === "DOUBLE") return plain(new Float64())
  if (type === "INT96") return plain(new TimestampNanosecond())
  if (type === "BYTE_ARRAY" || type === "FIXED_LEN_BYTE_ARRAY") {
    if (logical?.type === "FLOAT16") return plain(new Float32())
    const text = converted === "UTF8" || converted === "ENUM" || converted === "JSON" || logical?.type === "STRING"
      || logical?.type === "ENUM" || logical?.type === "JSON" || logical?.type === "UUID"
    return plain(text ? new Utf8() : new Binary())
  }
  if (type === "INT32") {
    switch (converted ?? logical?.type) {
      case "DATE":
        return plain(new DateDay())
      case "INT_8":
        return plain(new Int8())
      case "INT_16":
        return plain(new Int16())
      case "UINT_8":
        return plain(new Uint8())
      case "UINT_16":
        return plain(new Uint16())
      case "UINT_32":
        return plain(new Uint32())
      case "INTEGER":
        if (logical?.type !== "INTEGER") break
        return plain(
          logical.isSigned
            ? new ({ 8: Int8, 16: Int16, 32: Int32 }[logical.bitWidth] ?? Int32)()
            : new ({ 8: Uint8, 16: Uint16, 32: Uint32 }[logical.bitWidth] ?? Uint32)()
        )
    }
    return plain(new Int32())
  }
  if (logical?.type === "TIMESTAMP") {
    const Timestamp = {
      MILLIS: TimestampMillisecond,
      MICROS: TimestampMicrosecond,
      NANOS: TimestampNanosecond
    }[logical.unit]
    return plain(new Timestamp(logical.isAdjustedToUTC ? "UTC" : null))
  }
  if (converted === "TIMESTAMP_MILLIS") return plain(new TimestampMillisecond("UTC"))
  if (converted === "TIMESTAMP_MICROS") return plain(new TimestampMicrosecond("UTC"))
  const unsigned = converted === "UINT_64" || (logical?.type === "INTEGER" && !logical.isSigned)
  return plain(unsigned ? new Uint64() : new Int64())
}

/** A column of a kind that we do not read; caught and given its name by the reader. */
export class UnsupportedColumn extends Error {}

const unitsOf = ({ converted_type: converted, logical_type: logical }: SchemaElement): string | undefined => {
  if (logical?.type === "TIME") {
    return ({ MILLIS: "milliseconds", MICROS: "microseconds", NANOS: "nanoseconds" })[logical.unit]
      + " since midnight"
  }
  if (converted === "TIME_MILLIS") return "milliseconds since midnight"
  if (converted === "TIME_MICROS") return "microseconds since midnight"
  return undefined
}

const readField = (tree: SchemaTree, original: SchemaTree): ReadField => {
  const { name, repetition_type } = tree.element
  const inner = readType(tree, original)
  const units = unitsOf(original.element)
  const metadata = units === undefined ? null : new Map([["units", units]])
  if (repetition_type === "REPEATED") {
    // A repeated field outside a LIST is a list that is never missing.
    const type = new List(new Field("element", inner.type, false))
    return { field: new Field(name, type, false, metadata), normalise: eachElement(inner.normalise) }
  }
  const optional = repetition_type === "OPTIONAL"
  return {
    field: new Field(name, inner.type, optional, metadata),
    normalise: inner.normalise === undefined ? undefined : optional ? nullable(inner.normalise) : inner.normalise
  }
}

const readType = (
  tree: SchemaTree,
  original: SchemaTree
): { readonly type: DataType; readonly normalise: Normalise } => {
  const { children, element } = tree
  if (children.length === 0) {
    if (element.num_children !== undefined) throw new UnsupportedColumn("a group without fields")
    return leafType(original.element)
  }
  const repeated = children[0]!
  if (element.converted_type === "LIST" && children.length === 1 && repeated.element.repetition_type === "REPEATED") {
    // hyparquet takes the one child of the repeated group for the element.
    const wrapped = repeated.children.length === 1
    if (repeated.children.length > 1) throw new UnsupportedColumn("a list of the old two-level form")
    const child = wrapped
      ? readField(repeated.children[0]!, original.children[0]!.children[0]!)
      : { field: new Field("element", leafType(original.children[0]!.element).type, false), normalise: undefined }
    return { type: new List(child.field.clone({ name: "element" })), normalise: eachElement(child.normalise) }
  }
  const fields = children.map((child, i) => readField(child, original.children[i]!))
  const struct = new Struct(fields.map(({ field }) => field))
  const readStruct = (value: Record<string, unknown>) => {
    const cells: Record<string, unknown> = {}
    for (const { field, normalise } of fields) {
      const cell = value[field.name]
      cells[field.name] = normalise === undefined ? (cell ?? null) : normalise(cell)
    }
    return cells
  }
  const converted = original.element.converted_type ?? original.element.logical_type?.type
  if ((converted === "MAP" || converted === "MAP_KEY_VALUE") && fields.length === 1) {
    // A map is the list of its entries.
    const entries = fields[0]!
    return { type: entries.field.type, normalise: (value) => readStruct(value)[entries.field.name] }
  }
  return { type: struct, normalise: readStruct }
}

/** A field with what the embedded schema notes of it. Dictionaries are numbered in the order of the fields. */
const annotate = (field: Field, note: ArrowMessage.FieldNote, counter: { next: number }): Field => {
  const metadata = new Map([...field.metadata, ...note.metadata])
  const type = annotateType(field.type, note, counter)
  return new Field(field.name, type, field.nullable, metadata)
}

const annotateType = (type: DataType, note: ArrowMessage.FieldNote, counter: { next: number }): DataType => {
  const storage = storageOf(type)
  switch (storage?.kind) {
    case "text":
      return note.dictionary ? new Dictionary(type, new Int32(), counter.next++) : type
    case "timestamp": {
      const zone = note.timezone
      // A time in UTC may be shown in a zone; a local time has none.
      if (!storage.utc || zone === undefined || zone === "") return type
      return new timestamps[storage.unit](zone)
    }
    case "list": {
      const inner = note.children[0]
      return inner === undefined ? type : new List(annotate(storage.element, inner, counter))
    }
    case "struct":
      return new Struct(storage.fields.map((child) => {
        const inner = note.children.find(({ name }) => name === child.name)
        return inner === undefined ? child : annotate(child, inner, counter)
      }))
    default:
      return type
  }
}

const timestamps = { ms: TimestampMillisecond, us: TimestampMicrosecond, ns: TimestampNanosecond }

/**
 * The fields of a file, with what its embedded Arrow schema adds.
 *
 * `tree` is of the elements as {@link forReading} changes them, `original` of
 * those in the file.
 */
export const fromParquet = (
  tree: SchemaTree,
  original: SchemaTree,
  metadata: ReadonlyArray<KeyValue>,
  columns: ReadonlyArray<string> | undefined,
  onUnsupported: (column: string, what: string) => Error
): { readonly schema: ArrowSchema; readonly fields: ReadonlyArray<ReadField> } => {
  const embedded = metadata.find(({ key }) => key === ArrowMessage.key)?.value
  const noted = embedded === undefined ? undefined : ArrowMessage.read(embedded)
  const counter = { next: 0 }
  const fields: Array<ReadField> = []
  tree.children.forEach((child, i) => {
    const { name } = child.element
    if (columns !== undefined && !columns.includes(name)) return
    let read: ReadField
    try {
      read = readField(child, original.children[i]!)
    } catch (error) {
      if (error instanceof UnsupportedColumn) throw onUnsupported(name, error.message)
      throw error
    }
    const note = noted?.find((other) => other.name === name)
    const field = note === undefined ? read.field : annotate(read.field, note, counter)
    fields.push({ ...read, field })
  })
  const notes = new Map<string, string>()
  for (const { key, value } of metadata) if (key !== ArrowMessage.key && value !== undefined) notes.set(key, value)
  return { schema: new ArrowSchema(fields.map(({ field }) => field), notes), fields }
}
