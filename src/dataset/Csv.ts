/**
 * Files of comma-separated values (RFC 4180), a row at a time.
 *
 * The first row names the columns. A cell that is empty and not quoted is
 * missing, one that is quoted is an empty text, as for PostgreSQL's COPY. Rows
 * end in LF or CRLF, quoted cells may contain both; empty lines are no rows.
 */
import * as NodeStream from "@effect/platform-node/NodeStream"
import { type CsvError, type Info, Parser } from "csv-parse"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { BadRow, DataError } from "./DataError.ts"
import type * as File from "./File.ts"
import * as Lines from "./Lines.ts"
import * as RowDecoder from "./RowDecoder.ts"

export interface Options {
  /** What stands between two cells. Default `","`. */
  readonly delimiter?: string
  /** The names of the columns of a file whose first row is data already. */
  readonly header?: ReadonlyArray<string>
  /** The largest row, in bytes: a quote that never closes makes one row of the rest of the file. Default 64 MiB. */
  readonly maximumRowBytes?: number
}

type Cells = ReadonlyArray<string | null>

interface Parsed {
  readonly record: Cells
  readonly info: Info
}

/** Which line a byte is on, for the part of the file that is still being parsed. */
const makeLineIndex = () => {
  let ends: Array<{ readonly at: number; readonly blank: boolean }> = []
  let passed = 0
  let first = 0
  const seek = (offset: number): number => {
    let next = first
    while (next < ends.length && ends[next]!.at < offset) next++
    return next
  }
  return {
    /** Notes where each line of a piece of the file that begins at `offset` ends. */
    add: (piece: Uint8Array, offset: number, lines: ReadonlyArray<Uint8Array>): void => {
      let at = -1
      for (const line of lines) {
        at = piece.indexOf(0x0a, at + 1)
        ends.push({ at: offset + at, blank: line.length === 0 })
      }
    },
    /** The number of lines that end before `offset`. What is before will not be asked for again. */
    pass: (offset: number): number => {
      const next = seek(offset)
      passed += next - first
      first = next
      if (first > 4096) {
        ends = ends.slice(first)
        first = 0
      }
      return passed
    },
    /** The first line from `offset` on that has anything in it. */
    lineFrom: (offset: number): number => {
      let next = seek(offset)
      while (ends[next]?.blank === true) next++
      return passed + next - first + 1
    }
  }
}

const quoteProblems: Readonly<Record<string, string>> = {
  CSV_QUOTE_NOT_CLOSED: "in the row that begins here a quote is opened and never closed",
  CSV_INVALID_CLOSING_QUOTE:
    "in the row that begins here something follows a closing quote (a quote inside a quoted cell is written twice)",
  INVALID_OPENING_QUOTE: "in the row that begins here a quote stands inside a cell that is not quoted"
}

const listed = (names: ReadonlyArray<string>): string => names.map((name) => JSON.stringify(name)).join(", ")

/** Where each column of the schema stands in a row. */
const locate = (
  file: string,
  header: ReadonlyArray<string>,
  columns: ReadonlyArray<RowDecoder.TextColumn>
): Effect.Effect<ReadonlyMap<string, number>, DataError> => {
  const repeated = header.find((name, i) => header.indexOf(name) !== i)
  if (repeated !== undefined) {
    const problem = `the header has the column ${JSON.stringify(repeated)} twice`
    return Effect.fail(new DataError({ file, line: 1, reason: "duplicate-column", problem }))
  }
  const missing = columns.filter(({ name, required }) => required && !header.includes(name)).map(({ name }) => name)
  if (missing.length > 0) {
    const problem = `the header lacks ${listed(missing)}: expected ${listed(columns.map(({ name }) => name))}, found ${
      listed(header)
    }`
    return Effect.fail(new DataError({ file, line: 1, reason: "missing-column", problem }))
  }
  return Effect.succeed(new Map(header.map((name, i) => [name, i])))
}

/**
 * The rows of a file. A row that does not fit the schema, or that has more or
 * fewer cells than the header, is a `BadRow` in its place; what concerns the
 * whole file (no such file, no such column, a quote that never closes, bytes
 * that are no UTF-8) ends the stream.
 */
export const rows = <S extends RowDecoder.RowSchema, R>(
  rowSchema: S,
  { bytes: content, name: file }: File.File<R>,
  options?: Options
): Stream.Stream<Result.Result<S["Type"], BadRow>, DataError, R> =>
  Stream.suspend(() => {
    const decoder = RowDecoder.text(rowSchema)
    const lines = Lines.make()
    const index = makeLineIndex()
    const maximum = options?.maximumRowBytes ?? 64 * 1024 * 1024
    let size = 0
    let line = 0
    let header = options?.header
    let places: ReadonlyMap<string, number> | undefined
    let row = 0

    const checkLines = (complete: ReadonlyArray<Uint8Array>): DataError | undefined => {
      for (const bytes of complete) {
        line++
        const found = Lines.notUtf8(bytes)
        if (found === undefined) continue
        return new DataError({ file, line, reason: "encoding", problem: `the bytes are not UTF-8, at ${found}` })
      }
      return undefined
    }
    const check = (bytes: Uint8Array): Effect.Effect<Uint8Array, DataError> => {
      if (size === 0 && Lines.isUtf16(bytes)) {
        return Effect.fail(new DataError({ file, reason: "encoding", problem: "it is UTF-16, expected UTF-8" }))
      }
      const complete = lines.push(bytes)
      index.add(bytes, size, complete)
      size += bytes.length
      const problem = checkLines(complete)
      return problem === undefined ? Effect.succeed(bytes) : Effect.fail(problem)
    }
    const checkEnd = Stream.suspend(() => {
      const problem = size === 0
        ? new DataError({ file, reason: "empty", problem: "the file is empty, expected at least a header" })
        : checkLines(lines.end())
      return problem === undefined ? Stream.empty : Stream.fail(problem)
    })
    const parser = () =>
      new Parser({
        delimiter: options?.delimiter ?? ",",
        bom: true,
        info: true,
        relax_column_count: true,
        skip_empty_lines: true,
        record_delimiter: ["\r\n", "\n"],
        max_record_size: maximum,
        cast: (cell, { quoting }) => cell === "" && !quoting ? null : cell
      })
    const onError = (error: unknown): DataError => {
      const { bytes, code, message } = error as CsvError & { readonly bytes?: number }
      const at = { file, line: index.lineFrom(bytes ?? 0) }
      return code === "CSV_MAX_RECORD_SIZE"
        ? new DataError({
          ...at,
          reason: "too-long",
          problem: `the row that begins here is longer than ${maximum} bytes; is a quote not closed`
        })
        : new DataError({ ...at, reason: "quotes", problem: quoteProblems[code] ?? message })
    }
    const decode = ({ info, record }: Parsed): Result.Result<S["Type"], BadRow> => {
      row++
      const before = index.pass(info.bytes)
      const bad = (problem: { readonly field: string; readonly found: string; readonly expected: string }) => {
        const inside = record.reduce((sum, cell) => sum + (cell?.split("\n").length ?? 1) - 1, 0)
        // The last row may lack a line feed of its own.
        const last = info.bytes >= size && !endsInLineFeed ? before + 1 : before
        return Result.fail(new BadRow({ file, row, line: last - inside, ...problem }))
      }
      if (record.length !== header!.length) {
        return bad({
          field: "",
          found: `${record.length} cells`,
          expected: `${header!.length} cells, as in the header`
        })
      }
      const decoded = decoder.decode((name) => {
        const place = places!.get(name)
        return place === undefined ? null : record[place]!
      })
      return Result.isSuccess(decoded) ? Result.succeed(decoded.success) : bad(decoded.failure)
    }
    let endsInLineFeed = true

    return content.pipe(
      Stream.mapEffect((bytes) => {
        endsInLineFeed = bytes.at(-1) === 0x0a
        return check(bytes)
      }),
      Stream.concat(checkEnd),
      NodeStream.pipeThroughDuplex<Parsed, DataError>({ evaluate: parser, onError }),
      Stream.mapAccumArrayEffect(
        () => undefined,
        Effect.fnUntraced(function*(_: undefined, parsed) {
          let data: ReadonlyArray<Parsed> = parsed
          if (places === undefined) {
            if (header === undefined) {
              header = parsed[0].record.map((cell) => cell ?? "")
              index.pass(parsed[0].info.bytes)
              data = parsed.slice(1)
            }
            places = yield* locate(file, header, decoder.columns)
          }
          return [undefined, data.map(decode)] as const
        })
      )
    )
  })
