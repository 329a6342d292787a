import * as Schema from "effect/Schema"

/**
 * Says that a choice has been made, and by what. Only a study makes one; with it
 * the sealed test split of a data set may be opened.
 */
export class Selection extends Schema.Class<Selection>("attune/Selection")({
  kind: Schema.tag("selection"),
  study: Schema.String,
  trial: Schema.Int,
  metric: Schema.String,
  value: Schema.Finite
}) {}
