import { DuckDBBlobValue, DuckDBInstance, DuckDBListValue, DuckDBStructValue } from "@duckdb/node-api"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, FileSystem, Schema, Stream } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Columns from "../../src/store/Columns.ts"
import * as Digest from "../../src/store/Digest.ts"
import * as Parquet from "../../src/store/Parquet.ts"

const Inner = Schema.Struct({ x: Schema.NullOr(Schema.Number), y: Schema.optionalKey(Schema.String) })

const Row = Schema.Struct({
  text: Schema.String,
  number: Schema.Number,
  maybe: Schema.NullOr(Schema.Number),
  single: Schema.Number.annotate({ columnType: "float32" }),
  step: Schema.Int.annotate({ units: "optimizer steps" }),
  small: Schema.NullOr(Schema.Int.check(Schema.isInt32())),
  big: Schema.NullOr(Schema.BigInt),
  flag: Schema.optionalKey(Schema.Boolean),
  at: Schema.DateTimeUtc,
  split: Schema.Literals(["train", "test"]).annotate({ columnType: "dictionary" }),
  status: Schema.NullOr(Schema.Literals(["ok", "failed"]).annotate({ columnType: "dictionary" })),
  bytes: Schema.NullOr(Schema.Uint8Array),
  tags: Schema.Array(Schema.NullOr(Schema.String)),
  structs: Schema.NullOr(Schema.Array(Inner)),
  struct: Schema.NullOr(
    Schema.Struct({ deep: Schema.Struct({ q: Schema.NullOr(Schema.Int) }), r: Schema.Array(Inner) })
  ),
  lists: Schema.Array(Schema.NullOr(Schema.Array(Schema.Int)))
})

const edges: ReadonlyArray<typeof Row.Type> = [
  {
    text: "nul \u0000 and 😀",
    number: -0,
    maybe: null,
    single: Math.fround(0.1),
    step: Number.MAX_SAFE_INTEGER,
    small: -(2 ** 31),
    big: -(2n ** 63n),
    flag: true,
    at: DateTime.makeUnsafe("0001-01-01T00:00:00Z"),
    split: "train",
    status: null,
    bytes: null,
    tags: ["a", null],
    structs: null,
    struct: null,
    lists: []
  },
  {
    text: "",
    number: Number.NaN,
    maybe: 5e-324,
    single: -Infinity,
    step: Number.MIN_SAFE_INTEGER,
    small: null,
    big: null,
    at: DateTime.makeUnsafe(-1),
    split: "test",
    status: "failed",
    bytes: new Uint8Array([0, 255, 128]),
    tags: [],
    structs: [{ x: null }, { x: -0, y: "\u{1f9ea}" }],
    struct: { deep: { q: null }, r: [] },
    lists: [null, [], [1, -2]]
  },
  {
    text: "\u{10ffff}\ud7ff\ue000",
    number: Number.MAX_VALUE,
    maybe: -Infinity,
    single: 3e38,
    step: 0,
    small: 2 ** 31 - 1,
    big: 2n ** 63n - 1n,
    flag: false,
    at: DateTime.makeUnsafe("9999-12-31T23:59:59.999Z"),
    split: "test",
    status: "ok",
    bytes: new Uint8Array(),
    tags: [null],
    structs: [],
    struct: { deep: { q: -7 }, r: [{ x: 1, y: "" }, { x: Number.NaN }] },
    lists: [[3], null]
  }
].map((row) => ({ ...row, single: Math.fround(row.single) })) as ReadonlyArray<typeof Row.Type>

/** The cells of DuckDB's own values, to compare with ours. */
const plain = (value: unknown): unknown => {
  if (value instanceof DuckDBListValue) return value.items.map(plain)
  if (value instanceof DuckDBStructValue) {
    return Object.fromEntries(Object.entries(value.entries).map(([key, inner]) => [key, plain(inner)]))
  }
  if (value instanceof DuckDBBlobValue) return new Uint8Array(value.bytes)
  if (typeof value === "object" && value !== null && "micros" in value) return value.micros
  return value
}

const folder = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "attune-parquet-"))),
  (made) => Effect.sync(() => fs.rmSync(made, { recursive: true }))
)

const duckdb = Effect.acquireRelease(
  Effect.promise(async () => {
    const instance = await DuckDBInstance.create()
    return { instance, connection: await instance.connect() }
  }),
  ({ connection, instance }) => Effect.sync(() => (connection.closeSync(), instance.closeSync()))
)

const query = Effect.fnUntraced(function*(sql: string) {
  const { connection } = yield* duckdb
  const reader = yield* Effect.promise(() => connection.runAndReadAll(sql))
  return {
    types: reader.columnTypes().map(String),
    rows: reader.getRowObjects().map((row) =>
      Object.fromEntries(Object.entries(row).map(([key, value]) => [key, plain(value)]))
    )
  }
}, Effect.scoped)

/** What DuckDB reads in a file of these bytes; `$` in the SQL stands for the file. */
const asDuckDb = Effect.fnUntraced(function*(bytes: Uint8Array, sql = "select * from $") {
  const file = path.join(yield* folder, "table.parquet")
  fs.writeFileSync(file, bytes)
  return yield* query(sql.replace("$", `'${file}'`))
}, Effect.scoped)

/** The bytes of a file that DuckDB writes from a query. */
const byDuckDb = Effect.fnUntraced(function*(select: string, options: string) {
  const file = path.join(yield* folder, "foreign.parquet")
  yield* query(`copy (${select}) to '${file}' (format parquet, ${options})`)
  return new Uint8Array(fs.readFileSync(file))
}, Effect.scoped)

const withoutUndefined = (value: unknown): unknown =>
  Array.isArray(value)
    ? value.map(withoutUndefined)
    : typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype
    ? Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withoutUndefined(inner)]))
    : value ?? null

describe("Parquet", () => {
  it.effect("gives back schema, cells and notes, edge values included", () =>
    Effect.gen(function*() {
      const columns = yield* Columns.fromRows(Row, edges)
      const bytes = Parquet.encode(columns, { metadata: { "attune.schema": "edges/1", a: "é" } })
      const back = yield* Parquet.decode(bytes)
      assert.strictEqual(Columns.digest(back), Columns.digest(columns))
      assert.deepStrictEqual(back.columns, columns.columns)
      assert.strictEqual(String(back.schema), String(columns.schema))
      assert.strictEqual(back.schema.fields[4]!.metadata.get("units"), "optimizer steps")
      assert.deepStrictEqual([...back.schema.metadata], [["a", "é"], ["attune.schema", "edges/1"]])
      const rows = yield* Columns.toRows(Row, back)
      assert.deepStrictEqual(rows, edges)
      assert.isTrue(Object.is(rows[0]!.number, -0))
      assert.isTrue(Object.is(rows[1]!.structs![1]!.x, -0))
    }))

  it.effect("is read exactly by DuckDB", () =>
    Effect.gen(function*() {
      const columns = yield* Columns.fromRows(Row, edges)
      const { rows, types } = yield* asDuckDb(Parquet.encode(columns))
      assert.deepStrictEqual(rows, withoutUndefined(Columns.toRecords(columns)) as typeof rows)
      assert.isTrue(Object.is(rows[0]!["number"], -0))
      assert.deepStrictEqual(types, [
        "VARCHAR",
        "DOUBLE",
        "DOUBLE",
        "FLOAT",
        "BIGINT",
        "INTEGER",
        "BIGINT",
        "BOOLEAN",
        "TIMESTAMP WITH TIME ZONE",
        "VARCHAR",
        "VARCHAR",
        "BLOB",
        "VARCHAR[]",
        "STRUCT(\"x\" DOUBLE, \"y\" VARCHAR)[]",
        "STRUCT(\"deep\" STRUCT(\"q\" BIGINT), \"r\" STRUCT(\"x\" DOUBLE, \"y\" VARCHAR)[])",
        "BIGINT[][]"
      ])
    }))

  it.effect("keeps tables without rows, and their schema", () =>
    Effect.gen(function*() {
      const columns = yield* Columns.fromRows(Row, [])
      const bytes = Parquet.encode(columns)
      const back = yield* Parquet.decode(bytes)
      assert.strictEqual(back.length, 0)
      assert.strictEqual(String(back.schema), String(columns.schema))
      assert.strictEqual((yield* asDuckDb(bytes, "select count(*) as n from $")).rows[0]!["n"], 0n)
    }))

  it.effect("writes the same bytes for the same table", () =>
    Effect.gen(function*() {
      const columns = yield* Columns.fromRows(Row, edges)
      // A schema of its own, compiled anew: numbers of dictionaries must not drift.
      const again = yield* Columns.fromRows(Schema.Struct({ ...Row.fields }), edges)
      const digest = Digest.ofBytes(Parquet.encode(columns, { metadata: { b: "1", a: "2" } }))
      assert.strictEqual(Digest.ofBytes(Parquet.encode(again, { metadata: { a: "2", b: "1" } })), digest)
      const decoded = yield* Parquet.decode(Parquet.encode(columns, { metadata: { a: "2", b: "1" } }))
      assert.strictEqual(Digest.ofBytes(Parquet.encode(decoded)), digest)
    }))

  const Metric = Schema.Struct({
    trial: Schema.String,
    step: Schema.Int,
    value: Schema.Number,
    note: Schema.NullOr(Schema.String)
  })
  const metrics = Array.from({ length: 5000 }, (_, i) => ({
    trial: `trial-${i % 7}`,
    step: i,
    value: i % 11 === 0 ? (i % 2 === 0 ? 0 : -0) : Math.sin(i),
    note: i % 3 === 0 ? null : "x".repeat(i % 40)
  }))

  it.effect("keeps the sign of zeros that repeat, over many rows and pages", () =>
    Effect.gen(function*() {
      const columns = yield* Columns.fromRows(Metric, metrics)
      const bytes = Parquet.encode(columns)
      const back = yield* Parquet.decode(bytes)
      assert.strictEqual(Columns.digest(back), Columns.digest(columns))
      const { rows } = yield* asDuckDb(bytes, "select count(*) as n, sum(step) as s from $ where trial = 'trial-3'")
      const expected = metrics.filter(({ trial }) => trial === "trial-3")
      assert.deepStrictEqual(rows, [{
        n: BigInt(expected.length),
        s: expected.reduce((sum, { step }) => sum + BigInt(step), 0n)
      }])
    }))

  it.effect("streams row groups from a file, only the columns asked for", () =>
    Effect.gen(function*() {
      const columns = yield* Columns.fromRows(Metric, metrics)
      const bytes = Parquet.encode(columns, { rowGroupSize: 1200 })
      const file = path.join(yield* folder, "metrics.parquet")
      fs.writeFileSync(file, bytes)
      const source = yield* Parquet.ofFile(file)
      const footer = yield* Parquet.footer(source)
      assert.deepStrictEqual(footer.rowGroups, [1200, 1200, 1200, 1200, 200])
      assert.strictEqual(footer.rows, 5000)
      const read: Array<number> = []
      const counting: Parquet.Source<Parquet.ParquetError> = {
        ...source,
        read: (start, end) => Effect.tap(source.read(start, end), () => Effect.sync(() => read.push(end - start)))
      }
      const [first] = yield* Stream.runCollect(
        Stream.take(Parquet.rowGroups(counting, { columns: ["step"] }), 1)
      )
      assert.deepStrictEqual(first!.schema.names, ["step"])
      assert.deepStrictEqual(first!.columns["step"], columns.columns["step"]!.slice(0, 1200))
      assert.isBelow(read.reduce((sum, length) => sum + length, 0), bytes.length / 2)
      const tables = yield* Stream.runCollect(Parquet.rowGroups(source))
      assert.strictEqual(Columns.digest(Columns.concat(columns.schema, tables)), Columns.digest(columns))
    }).pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer)))

  it.effect.prop(
    "gives back any rows",
    [Schema.Array(Row)],
    ([rows]) =>
      Effect.gen(function*() {
        // There are texts that have no UTF-8: JSON writes a lone surrogate as an escape.
        const kept = rows
          .filter((row) => !/\\ud[89a-f]/.test(JSON.stringify(row, (_, v) => typeof v === "bigint" ? `${v}` : v)))
          .filter((row) => row.big === null || BigInt.asIntN(64, row.big) === row.big)
          .map((row) => ({
            ...row,
            single: Math.fround(row.single),
            // Integers have no negative zero.
            step: row.step + 0,
            small: row.small === null ? null : row.small + 0,
            struct: row.struct &&
              { ...row.struct, deep: { q: row.struct.deep.q === null ? null : row.struct.deep.q + 0 } },
            lists: row.lists.map((list) => list === null ? null : list.map((n) => n + 0))
          }))
        const columns = yield* Columns.fromRows(Row, kept)
        const back = yield* Parquet.decode(Parquet.encode(columns, { rowGroupSize: 3 }))
        assert.deepStrictEqual(yield* Columns.toRows(Row, back), kept)
        assert.strictEqual(Columns.digest(back), Columns.digest(columns))
      })
  )
})

describe("Parquet files of others", () => {
  // Values of every kind, nested nulls and repeats among them.
  const select = `
    select
      i as id,
      case when i % 5 = 0 then null else 'text ' || (i % 13) end as text,
      i * 0.1::double as number,
      (i * 0.1)::float as single,
      (i % 100)::tinyint as tiny,
      (i * 3000000)::uinteger as unsigned,
      18446744073709551615::ubigint - i::ubigint as huge,
      (i - 500)::decimal(9, 2) as price,
      (i || '.123456789012345678')::decimal(30, 18) as precise,
      date '1969-12-30' + i::integer as day,
      timestamp '1969-12-31 23:59:59.123456' + interval (i) second as local,
      timestamptz '1969-12-31 23:59:59.123456+00' + interval (i) second as at,
      i % 2 = 0 as even,
      case when i % 7 = 0 then null else [i, null, i + 1] end as list,
      case when i % 3 = 0 then null else [{a: i, b: case when i % 2 = 0 then null else 's' end}, null] end as structs,
      case when i % 4 = 0 then null else {p: {q: i}, r: case when i % 6 = 1 then null else ['x'] end} end as struct,
      map {i: 'one', i + 1000: 'two'} as map,
      ('\\x00\\xFF' || chr(65 + (i % 26)::integer))::blob as bytes,
      time '01:02:03.000004' as clock,
      uuid '123e4567-e89b-12d3-a456-426614174000' as uuid
    from range(1000) t(i)`

  const expected = (i: number) => {
    const n = BigInt(i)
    return {
      id: n,
      text: i % 5 === 0 ? null : `text ${i % 13}`,
      even: i % 2 === 0,
      list: i % 7 === 0 ? null : [n, null, n + 1n],
      structs: i % 3 === 0 ? null : [{ a: n, b: i % 2 === 0 ? null : "s" }, null],
      struct: i % 4 === 0 ? null : { p: { q: n }, r: i % 6 === 1 ? null : ["x"] },
      map: [{ key: n, value: "one" }, { key: n + 1000n, value: "two" }],
      huge: 2n ** 64n - 1n - n,
      unsigned: i * 3000000,
      tiny: i % 100,
      price: i - 500,
      precise: Number(`${i}.123456789012345678`),
      day: i - 2,
      local: -876544n + n * 1000000n,
      at: -876544n + n * 1000000n,
      bytes: new Uint8Array([0, 255, 65 + i % 26]),
      clock: 3723000004n,
      uuid: "123e4567-e89b-12d3-a456-426614174000"
    }
  }

  it.effect.each([
    "compression snappy",
    "compression zstd",
    "compression gzip, row_group_size 2048",
    "compression brotli",
    "compression lz4_raw",
    "compression uncompressed",
    "compression zstd, parquet_version v2",
    "compression snappy, parquet_version v2"
  ])("are read: %s", (options) =>
    Effect.gen(function*() {
      const columns = yield* Parquet.decode(yield* byDuckDb(select, options))
      assert.strictEqual(columns.length, 1000)
      const records = Columns.toRecords(columns)
      for (let i = 0; i < 1000; i++) assert.deepInclude(records[i]!, expected(i))
      assert.closeTo(records[999]!["number"] as number, 99.9, 1e-9)
      const clock = columns.schema.fields.find(({ name }) => name === "clock")!
      assert.strictEqual(clock.metadata.get("units"), "microseconds since midnight")
    }))
})

describe("Parquet files that are damaged", () => {
  const whole = Effect.map(Columns.fromRows(Row, edges), (columns) => Parquet.encode(columns))

  const fault = (bytes: Uint8Array, options?: Parquet.ReadOptions) =>
    Effect.flip(Parquet.decode(bytes, { file: "names.parquet", ...options }))

  it.effect("are reported with the file and what is wrong", () =>
    Effect.gen(function*() {
      const bytes = yield* whole
      const messages = [
        (yield* fault(new Uint8Array())).message,
        (yield* fault(new TextEncoder().encode("a,b\n1,2\n3,4\n5,6\n"))).message,
        (yield* fault(bytes.subarray(0, 10))).message,
        (yield* fault(bytes.subarray(0, bytes.length - 1))).message,
        (yield* fault(bytes, { columns: ["txt"] })).message
      ]
      assert.deepStrictEqual(messages.slice(0, 4), [
        "names.parquet: the file is empty.",
        "names.parquet: the file does not begin with PAR1: it is not a Parquet file.",
        "names.parquet: the file has 10 bytes, too few for a Parquet file.",
        "names.parquet: the file does not end with PAR1: it is cut off, or its writer died before the footer."
      ])
      assert.match(messages[4]!, /^names\.parquet, column `txt`: there is no such column, only text, number,/)
      const long = bytes.slice()
      new DataView(long.buffer).setUint32(long.length - 8, 0x7fffffff, true)
      assert.match((yield* fault(long)).message, /the footer claims 2147483647 bytes in a file of/)
    }))

  it.effect("never end in anything but a table or a ParquetError", () =>
    Effect.gen(function*() {
      const bytes = yield* whole
      let failed = 0
      // Every seventh byte turned over, and cuts at every length up to the footer.
      for (let at = 4; at < bytes.length - 8; at += 7) {
        const damaged = bytes.slice()
        damaged[at]! ^= 0xff
        const exit = yield* Effect.exit(Parquet.decode(damaged))
        if (exit._tag === "Failure") {
          const [reason] = exit.cause.reasons
          assert.isTrue(reason?._tag === "Fail" && reason.error instanceof Parquet.ParquetError, `at ${at}: ${reason}`)
          failed++
        }
      }
      assert.isAbove(failed, 20)
      for (let length = 0; length < bytes.length; length += 101) yield* fault(bytes.subarray(0, length))
    }))

  it.effect("say when a file is not there", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Parquet.ofFile("no/such/file.parquet"))
      assert.strictEqual(error._tag, "ParquetError")
      assert.include(error.message, "no/such/file.parquet")
      assert.isDefined(yield* FileSystem.FileSystem)
    }).pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer)))
})
