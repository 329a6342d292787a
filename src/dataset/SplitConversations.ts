/**
 * Splits conversations into training, validation and test examples.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stage from "../pipeline/Stage.ts"
import * as Artifact from "../store/Artifact.ts"
import * as Conversation from "./Conversation.ts"
import * as SplitRows from "./SplitRows.ts"
import { SealedTestConversations, TrainConversations, ValidationConversations } from "./Splits.ts"

/**
 * Splits conversations. Which side an example is on depends on its content and the
 * seed, not on its place in the file. `by` and the sides that may be wired are
 * those of `SplitExamples`, without the methods that go by a label.
 */
export const SplitConversations = Stage.make("split-conversations", {
  inputs: {
    examples: Conversation.Table,
    validation: Schema.optionalKey(Conversation.Table),
    test: Schema.optionalKey(Conversation.Table)
  },
  params: { by: Schema.Union(SplitRows.byPlace), seed: Schema.Int },
  output: Schema.Struct({
    train: TrainConversations,
    validation: ValidationConversations,
    test: SealedTestConversations,
    unused: Conversation.Table,
    assignment: Artifact.table(SplitRows.Assignment)
  }),
  error: SplitRows.error,
  run: Effect.fn("SplitConversations")(function*(tables, options) {
    const sides = yield* SplitRows.split(Conversation.Conversation, Conversation.identity, tables, options)
    const { test, train, unused, validation } = yield* SplitRows.write(Conversation.Conversation, sides)
    return {
      train: new TrainConversations({ examples: train }),
      validation: new ValidationConversations({ examples: validation }),
      test: new SealedTestConversations({ examples: test }),
      unused,
      assignment: yield* SplitRows.writeAssignment(sides)
    }
  })
})
