import * as Schema from "effect/Schema"
import * as Artifact from "../store/Artifact.ts"
import * as Digest from "../store/Digest.ts"

/** A text and the class it belongs to: one example of text classification. */
export const LabeledText = Schema.Struct({ text: Schema.String, label: Schema.String })
export type LabeledText = typeof LabeledText.Type

/** A stored table of labelled texts. */
export const Table = Artifact.table(LabeledText)
export type Table = typeof Table.Type

/** The digest of an example's content: the same wherever it stands. */
export const identity = ({ label, text }: LabeledText): string => Digest.ofJson({ text, label })
