import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { readFileSync } from "node:fs"
import * as MultipleTesting from "../../src/statistics/MultipleTesting.ts"

const read = (name: string) =>
  JSON.parse(readFileSync(new URL(`../fixtures/metrics/${name}.json`, import.meta.url), "utf8"))

const { benjaminiHochberg }: { benjaminiHochberg: { p: Array<number>; adjusted: Array<number> } } = read("tests")
const { multiple }: { multiple: Array<{ p: Array<number>; holm: Array<number>; benjaminiHochberg: Array<number> }> } =
  read("statistics")

const close = (found: Float64Array, expected: ReadonlyArray<number>) => {
  assert.strictEqual(found.length, expected.length)
  for (const [index, value] of expected.entries()) assert.closeTo(found[index]!, value, 1e-14)
}

const PValues = Schema.Array(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 })))

describe("MultipleTesting", () => {
  it("gives the adjusted p-values of scipy and statsmodels, in the order given", () => {
    close(MultipleTesting.benjaminiHochberg(benjaminiHochberg.p), benjaminiHochberg.adjusted)
    for (const { benjaminiHochberg, holm, p } of multiple) {
      close(MultipleTesting.holm(p), holm)
      close(MultipleTesting.benjaminiHochberg(p), benjaminiHochberg)
    }
  })

  it.prop("keeps the order, and lies between the p-values and Bonferroni's", [PValues], ([p]) => {
    const holm = MultipleTesting.holm(p), discovery = MultipleTesting.benjaminiHochberg(p)
    for (const [i, one] of p.entries()) {
      const bonferroni = Math.min(1, one * p.length) * (1 + 1e-12)
      assert.isTrue(one <= discovery[i]! * (1 + 1e-12) && discovery[i]! <= holm[i]! * (1 + 1e-12))
      // Holm's bound on a larger p-value may come from a smaller one, but never exceeds what Bonferroni gives it.
      assert.isTrue(holm[i]! <= bonferroni)
      for (const [j, other] of p.entries()) {
        if (one <= other) assert.isTrue(holm[i]! <= holm[j]! && discovery[i]! <= discovery[j]!)
      }
    }
  })

  it("refuses what is no p-value", () => {
    assert.throws(() => MultipleTesting.holm([0.5, 1.5]), /The p-value 1.5 of test 1/)
    assert.throws(() => MultipleTesting.benjaminiHochberg([NaN]), /The p-value NaN of test 0/)
  })
})
