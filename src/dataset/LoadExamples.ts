/**
 * Loads labelled texts from tables the user keeps.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stage from "../pipeline/Stage.ts"
import * as Artifact from "../store/Artifact.ts"
import { BadRow, DataError } from "./DataError.ts"
import * as LabeledText from "./LabeledText.ts"
import * as Read from "./Read.ts"

/** A row that was left out, as the message to its author would say. */
export const Rejected = Schema.Struct({
  file: Schema.String,
  row: Schema.Int,
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
    onBadRow: Schema.Literals(["fail", "skip", "collect"]).pipe(
      Schema.withConstructorDefault(Effect.succeed("fail" as const))
    )
  },
  output: Schema.Struct({
    examples: LabeledText.Table,
    /** How many rows were left out. */
    skipped: Schema.Int,
    rejected: Artifact.table(Rejected)
  }),
  error: Schema.Union([BadRow, DataError]),
  run: Effect.fn("LoadExamples")(function*({ file, files }, { label, onBadRow, text }) {
    const inputs = yield* Effect.forEach(
      [...(file === undefined ? [] : [file]), ...(files ?? [])],
      (input) => Effect.map(Artifact.readFile(input), (bytes) => ({ name: input.name, bytes }))
    )
    const Row = Schema.Struct({
      [text]: Schema.NonEmptyString,
      [label]: Schema.Union([Schema.NonEmptyString, Schema.Finite])
    })
    const { badRows, rows } = yield* Read.all(Row, inputs, { onBadRow })
    return {
      examples: yield* Artifact.writeTable(
        "examples",
        LabeledText.LabeledText,
        rows.map((row) => ({ text: String(row[text]), label: String(row[label]) }))
      ),
      skipped: badRows.count,
      rejected: yield* Artifact.writeTable(
        "rejected",
        Rejected,
        badRows.rows.map(({ expected, field, file, found, row }) => ({ file, row, field, found, expected }))
      )
    }
  })
})
