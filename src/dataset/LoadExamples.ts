/**
 * Loads labelled texts from tables the user keeps.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stage from "../pipeline/Stage.ts"
import * as LabeledText from "./LabeledText.ts"
import * as LoadRows from "./LoadRows.ts"

export { Rejected } from "./LoadRows.ts"

/**
 * Loads labelled texts from CSV, TSV, JSON lines or Parquet: one `file`, or all
 * of `files` in turn. The format goes by the end of the name.
 *
 * `text` and `label` name the columns; other columns are ignored. Labels may be
 * numbers. `group` names the column of what a row belongs to, for splits that
 * keep groups together. A bad row, such as one without a label, fails the
 * stage; with `onBadRow: "skip"` it is left out and counted, with `"collect"`
 * it is listed in `rejected` too.
 */
export const LoadExamples = Stage.make("load-examples", {
  inputs: LoadRows.inputs,
  params: {
    text: Schema.String,
    label: Schema.String,
    group: LoadRows.group,
    onBadRow: LoadRows.onBadRow
  },
  output: Schema.Struct({ examples: LabeledText.Table, ...LoadRows.leftOut }),
  error: LoadRows.error,
  run: Effect.fn("LoadExamples")(function*(inputs, { label, text, ...options }) {
    return yield* LoadRows.load("load-examples", LabeledText.LabeledText, {
      ...inputs,
      ...options,
      readerOf: Effect.fnUntraced(function*(file) {
        return {
          fields: { [text]: Schema.NonEmptyString, [label]: yield* LoadRows.labelOf(file, label) },
          toRow: (cells) => ({ text: String(cells[text]), label: String(cells[label]) })
        }
      })
    })
  })
})
