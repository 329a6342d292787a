import { assert, describe, it } from "@effect/vitest"
import * as Text from "../../src/cli/Text.ts"

describe("Text", () => {
  it("says how long something takes in the unit people use", () => {
    const said = [0, 400, 9_949, 9_950, 59_499, 133_000, 3_599_400, 3_600_000, 3_900_000, Infinity].map(Text.duration)
    assert.deepStrictEqual(said, [
      "0.0 s",
      "0.4 s",
      "9.9 s",
      "10 s",
      "59 s",
      "2 min 13 s",
      "59 min 59 s",
      "1 h 00 min",
      "1 h 05 min",
      "unknown"
    ])
  })

  it("counts time as a clock does", () => {
    assert.deepStrictEqual([0, 7_900, 750_000, 3_723_000].map(Text.clock), ["0:00", "0:07", "12:30", "1:02:03"])
  })

  it("keeps four digits of a measurement, and says what is no number", () => {
    const said = [0.123456, 12, 0.00001234, 12345678, 5.43219, 0, NaN, -Infinity].map(Text.measure)
    assert.deepStrictEqual(said, ["0.1235", "12", "1.23e-5", "1.23e+7", "5.432", "0", "NaN", "-Infinity"])
  })

  it("counts bytes in binary units", () => {
    assert.deepStrictEqual([0, 1023, 1024, 5 * 1024 ** 3].map(Text.bytes), ["0 B", "1023 B", "1.0 KiB", "5.0 GiB"])
  })

  it("keeps three digits of a rate, with commas", () => {
    assert.deepStrictEqual([52.1634, 6838, 7.1, 1_234_567].map(Text.rate), ["52.2", "6,840", "7.1", "1,230,000"])
  })

  it("breaks text between words, and loses none", () => {
    const text = "Install a Vulkan driver for the GPU, or choose --backend wasm."
    for (const columns of [1, 8, 20, 61, 62, Infinity]) {
      const lines = Text.wrap(text, columns)
      assert.strictEqual(lines.join(" "), text)
      for (const line of lines) assert.isTrue(line.length <= columns || !line.includes(" "), line)
    }
    assert.strictEqual(Text.wrap(text, 62).length, 1)
    assert.strictEqual(Text.wrap("名前 名前", 8).length, 2)
  })

  it("makes harmless what comes from data", () => {
    assert.deepStrictEqual(Text.visibleLines("one\r\n\ntwo \u001b[31mred\u0007"), ["one", "two \\e[31mred\\u{7}"])
    assert.strictEqual(Text.value({ name: "a\nb", size: 10n }), "{\"name\":\"a\\nb\",\"size\":\"10\"}")
  })
})
