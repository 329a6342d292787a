/**
 * DuckDB in memory, with a view for each kind of result table and nothing else
 * within its reach.
 *
 * It may read the files of the tables and no other: no other file, no network,
 * no extension beyond those built in, and its settings are locked. Statements
 * other than queries are refused before they run, since a file that may be read
 * could otherwise be written over.
 */
import type { DuckDBConnection, DuckDBPreparedStatement } from "@duckdb/node-api"
import type { DataType } from "apache-arrow/type"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as os from "node:os"
import { storageOf } from "../store/ArrowType.ts"
import { Store } from "../store/Store.ts"
import { fromDuckDB, QueryError } from "./QueryError.ts"
import * as ResultTable from "./ResultTable.ts"
import * as Tables from "./Tables.ts"

export type Statement = DuckDBPreparedStatement

export interface Engine {
  readonly connection: DuckDBConnection
  /** The names of the columns of every view, by its name. */
  readonly catalog: Effect.Effect<Readonly<Record<string, ReadonlyArray<string>>>>
}

/** Loading it takes some 0.1 s, so it waits until somebody asks. */
export const library = Effect.tryPromise({
  try: () => import("@duckdb/node-api"),
  catch: (cause) =>
    new QueryError({
      sql: "",
      detail:
        `DuckDB cannot be loaded (${cause instanceof Error ? cause.message : String(cause)}). It comes as the npm `
        + "package @duckdb/node-api, for Linux, macOS and Windows on x64 and arm64; install again on this machine.",
      tables: {}
    })
})

/**
 * Waits for DuckDB. When the fiber is interrupted the query is stopped, and has
 * stopped before anything is closed.
 */
export const wait = <A>(
  connection: DuckDBConnection,
  sql: string,
  start: () => Promise<A>
): Effect.Effect<A, QueryError> =>
  Effect.callback<A, QueryError>((resume) => {
    const promise = start()
    promise.then(
      (value) => resume(Effect.succeed(value)),
      (cause) => resume(Effect.fail(fromDuckDB(sql, cause)))
    )
    return Effect.promise(() => {
      connection.interrupt()
      return promise.then(() => {}, () => {})
    })
  })

const text = (value: string): string => `'${value.replaceAll("'", "''")}'`
const name = (value: string): string => `"${value.replaceAll("\"", "\"\"")}"`

/** The type that DuckDB reads a column of an Arrow type as. */
const typeOf = (type: DataType): string => {
  const storage = storageOf(type)
  switch (storage?.kind) {
    case "text":
    case undefined:
      return "VARCHAR"
    case "bytes":
      return "BLOB"
    case "boolean":
      return "BOOLEAN"
    case "date":
      return "DATE"
    case "float":
      return storage.bits === 64 ? "DOUBLE" : "FLOAT"
    case "bigint":
      return storage.signed ? "BIGINT" : "UBIGINT"
    case "integer":
      return `${storage.signed ? "" : "U"}${{ 8: "TINYINT", 16: "SMALLINT", 32: "INTEGER" }[storage.bits]}`
    case "timestamp":
      return storage.utc ? "TIMESTAMP WITH TIME ZONE" : "TIMESTAMP"
    case "list":
      return `${typeOf(storage.element.type)}[]`
    case "struct":
      return `STRUCT(${storage.fields.map((field) => `${name(field.name)} ${typeOf(field.type)}`).join(", ")})`
  }
}

const viewOf = (table: ResultTable.ResultTable, files: ReadonlyArray<string>): string => {
  const columns = table.schema.fields
  const query = files.length > 0
    ? `SELECT * FROM read_parquet([${files.map(text).join(", ")}], union_by_name = true, hive_partitioning = false)`
    : `SELECT ${columns.map((field) => `NULL::${typeOf(field.type)} AS ${name(field.name)}`).join(", ")} WHERE false`
  return `CREATE VIEW ${name(table.name)} AS ${query}`
}

/** What nothing but the tables is in reach of needs no configuration file, secret or extension of the user's. */
const atStart = {
  allow_persistent_secrets: "false",
  allow_community_extensions: "false",
  autoinstall_known_extensions: "false",
  autoload_known_extensions: "false"
}

const memoryLimit = (): string => `${Math.max(256, Math.floor(os.totalmem() / 2 ** 21))}MiB`

const settings = (files: ReadonlyArray<string>): ReadonlyArray<string> => [
  "SET TimeZone = 'UTC'",
  // No file to spill to: a query that needs more memory fails and says so.
  "SET temp_directory = ''",
  `SET memory_limit = ${text(memoryLimit())}`,
  `SET allowed_paths = [${files.map(text).join(", ")}]`,
  "SET enable_external_access = false",
  "SET lock_configuration = true"
]

/** An engine over the tables that are in the store now, closed with the scope. */
export const make: Effect.Effect<Engine, QueryError, Store | Scope.Scope> = Effect.gen(function*() {
  const store = yield* Store
  const { DuckDBInstance } = yield* library
  const names = yield* store.tables.pipe(
    Effect.mapError((error) => new QueryError({ sql: "", detail: error.message, tables: {} }))
  )
  const filesOf = (table: ResultTable.ResultTable) => {
    const file = `${table.name}.parquet`
    const wanted = Tables.ofStudies.includes(table.name)
      ? names.filter((other) => /^study=[^/]*\/[^/]+$/.test(other) && other.endsWith(`/${file}`))
      : names.filter((other) => other === file)
    return wanted.map((other) => ResultTable.pathOf(store, other))
  }
  const views = Tables.all.map((table) => ({ table, files: filesOf(table) }))
  const files = views.flatMap((view) => view.files)
  if (files.length > 0 && !fs.existsSync(files[0]!)) {
    return yield* new QueryError({
      sql: "",
      detail: `the store keeps its tables in memory, and only files can be queried (looked for ${files[0]})`,
      tables: {}
    })
  }
  const instance = yield* Effect.acquireRelease(
    Effect.tryPromise({
      try: () => DuckDBInstance.create(":memory:", atStart),
      catch: (cause) => fromDuckDB("", cause)
    }),
    (instance) => Effect.sync(() => instance.closeSync())
  )
  const connection = yield* Effect.acquireRelease(
    Effect.tryPromise({ try: () => instance.connect(), catch: (cause) => fromDuckDB("", cause) }),
    (connection) => Effect.sync(() => connection.closeSync())
  )
  for (const { files, table } of views) {
    const sql = viewOf(table, files)
    yield* wait(connection, sql, () => connection.run(sql)).pipe(
      Effect.mapError(({ detail }) =>
        new QueryError({
          sql: "",
          detail: `the tables "${table.name}" cannot be read: ${detail}\nRemove the file and run the pipeline again: `
            + "the tables are made anew from what is stored",
          tables: {}
        })
      )
    )
  }
  for (const sql of settings(files)) yield* wait(connection, sql, () => connection.run(sql))
  const catalog = Effect.promise(async () => {
    const found: Record<string, Array<string>> = {}
    const result = await connection.runAndReadAll(
      "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal ORDER BY table_oid, column_index"
    )
    for (const [view, column] of result.getRows()) (found[String(view)] ??= []).push(String(column))
    return found
  })
  return { connection, catalog }
})

/** The one query in a text, ready to run. */
export const prepare = Effect.fnUntraced(function*(
  { connection }: Engine,
  sql: string
): Effect.fn.Return<Statement, QueryError> {
  const { StatementType } = yield* library
  const refused = (detail: string) => new QueryError({ sql, detail, tables: {} })
  const statements = yield* wait(connection, sql, () => connection.extractStatements(sql)).pipe(
    // A text without any statement makes the binding fail without saying so.
    Effect.mapError((error) =>
      error.detail === "Error in native callback" ? refused("there is no statement in it") : error
    )
  )
  // A PIVOT without a list of values comes as the making of a type and the query.
  const isPivot = /\bpivot/i.test(sql)
  for (let i = 0; i < statements.count; i++) {
    const statement = yield* wait(connection, sql, () => statements.prepare(i))
    const { statementType } = statement
    const isLast = i === statements.count - 1
    if (isLast && statementType === StatementType.SELECT) return statement
    if (isPivot && !isLast && statementType === StatementType.CREATE) {
      yield* wait(connection, sql, () => statement.run())
      continue
    }
    return yield* refused(
      statementType === StatementType.SELECT
        ? `there are ${statements.count} statements in it; ask for one at a time`
        : `a ${StatementType[statementType].replaceAll("_", " ")} statement is not a query; only queries are allowed, `
          + "such as SELECT, FROM, WITH, DESCRIBE, SUMMARIZE, SHOW TABLES and PIVOT"
    )
  }
  return yield* refused("there is no statement in it")
})
