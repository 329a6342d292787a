/** A source file that a fingerprint needs and cannot have. */
import * as Schema from "effect/Schema"

/**
 * A file that cannot be read or is not valid JavaScript or TypeScript. It is
 * thrown, since a fingerprint is computed synchronously.
 *
 * `line` counts from 1 and is absent when the file could not be read at all.
 */
export class SourceError extends Schema.TaggedError<SourceError>()("SourceError", {
  file: Schema.String,
  line: Schema.optional(Schema.Int),
  found: Schema.String
}) {
  override get message(): string {
    const place = this.line === undefined ? this.file : `${this.file}:${this.line}`
    return this.line === undefined
      ? `Cannot read ${place}: ${this.found}. A fingerprint needs every file that a stage reaches: restore the file, or drop the import that names it.`
      : `Cannot parse ${place}: ${this.found}. A fingerprint needs every file that a stage reaches: correct the syntax.`
  }
}
