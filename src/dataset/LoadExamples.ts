/**
 * Loads labelled texts from tables the user keeps.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stage from "../pipeline/Stage.ts"
import { storageOf } from "../store/ArrowType.ts"
import * as Artifact from "../store/Artifact.ts"
import * as Parquet from "../store/Parquet.ts"
import { BadRow, DataError } from "./DataError.ts"
import * as LabeledText from "./LabeledText.ts"
import * as Read from "./Read.ts"

/** A row that was left out, as the message to its author would say. */
export const Rejected = Schema.Struct({
  file: Schema.String,
  /** Row of data, from 1, and the line it begins on in files of text. */
  row: Schema.Int,
  line: Schema.NullOr(Schema.Int),
  field: Schema.String,
  found: Schema.String,
  expected: Schema.String
})

/**
 * Loads labelled texts from CSV, TSV, JSON lines or Parquet: one `file`, or all
 * of `files` in turn. The format goes by the end of the name.
 *
 * `text` and `label` name the columns; other columns are ignored. Labels may be
 * numbers. A bad row, such as one without a label, fails the stage; with
 * `onBadRow: "skip"` it is left out and counted, with `"collect"` it is listed
 * in `rejected` too.
 */
export const LoadExamples = Stage.make("load-examples", {
  inputs: {
    file: Schema.optionalKey(Artifact.ExternalFile),
    files: Schema.optionalKey(Schema.Array(Artifact.ExternalFile))
  },
  params: {
    text: Schema.String,
    label: Schema.String,
    onBadRow: Stage.withDefault(Schema.Literals(["fail", "skip", "collect"]), "fail")
  },
  output: Schema.Struct({
    examples: LabeledText.Table,
    /** How many rows were left out. */
    skipped: Schema.Int,
    rejected: Artifact.table(Rejected)
  }),
  error: Schema.Union([BadRow, DataError]),
  run: Effect.fn("LoadExamples")(function*({ file, files }, { label, onBadRow, text }) {
    const inputs = [...(file === undefined ? [] : [file]), ...(files ?? [])]
    if (inputs.length === 0) {
      const problem = "it is wired to no file; give it `file` or `files`"
      return yield* new DataError({ file: "load-examples", reason: "missing-file", problem })
    }
    const read = yield* Effect.forEach(inputs, (input) =>
      Effect.gen(function*() {
        const bytes = yield* Artifact.readFile(input)
        const Label = yield* labelSchema(input.name, bytes, label)
        const Row = Schema.Struct({ [text]: Schema.NonEmptyString, [label]: Label })
        const { badRows, rows } = yield* Read.all(Row, { name: input.name, bytes }, { onBadRow })
        return { badRows, examples: rows.map((row) => ({ text: String(row[text]), label: String(row[label]) })) }
      }))
    return {
      examples: yield* Artifact.writeTable(
        "examples",
        LabeledText.LabeledText,
        read.flatMap(({ examples }) => examples)
      ),
      skipped: read.reduce((sum, { badRows }) => sum + badRows.count, 0),
      rejected: yield* Artifact.writeTable(
        "rejected",
        Rejected,
        read.flatMap(({ badRows }) => badRows.rows).map(({ expected, field, file, found, line, row }) => ({
          file,
          row,
          line: line ?? null,
          field,
          found,
          expected
        }))
      )
    }
  })
})

/**
 * What a label may be in a file: text, or a number that stands for a class. A
 * column of Parquet is one or the other throughout; a cell of CSV is always text.
 */
const labelSchema = Effect.fnUntraced(function*(name: string, bytes: Uint8Array, column: string) {
  if (/\.(jsonl|ndjson)$/i.test(name)) return Schema.Union([Schema.NonEmptyString, Schema.Finite])
  if (!/\.parquet$/i.test(name)) return Schema.NonEmptyString
  // A damaged file is reported by its reader.
  const footer = yield* Effect.option(Parquet.footer(Parquet.ofBytes(bytes, name)))
  const field = Option.getOrUndefined(footer)?.schema.fields.find((field) => field.name === column)
  const storage = field === undefined ? undefined : storageOf(field.type)
  return storage?.kind === "integer" || storage?.kind === "bigint" ? Schema.Int : Schema.NonEmptyString
})
