/**
 * What is wrong with one row, in words: which field, what stands there, what
 * its schema asks for.
 */
import * as SchemaIssue from "effect/SchemaIssue"

export interface RowProblem {
  /** The field, as in `messages[2].role`; empty when the row as a whole is at fault. */
  readonly field: string
  /** The offending value, printed and shortened. */
  readonly found: string
  /** What the schema asks for there. */
  readonly expected: string
}

const longest = 120

/** A value in one short line. */
export const show = (value: unknown): string => {
  if (value === undefined) return "nothing"
  let text: string
  if (typeof value === "string") text = JSON.stringify(value.length > longest ? `${value.slice(0, longest)}…` : value)
  else if (typeof value === "bigint") text = `${value}n`
  else if (typeof value === "object" && value !== null) {
    try {
      text = JSON.stringify(value, (_, inner) => typeof inner === "bigint" ? `${inner}n` : inner) ?? String(value)
    } catch {
      text = Object.prototype.toString.call(value)
    }
  } else text = String(value)
  return text.length > longest + 2 ? `${text.slice(0, longest)}…` : text
}

/** The path of a field, as a person would write it. */
export const pathText = (path: ReadonlyArray<PropertyKey>): string =>
  path.reduce<string>(
    (text, key) => typeof key === "number" ? `${text}[${key}]` : text === "" ? String(key) : `${text}.${String(key)}`,
    ""
  )

const format = SchemaIssue.makeFormatterStandardSchemaV1()

const at = (value: unknown, path: ReadonlyArray<PropertyKey>): unknown => {
  let here = value
  for (const key of path) {
    if (typeof here !== "object" || here === null) return undefined
    here = (here as Record<PropertyKey, unknown>)[key]
  }
  return here
}

/** The first thing that a schema found wrong with `row`. */
export const ofIssue = (issue: SchemaIssue.Issue, row: unknown): RowProblem => {
  const first = format(issue).issues[0]
  const path = (first?.path ?? []).map((segment) => typeof segment === "object" ? segment.key : segment)
  const message = first?.message ?? "a valid row"
  return {
    field: pathText(path),
    found: show(at(row, path)),
    expected: message === "Missing key"
      ? "a value"
      : message.startsWith("Expected ")
      ? message.slice("Expected ".length)
      : message
  }
}
