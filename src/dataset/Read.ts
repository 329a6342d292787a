/**
 * Rows of a reader's own files, each decoded by a schema: CSV, JSON lines or
 * Parquet, one file or many.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Ref from "effect/Ref"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as Columns from "../store/Columns.ts"
import * as Csv from "./Csv.ts"
import { type BadRow, type BadRows, DataError, noBadRows, type OnBadRow } from "./DataError.ts"
import * as File from "./File.ts"
import * as Jsonl from "./Jsonl.ts"
import * as ParquetReader from "./ParquetReader.ts"
import type * as RowDecoder from "./RowDecoder.ts"

export type Format = "csv" | "tsv" | "jsonl" | "parquet"

export interface Options {
  /** Default: by the end of the file's name (`.csv`, `.tsv`, `.jsonl`, `.ndjson`, `.parquet`). */
  readonly format?: Format
  /** What happens to a row that the schema does not accept. Default `"fail"`. */
  readonly onBadRow?: OnBadRow
  /** How many bad rows `collect` keeps to look at; the others are counted. Default 1000. */
  readonly keep?: number
  readonly csv?: Csv.Options
  readonly jsonl?: Jsonl.Options
}

export interface StreamOptions extends Options {
  /** Where the bad rows are counted, and kept under `collect`, while the stream runs. */
  readonly badRows?: Ref.Ref<BadRows>
}

/** A path, or a file in memory. */
export type Input = string | File.InMemory

/** What reading needs: the file system, for paths. */
export type Needs<F> = F extends ReadonlyArray<infer One> ? Needs<One>
  : F extends string ? FileSystem.FileSystem
  : never

const extensions: Readonly<Record<string, Format>> = {
  csv: "csv",
  tsv: "tsv",
  jsonl: "jsonl",
  ndjson: "jsonl",
  parquet: "parquet"
}

const ofFile = <S extends RowDecoder.RowSchema>(
  rowSchema: S,
  input: Input,
  options: Options | undefined
): Stream.Stream<Result.Result<S["Type"], BadRow>, DataError, FileSystem.FileSystem> => {
  const file: File.File<FileSystem.FileSystem> = typeof input === "string" ? File.at(input) : File.ofBytes(input)
  const extension = /\.([^./\\]+)$/.exec(file.name)?.[1]?.toLowerCase() ?? ""
  switch (options?.format ?? extensions[extension]) {
    case "csv":
      return Csv.rows(rowSchema, file, options?.csv)
    case "tsv":
      return Csv.rows(rowSchema, file, { delimiter: "\t", ...options?.csv })
    case "jsonl":
      return Jsonl.rows(rowSchema, file, options?.jsonl)
    case "parquet":
      return ParquetReader.rows(rowSchema, file)
    default: {
      const known = Object.keys(extensions).map((name) => `.${name}`).join(", ")
      const problem = `its name does not tell its format: expected one of ${known}, or the option \`format\``
      return Stream.fail(new DataError({ file: file.name, reason: "unknown-format", problem }))
    }
  }
}

/**
 * The rows of the files, one file after the other, as they are asked for.
 *
 * Bad rows are dealt with as `onBadRow` says; give `badRows` to learn of those
 * that were left out.
 */
export const rows = <S extends RowDecoder.RowSchema, const F extends Input | ReadonlyArray<Input>>(
  rowSchema: S,
  files: F,
  options?: StreamOptions
): Stream.Stream<S["Type"], BadRow | DataError, Needs<F>> => {
  const policy = options?.onBadRow ?? "fail"
  const keep = policy === "collect" ? options?.keep ?? 1000 : 0
  const leaveOut = Effect.fnUntraced(function*(bad: ReadonlyArray<BadRow>) {
    if (options?.badRows === undefined) return
    yield* Ref.update(options.badRows, ({ count, rows: kept }) => ({
      count: count + bad.length,
      rows: kept.length < keep ? [...kept, ...bad.slice(0, keep - kept.length)] : kept
    }))
  })
  const inputs: ReadonlyArray<Input> = Array.isArray(files) ? files : [files as Input]
  const read = Stream.fromIterable(inputs).pipe(
    Stream.flatMap((input) => ofFile(rowSchema, input, options)),
    Stream.mapAccumArrayEffect(
      () => undefined,
      Effect.fnUntraced(function*(_: undefined, results) {
        const good: Array<S["Type"]> = []
        const bad: Array<BadRow> = []
        for (const result of results) {
          if (Result.isSuccess(result)) good.push(result.success)
          else if (policy === "fail") return yield* result.failure
          else bad.push(result.failure)
        }
        if (bad.length > 0) yield* leaveOut(bad)
        return [undefined, good] as const
      })
    )
  )
  // Without a path among the inputs nothing asks for the file system.
  return read as Stream.Stream<S["Type"], BadRow | DataError, Needs<F>>
}

/** All rows of the files in memory, and the bad rows that were left out. */
export const all = Effect.fn("Read.all")(
  function*<S extends RowDecoder.RowSchema, const F extends Input | ReadonlyArray<Input>>(
    rowSchema: S,
    files: F,
    options?: Options
  ) {
    const badRows = yield* Ref.make(noBadRows)
    const read = yield* Stream.runCollect(rows(rowSchema, files, { ...options, badRows }))
    return { rows: read as ReadonlyArray<S["Type"]>, badRows: yield* Ref.get(badRows) }
  }
)

/** How many rows are in memory as rows while a table is put together. */
const rowsAtOnce = 8192

/**
 * All rows of the files as a table, and the bad rows that were left out.
 *
 * Fails with `RowRejected`, its row counted over all rows read, when a row that
 * its schema accepts has a value that no column holds: a `BigInt` of more than
 * 64 bits.
 */
export const columns = Effect.fn("Read.columns")(function*<
  S extends RowDecoder.RowSchema,
  const F extends Input | ReadonlyArray<Input>
>(
  rowSchema: S,
  files: F,
  options?: Options
) {
  const schema = Columns.schemaOf(rowSchema)
  const badRows = yield* Ref.make(noBadRows)
  let before = 0
  const tables = yield* rows(rowSchema, files, { ...options, badRows }).pipe(
    Stream.rechunk(rowsAtOnce),
    Stream.mapArrayEffect((chunk) =>
      Columns.fromRows(rowSchema, chunk).pipe(
        Effect.mapError((error) => new Columns.RowRejected({ ...error, row: before + error.row })),
        Effect.map((table) => {
          before += chunk.length
          return [table] as const
        })
      )
    ),
    Stream.runCollect
  )
  return { columns: Columns.concat(schema, tables), badRows: yield* Ref.get(badRows) }
})
