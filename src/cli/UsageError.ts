import * as Schema from "effect/Schema"

/** The command was given something it cannot use. */
export class UsageError extends Schema.TaggedError<UsageError>()("UsageError", {
  detail: Schema.String,
  /** What to do about it. */
  remedy: Schema.String
}) {
  override get message(): string {
    return `${this.detail}\n${this.remedy}`
  }
}
