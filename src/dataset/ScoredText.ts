import * as Schema from "effect/Schema"
import * as Artifact from "../store/Artifact.ts"
import * as Digest from "../store/Digest.ts"

/** A text and a number that is to be predicted from it: one example of regression. */
export const ScoredText = Schema.Struct({ text: Schema.String, score: Schema.Finite })
export type ScoredText = typeof ScoredText.Type

/** A stored table of scored texts. */
export const Table = Artifact.table(ScoredText)
export type Table = typeof Table.Type

/** The digest of an example's content: the same wherever it stands. */
export const identity = ({ score, text }: ScoredText): string => Digest.ofJson({ text, score })
