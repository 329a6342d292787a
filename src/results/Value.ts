/**
 * What a cell of a query's result is in JavaScript.
 *
 * | DuckDB                                     | JavaScript                                          |
 * | ------------------------------------------ | --------------------------------------------------- |
 * | NULL                                       | `null`                                              |
 * | BOOLEAN                                    | `boolean`                                           |
 * | TINYINT to INTEGER, FLOAT, DOUBLE          | `number`                                            |
 * | DECIMAL                                    | `number`, the nearest                               |
 * | BIGINT, UBIGINT, HUGEINT, UHUGEINT, BIGNUM | `bigint`                                            |
 * | VARCHAR, ENUM, UUID                        | `string`                                            |
 * | TIMESTAMP WITH TIME ZONE                   | text, as `2026-01-31T23:59:59.123456Z`              |
 * | TIMESTAMP of any precision                 | the same without `Z`                                |
 * | DATE, TIME, INTERVAL, BIT                  | text, as DuckDB writes it                           |
 * | BLOB                                       | `Uint8Array`                                        |
 * | LIST, ARRAY                                | array                                               |
 * | STRUCT                                     | plain object                                        |
 * | MAP                                        | array of `{ key, value }`                           |
 * | UNION, VARIANT                             | the value it holds                                  |
 */
import type * as DuckDB from "@duckdb/node-api"

export type Value =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | ReadonlyArray<Value>
  | { readonly [name: string]: Value }

export type Row = Readonly<Record<string, Value>>

const isoOf = (value: { readonly toString: () => string }, zone: string): string => {
  // DuckDB writes "2026-01-31 23:59:59.123456" and, with a zone, "+00" behind
  // it; "infinity", and years before 1, have no form in ISO 8601.
  const match = /^(\d{4,}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?)/.exec(value.toString())
  return match === null || value.toString().endsWith("(BC)") ? value.toString() : `${match[1]}T${match[2]}${zone}`
}

/** The conversion of values, given the library. */
export const converter = (duckdb: typeof DuckDB): (value: DuckDB.DuckDBValue) => Value => {
  const convert = (value: DuckDB.DuckDBValue): Value => {
    if (typeof value !== "object" || value === null) return value
    if (value instanceof duckdb.DuckDBTimestampTZValue) {
      // Its own text would be in the time zone of the machine.
      return isoOf(new duckdb.DuckDBTimestampValue(value.micros), "Z")
    }
    if (
      value instanceof duckdb.DuckDBTimestampValue || value instanceof duckdb.DuckDBTimestampSecondsValue
      || value instanceof duckdb.DuckDBTimestampMillisecondsValue
      || value instanceof duckdb.DuckDBTimestampNanosecondsValue
    ) return isoOf(value, "")
    if (value instanceof duckdb.DuckDBListValue || value instanceof duckdb.DuckDBArrayValue) {
      return value.items.map(convert)
    }
    if (value instanceof duckdb.DuckDBStructValue) {
      return Object.fromEntries(Object.entries(value.entries).map(([name, item]) => [name, convert(item)]))
    }
    if (value instanceof duckdb.DuckDBMapValue) {
      return value.entries.map(({ key, value }) => ({ key: convert(key), value: convert(value) }))
    }
    if (value instanceof duckdb.DuckDBDecimalValue) return Number(value.toString())
    if (value instanceof duckdb.DuckDBBlobValue) return new Uint8Array(value.bytes)
    if (value instanceof duckdb.DuckDBUnionValue) return convert(value.value)
    if (value instanceof duckdb.DuckDBVariantValue) return convert(value.value as DuckDB.DuckDBValue)
    return String(value)
  }
  return convert
}
