/**
 * Rows by their schema, from what files of text can say: JSON values, or cells
 * that are nothing but text.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import * as RowProblem from "../store/RowProblem.ts"

/** The schema of a row: a `Schema.Struct` or a `Schema.Class` that needs no service to decode. */
export type RowSchema = Schema.ConstraintDecoder<object>

export type Decoded<S extends RowSchema> = Result.Result<S["Type"], RowProblem.RowProblem>

/**
 * Rows from JSON values, in the canonical JSON form of the schema: numbers as
 * numbers, dates as ISO 8601 texts, big integers as texts.
 */
export const json = <S extends RowSchema>(
  rowSchema: S,
  problemOf: typeof RowProblem.ofIssue = RowProblem.ofIssue
): (value: unknown) => Decoded<S> => {
  const decode = Schema.decodeUnknownResult(Schema.toCodecJson(rowSchema))
  return (value) => {
    const decoded = decode(value)
    return Result.isSuccess(decoded)
      ? Result.succeed(decoded.success)
      : Result.fail(problemOf(decoded.failure.issue, value))
  }
}

export interface TextColumn {
  readonly name: string
  /** Whether a file must have the column: its field is not optional. */
  readonly required: boolean
}

export interface TextDecoder<S extends RowSchema> {
  readonly columns: ReadonlyArray<TextColumn>
  /** Decodes the cells of a row. A cell is `null` when it is missing. */
  readonly decode: (cell: (name: string) => string | null) => Decoded<S>
}

/**
 * Rows from cells of text. A number is a decimal number, a boolean is `true` or
 * `false`, an array or a struct is JSON, white space around these does not
 * count; a text is taken as it stands. A missing cell is `null` or
 * `undefined` where the schema allows it, and no key where it is optional.
 */
export const text = <S extends RowSchema>(rowSchema: S): TextDecoder<S> => {
  const ast = SchemaAST.toEncoded(Schema.toCodecJson(rowSchema).ast)
  if (ast._tag !== "Objects" || ast.indexSignatures.length > 0) {
    throw new TypeError("Rows of a table are described by a Schema.Struct or a Schema.Class.")
  }
  const fields = ast.propertySignatures.map(({ name, type }) => ({
    name: String(name),
    required: !SchemaAST.isOptional(type),
    nullable: admits(type, "Null"),
    parse: parserOf(type)
  }))
  const decode = json(rowSchema, (issue, value) => {
    const problem = RowProblem.ofIssue(issue, value)
    // The column is there, or the file would have been refused: it is the cell that is empty.
    const isCell = fields.some(({ name }) => name === problem.field)
    return isCell && !Object.hasOwn(value as object, problem.field) ? { ...problem, found: "nothing" } : problem
  })
  return {
    columns: fields,
    decode: (cell) => {
      const value: Record<string, unknown> = {}
      for (const { name, nullable, parse, required } of fields) {
        const found = cell(name)
        if (found !== null) value[name] = parse(found)
        else if (required && nullable) value[name] = null
      }
      return decode(value)
    }
  }
}

const admits = (ast: SchemaAST.AST, tag: SchemaAST.AST["_tag"]): boolean =>
  ast._tag === tag || (ast._tag === "Union" && ast.types.some((type) => admits(type, tag)))

const decimal = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/

/** What a text may mean as a value of a JSON schema; `undefined` when it cannot mean one. */
type Meaning = (text: string) => unknown

const number: Meaning = (text) => {
  const trimmed = text.trim()
  return decimal.test(trimmed) ? Number(trimmed) : undefined
}

const boolean: Meaning = (text) => {
  const trimmed = text.trim()
  return trimmed === "true" ? true : trimmed === "false" ? false : undefined
}

const structured: Meaning = (text) => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const meaningsOf = (ast: SchemaAST.AST): ReadonlyArray<Meaning> => {
  switch (ast._tag) {
    case "Number":
      return [number]
    case "Boolean":
      return [boolean]
    case "Literal": {
      const { literal } = ast
      const parse = typeof literal === "number"
        ? number
        : typeof literal === "boolean"
        ? boolean
        : (text: string) => text
      return [(text) => parse(text) === literal ? literal : undefined]
    }
    case "Arrays":
    case "Objects":
      return [structured]
    case "Union":
      return ast.types.flatMap(meaningsOf)
    case "Null":
      return []
    default:
      return [(text) => text]
  }
}

const parserOf = (ast: SchemaAST.AST): (text: string) => unknown => {
  // A text means anything, so it is tried last.
  const meanings = meaningsOf(ast).toSorted((a, b) => Number(a("\0") !== undefined) - Number(b("\0") !== undefined))
  return (text) => {
    for (const meaning of meanings) {
      const value = meaning(text)
      if (value !== undefined) return value
    }
    // The schema says what it expected instead.
    return text
  }
}
