/**
 * Files of JSON values, one a line, a row at a time. Empty lines are no rows.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as RowProblem from "../store/RowProblem.ts"
import { BadRow, DataError } from "./DataError.ts"
import type * as File from "./File.ts"
import * as Lines from "./Lines.ts"
import * as RowDecoder from "./RowDecoder.ts"

export interface Options {
  /** The longest line, in bytes. Default 256 MiB. */
  readonly maximumLineBytes?: number
}

/** Where V8 says that a text stops being JSON. */
const found = (text: string, error: unknown): string => {
  const position = /position (\d+)/.exec((error as Error).message)?.[1]
  if (position === undefined) return RowProblem.show(text)
  const at = Number(position)
  return `${JSON.stringify(text.slice(at, at + 20))} at column ${at + 1}`
}

// JSON can escape half of a surrogate pair, which has no UTF-8: no table and no tokenizer can hold it.
const mayHaveHalf = /\\ud[89a-f]/i

// Without recursion: a line may be nested deeper than the stack.
const hasHalf = (root: unknown): boolean => {
  const pending: Array<unknown> = [root]
  while (pending.length > 0) {
    const value = pending.pop()
    if (typeof value === "string") {
      if (/\p{Surrogate}/u.test(value)) return true
    } else if (typeof value === "object" && value !== null) {
      for (const [key, inner] of Object.entries(value)) pending.push(key, inner)
    }
  }
  return false
}

/**
 * The rows of a file. A line that is no JSON, no UTF-8 or does not fit the
 * schema is a `BadRow` in its place; what concerns the whole file (no such
 * file, nothing in it, UTF-16, a line beyond all measure) ends the stream.
 */
export const rows = <S extends RowDecoder.RowSchema, R>(
  rowSchema: S,
  { bytes: content, name: file }: File.File<R>,
  options?: Options
): Stream.Stream<Result.Result<S["Type"], BadRow>, DataError, R> =>
  Stream.suspend(() => {
    const decode = RowDecoder.json(rowSchema)
    const lines = Lines.make()
    const maximum = options?.maximumLineBytes ?? 256 * 1024 * 1024
    let started = false
    let line = 0
    let row = 0

    const decodeLine = (bytes: Uint8Array): Result.Result<S["Type"], BadRow> | undefined => {
      line++
      const content = line === 1 ? Lines.withoutMark(bytes) : bytes
      const bad = (problem: RowProblem.RowProblem) => Result.fail(new BadRow({ file, row, line, ...problem }))
      const broken = Lines.notUtf8(content)
      if (broken !== undefined) {
        row++
        return bad({ field: "", found: broken, expected: "text in UTF-8" })
      }
      const text = Buffer.from(content.buffer, content.byteOffset, content.byteLength).toString("utf8")
      if (text.trim() === "") return undefined
      row++
      let value: unknown
      try {
        value = JSON.parse(text)
      } catch (error) {
        return bad({ field: "", found: found(text, error), expected: "one JSON value" })
      }
      if (mayHaveHalf.test(text) && hasHalf(value)) {
        return bad({ field: "", found: RowProblem.show(text), expected: "texts without lone surrogates" })
      }
      const decoded = decode(value)
      return Result.isSuccess(decoded) ? Result.succeed(decoded.success) : bad(decoded.failure)
    }
    const decodeLines = (complete: ReadonlyArray<Uint8Array>): ReadonlyArray<Result.Result<S["Type"], BadRow>> =>
      complete.flatMap((bytes) => {
        const decoded = decodeLine(bytes)
        return decoded === undefined ? [] : [decoded]
      })
    const fault = (reason: DataError["reason"], problem: string, at?: number) =>
      Effect.fail(new DataError({ file, reason, problem, ...(at === undefined ? undefined : { line: at }) }))

    return content.pipe(
      Stream.mapAccumArrayEffect(
        () => undefined,
        Effect.fnUntraced(function*(_: undefined, pieces) {
          const results: Array<Result.Result<S["Type"], BadRow>> = []
          for (const bytes of pieces) {
            if (!started && Lines.isUtf16(bytes)) return yield* fault("encoding", "it is UTF-16, expected UTF-8")
            started ||= bytes.length > 0
            for (const decoded of decodeLines(lines.push(bytes))) results.push(decoded)
            if (lines.held() > maximum) {
              return yield* fault("too-long", `the line is longer than ${maximum} bytes`, line + 1)
            }
          }
          return [undefined, results] as const
        }),
        { onHalt: () => decodeLines(lines.end()) }
      ),
      Stream.concat(Stream.suspend(() =>
        started
          ? Stream.empty
          : Stream.fail(new DataError({ file, reason: "empty", problem: "the file is empty, expected a row" }))
      ))
    )
  })
