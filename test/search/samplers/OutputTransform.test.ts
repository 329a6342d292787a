import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { readFileSync } from "node:fs"
import * as OutputTransform from "../../../src/search/samplers/OutputTransform.ts"

interface Reference {
  readonly rows: ReadonlyArray<
    { readonly power: number; readonly x: ReadonlyArray<number>; readonly y: ReadonlyArray<number> }
  >
  readonly sets: ReadonlyArray<
    { readonly name: string; readonly losses: ReadonlyArray<number>; readonly power: number }
  >
}

const reference: Reference = JSON.parse(
  readFileSync(new URL("../../fixtures/search/yeo-johnson.json", import.meta.url), "utf8")
)

/** In hundredths. */
const losses = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: -10_000, maximum: 100_000 }))).check(
  Schema.isMinLength(2),
  Schema.isMaxLength(30)
)

describe("OutputTransform", () => {
  it("bends as scipy does, and back", () => {
    for (const { power, x, y } of reference.rows) {
      for (const [i, value] of x.entries()) {
        assert.isAtMost(Math.abs(OutputTransform.bend(value, power) - y[i]!), 1e-12 * (1 + Math.abs(y[i]!)))
        assert.isAtMost(Math.abs(OutputTransform.unbend(y[i]!, power) - value), 1e-9 * (1 + Math.abs(value)))
      }
    }
  })

  it("takes the power that scipy finds most likely, to the nearest tenth, but none above 1", () => {
    for (const { losses, name, power } of reference.sets) {
      const found = OutputTransform.of(Float64Array.from(losses)).power
      assert.isAtMost(Math.abs(found - Math.min(1, power)), 0.0501, name)
    }
  })

  it.prop("keeps the order, has mean 0 and variance 1, and can be taken back", { losses }, ({ losses }) => {
    const given = losses.map((loss) => loss / 100)
    const { apply, invert, targets } = OutputTransform.of(Float64Array.from(given))
    const mean = (values: Float64Array) => values.reduce((sum, value) => sum + value, 0) / values.length
    assert.isAtMost(Math.abs(mean(targets)), 1e-9)
    if (new Set(given).size === 1) assert.isTrue(targets.every((target) => target === 0))
    else assert.isAtMost(Math.abs(mean(targets.map((target) => target * target)) - 1), 1e-9)
    const highest = Math.max(...targets)
    for (const [i, loss] of given.entries()) {
      assert.strictEqual(targets[i], apply(loss))
      // Of the highest ones it is only known that they are high.
      if (targets[i]! < highest) assert.isAtMost(Math.abs(invert(targets[i]!) - loss), 1e-6 * (1 + Math.abs(loss)))
      else assert.isAtMost(invert(targets[i]!), loss + 1e-6 * (1 + Math.abs(loss)))
      for (const [j, other] of given.entries()) {
        if (loss < other) assert.isAtMost(targets[i]!, targets[j]!)
        if (loss < other && targets[j]! < highest) assert.isBelow(targets[i]!, targets[j]!)
      }
    }
  })

  it("does not let one diverged run hide the differences between the others", () => {
    const good = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    const { targets } = OutputTransform.of(Float64Array.from([...good, 1000]))
    assert.isAbove(targets[7]! - targets[0]!, 1)
  })
})
