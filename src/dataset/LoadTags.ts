/**
 * Loads sentences with a tag for each word, from tables the user keeps.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stage from "../pipeline/Stage.ts"
import * as LoadRows from "./LoadRows.ts"
import * as TaggedWords from "./TaggedWords.ts"

/**
 * Loads tagged words from JSON lines, Parquet, CSV or TSV: one `file`, or all of
 * `files` in turn. `words` and `tags` name two columns of lists, which are JSON
 * in a cell of CSV; `group` names that of what a row belongs to.
 *
 * Tags may be numbers, as in most data sets of the hub. `tagNames` then names
 * them: tag 0 is the first name. A row whose lists are not equally long, or are
 * empty, is a bad row, and so is one with a number beyond the names. Bad rows
 * are dealt with as in `LoadExamples`.
 */
export const LoadTags = Stage.make("load-tags", {
  inputs: LoadRows.inputs,
  params: {
    words: Schema.String,
    tags: Schema.String,
    tagNames: Schema.optionalKey(Schema.NonEmptyArray(Schema.NonEmptyString)),
    group: LoadRows.group,
    onBadRow: LoadRows.onBadRow
  },
  output: Schema.Struct({ examples: TaggedWords.Table, ...LoadRows.leftOut }),
  error: LoadRows.error,
  run: Effect.fn("LoadTags")(function*(inputs, { tagNames, tags, words, ...options }) {
    return yield* LoadRows.load("load-tags", TaggedWords.TaggedWords, {
      ...inputs,
      ...options,
      readerOf: Effect.fnUntraced(function*(file) {
        return {
          fields: { [words]: Schema.Array(Schema.String), [tags]: yield* LoadRows.labelsOf(file, tags) },
          flaw: (cells) => flaw(cells, words, tags, tagNames),
          toRow: (cells) => ({
            words: cells[words],
            tags: cells[tags].map((tag: string | number) =>
              typeof tag === "number" && tagNames !== undefined ? tagNames[tag] : String(tag)
            )
          })
        }
      })
    })
  })
})

const flaw = (cells: LoadRows.Cells, words: string, tags: string, tagNames: ReadonlyArray<string> | undefined) => {
  const { length } = cells[words]
  if (length === 0) return { path: [words], expected: "at least one word" }
  if (cells[tags].length !== length) return { path: [tags], expected: `as many tags as words, ${length}` }
  if (tagNames === undefined) return undefined
  for (const [index, tag] of cells[tags].entries()) {
    const known = typeof tag === "number" ? tag >= 0 && tag < tagNames.length : tagNames.includes(tag)
    if (!known) {
      return { path: [tags, index], expected: `one of ${tagNames.join(", ")}, or its number from 0` }
    }
  }
  return undefined
}
