import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, layer } from "@effect/vitest"
import { DateTime, Effect, Ref, Schema, Stream } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { type BadRows, noBadRows } from "../../src/dataset/DataError.ts"
import * as Read from "../../src/dataset/Read.ts"
import * as Columns from "../../src/store/Columns.ts"
import * as Parquet from "../../src/store/Parquet.ts"

class Person extends Schema.Class<Person>("Person")({
  name: Schema.String,
  age: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 150 })),
  height: Schema.NullOr(Schema.Finite),
  member: Schema.optionalKey(Schema.Boolean),
  born: Schema.optionalKey(Schema.DateTimeUtc)
}) {}

/** Writes files into a folder that is removed at the end of the test. */
const write = (files: Readonly<Record<string, string | Uint8Array>>) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "attune-read-"))),
      (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true }))
    ),
    (folder) => {
      for (const [name, content] of Object.entries(files)) fs.writeFileSync(path.join(folder, name), content)
      return (name: string) => path.join(folder, name)
    }
  )

/** The message of the error that reading one file ends in, with the bare name of the file. */
const failure = Effect.fnUntraced(function*(
  name: string,
  content: string | Uint8Array,
  options?: Read.Options,
  rowSchema: typeof Person | Schema.Codec<object, any> = Person
) {
  const file = (yield* write({ [name]: content }))(name)
  const error = yield* Effect.flip(Read.all(rowSchema as typeof Person, file, options))
  return error.message.replace(file, name)
})

const ada = new Person({ name: "Ada", age: 36, height: 1.65, member: true, born: DateTime.makeUnsafe("1815-12-10") })
const bob = new Person({ name: "Bob \"B\" O'Neil, jr.\r\nsecond line", age: 0, height: null })
const eve = new Person({ name: "", age: 150, height: -0.5, member: false })

const people = [ada, bob, eve]

const csv = "name,age,height,member,born\r\n"
  + "Ada,36,1.65,true,1815-12-10\r\n"
  + "\"Bob \"\"B\"\" O'Neil, jr.\r\nsecond line\",0,,,\r\n"
  + "\r\n"
  + "\"\", 150 ,-5e-1, false ,"

const jsonl = "{\"name\":\"Ada\",\"age\":36,\"height\":1.65,\"member\":true,\"born\":\"1815-12-10\"}\n"
  + "{\"name\":\"Bob \\\"B\\\" O'Neil, jr.\\r\\nsecond line\",\"age\":0,\"height\":null,\"more\":[1]}\r\n"
  + "\n"
  + "{\"name\":\"\",\"age\":150,\"height\":-0.5,\"member\":false}"

layer(NodeFileSystem.layer)("Read", (it) => {
  describe("reads the same rows", () => {
    it.effect("from CSV, JSON lines and Parquet", () =>
      Effect.gen(function*() {
        const table = yield* Columns.fromRows(Person, people)
        const at = yield* write({
          "people.csv": csv,
          "people.tsv": csv.replaceAll(/,(?! jr)/g, "\t"),
          "people.jsonl": jsonl,
          "people.parquet": Parquet.encode(table, { rowGroupSize: 2 }),
          "marked.csv": `\ufeff${csv}`,
          "marked.ndjson": `\ufeff${jsonl}`,
          "unix.csv": csv.replaceAll("\r\n\r\n", "\n\n").replaceAll(/\r\n(?!second)/g, "\n")
        })
        for (const name of fs.readdirSync(path.dirname(at("x")))) {
          const read = yield* Read.all(Person, at(name))
          assert.deepStrictEqual(read.rows, people, name)
          assert.instanceOf(read.rows[0], Person)
          assert.deepStrictEqual(read.badRows, noBadRows)
          const { columns } = yield* Read.columns(Person, at(name))
          assert.strictEqual(Columns.digest(columns), Columns.digest(table), name)
        }
        const many = yield* Read.all(Person, [at("people.parquet"), at("people.csv"), at("people.jsonl")])
        assert.deepStrictEqual(many.rows, [...people, ...people, ...people])
      }))

    it.effect("from files in memory, without a file system", () =>
      Effect.gen(function*() {
        const table = yield* Columns.fromRows(Person, people)
        const encoder = new TextEncoder()
        const { rows } = yield* Read.all(Person, [
          { name: "a.csv", bytes: encoder.encode(csv) },
          { name: "a.jsonl", bytes: encoder.encode(jsonl) },
          { name: "a.parquet", bytes: Parquet.encode(table) }
        ])
        assert.deepStrictEqual(rows, [...people, ...people, ...people])
        for (const name of ["a.csv", "a.jsonl", "a.parquet"]) {
          const error = yield* Effect.flip(Read.all(Person, { name, bytes: new Uint8Array() }))
          assert.match(error.message, /^a\.\w+: the file is empty/)
        }
        const effect: Effect.Effect<unknown, unknown> = Read.columns(Person, {
          name: "a.csv",
          bytes: encoder.encode(csv)
        })
        assert.isDefined(yield* effect)
      }))

    it.effect("whatever the pieces the file comes in", () =>
      Effect.gen(function*() {
        // Long enough for many reads of 64 KiB, whose ends fall into characters, quotes and line ends.
        const rows = Array.from({ length: 20_000 }, (_, i) =>
          new Person({ name: `größe ${i} "😀"\r\n${"é".repeat(i % 17)}`, age: i % 150, height: i / 7 }))
        const at = yield* write({
          "many.csv": "name,age,height\r\n"
            + rows.map(({ age, height, name }) =>
              `"${name.replaceAll("\"", "\"\"")}",${age},${height}`
            ).join("\r\n"),
          "many.jsonl": rows.map((row) => JSON.stringify({ ...row })).join("\r\n")
        })
        assert.deepStrictEqual((yield* Read.all(Person, at("many.csv"))).rows, rows)
        assert.deepStrictEqual((yield* Read.all(Person, at("many.jsonl"))).rows, rows)
      }))

    it.effect("as a stream, no further than it is asked for", () =>
      Effect.gen(function*() {
        const good = "Ada,36,1.65\n".repeat(50_000)
        const at = yield* write({ "long.csv": `name,age,height\n${good}Ada,old,1\n` })
        const [first] = yield* Stream.runCollect(Stream.take(Read.rows(Person, at("long.csv")), 1))
        assert.strictEqual(first!.name, "Ada")
        const error = yield* Effect.flip(Stream.runDrain(Read.rows(Person, at("long.csv"))))
        assert.deepInclude(error, { _tag: "BadRow", row: 50_001, line: 50_002 })
      }))

    it.effect("of a line of ten megabytes", () =>
      Effect.gen(function*() {
        const name = "long ".repeat(2 * 1024 * 1024)
        const at = yield* write({
          "one.jsonl": `${jsonl}\n${JSON.stringify({ name, age: 1, height: 1 })}\n${jsonl}`,
          "one.csv": `name,age,height\nAda,1,1\n"${name}\n",1,1\n`
        })
        const lines = (yield* Read.all(Person, at("one.jsonl"))).rows
        assert.strictEqual(lines.length, 7)
        assert.isTrue(lines[3]!.name === name)
        assert.isTrue((yield* Read.all(Person, at("one.csv"))).rows[1]!.name === `${name}\n`)
      }))
  })

  describe("bad rows", () => {
    const rows = "name,age,height\n"
      + "Ada,36,1.65\n"
      + "\"Bob\nof two lines\",old,1\n"
      + "\n"
      + "Cid,1,1,1\n"
      + ",5,1\n"
      + "Eve,151,\n"
      + "Fay,1.5,x\n"
      + "Gus,7,"

    it.effect("of CSV are told with row, line, field, found and expected", () =>
      Effect.gen(function*() {
        const file = (yield* write({ "bad.csv": rows }))("bad.csv")
        const { badRows, rows: good } = yield* Read.all(Person, file, { onBadRow: "collect" })
        assert.deepStrictEqual(good.map(({ name }) => name), ["Ada", "Gus"])
        assert.strictEqual(badRows.count, 5)
        assert.deepStrictEqual(badRows.rows.map((row) => row.message.replace(file, "bad.csv")), [
          "bad.csv, row 2 (line 3), field `age`: expected number, found \"old\".",
          "bad.csv, row 3 (line 6): expected 3 cells, as in the header, found 4 cells.",
          "bad.csv, row 4 (line 7), field `name`: expected a value, found nothing.",
          "bad.csv, row 5 (line 8), field `age`: expected a value between 0 and 150, found 151.",
          "bad.csv, row 6 (line 9), field `age`: expected an integer, found 1.5."
        ])
      }))

    it.effect("of JSON lines without a field are told with the fields that there are", () =>
      Effect.gen(function*() {
        const file = (yield* write({ "named.jsonl": "{\"t\":\"a\",\"l\":\"b\"}\n{}\n" }))("named.jsonl")
        const { badRows } = yield* Read.all(Schema.Struct({ text: Schema.String }), file, { onBadRow: "collect" })
        assert.deepStrictEqual(badRows.rows.map(({ field, found }) => [field, found]), [
          ["text", "only `t`, `l`"],
          ["text", "nothing"]
        ])
      }))

    it.effect("of JSON lines likewise, down to the element of a list", () =>
      Effect.gen(function*() {
        const Chat = Schema.Struct({
          messages: Schema.Array(Schema.Struct({ role: Schema.Literals(["user", "bot"]) }))
        })
        const file = (yield* write({
          "chat.jsonl": Buffer.concat([
            Buffer.from(
              "{\"messages\":[{\"role\":\"user\"},{\"role\":\"root\"}]}\n\n{\"messages\":{}}\n{\"messages\":\n[]\n"
            ),
            Buffer.from([0x22, 0x63, 0xc3, 0x28, 0x22, 0x0a]),
            Buffer.from("{\"messages\":[],\"x\":\"\\ud83d\"}\n{\"messages\":[]}")
          ])
        }))("chat.jsonl")
        const { badRows, rows: good } = yield* Read.all(Chat, file, { onBadRow: "collect" })
        assert.deepStrictEqual(good, [{ messages: [] }])
        assert.deepStrictEqual(badRows.rows.map((row) => row.message.replace(file, "chat.jsonl")), [
          "chat.jsonl, row 1 (line 1), field `messages[1].role`: expected \"user\" | \"bot\", found \"root\".",
          "chat.jsonl, row 2 (line 3), field `messages`: expected array, found {}.",
          "chat.jsonl, row 3 (line 4): expected one JSON value, found \"{\\\"messages\\\":\".",
          "chat.jsonl, row 4 (line 5): expected object, found [].",
          "chat.jsonl, row 5 (line 6): expected text in UTF-8, found \"\\\"c\ufffd(\\\"\".",
          "chat.jsonl, row 6 (line 7): expected texts without lone surrogates, found \"{\\\"messages\\\":[],\\\"x\\\":\\\"\\\\ud83d\\\"}\"."
        ])
      }))

    it.effect("of Parquet likewise", () =>
      Effect.gen(function*() {
        const Loose = Schema.Struct({
          name: Schema.NullOr(Schema.String),
          age: Schema.Finite,
          height: Schema.NullOr(Schema.Finite)
        })
        const table = yield* Columns.fromRows(Loose, [
          { name: "Ada", age: 1, height: null },
          { name: null, age: 2, height: 1 },
          { name: "Cid", age: 200, height: 1 }
        ])
        const Strict = Schema.Struct({ name: Schema.String, age: Schema.Finite.check(Schema.isLessThan(100)) })
        const file = (yield* write({ "bad.parquet": Parquet.encode(table, { rowGroupSize: 1 }) }))("bad.parquet")
        const { badRows, rows: good } = yield* Read.all(Strict, file, { onBadRow: "collect" })
        assert.deepStrictEqual(good, [{ name: "Ada", age: 1 }])
        assert.deepStrictEqual(badRows.rows.map((row) => row.message.replace(file, "bad.parquet")), [
          "bad.parquet, row 2, field `name`: expected string, found null.",
          "bad.parquet, row 3, field `age`: expected a value less than 100, found 200."
        ])
      }))

    it.effect("end the reading, are skipped with a count, or are collected up to a number", () =>
      Effect.gen(function*() {
        const file = (yield* write({ "bad.csv": rows }))("bad.csv")
        const error = yield* Effect.flip(Read.all(Person, file))
        assert.deepInclude(error, { _tag: "BadRow", row: 2, line: 3, field: "age", found: "\"old\"" })
        const skipped = yield* Read.columns(Person, file, { onBadRow: "skip" })
        assert.strictEqual(skipped.columns.length, 2)
        assert.deepStrictEqual(skipped.badRows, { count: 5, rows: [] })
        const badRows = yield* Ref.make<BadRows>(noBadRows)
        const names = yield* Read.rows(Person, file, { onBadRow: "collect", keep: 2, badRows }).pipe(
          Stream.map(({ name }) => name),
          Stream.runCollect
        )
        assert.deepStrictEqual(names, ["Ada", "Gus"])
        const kept = yield* Ref.get(badRows)
        assert.strictEqual(kept.count, 5)
        assert.deepStrictEqual(kept.rows.map(({ row }) => row), [2, 3])
      }))

    it.effect("are not what a text says by chance", () =>
      Effect.gen(function*() {
        const Texts = Schema.Struct({
          text: Schema.NullOr(Schema.String),
          tags: Schema.Array(Schema.String),
          level: Schema.Literals([1, 2]),
          either: Schema.Union([Schema.Finite, Schema.String])
        })
        const file = (yield* write({
          "texts.csv": "text,tags,level,either\nnull,[],1,12\n 007 ,\"[\"\"a\"\"]\",2,NaN\n,[],1,\"\"\n\"\",[],1,0x10\n"
        }))("texts.csv")
        assert.deepStrictEqual((yield* Read.all(Texts, file)).rows, [
          { text: "null", tags: [], level: 1, either: 12 },
          { text: " 007 ", tags: ["a"], level: 2, either: "NaN" },
          { text: null, tags: [], level: 1, either: "" },
          { text: "", tags: [], level: 1, either: "0x10" }
        ])
        const Big = Schema.Struct({ id: Schema.Int })
        assert.match(yield* failure("big.csv", "id\n9007199254740993\n", {}, Big), /expected an integer/)
      }))
  })

  describe("files that cannot be read", () => {
    it.effect("are told with what is wrong and where", () =>
      Effect.gen(function*() {
        const header = "name,age,height\n"
        const utf16 = Buffer.from(`\ufeff${header}`, "utf16le")
        const latin1 = Buffer.from(`${header}Ada,1,1\nZoë,1,1\n`, "latin1")
        assert.deepStrictEqual(
          [
            yield* failure("empty.csv", ""),
            yield* failure("empty.jsonl", ""),
            yield* failure("empty.parquet", ""),
            yield* failure("lacks.csv", "name,heigth\nAda,1\n"),
            yield* failure("twice.csv", "name,age,height,name\nAda,1,1,Ada\n"),
            yield* failure("open.csv", `${header}Ada,1,1\n"Bob,1,1\nCid,1,1\n`),
            yield* failure("closed.csv", `${header}"two\r\nlines",1,1\n\r\n\n"Bob"by,1,1\nCid,1,1\n`),
            yield* failure("inside.csv", `${header}Bob "B",1,1\n`),
            yield* failure("huge.csv", `${header}Ada,1,1\n"${"x".repeat(5000)}`, { csv: { maximumRowBytes: 1000 } }),
            yield* failure("huge.jsonl", `\n"${"x".repeat(5000)}`, { jsonl: { maximumLineBytes: 1000 } }),
            yield* failure("utf16.csv", utf16),
            yield* failure("utf16.jsonl", utf16),
            yield* failure("latin1.csv", latin1),
            yield* failure("people.txt", csv)
          ],
          [
            "empty.csv: the file is empty, expected at least a header.",
            "empty.jsonl: the file is empty, expected a row.",
            "empty.parquet: the file is empty.",
            "lacks.csv, line 1: the header lacks \"age\", \"height\": expected \"name\", \"age\", \"height\", \"member\", \"born\","
            + " found \"name\", \"heigth\".",
            "twice.csv, line 1: the header has the column \"name\" twice.",
            "open.csv, line 3: in the row that begins here a quote is opened and never closed.",
            "closed.csv, line 6: in the row that begins here something follows a closing quote (a quote inside a quoted"
            + " cell is written twice).",
            "inside.csv, line 2: in the row that begins here a quote stands inside a cell that is not quoted.",
            "huge.csv, line 3: the row that begins here is longer than 1000 bytes; is a quote not closed.",
            "huge.jsonl, line 2: the line is longer than 1000 bytes.",
            "utf16.csv: it is UTF-16, expected UTF-8.",
            "utf16.jsonl: it is UTF-16, expected UTF-8.",
            "latin1.csv, line 3: the bytes are not UTF-8, at \"Zo\ufffd,1,1\".",
            "people.txt: its name does not tell its format: expected one of .csv, .tsv, .jsonl, .ndjson, .parquet, or the"
            + " option `format`."
          ]
        )
      }))

    it.effect("in Parquet, of other columns, or cut off", () =>
      Effect.gen(function*() {
        const table = yield* Columns.fromRows(
          Schema.Struct({ name: Schema.Finite, age: Schema.Int, height: Schema.Finite }),
          [{ name: 1, age: 1, height: 1 }]
        )
        const bytes = Parquet.encode(table)
        assert.strictEqual(
          yield* failure("type.parquet", bytes),
          "type.parquet: the column \"name\" is float64, expected utf8."
        )
        const Other = Schema.Struct({ name: Schema.Finite, label: Schema.String, note: Schema.NullOr(Schema.String) })
        assert.strictEqual(
          yield* failure("lacks.parquet", bytes, {}, Other),
          "lacks.parquet: the file lacks \"label\": expected \"name\", \"label\", \"note\", found \"name\", \"age\", \"height\"."
        )
        assert.match(
          yield* failure("cut.parquet", bytes.subarray(0, -3)),
          /^cut.parquet: the file does not end with PAR1/
        )
      }))

    it.effect("because they are not there, or are folders", () =>
      Effect.gen(function*() {
        const at = yield* write({})
        for (const name of ["a.csv", "a.jsonl", "a.parquet"]) {
          const error = yield* Effect.flip(Read.all(Person, at(name)))
          assert.deepInclude(error, { _tag: "DataError", reason: "missing-file" })
          assert.strictEqual(error.message, `${at(name)}: there is no such file.`)
        }
        const folder = yield* Effect.flip(Read.all(Person, path.dirname(at("x")), { format: "jsonl" }))
        assert.include(folder.message, "it is a folder, not a file")
      }))
  })

  it.effect("takes a file without a header, and optional columns that are not there", () =>
    Effect.gen(function*() {
      const file = (yield* write({ "plain.dat": "Ada;36;1.65\n" }))("plain.dat")
      const { rows } = yield* Read.all(Person, file, {
        format: "csv",
        csv: { delimiter: ";", header: ["name", "age", "height"] }
      })
      assert.deepStrictEqual(rows, [new Person({ name: "Ada", age: 36, height: 1.65 })])
    }))

  it.effect("takes numbers and times of other widths from Parquet", () =>
    Effect.gen(function*() {
      const Narrow = Schema.Struct({
        step: Schema.Int.check(Schema.isInt32()),
        count: Schema.BigInt,
        loss: Schema.Finite.annotate({ columnType: "float32" }),
        label: Schema.Literals(["a", "b"]).annotate({ columnType: "dictionary" }),
        tags: Schema.Array(Schema.Struct({ n: Schema.Int.check(Schema.isInt32()) }))
      })
      const Wide = Schema.Struct({
        step: Schema.Int,
        count: Schema.Finite,
        loss: Schema.Finite,
        label: Schema.String,
        tags: Schema.Array(Schema.Struct({ n: Schema.Int, m: Schema.optionalKey(Schema.String) })),
        more: Schema.NullOr(Schema.String)
      })
      const table = yield* Columns.fromRows(Narrow, [
        { step: 1, count: 2n, loss: 0.5, label: "a", tags: [{ n: 3 }] },
        { step: 1, count: 2n ** 53n + 1n, loss: 0.5, label: "a", tags: [] }
      ])
      const file = (yield* write({ "narrow.parquet": Parquet.encode(table) }))("narrow.parquet")
      const { badRows, rows } = yield* Read.all(Wide, file, { onBadRow: "collect" })
      assert.deepStrictEqual(rows, [{ step: 1, count: 2, loss: 0.5, label: "a", tags: [{ n: 3 }], more: null }])
      // What does not convert without loss is not converted.
      assert.deepInclude(badRows.rows[0], { row: 2, field: "count", found: "9007199254740993n" })
    }))
})
