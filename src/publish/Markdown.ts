/**
 * Markdown that shows texts as they are: whatever a label or a name contains, it makes no markup, no link, no HTML, and
 * stays where it stands.
 */

/** Characters that break a line, act on a terminal, turn the direction of writing, or cannot be seen. */
const hidden = /[\p{Control}\u2028\u2029\u200b\u200e\u200f\u2060\u061c\u202a-\u202e\u2066-\u2069\ufeff]/gu

/** The text on one line, with what cannot be seen written out. */
export const visible = (text: string): string =>
  text.toWellFormed().replaceAll(
    hidden,
    (character) =>
      character === "\n" ? "\\n" : character === "\t" ? "\\t" : `\\u{${character.codePointAt(0)!.toString(16)}}`
  )

/** A text within a line or a cell. */
export const text = (value: string): string =>
  visible(value)
    .replaceAll(/[\\`*_[\]~$#|@!{}]/g, "\\$&")
    // What would be a link, or a picture, by itself.
    .replaceAll(/:(?=\/\/|[\w+-]+:)/g, "\\:")
    .replaceAll(/www\./gi, (found) => `${found.slice(0, -1)}\\.`)
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")

/** A fence longer than any row of backticks in the text. */
const fence = (value: string, shortest: number): string => {
  const longest = Math.max(0, ...Array.from(value.matchAll(/`+/g), ([found]) => found.length))
  return "`".repeat(Math.max(shortest, longest + 1))
}

/** A text within a line or a cell, as code. In a table's cell a bar counts even within code. */
export const code = (value: string): string => {
  const shown = visible(value).replaceAll("|", "\\|")
  if (shown.trim() === "") return text(JSON.stringify(value))
  const around = fence(shown, 1)
  const space = shown.startsWith("`") || shown.endsWith("`") || around.length > 1 ? " " : ""
  return `${around}${space}${shown}${space}${around}`
}

/** Lines of code. */
export const block = (language: string, value: string): string => {
  const around = fence(value, 3)
  return `${around}${language}\n${value}\n${around}`
}

/** What is in one cell: Markdown, on one line. */
export type Row = ReadonlyArray<string>

/** A table of cells that are Markdown already. Columns whose names end in `→` are aligned to the right. */
export const table = (columns: Row, rows: ReadonlyArray<Row>): string => {
  const line = (cells: Row) => `| ${cells.join(" | ")} |`
  const name = (column: string) => column.replace(/→$/, "")
  return [
    line(columns.map(name)),
    line(columns.map((column) => column.endsWith("→") ? "---:" : "---")),
    ...rows.map(line)
  ].join("\n")
}
