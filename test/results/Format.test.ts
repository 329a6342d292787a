import { assert, describe, it } from "@effect/vitest"
import { parse } from "csv-parse/sync"
import * as DisplayWidth from "../../src/results/DisplayWidth.ts"
import * as Format from "../../src/results/Format.ts"

const rowsOf = (...rows: ReadonlyArray<Readonly<Record<string, any>>>): Format.Rows => ({
  columns: Object.keys(rows[0] ?? {}).map((name) => ({ name })),
  rows
})

const awkward = [
  "",
  " ",
  "a,b",
  "say \"hi\"",
  "two\r\nlines",
  "tab\t",
  "🙂 学習",
  "=1+1",
  "null",
  "\u001b[31mred\u001b[0m"
]

describe("Format.table", () => {
  it("sets numbers to the right and texts to the left", () => {
    assert.strictEqual(
      Format.table(rowsOf(
        { study: "a", trial: 1, value: 0.1234567, count: 12n },
        { study: "long name", trial: 10, value: null, count: 3n },
        { study: "b", trial: 2, value: 1e-9, count: 9007199254740993n }
      )),
      [
        "study      trial     value             count",
        "─────────  ─────  ────────  ────────────────",
        "a              1  0.123457                12",
        "long name     10         –                 3",
        "b              2     1e-9  9007199254740993".replace("     1e-9", "      1e-9"),
        ""
      ].join("\n")
    )
  })

  it("shows numbers to six digits, and all digits of whole ones", () => {
    assert.deepStrictEqual(
      [1, 0.1 + 0.2, 123456789, 1234567.891, 1e21, -0.00012345678, Number.NaN, -Infinity].map(Format.number),
      ["1", "0.3", "123456789", "1234570", "1e+21", "-0.000123457", "NaN", "-Infinity"]
    )
  })

  it("keeps every row on one line and every character harmless", () => {
    const text = Format.table(rowsOf(...awkward.map((text) => ({ text, "na\nme": { deep: ["\u202e", text] } }))))
    const lines = text.trimEnd().split("\n")
    assert.strictEqual(lines.length, awkward.length + 2)
    // oxlint-disable-next-line no-control-regex
    assert.notMatch(text.replaceAll("\n", ""), /[\u0000-\u001f\u007f-\u009f\u202e]/)
    assert.include(text, "\\e[31mred\\e[0m")
    assert.include(text, "na\\nme")
    assert.include(text, "\\u{202e}")
    assert.strictEqual(Format.visible("a\u0000\ud800b"), "a\\u{0}\ufffdb")
  })

  it("fits a width, cutting the widest columns first and counting those left out", () => {
    const wide = rowsOf({
      name: "学習".repeat(30),
      emoji: "👩‍👩‍👧‍👦🙂e\u0301".repeat(20),
      value: 0.123456,
      note: "x".repeat(80)
    })
    for (const width of [40, 41, 60, 79, 80, 100, 300]) {
      for (const line of Format.table(wide, { width }).split("\n")) {
        assert.isAtMost(DisplayWidth.of(line), width, `${width}: ${line}`)
      }
    }
    const text = Format.table(wide, { width: 60 })
    assert.include(text, "0.123456")
    assert.include(text, "…")
    const many = rowsOf(Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`column${i}`, `value ${i}`])))
    assert.match(Format.table(many, { width: 60 }), /… and 24 more columns: column6, column7/)
    assert.notInclude(Format.table(many), "…")
    // Wide enough is left alone.
    assert.strictEqual(Format.table(wide, { width: 1000 }), Format.table(wide))
  })

  it("counts the columns of wide, combined and invisible characters", () => {
    const widths: ReadonlyArray<readonly [string, number]> = [
      ["abc", 3],
      ["学", 2],
      ["ｱ", 1],
      ["Ａ", 2],
      ["e\u0301", 1],
      ["👩‍👩‍👧‍👦", 2],
      ["🇩🇪", 2],
      ["❤️", 2],
      ["한글", 4],
      ["–…─", 3],
      ["\u200b", 0]
    ]
    for (const [text, width] of widths) assert.strictEqual(DisplayWidth.of(text), width, text)
    assert.strictEqual(DisplayWidth.truncate("学習学習", 5), "学習…")
    assert.strictEqual(DisplayWidth.truncate("学習学習", 4), "学…")
    assert.strictEqual(DisplayWidth.truncate("e\u0301e\u0301e\u0301", 2), "e\u0301…")
    assert.strictEqual(DisplayWidth.truncate("abc", 3), "abc")
  })

  it("shows a table without rows, and none without columns", () => {
    assert.strictEqual(Format.table({ columns: [{ name: "a" }, { name: "bc" }], rows: [] }), "a  bc\n─  ──\n")
    assert.strictEqual(Format.table({ columns: [], rows: [] }), "")
  })
})

describe("Format.csv", () => {
  it("is read back by a parser of RFC 4180", () => {
    const rows = awkward.map((text, i) => ({ text, "odd, \"name\"": `${i}` }))
    const text = Format.csv(rowsOf(...rows))
    assert.isTrue(text.startsWith("text,\"odd, \"\"name\"\"\"\r\n"))
    assert.deepStrictEqual(parse(text, { columns: true, recordDelimiter: "\r\n" }), rows)
  })

  it("tells missing from empty, and numbers exactly", () => {
    assert.strictEqual(
      Format.csv(rowsOf({
        none: null,
        empty: "",
        third: 1 / 3,
        zero: -0,
        big: 9007199254740993n,
        nan: Number.NaN,
        infinity: -Infinity,
        bytes: new Uint8Array([0, 171]),
        list: [1, "a,\"b\""],
        yes: true
      })).split("\r\n")[1],
      ",\"\",0.3333333333333333,-0,9007199254740993,NaN,-Infinity,00ab,\"[1,\"\"a,\\\"\"b\\\"\"\"\"]\",true"
    )
  })
})

describe("Format.json", () => {
  it("is JSON with one row a line", () => {
    const text = Format.json(rowsOf(
      { a: 1n, b: 9007199254740993n, c: Number.NaN, d: -Infinity, e: null, f: new Uint8Array([255]) },
      { a: 2n, b: -9007199254740993n, c: 0.1, d: 0, e: "\u2028\n", f: [{ deep: 3n, nan: Number.NaN }] }
    ))
    assert.strictEqual(text.split("\n").length, 5)
    assert.deepStrictEqual(JSON.parse(text), [
      { a: 1, b: "9007199254740993", c: "NaN", d: "-Infinity", e: null, f: "ff" },
      { a: 2, b: "-9007199254740993", c: 0.1, d: 0, e: "\u2028\n", f: [{ deep: 3, nan: "NaN" }] }
    ])
    assert.deepStrictEqual(JSON.parse(Format.json({ columns: [{ name: "a" }], rows: [] })), [])
  })
})
