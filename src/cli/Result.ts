/**
 * What a pipeline came to, for a person to read.
 */
import type * as Schema from "effect/Schema"
import * as Artifact from "../store/Artifact.ts"
import * as Text from "./Text.ts"

const isRecord = (value: Schema.Json): value is { readonly [field: string]: Schema.Json } =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** The text that is all there is to read: by itself, or of several lines with nothing but artifacts beside it. */
const textOf = (encoded: Schema.Json): string | undefined => {
  if (typeof encoded === "string") return encoded
  if (!isRecord(encoded)) return undefined
  const [text, ...others] = Object.values(encoded).filter((value) => Artifact.references(value).length === 0)
  return others.length === 0 && typeof text === "string" && text.includes("\n") ? text : undefined
}

/** A text as it is, all else as JSON with each artifact on one line. */
export const toText = (encoded: Schema.Json): string =>
  textOf(encoded) ?? JSON.stringify(Artifact.summarize(encoded), null, 2)

/** That there are files to take along, where what is printed does not show them. */
export const hint = (encoded: Schema.Json): string | undefined => {
  const references = Artifact.references(encoded)
  if (references.length === 0 || textOf(encoded) === undefined) return undefined
  const bytes = references.reduce((sum, reference) => sum + reference.bytes, 0)
  return `With it come ${Text.count(references.length, "file")}, ${Text.bytes(bytes)}: --export <folder> copies them.`
}
