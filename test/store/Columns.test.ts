import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Result, Schema } from "effect"
import { createHash } from "node:crypto"
import { nameOf } from "../../src/store/ArrowType.ts"
import * as Columns from "../../src/store/Columns.ts"

const types = (rowSchema: Columns.RowSchemaLike): Record<string, string> =>
  Object.fromEntries(
    Columns.schemaOf(rowSchema).fields.map((field) => [field.name, nameOf(field.type) + (field.nullable ? "?" : "")])
  )

class Point extends Schema.Class<Point>("Point")({ x: Schema.Finite, at: Schema.DateTimeUtc }) {
  get double(): number {
    return this.x * 2
  }
}

describe("Columns.schemaOf", () => {
  it("gives every kind of field its Arrow type", () => {
    assert.deepStrictEqual(
      types(Schema.Struct({
        name: Schema.String,
        loss: Schema.Number,
        finite: Schema.Finite.check(Schema.isGreaterThan(0)),
        step: Schema.Int,
        label: Schema.Int.check(Schema.isInt32()),
        small: Schema.Int.annotate({ columnType: "int32" }),
        half: Schema.Finite.annotate({ columnType: "float32" }),
        bytes: Schema.BigInt,
        done: Schema.Boolean,
        status: Schema.Literals(["ok", "failed"]),
        split: Schema.Literals(["train", "test"]).annotate({ columnType: "dictionary" }),
        rung: Schema.Literals([1, 2, 4]),
        share: Schema.Literals([1, 0.5]),
        missing: Schema.NullOr(Schema.Finite),
        undefinable: Schema.UndefinedOr(Schema.Int),
        optional: Schema.optional(Schema.String),
        optionalKey: Schema.optionalKey(Schema.Boolean),
        tags: Schema.Array(Schema.String),
        nonEmpty: Schema.NonEmptyArray(Schema.NullOr(Schema.Int)),
        at: Schema.DateTimeUtc,
        date: Schema.Date,
        weights: Schema.Uint8Array,
        fromText: Schema.FiniteFromString,
        brand: Schema.String.pipe(Schema.brand("Name")),
        nested: Schema.Struct({ inner: Schema.optionalKey(Schema.Int) }),
        point: Point,
        params: Schema.Record(Schema.String, Schema.Unknown).annotate({ columnType: "json" })
      })),
      {
        name: "utf8",
        loss: "float64",
        finite: "float64",
        step: "int64",
        label: "int32",
        small: "int32",
        half: "float32",
        bytes: "int64",
        done: "bool",
        status: "utf8",
        split: "dictionary<utf8>",
        rung: "int64",
        share: "float64",
        missing: "float64?",
        undefinable: "int64?",
        optional: "utf8?",
        optionalKey: "bool?",
        tags: "list<utf8>",
        nonEmpty: "list<int64?>",
        at: "timestamp<us, UTC>",
        date: "timestamp<us, UTC>",
        weights: "binary",
        fromText: "float64",
        brand: "utf8",
        nested: "struct<\"inner\": int64?>",
        point: "struct<\"x\": float64, \"at\": timestamp<us, UTC>>",
        params: "utf8"
      }
    )
  })

  it("keeps units and description with the column", () => {
    const schema = Columns.schemaOf(Schema.Struct({
      duration: Schema.Finite.annotate({ units: "seconds", description: "Wall clock of the stage." }).check(
        Schema.isGreaterThanOrEqualTo(0)
      ),
      plain: Schema.String
    }))
    assert.deepStrictEqual(
      [...schema.fields[0]!.metadata],
      [["description", "Wall clock of the stage."], ["units", "seconds"]]
    )
    assert.strictEqual(schema.fields[1]!.metadata.size, 0)
  })

  it.each<[string, Schema.Constraint, string]>([
    ["a record", Schema.Record(Schema.String, Schema.Finite), "a record with any keys"],
    ["a mixed union", Schema.Union([Schema.String, Schema.Finite]), "a union of utf8 and float64"],
    ["unknown", Schema.Unknown, "of the type Unknown"],
    ["a tuple", Schema.Tuple([Schema.String, Schema.Finite]), "a tuple"],
    ["a duration", Schema.Duration, "a Duration"],
    ["null and undefined", Schema.optional(Schema.NullOr(Schema.Int)), "either null or undefined"],
    ["null and missing", Schema.optionalKey(Schema.NullOr(Schema.Int)), "both optional and nullable"],
    ["structs alike", Schema.Union([Point, Schema.Struct({ x: Schema.Finite, at: Schema.DateTimeUtc })]), "alike"]
  ])("refuses %s and names the field", (_, field, found) => {
    try {
      Columns.schemaOf(Schema.Struct({ outer: Schema.Struct({ field }) }) as never)
    } catch (error) {
      assert.instanceOf(error, Columns.UnsupportedField)
      assert.strictEqual(error.field, "outer.field")
      assert.include(error.found, found)
      assert.include(error.message, "`outer.field`")
      return
    }
    assert.fail("nothing was thrown")
  })

  it("refuses rows that are no structs", () => {
    assert.throws(() => Columns.schemaOf(Schema.Array(Schema.String)), /Schema\.Struct or a Schema\.Class/)
  })
})

const Row = Schema.Struct({
  text: Schema.String,
  number: Schema.Number,
  step: Schema.Int,
  big: Schema.NullOr(Schema.BigInt),
  flag: Schema.optionalKey(Schema.Boolean),
  at: Schema.DateTimeUtc,
  points: Schema.NullOr(Schema.Array(Point)),
  params: Schema.Record(Schema.String, Schema.Unknown).annotate({ columnType: "json" })
})

const rows: ReadonlyArray<typeof Row.Type> = [
  {
    text: "a\u0000😀",
    number: -0,
    step: Number.MAX_SAFE_INTEGER,
    big: 2n ** 63n - 1n,
    flag: true,
    at: DateTime.makeUnsafe(-1),
    points: [new Point({ x: 1, at: DateTime.makeUnsafe(5) })],
    params: { rate: 1e-3, nested: [1, null, { a: "b" }] }
  },
  { text: "", number: Number.NaN, step: -1, big: null, at: DateTime.makeUnsafe(0), points: null, params: {} },
  { text: "\ufeff", number: -Infinity, step: 0, big: -(2n ** 63n), at: DateTime.makeUnsafe(1), points: [], params: {} }
]

describe("Columns", () => {
  it.effect("gives back the rows it was made from", () =>
    Effect.gen(function*() {
      const columns = yield* Columns.fromRows(Row, rows)
      assert.strictEqual(columns.length, 3)
      assert.deepStrictEqual(columns.columns["step"], new BigInt64Array([9007199254740991n, -1n, 0n]))
      assert.deepStrictEqual(columns.columns["at"], new BigInt64Array([-1000n, 0n, 1000n]))
      assert.deepStrictEqual(columns.columns["big"], [2n ** 63n - 1n, null, -(2n ** 63n)])
      assert.deepStrictEqual(columns.columns["params"], [
        "{\"nested\":[1,null,{\"a\":\"b\"}],\"rate\":0.001}",
        "{}",
        "{}"
      ])
      const back = yield* Columns.toRows(Row, columns)
      assert.deepStrictEqual(back, rows)
      assert.isTrue(Object.is(back[0]!.number, -0))
      assert.strictEqual(back[0]!.points![0]!.double, 2)
      assert.isFalse("flag" in back[1]!)
    }))

  it.effect("says which row and field does not fit", () =>
    Effect.gen(function*() {
      const bad = (change: object) =>
        Effect.flip(Columns.fromRows(Row, [rows[0]!, { ...rows[0]!, ...change } as never]))
      const fractional = yield* bad({ step: 1.5 })
      assert.deepInclude(fractional, { row: 2, field: "step", found: "1.5", expected: "an integer" })
      assert.strictEqual(fractional.message, "Row 2, field `step`: expected an integer, found 1.5.")
      assert.deepInclude(yield* bad({ text: undefined }), { row: 2, field: "text", found: "nothing" })
      assert.deepInclude(yield* bad({ big: 2n ** 63n }), { field: "big", found: `${2n ** 63n}n` })
      assert.deepInclude(yield* bad({ text: "\ud83d" }), { field: "text", expected: "a text without lone surrogates" })
      const nested = yield* bad({ points: [{ x: 1 }] })
      assert.match(nested.field, /^points\[0\]/)
    }))

  it.effect("refuses to read rows of another schema, and names the column", () =>
    Effect.gen(function*() {
      const columns = yield* Columns.fromRows(Row, rows)
      const type = yield* Effect.flip(Columns.toRows(Schema.Struct({ text: Schema.Finite }), columns))
      assert.strictEqual(type.message, "Column `text`: the row schema expects float64, the table has utf8.")
      const name = yield* Effect.flip(Columns.toRows(Schema.Struct({ txt: Schema.String }), columns))
      assert.strictEqual(name.field, "txt")
      assert.include(name.message, "text, number, step")
      // A column that may be missing may also be absent from the table.
      assert.deepStrictEqual(
        yield* Columns.toRows(Schema.Struct({ text: Schema.String, more: Schema.NullOr(Schema.Finite) }), columns),
        rows.map(({ text }) => ({ text, more: null }))
      )
      const check = Schema.Struct({ text: Schema.String.check(Schema.isMinLength(1)) })
      assert.deepInclude(yield* Effect.flip(Columns.toRows(check, columns)), { row: 2, field: "text", found: "\"\"" })
    }))

  it("checks cells against their Arrow type", () => {
    const schema = Columns.schemaOf(
      Schema.Struct({ small: Schema.Int.check(Schema.isInt32()), tags: Schema.Array(Schema.String) })
    )
    assert.isTrue(Result.isSuccess(Columns.fromRecords(schema, [{ small: -(2 ** 31), tags: [] }])))
    const problem = (record: object) => {
      const made = Columns.fromRecords(schema, [record as never])
      return Result.isFailure(made) ? made.failure : assert.fail("nothing was refused")
    }
    assert.strictEqual(problem({ small: 2 ** 31, tags: [] }).field, "small")
    assert.strictEqual(problem({ small: 1n, tags: [] }).found, "1n")
    assert.strictEqual(problem({ tags: [] }).found, "nothing")
    assert.strictEqual(problem({ small: 1, tags: ["a", null] }).field, "tags[1]")
  })

  it.effect("selects rows and puts tables together", () =>
    Effect.gen(function*() {
      const columns = yield* Columns.fromRows(Row, rows)
      const turned = Columns.select(columns, [2, 0])
      assert.deepStrictEqual(yield* Columns.toRows(Row, turned), [rows[2]!, rows[0]!])
      const joined = Columns.concat(columns.schema, [turned, Columns.select(columns, [1])])
      assert.deepStrictEqual(yield* Columns.toRows(Row, joined), [rows[2]!, rows[0]!, rows[1]!])
      assert.throws(() => Columns.select(columns, [3]), RangeError)
    }))
})

const Value = Schema.Struct({ value: Schema.Number })

describe("Columns.digest", () => {
  const digestOf = (rowSchema: Columns.RowSchemaLike, content: ReadonlyArray<object>) =>
    Effect.map(Columns.fromRows(rowSchema, content), Columns.digest)

  it.effect("is the same for the same content, whatever NaN it has", () =>
    Effect.gen(function*() {
      const odd = new Float64Array(new BigUint64Array([0x7ff8000000000001n]).buffer)
      assert.strictEqual(
        yield* digestOf(Value, [{ value: odd[0]! }]),
        yield* digestOf(Value, [{ value: Number.NaN }])
      )
      const columns = yield* Columns.fromRows(Row, rows)
      assert.strictEqual(Columns.digest(Columns.select(columns, [0, 1, 2])), Columns.digest(columns))
    }))

  it.effect("differs when anything differs", () =>
    Effect.gen(function*() {
      const Optional = Schema.Struct({ value: Schema.NullOr(Schema.Number) })
      const Text = Schema.Struct({ value: Schema.String })
      const Texts = Schema.Struct({ value: Schema.Array(Schema.String) })
      const digests = [
        yield* digestOf(Value, []),
        yield* digestOf(Value, [{ value: 0 }]),
        yield* digestOf(Value, [{ value: -0 }]),
        yield* digestOf(Value, [{ value: 0 }, { value: -0 }]),
        yield* digestOf(Value, [{ value: -0 }, { value: 0 }]),
        yield* digestOf(Schema.Struct({ other: Schema.Number }), [{ other: 0 }]),
        yield* digestOf(Schema.Struct({ value: Schema.Int }), [{ value: 0 }]),
        yield* digestOf(Optional, [{ value: 0 }]),
        yield* digestOf(Optional, [{ value: 0 }, { value: null }]),
        yield* digestOf(Optional, [{ value: null }, { value: 0 }]),
        yield* digestOf(Text, [{ value: "ab" }, { value: "" }]),
        yield* digestOf(Text, [{ value: "a" }, { value: "b" }]),
        yield* digestOf(Texts, [{ value: ["ab"] }, { value: [] }]),
        yield* digestOf(Texts, [{ value: [] }, { value: ["ab"] }]),
        yield* digestOf(Texts, [{ value: ["a", "b"] }, { value: [] }])
      ]
      assert.strictEqual(new Set(digests).size, digests.length)
    }))

  it.effect("is the hash of the documented bytes", () =>
    Effect.gen(function*() {
      const Two = Schema.Struct({ x: Schema.NullOr(Schema.Finite), name: Schema.String })
      const header = "{\"fields\":[{\"name\":\"x\",\"nullable\":true,\"type\":\"float64\"},"
        + "{\"name\":\"name\",\"nullable\":false,\"type\":\"utf8\"}],\"format\":\"attune.columns/1\",\"rows\":2}"
      const cells = [
        [0b10], // x: only the second is there
        [0, 0, 0, 0, 0, 0, 0xf8, 0x3f], // 1.5
        [2, 0, 0, 0, 1, 0, 0, 0], // lengths of the names
        [0xc3, 0xa9, 0x61]
      ]
      const bytes = Buffer.concat([Buffer.from(header), ...cells.map((part) => Buffer.from(part))])
      assert.strictEqual(
        yield* digestOf(Two, [{ x: null, name: "é" }, { x: 1.5, name: "a" }]),
        createHash("sha256").update(bytes).digest("hex")
      )
    }))

  it.effect("is a fixed function of the content", () =>
    Effect.gen(function*() {
      // Recorded once: a change here would make every stored table new.
      assert.strictEqual(
        Columns.digest(yield* Columns.fromRows(Row, rows)),
        "fc9c6a226d1379714b8950bc162e8d3703f809288e2bbf95a6cb5bce667a16d6"
      )
    }))
})

describe("Columns.rowDigests", () => {
  const digestsOf = (rowSchema: Columns.RowSchemaLike, content: ReadonlyArray<object>) =>
    Effect.map(Columns.fromRows(rowSchema, content), Columns.rowDigests)

  it.effect("belongs to the row, not to its place or to the order of the columns", () =>
    Effect.gen(function*() {
      const columns = yield* Columns.fromRows(Row, rows)
      const digests = Columns.rowDigests(columns)
      assert.strictEqual(new Set(digests).size, 3)
      assert.deepStrictEqual(Columns.rowDigests(Columns.select(columns, [1, 0])), [digests[1]!, digests[0]!])
      const ab = Schema.Struct({ a: Schema.String, b: Schema.Int })
      const ba = Schema.Struct({ b: Schema.Int.check(Schema.isInt32()), a: Schema.String })
      assert.deepStrictEqual(
        yield* digestsOf(ab, [{ a: "x", b: 1 }]),
        yield* digestsOf(ba, [{ b: 1, a: "x" }])
      )
      const wider = Schema.Struct({ a: Schema.String, b: Schema.Int, c: Schema.NullOr(Schema.Finite) })
      assert.deepStrictEqual(
        yield* digestsOf(ab, [{ a: "x", b: 1 }]),
        yield* digestsOf(wider, [{ a: "x", b: 1, c: null }])
      )
    }))

  it.effect("tells apart what stands in different fields", () =>
    Effect.gen(function*() {
      const Two = Schema.Struct({ a: Schema.NullOr(Schema.String), b: Schema.NullOr(Schema.String) })
      const digests = yield* digestsOf(Two, [
        { a: "x", b: null },
        { a: null, b: "x" },
        { a: "x", b: "" },
        { a: "x\",\"b\":\"", b: null }
      ])
      assert.strictEqual(new Set(digests).size, 4)
    }))
})
