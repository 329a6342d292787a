/**
 * Splits labelled texts into training, validation and test examples.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stage from "../pipeline/Stage.ts"
import * as Artifact from "../store/Artifact.ts"
import * as LabeledText from "./LabeledText.ts"
import * as Split from "./Split.ts"
import * as SplitRows from "./SplitRows.ts"
import { SealedTestSplit, TrainSplit, ValidationSplit } from "./Splits.ts"

export { UnusableSplit } from "./SplitRows.ts"

/** Which side an example is on. */
export const Assignment = Schema.Struct({
  /** Digest of the example's content. */
  example: Schema.String,
  label: Schema.String,
  side: Schema.Literals(["train", "validation", "test", "unused"])
})

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/**
 * Splits labelled texts. Which side an example is on depends on its content and
 * the seed, not on its place in the file.
 *
 * `by` says how, as in `{ stratified: { validation: 0.2, test: 0.2 } }`:
 * - `random`: fractions in expectation; new examples move no other.
 * - `stratified`: exact fractions of each label; a new example moves at most one
 *   other of its label across each boundary.
 * - `perLabel`: so many examples of each label on each side; the others are `unused`.
 * - `grouped`: as `random`, with all examples of a group on one side.
 * - `groups`: as in `{ groups: { validation: ["dev"], test: ["test"] } }`, those
 *   groups on those sides; the rest trains, or is `unused` where `train` lists
 *   its groups too.
 * - `"given"`: all of `examples` train.
 *
 * A side that is there already is wired as `validation` or `test`, and `by` must
 * then put no other example there. `assignment` lists the side of every example.
 */
export const SplitExamples = Stage.make("split-examples", {
  inputs: {
    examples: LabeledText.Table,
    validation: Schema.optionalKey(LabeledText.Table),
    test: Schema.optionalKey(LabeledText.Table)
  },
  params: {
    by: Schema.Union([
      ...SplitRows.byPlace,
      Schema.Struct({ stratified: SplitRows.Fractions }),
      Schema.Struct({ perLabel: Schema.Struct({ train: Count, validation: Count, test: Count }) })
    ]),
    seed: Schema.Int
  },
  output: Schema.Struct({
    train: TrainSplit,
    validation: ValidationSplit,
    test: SealedTestSplit,
    unused: LabeledText.Table,
    assignment: Artifact.table(Assignment)
  }),
  error: SplitRows.error,
  run: Effect.fn("SplitExamples")(function*(tables, { by, seed }) {
    const sides = yield* SplitRows.split(LabeledText.LabeledText, LabeledText.identity, tables, {
      by,
      seed,
      splitOf: (by, { keys, rows }) => {
        const all = { keys, labels: rows.map(({ label }) => label), seed }
        return "stratified" in by
          ? Split.stratified({ ...all, ...by.stratified, proportions: "exact" })
          : Split.perLabel({ ...all, ...by.perLabel })
      }
    })
    const labels = [...new Set(sides.assignments.map(({ row }) => row.label))].toSorted()
    const trained = new Set(sides.rows.train.map(({ label }) => label))
    const untrained = labels.find((label) => !trained.has(label))
    if (untrained !== undefined) {
      return yield* new SplitRows.UnusableSplit({ side: "train", detail: `has no example of the label "${untrained}"` })
    }
    const { test, train, unused, validation } = yield* SplitRows.write(LabeledText.LabeledText, sides)
    return {
      train: new TrainSplit({ examples: train, labels }),
      validation: new ValidationSplit({ examples: validation, labels }),
      test: new SealedTestSplit({ examples: test, labels }),
      unused,
      assignment: yield* Artifact.writeTable(
        "splits",
        Assignment,
        sides.assignments.map(({ key, row, side }) => ({ example: key, label: row.label, side }))
      )
    }
  })
})
