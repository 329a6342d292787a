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
  if (typeof value === "string") return JSON.stringify(value.length > longest ? `${value.slice(0, longest)}…` : value)
  let text: string
  if (typeof value === "bigint") text = `${value}n`
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
const pathText = (path: ReadonlyArray<PropertyKey>): string =>
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

const manyNames = 10

/** What there is where a field is missing. */
const fieldsOf = (value: unknown): string => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return show(value)
  const names = Object.keys(value).filter((name) => (value as Record<string, unknown>)[name] !== undefined)
  if (names.length === 0) return "nothing"
  const others = names.length > manyNames ? ` and ${names.length - manyNames} more` : ""
  return `only ${names.slice(0, manyNames).map((name) => `\`${name}\``).join(", ")}${others}`
}

/**
 * The first thing that a schema found wrong with `row`. Where none of several forms fits, since each lacks a field, it is
 * that one of their fields is missing.
 */
export const ofIssue = (issue: SchemaIssue.Issue, row: unknown): RowProblem => {
  const issues = format(issue).issues.map(({ message, path = [] }) => ({
    message,
    path: path.map((segment) => typeof segment === "object" ? segment.key : segment)
  }))
  // Of several forms that do not fit, the one that has its fields is meant.
  const { message, path } = issues.find((issue) => issue.message !== "Missing key") ?? issues[0] ??
    { message: "a valid row", path: [] }
  if (message === "Missing key") {
    const parent = path.slice(0, -1)
    const value = at(row, parent)
    const forms = issues.filter((other) =>
      other.message === message && pathText(other.path.slice(0, -1)) === pathText(parent)
    )
    if (forms.length > 1) {
      const names = [...new Set(forms.map((form) => `\`${String(form.path.at(-1))}\``))]
      return { field: pathText(parent), found: fieldsOf(value), expected: names.join(" or ") }
    }
    return { field: pathText(path), found: path.length > 0 ? fieldsOf(value) : "nothing", expected: "a value" }
  }
  return {
    field: pathText(path),
    found: show(at(row, path)),
    expected: message.startsWith("Expected ") ? message.slice("Expected ".length) : message
  }
}
