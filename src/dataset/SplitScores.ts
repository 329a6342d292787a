/**
 * Splits scored texts into training, validation and test examples.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stage from "../pipeline/Stage.ts"
import * as Artifact from "../store/Artifact.ts"
import * as ScoredText from "./ScoredText.ts"
import * as SplitRows from "./SplitRows.ts"
import { SealedTestScores, TrainScores, ValidationScores } from "./Splits.ts"

/**
 * Splits scored texts. Which side an example is on depends on its content and the
 * seed, not on its place in the file. `by` and the sides that may be wired are
 * those of `SplitExamples`, without the methods that go by a label.
 */
export const SplitScores = Stage.make("split-scores", {
  inputs: {
    examples: ScoredText.Table,
    validation: Schema.optionalKey(ScoredText.Table),
    test: Schema.optionalKey(ScoredText.Table)
  },
  params: { by: Schema.Union(SplitRows.byPlace), seed: Schema.Int },
  output: Schema.Struct({
    train: TrainScores,
    validation: ValidationScores,
    test: SealedTestScores,
    unused: ScoredText.Table,
    assignment: Artifact.table(SplitRows.Assignment)
  }),
  error: SplitRows.error,
  run: Effect.fn("SplitScores")(function*(tables, options) {
    const sides = yield* SplitRows.split(ScoredText.ScoredText, ScoredText.identity, tables, options)
    const { test, train, unused, validation } = yield* SplitRows.write(ScoredText.ScoredText, sides)
    return {
      train: new TrainScores({ examples: train }),
      validation: new ValidationScores({ examples: validation }),
      test: new SealedTestScores({ examples: test }),
      unused,
      assignment: yield* SplitRows.writeAssignment(sides)
    }
  })
})
