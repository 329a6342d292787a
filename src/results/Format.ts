/**
 * Rows for people (a text table) and for programs (CSV, JSON).
 */
import * as DisplayWidth from "./DisplayWidth.ts"
import type { Row, Value } from "./Value.ts"

export interface Rows {
  readonly columns: ReadonlyArray<{ readonly name: string; readonly type?: string }>
  readonly rows: ReadonlyArray<Row>
}

/**
 * Escapes whatever would move the cursor, break the line, change the terminal
 * or turn the direction of writing, so that a text stands on one line.
 */
export const visible = (text: string): string =>
  text.toWellFormed().replaceAll(
    /[\p{Control}\u2028\u2029\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]/gu,
    (character) => escapes[character] ?? `\\u{${character.codePointAt(0)!.toString(16)}}`
  )

const escapes: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\u001b": "\\e" }

/** A number as people read it: whole numbers in full, others to six significant digits. */
export const number = (value: number): string =>
  Number.isInteger(value) && Math.abs(value) < 1e15 ? String(value) : String(Number(value.toPrecision(6)))

/** Lists and structs inside a cell are JSON, with the conventions of {@link json}. */
const cellText = (value: Value | undefined): string => {
  if (value === null || value === undefined) return "–"
  switch (typeof value) {
    case "number":
      return number(value)
    case "string":
      return visible(value)
    case "object":
      return visible(JSON.stringify(toJson(value, number)))
    default:
      return String(value)
  }
}

const isNumeric = (value: Value | undefined): boolean => typeof value === "number" || typeof value === "bigint"

/** The narrowest a column gets before columns are left out. */
const narrowest = 8
const gap = 2

/** Narrows the widest columns first, none below {@link narrowest}; answers how many columns fit at all. */
const fit = (wanted: ReadonlyArray<number>, width: number): ReadonlyArray<number> => {
  let count = wanted.length
  const least = (columns: number) =>
    wanted.slice(0, columns).reduce((sum, column) => sum + Math.min(column, narrowest) + gap, -gap)
  while (count > 1 && least(count) > width) count--
  const widths = wanted.slice(0, count)
  const available = width - gap * (count - 1)
  let excess = widths.reduce((sum, column) => sum + column, 0) - available
  while (excess > 0) {
    const widest = Math.max(...widths)
    if (widest <= narrowest) break
    const others = widths.filter((column) => column < widest)
    const next = Math.max(narrowest, ...others)
    const indices = widths.flatMap((column, i) => column === widest ? [i] : [])
    // Down to the next widest, or just as far as is needed, shared evenly.
    const each = Math.max(1, Math.min(widest - next, Math.ceil(excess / indices.length)))
    for (const i of indices) {
      const cut = Math.min(each, excess)
      widths[i]! -= cut
      excess -= cut
    }
  }
  return widths
}

/**
 * An aligned table: numbers to the right, texts to the left, a missing value as
 * `–`. With a `width`, cells are cut with `…` to fit it; columns that do not
 * fit at all are counted in a last line.
 */
export const table = (result: Rows, options: { readonly width?: number } = {}): string => {
  const { columns, rows } = result
  if (columns.length === 0) return ""
  const texts = columns.map(({ name }) => ({
    name: visible(name),
    cells: rows.map((row) => cellText(row[name])),
    right: rows.every((row) => row[name] === null || row[name] === undefined || isNumeric(row[name]))
      && rows.some((row) => isNumeric(row[name]))
  }))
  const wanted = texts.map(({ cells, name }) =>
    cells.reduce((widest, cell) => Math.max(widest, DisplayWidth.of(cell)), DisplayWidth.of(name))
  )
  const widths = options.width === undefined ? wanted : fit(wanted, Math.max(1, options.width))
  const line = (cellOf: (column: (typeof texts)[number]) => string): string =>
    widths.map((width, i) => {
      const column = texts[i]!
      const cell = DisplayWidth.truncate(cellOf(column), width)
      const space = " ".repeat(Math.max(0, width - DisplayWidth.of(cell)))
      return column.right ? space + cell : cell + space
    }).join(" ".repeat(gap)).trimEnd()
  const lines = [
    line(({ name }) => name),
    widths.map((width) => "─".repeat(width)).join(" ".repeat(gap)),
    ...rows.map((_, i) => line(({ cells }) => cells[i]!))
  ]
  const left = columns.length - widths.length
  if (left > 0) {
    lines.push(
      `… and ${left} more ${left === 1 ? "column" : "columns"}: ${
        DisplayWidth.truncate(
          texts.slice(widths.length).map(({ name }) => name).join(", "),
          Math.max(narrowest, (options.width ?? 0) - 24)
        )
      }`
    )
  }
  return `${lines.join("\n")}\n`
}

/**
 * CSV as RFC 4180 has it: lines end in CRLF, a field with a quote, comma, line
 * break or space at its ends is quoted. A missing value is nothing between the
 * commas, an empty text is `""`; numbers are exact, NaN and the infinities are
 * `NaN`, `Infinity` and `-Infinity`; bytes are hexadecimal digits; lists and
 * structs are JSON.
 */
export const csv = ({ columns, rows }: Rows): string => {
  const lines = [columns.map(({ name }) => quoted(name))]
  for (const row of rows) lines.push(columns.map(({ name }) => field(row[name])))
  return lines.map((fields) => `${fields.join(",")}\r\n`).join("")
}

const quoted = (text: string): string =>
  text === "" || /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll("\"", "\"\"")}"` : text

const field = (value: Value | undefined): string => {
  if (value === null || value === undefined) return ""
  if (typeof value === "string") return quoted(value)
  if (Object.is(value, -0)) return "-0"
  if (typeof value !== "object") return String(value)
  return value instanceof Uint8Array ? Buffer.from(value).toString("hex") : quoted(JSON.stringify(toJson(value)))
}

/**
 * What JSON has no form for: a bigint is a number while that is exact, and a
 * text of digits beyond 2^53; NaN and the infinities are the texts `"NaN"`,
 * `"Infinity"` and `"-Infinity"`; bytes are hexadecimal digits.
 */
const toJson = (value: Value, show?: (value: number) => string): unknown => {
  switch (typeof value) {
    case "bigint":
      return Number.isSafeInteger(Number(value)) ? Number(value) : String(value)
    case "number":
      if (!Number.isFinite(value)) return String(value)
      return show === undefined ? value : Number(show(value))
    case "object":
      break
    default:
      return value
  }
  if (value === null) return null
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex")
  if (Array.isArray(value)) return value.map((item) => toJson(item, show))
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, toJson(item, show)]))
}

/**
 * A JSON array of objects, one row a line. A bigint is a number while that is
 * exact, and a text of digits beyond 2^53; NaN and the infinities are the texts
 * `"NaN"`, `"Infinity"` and `"-Infinity"`; bytes are hexadecimal digits.
 */
export const json = ({ columns, rows }: Rows): string => {
  const lines = rows.map((row) =>
    JSON.stringify(Object.fromEntries(columns.map(({ name }) => [name, toJson(row[name] ?? null)])))
  )
  return lines.length === 0 ? "[]\n" : `[\n${lines.map((line) => `  ${line}`).join(",\n")}\n]\n`
}
