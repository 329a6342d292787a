/**
 * Cells of a query's result made ready for a schema. SQL counts in int64 and
 * knows times that JavaScript has several forms of: what the schema asks for
 * decides.
 */
import * as DateTime from "effect/DateTime"
import * as SchemaAST from "effect/SchemaAST"
import type { Value } from "./Value.ts"

const declared = (ast: SchemaAST.AST): unknown =>
  (ast.annotations?.["representation"] as { readonly id?: unknown } | undefined)?.id

const timeOf = (text: string): Date => new Date(/(?:Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text}Z`)

const isNullable = (ast: SchemaAST.AST): boolean =>
  ast._tag === "Null" || (ast._tag === "Union" && ast.types.some(isNullable))

/** The value as the encoded side of a schema may want it; unchanged where it wants nothing else. */
const adapt = (ast: SchemaAST.AST, value: Value): unknown => {
  if (value === null) return null
  switch (ast._tag) {
    case "Number":
      return typeof value === "bigint" && Number.isSafeInteger(Number(value)) ? Number(value) : value
    case "BigInt":
      return typeof value === "number" && Number.isSafeInteger(value) ? BigInt(value) : value
    case "Literal":
      return typeof value === "bigint" && typeof ast.literal === "number" ? Number(value) : value
    case "Declaration": {
      if (typeof value !== "string") return value
      const id = declared(ast)
      if (id === "effect/schema/Date") return timeOf(value)
      if (id !== "effect/schema/DateTimeUtc") return value
      const time = timeOf(value)
      return Number.isNaN(time.getTime()) ? value : DateTime.makeUnsafe(time)
    }
    case "Arrays":
      return Array.isArray(value)
        ? value.map((item, i) => {
          const element = ast.elements[i] ?? ast.rest[0]
          return element === undefined ? item : adapt(element, item)
        })
        : value
    case "Objects":
      return adaptObject(ast, value)
    case "Union":
      for (const type of ast.types) {
        const adapted = adapt(type, value)
        if (adapted !== value) return adapted
      }
      return value
    case "Suspend":
      return adapt(ast.thunk(), value)
    default:
      return value
  }
}

const adaptObject = (ast: SchemaAST.Objects, value: Value): unknown => {
  if (typeof value !== "object" || value === null || Array.isArray(value) || value instanceof Uint8Array) return value
  const adapted: Record<string, unknown> = { ...value }
  for (const { name, type } of ast.propertySignatures) {
    if (typeof name !== "string" || !Object.hasOwn(adapted, name)) continue
    const cell = (value as Readonly<Record<string, Value>>)[name]!
    // A missing cell is a missing field where the schema knows no null.
    if (cell === null && SchemaAST.isOptional(type) && !isNullable(type)) delete adapted[name]
    else adapted[name] = adapt(type, cell)
  }
  return adapted
}

/** Makes rows ready for the schema of this AST. */
export const rowsFor = (ast: SchemaAST.AST): (row: Value) => unknown => {
  const encoded = SchemaAST.toEncoded(ast)
  return (row) => adapt(encoded, row)
}
