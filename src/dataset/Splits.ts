/**
 * The sides of a split, each a type of its own: training on validation data, or
 * tuning on test data, does not compile. There are four for each kind of
 * example, so that a task is not fine-tuned on the data of another either.
 */
import * as Schema from "effect/Schema"
import { Selection } from "../pipeline/Selection.ts"
import * as Conversation from "./Conversation.ts"
import * as LabeledText from "./LabeledText.ts"
import * as ScoredText from "./ScoredText.ts"
import * as TaggedWords from "./TaggedWords.ts"

const labelled = {
  examples: LabeledText.Table,
  /** Every label of the whole data set, sorted: the classes, in the order of their indices. */
  labels: Schema.Array(Schema.String)
}

/** The choice that had been made when a test was opened. */
const openedFor = Selection

/** Examples to train on. */
export class TrainSplit extends Schema.Class<TrainSplit>("attune/TrainSplit")({
  kind: Schema.tag("train"),
  ...labelled
}) {}

/** Examples to compare trials on. */
export class ValidationSplit extends Schema.Class<ValidationSplit>("attune/ValidationSplit")({
  kind: Schema.tag("validation"),
  ...labelled
}) {}

/**
 * Examples for the final estimate, still under seal: no stage that trains or evaluates reads them, and what the leakage
 * check says of them tells nothing of their content. {@link OpenTest} opens it.
 */
export class SealedTestSplit extends Schema.Class<SealedTestSplit>("attune/SealedTestSplit")({
  kind: Schema.tag("sealed-test"),
  ...labelled
}) {}

/** Examples for the final estimate, opened after a choice was made. */
export class TestSplit extends Schema.Class<TestSplit>("attune/TestSplit")({
  kind: Schema.tag("test"),
  ...labelled,
  openedFor
}) {}

const conversations = { examples: Conversation.Table }

/** Conversations to train on. */
export class TrainConversations extends Schema.Class<TrainConversations>("attune/TrainConversations")({
  kind: Schema.tag("train-conversations"),
  ...conversations
}) {}

/** Conversations to compare trials on. */
export class ValidationConversations extends Schema.Class<ValidationConversations>("attune/ValidationConversations")({
  kind: Schema.tag("validation-conversations"),
  ...conversations
}) {}

/** Conversations for the final estimate, under seal. {@link OpenTestConversations} opens it. */
export class SealedTestConversations extends Schema.Class<SealedTestConversations>("attune/SealedTestConversations")({
  kind: Schema.tag("sealed-test-conversations"),
  ...conversations
}) {}

/** Conversations for the final estimate, opened after a choice was made. */
export class TestConversations extends Schema.Class<TestConversations>("attune/TestConversations")({
  kind: Schema.tag("test-conversations"),
  ...conversations,
  openedFor
}) {}

const scores = { examples: ScoredText.Table }

/** Scored texts to train on. */
export class TrainScores extends Schema.Class<TrainScores>("attune/TrainScores")({
  kind: Schema.tag("train-scores"),
  ...scores
}) {}

/** Scored texts to compare trials on. */
export class ValidationScores extends Schema.Class<ValidationScores>("attune/ValidationScores")({
  kind: Schema.tag("validation-scores"),
  ...scores
}) {}

/** Scored texts for the final estimate, under seal. {@link OpenTestScores} opens it. */
export class SealedTestScores extends Schema.Class<SealedTestScores>("attune/SealedTestScores")({
  kind: Schema.tag("sealed-test-scores"),
  ...scores
}) {}

/** Scored texts for the final estimate, opened after a choice was made. */
export class TestScores extends Schema.Class<TestScores>("attune/TestScores")({
  kind: Schema.tag("test-scores"),
  ...scores,
  openedFor
}) {}

const tagged = {
  examples: TaggedWords.Table,
  /** Every tag of the whole data set, sorted: the classes of a word, in the order of their indices. */
  labels: Schema.Array(Schema.String)
}

/** Tagged words to train on. */
export class TrainTags extends Schema.Class<TrainTags>("attune/TrainTags")({
  kind: Schema.tag("train-tags"),
  ...tagged
}) {}

/** Tagged words to compare trials on. */
export class ValidationTags extends Schema.Class<ValidationTags>("attune/ValidationTags")({
  kind: Schema.tag("validation-tags"),
  ...tagged
}) {}

/** Tagged words for the final estimate, under seal. {@link OpenTestTags} opens it. */
export class SealedTestTags extends Schema.Class<SealedTestTags>("attune/SealedTestTags")({
  kind: Schema.tag("sealed-test-tags"),
  ...tagged
}) {}

/** Tagged words for the final estimate, opened after a choice was made. */
export class TestTags extends Schema.Class<TestTags>("attune/TestTags")({
  kind: Schema.tag("test-tags"),
  ...tagged,
  openedFor
}) {}
