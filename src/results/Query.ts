/**
 * Questions to the result tables, in SQL: `trials`, `metrics`, `predictions`,
 * `splits`, `runs` and `artifacts`, over all studies of a store.
 *
 * Queries only read. They reach the tables and nothing else: no other file, no
 * network, no extension, no setting. What a cell becomes in JavaScript is
 * listed in `Value.ts`; times come as text in ISO 8601.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as RowProblem from "../store/RowProblem.ts"
import type { Store } from "../store/Store.ts"
import * as Adapt from "./Adapt.ts"
import * as Engine from "./Engine.ts"
import { QueryError } from "./QueryError.ts"
import * as Value from "./Value.ts"

export { QueryError } from "./QueryError.ts"
export type { Row, Value } from "./Value.ts"

export interface Result {
  readonly columns: ReadonlyArray<{
    /** Two columns of one name get `:1`, `:2` after it. */
    readonly name: string
    /** As DuckDB calls it, such as `BIGINT` or `DOUBLE[]`. */
    readonly type: string
  }>
  readonly rows: ReadonlyArray<Value.Row>
}

/** Runs a query with `use` and adds to an error about a name which names there are. */
const ask = Effect.fnUntraced(function*<A>(
  sql: string,
  use: (connection: Engine.Engine["connection"], statement: Engine.Statement) => Effect.Effect<A, QueryError>
) {
  const engine = yield* Engine.make
  return yield* Engine.prepare(engine, sql).pipe(
    Effect.flatMap((statement) => use(engine.connection, statement)),
    Effect.catchIf(
      ({ detail }) => isAboutNames(detail),
      ({ detail }) => Effect.flatMap(engine.catalog, (tables) => Effect.fail(new QueryError({ sql, detail, tables })))
    )
  )
})

const isAboutNames = (detail: string): boolean =>
  /^(?:Catalog Error: Table |Binder Error: .*(?:not found|does not (?:have|exist)|not exist))/s.test(detail)

/** The columns and all rows of the answer. */
export const run = Effect.fnUntraced(
  function*(sql: string): Effect.fn.Return<Result, QueryError, Store> {
    const convert = Value.converter(yield* Engine.library)
    return yield* Effect.scoped(ask(sql, (connection, statement) =>
      Effect.gen(function*() {
        const result = yield* Engine.wait(connection, sql, () => statement.run())
        const names = result.deduplicatedColumnNames()
        const types = result.columnTypes()
        const rows = yield* Engine.wait(connection, sql, () => result.getRows())
        return {
          columns: names.map((name, i) => ({ name, type: types[i]!.toString() })),
          rows: rows.map((row) => Object.fromEntries(names.map((name, i) => [name, convert(row[i]!)])))
        }
      })))
  }
)

/**
 * The rows of the answer, decoded by a schema as they are asked for.
 *
 * int64 becomes a number where the schema has a number (and it fits), times
 * become `Date` or `DateTime.Utc` where it has those. A row that does not fit
 * ends the stream with its number, counted from 1, and what was expected.
 */
export const stream = <S extends Schema.Top & { readonly DecodingServices: never }>(
  schema: S,
  sql: string
): Stream.Stream<S["Type"], QueryError, Store> => {
  const decode = Schema.decodeUnknownEffect(schema)
  const adapt = Adapt.rowsFor(schema.ast)
  return Stream.unwrap(Effect.gen(function*() {
    const convert = Value.converter(yield* Engine.library)
    const { connection, result } = yield* ask(
      sql,
      (connection, statement) =>
        Effect.map(Engine.wait(connection, sql, () => statement.stream()), (result) => ({ connection, result }))
    )
    const names = result.deduplicatedColumnNames()
    let number = 0
    return Stream.fromEffectRepeat(Engine.wait(connection, sql, () => result.fetchChunk())).pipe(
      Stream.takeWhile((chunk) => chunk !== null && chunk.rowCount > 0),
      Stream.flatMap((chunk) => Stream.fromIterable(chunk!.getRows())),
      Stream.mapEffect((cells) => {
        number++
        const row = adapt(Object.fromEntries(names.map((name, i) => [name, convert(cells[i]!)])))
        const at = number
        return decode(row).pipe(Effect.mapError(({ issue }) => {
          const { expected, field, found } = RowProblem.ofIssue(issue, row)
          const place = field === "" ? `row ${at}` : `row ${at}, column \`${field}\``
          return new QueryError({ sql, detail: `${place}: found ${found}, expected ${expected}`, tables: {} })
        }))
      })
    )
  }))
}
