/**
 * What can be wrong with a reader's own files: one row, or the whole file.
 */
import * as Schema from "effect/Schema"

/** A row that its schema does not accept. */
export class BadRow extends Schema.TaggedError<BadRow>()("BadRow", {
  file: Schema.String,
  /** The row of data, counted from 1; a header is no row. */
  row: Schema.Int,
  /** The line on which the row begins, counted from 1, in files of text. */
  line: Schema.optionalKey(Schema.Int),
  /** The field, as in `messages[2].role`; empty when the row as a whole is at fault. */
  field: Schema.String,
  /** What stands there. */
  found: Schema.String,
  /** What the schema asks for. */
  expected: Schema.String
}) {
  override get message(): string {
    const line = this.line === undefined ? "" : ` (line ${this.line})`
    const field = this.field === "" ? "" : `, field \`${this.field}\``
    return `${this.file}, row ${this.row}${line}${field}: expected ${this.expected}, found ${this.found}.`
  }
}

/** A file that cannot be read, whatever its rows. */
export class DataError extends Schema.TaggedError<DataError>()("DataError", {
  file: Schema.String,
  reason: Schema.Literals([
    "missing-file",
    "unreadable",
    "empty",
    "missing-column",
    "duplicate-column",
    "column-type",
    "encoding",
    "quotes",
    "too-long",
    "damaged",
    "unknown-format"
  ]),
  /** Counted from 1, in files of text where it is known. */
  line: Schema.optionalKey(Schema.Int),
  problem: Schema.String
}) {
  override get message(): string {
    return `${this.file}${this.line === undefined ? "" : `, line ${this.line}`}: ${this.problem}.`
  }
}

/**
 * What happens to a bad row: it ends the reading (`fail`), it is left out and
 * counted (`skip`), or it is left out, counted and kept to look at (`collect`).
 */
export type OnBadRow = "fail" | "skip" | "collect"

/** The bad rows so far. `rows` holds the first of them, up to the number that was to be kept. */
export interface BadRows {
  readonly count: number
  readonly rows: ReadonlyArray<BadRow>
}

export const noBadRows: BadRows = { count: 0, rows: [] }
