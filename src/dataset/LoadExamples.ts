/**
 * Loads labelled texts from a table the user keeps.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stage from "../pipeline/Stage.ts"
import * as Artifact from "../store/Artifact.ts"
import * as Parquet from "../store/Parquet.ts"
import * as LabeledText from "./LabeledText.ts"

export const LoadExamples = Stage.make("load-examples", {
  inputs: { file: Artifact.ExternalFile },
  params: {
    /** The column that holds the text, and the one that holds the label. */
    text: Schema.String,
    label: Schema.String
  },
  output: Schema.Struct({ examples: LabeledText.Table }),
  run: Effect.fn("LoadExamples")(function*({ file }, { label, text }) {
    const { columns, length } = yield* Effect.orDie(Parquet.decode(yield* Artifact.readFile(file)))
    const rows = Array.from({ length }, (_, row) => ({
      text: columns[text]![row] as string,
      label: columns[label]![row] as string
    }))
    return { examples: yield* Artifact.writeTable("examples", LabeledText.LabeledText, rows) }
  })
})
