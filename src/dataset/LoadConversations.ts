/**
 * Loads what a language model is fine-tuned on, from tables the user keeps.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stage from "../pipeline/Stage.ts"
import * as Conversation from "./Conversation.ts"
import * as Columns from "./ConversationColumns.ts"
import * as LoadRows from "./LoadRows.ts"

/**
 * Loads conversations from JSON lines, Parquet, CSV or TSV: one `file`, or all of
 * `files` in turn. `columns` says which columns there are and what they mean,
 * see `ConversationColumns`. `group` names the column of what a row belongs to.
 *
 * A row without text, without completion, without a message of the assistant or
 * with a role that is not known is a bad row, dealt with as in `LoadExamples`.
 */
export const LoadConversations = Stage.make("load-conversations", {
  inputs: LoadRows.inputs,
  params: {
    columns: Columns.ConversationColumns,
    group: LoadRows.group,
    onBadRow: LoadRows.onBadRow
  },
  output: Schema.Struct({ examples: Conversation.Table, ...LoadRows.leftOut }),
  error: LoadRows.error,
  run: Effect.fn("LoadConversations")(function*(inputs, { columns, ...options }) {
    return yield* LoadRows.load("load-conversations", Conversation.Conversation, {
      ...inputs,
      ...options,
      readerOf: (file) => Effect.succeed(Columns.reader(columns, LoadRows.isJsonLines(file)))
    })
  })
})
