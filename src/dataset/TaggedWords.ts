import * as Schema from "effect/Schema"
import * as Artifact from "../store/Artifact.ts"
import * as Digest from "../store/Digest.ts"

/** The words of a sentence and the tag of each: one example of token classification. */
export const TaggedWords = Schema.Struct({
  words: Schema.Array(Schema.String),
  tags: Schema.Array(Schema.String)
}).check(
  Schema.makeFilter(({ tags, words }) =>
    tags.length === words.length
      ? undefined
      : { path: ["tags"], issue: `as many tags as words, ${words.length}` }
  )
)
export type TaggedWords = typeof TaggedWords.Type

/** A stored table of tagged words. */
export const Table = Artifact.table(TaggedWords)
export type Table = typeof Table.Type

/** The digest of an example's content: the same wherever it stands. */
export const identity = ({ tags, words }: TaggedWords): string => Digest.ofJson({ words, tags })
