/**
 * From the Effect schema of a row to Arrow: the type of each column, and how a
 * value of a row becomes a cell and back.
 *
 * A column holds the decoded side of the schema (a `NumberFromString` is a
 * column of numbers); classes become structs.
 *
 * | schema                                        | column                      |
 * | --------------------------------------------- | --------------------------- |
 * | `String`, literals of strings, templates      | Utf8                        |
 * | `Number`, `Finite`                            | Float64                     |
 * | `Int`, literals of integers                   | Int64                       |
 * | `Int.check(Schema.isInt32())`                 | Int32                       |
 * | `BigInt`                                      | Int64                       |
 * | `Boolean`                                     | Bool                        |
 * | `DateTimeUtc`, `Date`                         | Timestamp, µs, UTC          |
 * | `Uint8Array`                                  | Binary                      |
 * | `Array`, `NonEmptyArray`                      | List                        |
 * | `Struct`, `Class`                             | Struct                      |
 * | `NullOr`, `UndefinedOr`, `optional`           | the same, nullable          |
 *
 * The annotation `columnType` asks for another one: `"int32"` or `"int64"`
 * for integers, `"float32"` for numbers, `"dictionary"` for texts of few
 * values, `"json"` for any value that JSON holds, kept as canonical JSON text.
 */
import { Field, Schema as ArrowSchema } from "apache-arrow/schema"
import {
  Binary,
  Bool,
  type DataType,
  Dictionary,
  Float32,
  Float64,
  Int32,
  Int64,
  List,
  Struct,
  TimestampMicrosecond,
  Utf8
} from "apache-arrow/type"
import * as DateTime from "effect/DateTime"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import { nameOf } from "./ArrowType.ts"
import * as Digest from "./Digest.ts"

declare module "effect/Schema" {
  namespace Annotations {
    interface Augment {
      /** The Arrow type of the column, where the schema leaves a choice. */
      readonly columnType?: "int32" | "int64" | "float32" | "float64" | "dictionary" | "json" | undefined
      /** The unit of a quantity, such as `"seconds"`: kept with the column. */
      readonly units?: string | undefined
    }
  }
}

/** A schema that columns cannot hold. */
export class UnsupportedField extends Schema.TaggedError<UnsupportedField>()("UnsupportedField", {
  field: Schema.String,
  found: Schema.String,
  hint: Schema.String
}) {
  override get message(): string {
    const place = this.field === "" ? "The row schema" : `Field \`${this.field}\` of the row schema`
    return `${place} cannot be a column: it is ${this.found}. ${this.hint}`
  }
}

/** How one value becomes a cell; `undefined` when value and cell are the same thing. */
interface Conversion {
  readonly toCell: (value: any) => unknown
  readonly fromCell: (cell: any) => unknown
}

interface Shape {
  readonly type: DataType
  readonly nullable: boolean
  readonly conversion: Conversion | undefined
}

export interface RowSchema {
  readonly schema: ArrowSchema
  /** Turns the encoded row (classes as plain objects) into one cell a field. */
  readonly toCells: (row: Record<string, unknown>) => Record<string, unknown>
  readonly fromCells: (cells: Record<string, unknown>) => Record<string, unknown>
}

const annotationOf = (ast: SchemaAST.AST, key: string): unknown => {
  // An annotation goes to the last check where there are checks, so that a
  // later check hides it from `SchemaAST.resolve`.
  for (const check of (ast.checks ?? []).toReversed()) {
    const value = check.annotations?.[key]
    if (value !== undefined) return value
  }
  return ast.annotations?.[key] ?? ast.context?.annotations?.[key]
}

interface Check {
  readonly id: unknown
  readonly payload: unknown
}

const checksOf = (checks: ReadonlyArray<SchemaAST.Check<any>> | undefined): ReadonlyArray<Check> =>
  (checks ?? []).flatMap((check) => {
    const representation = check.annotations?.["representation"] as Check | undefined
    const inner = check._tag === "FilterGroup" ? checksOf(check.checks) : []
    return representation === undefined ? inner : [representation, ...inner]
  })

const isInteger = (ast: SchemaAST.AST): boolean =>
  checksOf(ast.checks).some((check) => check.id === "effect/schema/isInt")

const isInt32 = (ast: SchemaAST.AST): boolean =>
  checksOf(ast.checks).some((check) => {
    const range = check.payload as { readonly minimum?: unknown; readonly maximum?: unknown } | null
    return check.id === "effect/schema/isBetween" && range?.minimum === -(2 ** 31) && range.maximum === 2 ** 31 - 1
  })

const floorDivide = (dividend: bigint, divisor: bigint): bigint =>
  dividend / divisor - (dividend % divisor < 0n ? 1n : 0n)

/** Milliseconds since 1970 to µs. What is no time at all stays as it is, and is refused later. */
const microseconds = (milliseconds: number): bigint | number =>
  Number.isInteger(milliseconds) ? BigInt(milliseconds) * 1000n : milliseconds

const milliseconds = (cell: bigint): number => Number(floorDivide(cell, 1000n))

const dateTimeConversion: Conversion = {
  toCell: (value: DateTime.Utc) => microseconds(DateTime.toEpochMillis(value)),
  fromCell: (cell: bigint) => DateTime.makeUnsafe(milliseconds(cell))
}

const dateConversion: Conversion = {
  toCell: (value: Date) => microseconds(value.getTime()),
  fromCell: (cell: bigint) => new Date(milliseconds(cell))
}

const integerConversion: Conversion = {
  // What is no integer stays as it is, and is refused later.
  toCell: (value: number) => Number.isSafeInteger(value) ? BigInt(value) : value,
  fromCell: (cell: bigint) => Number(cell)
}

const jsonConversion: Conversion = { toCell: Digest.canonicalJson, fromCell: (cell: string) => JSON.parse(cell) }

const ofNumber = (ast: SchemaAST.AST, integer: boolean): Shape => {
  const asked = annotationOf(ast, "columnType")
  if (asked === "int32" || (integer && asked === undefined && isInt32(ast))) {
    return { type: new Int32(), nullable: false, conversion: undefined }
  }
  if (asked === "int64" || (integer && asked === undefined)) {
    return { type: new Int64(), nullable: false, conversion: integerConversion }
  }
  return { type: asked === "float32" ? new Float32() : new Float64(), nullable: false, conversion: undefined }
}

const ofText = (ast: SchemaAST.AST): Shape => ({
  // The identifier of the dictionary is given when the schema is put together:
  // Arrow would draw one from a counter, and two equal files would differ.
  type: annotationOf(ast, "columnType") === "dictionary" ? new Dictionary(new Utf8(), new Int32(), 0) : new Utf8(),
  nullable: false,
  conversion: undefined
})

const unsupported = (path: string, found: string, hint: string): never => {
  throw new UnsupportedField({ field: path, found, hint })
}

const jsonHint = "Annotate it with `columnType: \"json\"` to keep it as JSON text, or encode it to another type."

const shapeOf = (ast: SchemaAST.AST, path: string): Shape => {
  if (annotationOf(ast, "columnType") === "json") {
    return { type: new Utf8(), nullable: false, conversion: jsonConversion }
  }
  switch (ast._tag) {
    case "String":
    case "TemplateLiteral":
      return ofText(ast)
    case "Number":
      return ofNumber(ast, isInteger(ast))
    case "BigInt":
      return { type: new Int64(), nullable: false, conversion: undefined }
    case "Boolean":
      return { type: new Bool(), nullable: false, conversion: undefined }
    case "Literal":
      switch (typeof ast.literal) {
        case "string":
          return ofText(ast)
        case "number":
          return ofNumber(ast, Number.isSafeInteger(ast.literal))
        case "boolean":
          return { type: new Bool(), nullable: false, conversion: undefined }
        default:
          return { type: new Int64(), nullable: false, conversion: undefined }
      }
    case "Enum":
      return ast.enums.every(([, value]) => typeof value === "string")
        ? ofText(ast)
        : ast.enums.every(([, value]) => typeof value === "number")
        ? ofNumber(ast, ast.enums.every(([, value]) => Number.isSafeInteger(value)))
        : unsupported(path, "an enum of texts and numbers", "Use one or the other.")
    case "Declaration":
      return ofDeclaration(ast, path)
    case "Arrays":
      return ofArray(ast, path)
    case "Objects":
      return ofObject(ast, path)
    case "Union":
      return ofUnion(ast, path)
    case "Suspend":
      return unsupported(path, "a recursive schema", jsonHint)
    default:
      return unsupported(path, `of the type ${ast._tag}`, jsonHint)
  }
}

const ofDeclaration = (ast: SchemaAST.Declaration, path: string): Shape => {
  const representation = ast.annotations?.["representation"] as { readonly id?: unknown } | undefined
  switch (representation?.id) {
    case "effect/schema/DateTimeUtc":
      return { type: new TimestampMicrosecond("UTC"), nullable: false, conversion: dateTimeConversion }
    case "effect/schema/Date":
      return { type: new TimestampMicrosecond("UTC"), nullable: false, conversion: dateConversion }
    case "effect/schema/Uint8Array":
      return { type: new Binary(), nullable: false, conversion: undefined }
    default: {
      const name = annotationOf(ast, "identifier") ?? annotationOf(ast, "expected") ?? representation?.id
      return unsupported(path, `a ${name ?? "declared type"}`, "Transform it to a type that columns have.")
    }
  }
}

const ofArray = (ast: SchemaAST.Arrays, path: string): Shape => {
  const elements = [...ast.elements, ...ast.rest].map((element) => shapeOf(element, `${path}[]`))
  const first = elements[0]
  if (ast.rest.length !== 1 || first === undefined) {
    return unsupported(path, "a tuple", "Use a struct with named fields, or an array.")
  }
  if (elements.some((element) => nameOf(element.type) !== nameOf(first.type) || element.nullable !== first.nullable)) {
    return unsupported(path, "an array of several types", jsonHint)
  }
  const { conversion } = first
  const type = new List(new Field("element", first.type, first.nullable))
  if (conversion === undefined) return { type, nullable: false, conversion: undefined }
  return {
    type,
    nullable: false,
    conversion: {
      toCell: (value: ReadonlyArray<unknown>) => value.map(conversion.toCell),
      fromCell: (cell: ReadonlyArray<unknown>) => cell.map(conversion.fromCell)
    }
  }
}

const fieldsOf = (ast: SchemaAST.Objects, path: string) => {
  if (ast.indexSignatures.length > 0) return unsupported(path, "a record with any keys", jsonHint)
  return ast.propertySignatures.map((property) => {
    const name = typeof property.name === "string"
      ? property.name
      : unsupported(path, `a struct with the key ${String(property.name)}`, "Columns are named by texts.")
    const place = path === "" ? name : `${path}.${name}`
    const shape = shapeOf(property.type, place)
    const optional = SchemaAST.isOptional(property.type)
    if (optional && shape.nullable && admits(property.type, "Null")) {
      return unsupported(place, "both optional and nullable", "A column cannot tell null from missing: choose one.")
    }
    const metadata = new Map<string, string>()
    for (const key of ["description", "units"]) {
      const text = annotationOf(property.type, key)
      if (typeof text === "string") metadata.set(key, text)
    }
    const field = new Field(name, shape.type, shape.nullable || optional, metadata)
    return { name, field, optional, conversion: shape.conversion }
  })
}

const admits = (ast: SchemaAST.AST, tag: "Null" | "Undefined"): boolean =>
  ast._tag === tag || (ast._tag === "Union" && ast.types.some((type) => admits(type, tag)))

const convertStruct = (fields: ReturnType<typeof fieldsOf>): Conversion => ({
  toCell: (value: Record<string, unknown>) => {
    const cells: Record<string, unknown> = {}
    for (const { conversion, name } of fields) {
      const inner = value[name]
      cells[name] = inner === undefined ? null : conversion === undefined ? inner : conversion.toCell(inner)
    }
    return cells
  },
  fromCell: (cell: Record<string, unknown>) => {
    const value: Record<string, unknown> = {}
    for (const { conversion, name, optional } of fields) {
      const inner = cell[name]
      if (optional && (inner === null || inner === undefined)) continue
      value[name] = conversion === undefined ? inner : conversion.fromCell(inner)
    }
    return value
  }
})

const ofObject = (ast: SchemaAST.Objects, path: string): Shape => {
  const fields = fieldsOf(ast, path)
  if (fields.length === 0) return unsupported(path, "a struct without fields", "Parquet has no such column.")
  return {
    type: new Struct(fields.map(({ field }) => field)),
    nullable: false,
    conversion: convertStruct(fields)
  }
}

const membersOf = (ast: SchemaAST.Union): ReadonlyArray<SchemaAST.AST> =>
  ast.types.flatMap((type) => type._tag === "Union" ? membersOf(type) : [type])

const ofMembers = (union: SchemaAST.Union, members: ReadonlyArray<SchemaAST.AST>, path: string): Shape => {
  const shapes = members.map((member) => shapeOf(member, path))
  const first = shapes[0]
  if (first === undefined) return unsupported(path, "never anything but missing", "Leave the field out.")
  if (shapes.length === 1) return first
  const names = new Set(shapes.map((shape) => nameOf(shape.type)))
  if (members.every((member) => member._tag === "Literal")) {
    if (names.size === 1 && names.has("utf8")) return ofText(union)
    if ([...names].every((name) => name === "int64" || name === "float64")) {
      return ofNumber(union, !names.has("float64"))
    }
  }
  if (names.size > 1) return unsupported(path, `a union of ${[...names].join(" and ")}`, jsonHint)
  // Structs, or times of two classes: the cell does not say which member it was.
  if (shapes.some((shape) => shape.conversion !== first.conversion)) {
    return unsupported(path, "a union of types that are stored alike", jsonHint)
  }
  return first
}

const ofUnion = (ast: SchemaAST.Union, path: string): Shape => {
  const members = membersOf(ast)
  const nullable = members.some((member) => member._tag === "Null")
  const undefinable = members.some((member) => member._tag === "Undefined")
  if (nullable && undefinable) {
    return unsupported(path, "either null or undefined", "A column cannot tell the two apart: choose one.")
  }
  const present = members.filter((member) => member._tag !== "Null" && member._tag !== "Undefined")
  const shape = ofMembers(ast, present, path)
  if (!nullable && !undefinable) return shape
  const absent = nullable ? null : undefined
  const { conversion } = shape
  return {
    type: shape.type,
    nullable: true,
    conversion: {
      toCell: (value) =>
        value === null || value === undefined ? null : conversion === undefined ? value : conversion.toCell(value),
      fromCell: (cell) =>
        cell === null || cell === undefined ? absent : conversion === undefined ? cell : conversion.fromCell(cell)
    }
  }
}

/** Gives every dictionary its own number, counted in the order of the fields. */
const numberDictionaries = (fields: ReadonlyArray<Field>, counter: { next: number }): Array<Field> =>
  fields.map((field) => {
    const type = field.type as DataType
    if (type instanceof Dictionary) {
      return field.clone({ type: new Dictionary(type.dictionary, type.indices, counter.next++, type.isOrdered) })
    }
    if (type instanceof List) {
      return field.clone({ type: new List(numberDictionaries(type.children, counter)[0]!) })
    }
    if (type instanceof Struct) return field.clone({ type: new Struct(numberDictionaries(type.children, counter)) })
    return field
  })

/**
 * Compiles the encoded side of a row's iso codec (see `Schema.toCodecIso`).
 *
 * Throws {@link UnsupportedField}: a schema that no column can hold is a
 * mistake in the program, not in the data.
 */
export const compile = (ast: SchemaAST.AST): RowSchema => {
  if (ast._tag !== "Objects") {
    return unsupported("", `of the type ${ast._tag}`, "Rows are described by a Schema.Struct or a Schema.Class.")
  }
  const fields = fieldsOf(ast, "")
  const { fromCell, toCell } = convertStruct(fields)
  return {
    schema: new ArrowSchema(numberDictionaries(fields.map(({ field }) => field), { next: 0 })),
    toCells: toCell as RowSchema["toCells"],
    fromCells: fromCell as RowSchema["fromCells"]
  }
}
