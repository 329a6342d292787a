import * as Schema from "effect/Schema"

/** A query that DuckDB refused or could not finish, or whose rows are not as their schema says. */
export class QueryError extends Schema.TaggedError<QueryError>()("QueryError", {
  sql: Schema.String,
  /** What is wrong, in DuckDB's own words where it has said so. */
  detail: Schema.String,
  /** The columns of each table, where the query names a table or column that does not exist. */
  tables: Schema.Record(Schema.String, Schema.Array(Schema.String))
}) {
  override get message(): string {
    const names = Object.entries(this.tables).map(([table, columns]) => `  ${table}: ${columns.join(", ")}`)
    const hint = names.length === 0 ? "" : `\nThe tables and their columns are:\n${names.join("\n")}`
    return `The query cannot be answered: ${this.detail}${hint}`
  }
}

export const fromDuckDB = (sql: string, cause: unknown): QueryError =>
  new QueryError({ sql, detail: cause instanceof Error ? cause.message : String(cause), tables: {} })
