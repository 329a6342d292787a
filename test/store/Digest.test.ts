import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { createHash } from "node:crypto"
import * as Digest from "../../src/store/Digest.ts"

describe("Digest", () => {
  it("agrees with the examples of FIPS 180-2", () => {
    assert.strictEqual(Digest.ofText("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    assert.strictEqual(
      Digest.ofText("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    )
    assert.strictEqual(
      Digest.ofBytes(new Uint8Array(0)),
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )
  })

  it("hashes pieces like the whole, and only the bytes a view shows", () => {
    const bytes = new Uint8Array([9, 97, 98, 99, 9]).subarray(1, 4)
    assert.strictEqual(Digest.ofBytes(bytes), Digest.ofText("abc"))
    assert.strictEqual(Digest.hasher().update("a").update(bytes.subarray(1)).digest(), Digest.ofText("abc"))
    assert.strictEqual(Digest.ofText("çİ😀"), createHash("sha256").update("çİ😀", "utf8").digest("hex"))
  })

  it("writes keys in code-unit order at every depth, without white space", () => {
    // The order of RFC 8785 section 3.2.3: U+1F600 sorts by its first surrogate, before U+FB33.
    const value = { "\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\ud83d\ude00": 5, "\u0080": 6, "\u00f6": 7 }
    assert.strictEqual(
      Digest.canonicalJson(value),
      "{\"\\r\":2,\"1\":4,\"\u0080\":6,\"ö\":7,\"€\":1,\"😀\":5,\"\ufb33\":3}"
    )
    assert.strictEqual(
      Digest.canonicalJson({ b: [{ d: null, c: true }], a: [1e21, 1e-7, -0, 0.1, 100] }),
      "{\"a\":[1e+21,1e-7,0,0.1,100],\"b\":[{\"c\":true,\"d\":null}]}"
    )
  })

  it("takes instances of schema classes for their fields", () => {
    class Point extends Schema.Class<Point>("Point")({ y: Schema.Finite, x: Schema.Finite }) {}
    assert.strictEqual(Digest.canonicalJson(new Point({ y: 1, x: 2 })), "{\"x\":2,\"y\":1}")
  })

  it.each<[string, unknown, string]>([
    ["undefined", { a: { b: undefined } }, "$.a.b"],
    ["the number NaN", [0, Number.NaN], "$[1]"],
    ["the number Infinity", { a: Infinity }, "$.a"],
    ["a bigint", { a: 1n }, "$.a"],
    ["a function", () => 1, "$"],
    ["a symbol", [Symbol.iterator], "$[0]"],
    ["a Date", { at: new Date(0) }, "$.at"],
    ["a Map", { m: new Map() }, "$.m"],
    ["a Uint8Array", { bytes: new Uint8Array(2) }, "$.bytes"],
    ["undefined", Array.from({ length: 2 }), "$[0]"],
    ["a text with a lone surrogate", ["\ud83d"], "$[0]"]
  ])("refuses %s and says where it stands", (found, value, path) => {
    try {
      Digest.canonicalJson(value)
    } catch (error) {
      assert.instanceOf(error, Digest.NotJson)
      assert.strictEqual(error.path, path)
      assert.include(error.message, `found ${found},`)
      return
    }
    assert.fail("nothing was thrown")
  })

  it("refuses a cycle, and takes an object that occurs twice", () => {
    const cycle: Record<string, unknown> = {}
    cycle["self"] = cycle
    assert.throws(() => Digest.canonicalJson(cycle), /contains it/)
    const shared = { a: 1 }
    assert.strictEqual(Digest.canonicalJson([shared, shared]), "[{\"a\":1},{\"a\":1}]")
  })

  it.prop(
    "does not depend on the order in which keys were set",
    [Schema.Record(Schema.String, Schema.Union([Schema.Finite, Schema.String, Schema.Boolean]))],
    ([record]) => {
      const entries = Object.entries(record).filter(([key, value]) =>
        !/\p{Surrogate}/u.test(key) && !(typeof value === "string" && /\p{Surrogate}/u.test(value))
      )
      const forwards = Object.fromEntries(entries)
      const backwards = Object.fromEntries(entries.toReversed())
      assert.strictEqual(Digest.ofJson(forwards), Digest.ofJson(backwards))
      // `-0` is written `0`, as in RFC 8785.
      const positive = Object.fromEntries(entries.map(([key, value]) => [key, value === 0 ? 0 : value]))
      assert.deepStrictEqual({ ...JSON.parse(Digest.canonicalJson(forwards)) }, positive)
    }
  )
})
