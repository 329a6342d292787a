/**
 * Splits tagged words into training, validation and test examples.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stage from "../pipeline/Stage.ts"
import * as Artifact from "../store/Artifact.ts"
import * as SplitRows from "./SplitRows.ts"
import { SealedTestTags, TrainTags, ValidationTags } from "./Splits.ts"
import * as TaggedWords from "./TaggedWords.ts"

/**
 * Splits tagged words. Which side an example is on depends on its content and
 * the seed, not on its place in the file. `by` and the sides that may be wired
 * are those of `SplitExamples`, without the methods that go by a label.
 *
 * `labels` of every side are the tags of all examples, sorted. A tag that is
 * rare may be absent from a side: no split of sentences can promise otherwise.
 */
export const SplitTags = Stage.make("split-tags", {
  inputs: {
    examples: TaggedWords.Table,
    validation: Schema.optionalKey(TaggedWords.Table),
    test: Schema.optionalKey(TaggedWords.Table)
  },
  params: { by: Schema.Union(SplitRows.byPlace), seed: Schema.Int },
  output: Schema.Struct({
    train: TrainTags,
    validation: ValidationTags,
    test: SealedTestTags,
    unused: TaggedWords.Table,
    assignment: Artifact.table(SplitRows.Assignment)
  }),
  error: SplitRows.error,
  run: Effect.fn("SplitTags")(function*(tables, options) {
    const sides = yield* SplitRows.split(TaggedWords.TaggedWords, TaggedWords.identity, tables, options)
    const labels = [...new Set(sides.assignments.flatMap(({ row }) => row.tags))].toSorted()
    const { test, train, unused, validation } = yield* SplitRows.write(TaggedWords.TaggedWords, sides)
    return {
      train: new TrainTags({ examples: train, labels }),
      validation: new ValidationTags({ examples: validation, labels }),
      test: new SealedTestTags({ examples: test, labels }),
      unused,
      assignment: yield* SplitRows.writeAssignment(sides)
    }
  })
})
