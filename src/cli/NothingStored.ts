import * as Schema from "effect/Schema"

/** The store has not what was asked for. */
export class NothingStored extends Schema.TaggedError<NothingStored>()("NothingStored", {
  /** What was looked for, as in "trial 7". */
  wanted: Schema.String,
  root: Schema.String,
  remedy: Schema.String
}) {
  override get message(): string {
    return `There is no ${this.wanted} in the store ${this.root}.\n${this.remedy}`
  }
}
