/**
 * Loads texts with a score each, for regression, from tables the user keeps.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stage from "../pipeline/Stage.ts"
import * as LoadRows from "./LoadRows.ts"
import * as ScoredText from "./ScoredText.ts"

/**
 * Loads scored texts from CSV, TSV, JSON lines or Parquet: one `file`, or all of
 * `files` in turn. `text` and `score` name the columns, `group` that of what a
 * row belongs to. A score is a finite number. Bad rows are dealt with as in
 * `LoadExamples`.
 */
export const LoadScores = Stage.make("load-scores", {
  inputs: LoadRows.inputs,
  params: {
    text: Schema.String,
    score: Schema.String,
    group: LoadRows.group,
    onBadRow: LoadRows.onBadRow
  },
  output: Schema.Struct({ examples: ScoredText.Table, ...LoadRows.leftOut }),
  error: LoadRows.error,
  run: Effect.fn("LoadScores")(function*(inputs, { score, text, ...options }) {
    return yield* LoadRows.load("load-scores", ScoredText.ScoredText, {
      ...inputs,
      ...options,
      readerOf: () =>
        Effect.succeed({
          fields: { [text]: Schema.NonEmptyString, [score]: Schema.Finite },
          toRow: (cells) => ({ text: cells[text], score: cells[score] })
        })
    })
  })
})
