import * as Schema from "effect/Schema"

/**
 * An option of a study, a sampler or a scheduler that cannot be used. Thrown
 * where the option is given, before anything runs.
 */
export class InvalidStudy extends Schema.TaggedError<InvalidStudy>()("InvalidStudy", {
  /** The option, such as `trials` or `budgets`. */
  option: Schema.String,
  found: Schema.String,
  expected: Schema.String
}) {
  override get message(): string {
    return `study, ${this.option}: found ${this.found}; expected ${this.expected}`
  }
}
