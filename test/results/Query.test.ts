import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Exit, Fiber, Schema, Stream } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Metrics from "../../src/results/Metrics.ts"
import * as Query from "../../src/results/Query.ts"
import * as Runs from "../../src/results/Runs.ts"
import * as Tables from "../../src/results/Tables.ts"
import { Store } from "../../src/store/Store.ts"
import { layer, onDisk, record, study, temporaryFolder } from "./studies.ts"

const one = (sql: string) => Effect.map(Query.run(sql), ({ rows }) => rows[0])
const refusal = (sql: string) => Effect.map(Effect.flip(Query.run(sql)), ({ detail }) => detail)

describe("Query", () => {
  it.effect("answers how many trials ended how", () =>
    onDisk(Effect.gen(function*() {
      yield* record(study("search"))
      const { columns, rows } = yield* Query.run("select status, count(*) as n from trials group by 1 order by 1")
      assert.deepStrictEqual(columns, [{ name: "status", type: "VARCHAR" }, { name: "n", type: "BIGINT" }])
      assert.deepStrictEqual(rows, [{ status: "completed", n: 1n }, { status: "failed", n: 1n }, {
        status: "stopped",
        n: 7n
      }])
    })))

  it.effect("has every table, with its documented columns, in a store without results", () =>
    onDisk(Effect.gen(function*() {
      for (const table of Tables.all) {
        const { columns, rows } = yield* Query.run(`select * from ${table.name}`)
        assert.deepStrictEqual(columns.map(({ name }) => name), table.schema.names)
        assert.deepStrictEqual(rows, [])
      }
      const empty = Object.fromEntries((yield* Query.run("select * from trials")).columns.map((c) => [c.name, c.type]))
      const store = yield* Store
      assert.isFalse(fs.existsSync(store.root) && fs.readdirSync(store.root).length > 0)
      yield* record(study("search"))
      const full = Object.fromEntries((yield* Query.run("select * from trials")).columns.map((c) => [c.name, c.type]))
      for (const [name, type] of Object.entries(empty)) assert.strictEqual(full[name], type, name)
    })))

  it.effect("takes PIVOT, FROM, WITH, DESCRIBE, SUMMARIZE and SHOW TABLES for queries", () =>
    onDisk(Effect.gen(function*() {
      yield* record(study("search"))
      assert.deepStrictEqual(yield* one("pivot trials on status using count(*) group by direction"), {
        direction: "minimize",
        completed: 1n,
        failed: 1n,
        stopped: 7n
      })
      assert.deepStrictEqual(yield* one("from splits select side limit 1"), { side: "train" })
      assert.deepStrictEqual(yield* one("-- all of them\nwith t as (from trials) select count(*) as n from t;"), {
        n: 9n
      })
      assert.strictEqual((yield* one("describe trials"))!["column_name"], "study")
      assert.strictEqual((yield* Query.run("summarize splits")).rows.length, 5)
      assert.deepStrictEqual(
        (yield* Query.run("show tables")).rows.map(({ name }) => name),
        Tables.all.map(({ name }) => name).toSorted()
      )
    })))

  it.effect("gives each type of DuckDB one form", () =>
    onDisk(Effect.gen(function*() {
      const sql = `select null as nothing, true as yes, 1::tinyint as small, 9007199254740993 as large,
        170141183460469231731687303715884105727::hugeint as huge, 1.25 as decimal, 'NaN'::double as nan,
        '-inf'::float as inf, 'a🙂' as text, '\\x00\\xff'::blob as bytes, [1, null, 3] as list,
        {'a': 1, 'b': ['x']} as struct, map {'k': 1.5::double} as map,
        timestamptz '2026-01-31 23:59:59.123456+02' as at, timestamp '1969-12-31 00:00:00' as plain,
        timestamp_ns '2026-01-31 23:59:59.123456789' as nanos, timestamptz 'infinity' as never,
        date '0044-03-15' as day, time '12:34:56' as time, interval '1 month 2 days' as span,
        '4ac7a9e9-607c-4c8a-84f3-843f0191e3fd'::uuid as uuid, 'b'::enum('a', 'b') as enum, 1 as twice, 2 as twice,
        3 as __proto__`
      const row = (yield* one(sql))!
      assert.deepStrictEqual(Object.entries(row), [
        ["nothing", null],
        ["yes", true],
        ["small", 1],
        ["large", 9007199254740993n],
        ["huge", 170141183460469231731687303715884105727n],
        ["decimal", 1.25],
        ["nan", Number.NaN],
        ["inf", -Infinity],
        ["text", "a🙂"],
        ["bytes", new Uint8Array([0, 255])],
        ["list", [1, null, 3]],
        ["struct", { a: 1, b: ["x"] }],
        ["map", [{ key: "k", value: 1.5 }]],
        ["at", "2026-01-31T21:59:59.123456Z"],
        ["plain", "1969-12-31T00:00:00"],
        ["nanos", "2026-01-31T23:59:59.123456789"],
        ["never", "infinity"],
        ["day", "0044-03-15"],
        ["time", "12:34:56"],
        ["span", "1 month 2 days"],
        ["uuid", "4ac7a9e9-607c-4c8a-84f3-843f0191e3fd"],
        ["enum", "b"],
        ["twice", 1],
        ["twice:1", 2],
        ["__proto__", 3]
      ])
    })))

  it.effect("cannot write, nor reach anything but the tables", () =>
    onDisk(Effect.gen(function*() {
      yield* record(study("search"))
      const store = yield* Store
      const file = yield* Tables.pathOf("trials", "search")
      const before = fs.readFileSync(file)
      const listed = () => fs.readdirSync(store.root, { recursive: true }).toSorted()
      const files = listed()
      const object = fs.readdirSync(path.join(store.root, "objects"), { recursive: true })
        .find((name) => String(name).endsWith(".parquet"))
      const outside = path.join(store.root, "outside.csv")
      const refused = [
        `copy (select 1) to '${outside}'`,
        `copy (select 1) to '${file}'`,
        `copy (select 1) to '${file}' (format parquet, use_tmp_file false)`,
        `explain analyze copy (select 1) to '${file}' (format parquet, use_tmp_file false)`,
        `select 1; copy (select 1) to '${file}' (format parquet, use_tmp_file false)`,
        `pivot trials on status; copy (select 1) to '${file}' (format parquet, use_tmp_file false)`,
        `select * from query('copy (select 1) to ''${file}'' (format parquet, use_tmp_file false)')`,
        "select * from read_csv('/etc/passwd')",
        "select * from read_text('/etc/passwd')",
        "select * from read_blob('/etc/hostname')",
        "select * from sniff_csv('/etc/passwd')",
        "select * from '/etc/passwd'",
        "select * from glob('/etc/*')",
        `select * from read_parquet('${path.join(store.root, "objects", String(object))}')`,
        `select * from glob('${store.root}/**')`,
        "select * from read_csv('http://127.0.0.1/a.csv')",
        `attach '${path.join(store.root, "other.db")}' as other`,
        `export database '${path.join(store.root, "exported")}'`,
        "install httpfs",
        "load httpfs",
        "set memory_limit = '1GB'",
        "set enable_external_access = true",
        "reset lock_configuration",
        "pragma enable_profiling",
        "create table t (a int)",
        "create view v as select 1",
        "insert into trials (study) values ('x')",
        "delete from trials",
        "drop view trials",
        "create secret s (type s3)",
        "begin transaction",
        "checkpoint",
        "call pragma_version()",
        "prepare p as select 1",
        "select getenv('HOME')"
      ]
      for (const sql of refused) {
        const exit = yield* Effect.exit(Query.run(sql))
        assert.isTrue(Exit.isFailure(exit), sql)
      }
      assert.deepStrictEqual(fs.readFileSync(file), before)
      assert.deepStrictEqual(listed(), files)
      assert.match(yield* refusal("select * from read_csv('/etc/passwd')"), /Permission Error: Cannot access file/)
      assert.match(yield* refusal("create table t (a int)"), /^a CREATE statement is not a query/)
      assert.match(yield* refusal("select 1; select 2"), /^there are 2 statements in it/)
      for (const sql of ["", "  ;", "-- nothing"]) {
        assert.strictEqual(yield* refusal(sql), "there is no statement in it")
      }
      // The settings that keep all this so.
      const { rows } = yield* Query.run(
        `select name, value from duckdb_settings() where name in ('enable_external_access', 'lock_configuration',
          'autoinstall_known_extensions', 'autoload_known_extensions', 'allow_persistent_secrets', 'temp_directory',
          'TimeZone', 'allowed_directories') order by lower(name)`
      )
      assert.deepStrictEqual(rows.map(({ value }) => value), [
        "false",
        "[]",
        "false",
        "false",
        "false",
        "true",
        "",
        "UTC"
      ])
    })))

  it.effect("says what DuckDB says, and which names there are where one is unknown", () =>
    onDisk(Effect.gen(function*() {
      const table = yield* Effect.flip(Query.run("select * from trails"))
      assert.match(table.message, /Table with name trails does not exist!\nDid you mean "trials"\?/)
      assert.match(table.message, /\n {2}metrics: study, trial, stage, run, step, split, name, value, seconds\n/)
      const column = yield* Effect.flip(Query.run("select lerning_rate from trials"))
      assert.match(column.message, /Referenced column "lerning_rate" not found/)
      assert.deepStrictEqual(Object.keys(column.tables), Tables.all.map(({ name }) => name))
      const qualified = yield* Effect.flip(Query.run("select t.foo from trials t"))
      assert.isTrue(qualified.tables["trials"]?.includes("duration_seconds"))
      const syntax = yield* Effect.flip(Query.run("selekt 1"))
      assert.match(syntax.message, /syntax error at or near "selekt"/)
      assert.deepStrictEqual(syntax.tables, {})
      assert.strictEqual(syntax.sql, "selekt 1")
      const division = yield* Effect.flip(Query.run("select error('on ' || study) from (values ('x')) t (study)"))
      assert.match(division.message, /on x/)
    })))

  it.effect("names a table that cannot be read", () =>
    onDisk(Effect.gen(function*() {
      yield* record(study("search"))
      fs.truncateSync(yield* Tables.pathOf("metrics", "search"), 64)
      const error = yield* Effect.flip(Query.run("select 1"))
      assert.match(error.message, /tables "metrics" cannot be read: .*metrics\.parquet/s)
      assert.match(error.message, /made anew/)
    })))

  it.effect("reads a store in a folder of any name", () =>
    Effect.scoped(Effect.gen(function*() {
      const root = path.join(yield* temporaryFolder, "it's [x] *? \"q\" {a,b} 🙂")
      // What the name would mean as a pattern.
      fs.mkdirSync(path.join(root, "..", "it's x 1a \"q\" {a,b} 🙂"), { recursive: true })
      yield* Effect.gen(function*() {
        yield* record(study("[a]*"))
        assert.deepStrictEqual(yield* one("select distinct study from metrics"), { study: "[a]*" })
      }).pipe(Effect.provide(layer(root), { local: true }))
    })))

  it.effect("says that a store in memory cannot be queried", () =>
    Effect.gen(function*() {
      const store = yield* Store
      assert.deepStrictEqual(yield* one("select count(*) as n from trials"), { n: 0n })
      yield* store.putTable("runs.parquet", new Uint8Array())
      assert.match(yield* refusal("select 1"), /in memory/)
    }).pipe(Effect.provide(Store.layerMemory)))

  it.effect("streams rows of a schema", () =>
    onDisk(Effect.gen(function*() {
      yield* record(study("search"))
      const Counted = Schema.Struct({
        trial: Schema.Int,
        steps: Schema.Int,
        exact: Schema.BigInt,
        best: Schema.NullOr(Schema.Finite),
        error: Schema.optionalKey(Schema.String),
        rungs: Schema.Array(Schema.Struct({ rung: Schema.Int, value: Schema.Finite }))
      })
      const rows = yield* Stream.runCollect(Query.stream(
        Counted,
        `select trial, (select count(*) from metrics m where m.trial = t.trial) as steps, trial as exact, value as best,
          error, rungs from trials t order by trial`
      ))
      const { rows: plain } = yield* Query.run("select * from trials order by trial")
      assert.deepStrictEqual(rows.map(({ best }) => best), plain.map(({ value }) => value as number | null))
      assert.strictEqual(rows[0]!.exact, 0n)
      assert.isAbove(rows[0]!.steps, 0)
      assert.isFalse("error" in rows[0]!)
      assert.isTrue(rows.some(({ error }) => error !== undefined))
      // The schemas of the tables read the tables.
      const metrics = yield* Stream.runCollect(Query.stream(Metrics.Row, "select * from metrics"))
      assert.isTrue(metrics.some(({ value }) => Number.isNaN(value)))
      const [run] = yield* Stream.runCollect(Query.stream(Runs.Row, "select * from runs limit 1"))
      assert.instanceOf(run!.started, Date)
      const [time] = yield* Stream.runCollect(
        Query.stream(Schema.Struct({ at: Schema.DateTimeUtc }), "select timestamp '2026-01-31 00:00:00' as at")
      )
      assert.strictEqual(DateTime.toEpochMillis(time!.at), Date.UTC(2026, 0, 31))
      const wrong = yield* Effect.flip(Stream.runCollect(Query.stream(
        Schema.Struct({ value: Schema.Finite }),
        "select value from trials order by value nulls last"
      )))
      assert.match(wrong.message, /row 9, column `value`: found null, expected number/)
    })))

  it.live("reads only as much as is asked for, and stops a query that is interrupted", () =>
    onDisk(Effect.gen(function*() {
      const numbers = Query.stream(Schema.Struct({ range: Schema.Int }), "from range(1000000000000)")
      const first = yield* Stream.runCollect(Stream.take(numbers, 3))
      assert.deepStrictEqual(first.map(({ range }) => range), [0, 1, 2])
      const endless = yield* Effect.forkChild(Query.run("select count(*) from range(1000000000000) where random() > 2"))
      yield* Effect.sleep("200 millis")
      yield* Fiber.interrupt(endless)
      const exit = yield* Fiber.await(endless)
      assert.isTrue(Exit.hasInterrupts(exit))
      assert.deepStrictEqual(yield* one("select 1 as one"), { one: 1 })
    })))
})
