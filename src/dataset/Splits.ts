/**
 * The sides of a split, each a type of its own: training on validation data, or
 * tuning on test data, does not compile.
 */
import * as Schema from "effect/Schema"
import { Selection } from "../pipeline/Selection.ts"
import * as LabeledText from "./LabeledText.ts"

const side = {
  examples: LabeledText.Table,
  /** Every label of the whole data set, sorted: the classes, in the order of their indices. */
  labels: Schema.Array(Schema.String)
}

/** Examples to train on. */
export class TrainSplit extends Schema.Class<TrainSplit>("attune/TrainSplit")({
  kind: Schema.tag("train"),
  ...side
}) {}

/** Examples to compare trials on. */
export class ValidationSplit extends Schema.Class<ValidationSplit>("attune/ValidationSplit")({
  kind: Schema.tag("validation"),
  ...side
}) {}

/** Examples for the final estimate, still under seal: no stage reads them. {@link OpenTest} opens it. */
export class SealedTestSplit extends Schema.Class<SealedTestSplit>("attune/SealedTestSplit")({
  kind: Schema.tag("sealed-test"),
  ...side
}) {}

/** Examples for the final estimate, opened after a choice was made. */
export class TestSplit extends Schema.Class<TestSplit>("attune/TestSplit")({
  kind: Schema.tag("test"),
  ...side,
  /** The choice that had been made when it was opened. */
  openedFor: Selection
}) {}
