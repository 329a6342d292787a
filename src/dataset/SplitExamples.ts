/**
 * Splits labelled texts into training, validation and test examples.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stage from "../pipeline/Stage.ts"
import * as Artifact from "../store/Artifact.ts"
import * as LabeledText from "./LabeledText.ts"
import * as Split from "./Split.ts"
import { SealedTestSplit, TrainSplit, ValidationSplit } from "./Splits.ts"

/** Which side an example is on. */
export const Assignment = Schema.Struct({
  /** Digest of the example's content. */
  example: Schema.String,
  label: Schema.String,
  side: Schema.Literals(["train", "validation", "test", "unused"])
})

/** A side of the split lacks what training or evaluation needs. */
export class UnusableSplit extends Schema.TaggedError<UnusableSplit>()("UnusableSplit", {
  side: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `The ${this.side} side of the split ${this.detail}. Give it a larger share, or bring more examples.`
  }
}

const Fraction = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1, exclusiveMaximum: true }))
const Fractions = Schema.Struct({ validation: Fraction, test: Fraction })
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
 *
 * `assignment` lists the side of every example.
 */
export const SplitExamples = Stage.make("split-examples", {
  inputs: { examples: LabeledText.Table },
  params: {
    by: Schema.Union([
      Schema.Struct({ random: Fractions }),
      Schema.Struct({ stratified: Fractions }),
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
  error: Schema.Union([Split.SplitError, UnusableSplit]),
  run: Effect.fn("SplitExamples")(function*({ examples }, { by, seed }) {
    const rows = yield* Artifact.readTable(LabeledText.LabeledText, examples)
    const keys = rows.map(LabeledText.identity)
    const all = { keys, labels: rows.map((row) => row.label), seed }
    const split = yield* Effect.fromResult(
      "random" in by
        ? Split.random({ ...all, ...by.random })
        : "stratified" in by
        ? Split.stratified({ ...all, ...by.stratified, proportions: "exact" })
        : Split.perLabel({ ...all, ...by.perLabel })
    )
    const labels = [...new Set(all.labels)].toSorted()
    for (const side of ["train", "validation", "test"] as const) {
      if (split[side].length === 0) return yield* new UnusableSplit({ side, detail: "has no examples" })
    }
    const trained = new Set(split.train.map((index) => rows[index]!.label))
    const untrained = labels.find((label) => !trained.has(label))
    if (untrained !== undefined) {
      return yield* new UnusableSplit({ side: "train", detail: `has no example of the label "${untrained}"` })
    }
    const write = (side: Split.Side) =>
      Artifact.writeTable(side, LabeledText.LabeledText, split[side].map((index) => rows[index]!))
    return {
      train: new TrainSplit({ examples: yield* write("train"), labels }),
      validation: new ValidationSplit({ examples: yield* write("validation"), labels }),
      test: new SealedTestSplit({ examples: yield* write("test"), labels }),
      unused: yield* write("unused"),
      assignment: yield* Artifact.writeTable(
        "splits",
        Assignment,
        split.assignments.map(({ key, side }, index) => ({ example: key, label: rows[index]!.label, side }))
      )
    }
  })
})
