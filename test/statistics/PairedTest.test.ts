import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import * as Bleu from "../../src/evaluate/Bleu.ts"
import * as Random from "../../src/random/Random.ts"
import * as Bootstrap from "../../src/statistics/Bootstrap.ts"
import * as PairedTest from "../../src/statistics/PairedTest.ts"

const read = (name: string) =>
  JSON.parse(readFileSync(new URL(`../fixtures/metrics/${name}.json`, import.meta.url), "utf8"))

const reference: {
  a: Array<number>
  b: Array<number>
  pairedT: number
  wilcoxon: number
  mcnemarExact: { onlyA: number; onlyB: number; p: number }
} = read("tests")

const { mcnemar, pairs }: {
  mcnemar: Array<
    { onlyFirst: number; onlySecond: number; exact: number; statistic: number | null; corrected: number | null }
  >
  pairs: Array<{
    what: string
    first: Array<number>
    second: Array<number>
    t: number
    tP: number
    cohensDz: number
    wilcoxon: number
    wilcoxonP: number
    wilcoxonApproximateP: number
    permutationP?: number
  }>
} = read("statistics")

describe("PairedTest", () => {
  it("gives the p-values of scipy on sixty pairs, and ones like them by resampling", () => {
    const { a, b } = reference
    assert.closeTo(PairedTest.tTest(a, b).pValue, reference.pairedT, 1e-13)
    assert.closeTo(PairedTest.wilcoxon(a, b).pValue, reference.wilcoxon, 1e-13)
    const permutation = PairedTest.permutationOfMeans(a, b, { seed: 1 })
    assert.isFalse(permutation.exact)
    assert.closeTo(permutation.pValue, reference.pairedT, 0.01)
    assert.closeTo(Bootstrap.pairedMeanDifference(a, b, { seed: 1 }).pValue, permutation.pValue, 0.02)
  })

  for (const { first, second, what, ...expected } of pairs) {
    it(`gives the statistics of scipy: ${what}`, () => {
      const t = PairedTest.tTest(first, second)
      assert.closeTo(t.statistic, expected.t, 1e-10)
      assert.closeTo(t.pValue / expected.tP, 1, 1e-10)
      assert.closeTo(t.cohensDz, expected.cohensDz, 1e-12)
      const wilcoxon = PairedTest.wilcoxon(first, second)
      assert.strictEqual(wilcoxon.statistic, expected.wilcoxon)
      assert.closeTo(wilcoxon.pValue / expected.wilcoxonP, 1, 1e-10)
      const approximate = PairedTest.wilcoxon(first, second, { method: "approximate" })
      assert.closeTo(approximate.pValue / expected.wilcoxonApproximateP, 1, 1e-10)
      if (expected.permutationP !== undefined) {
        const permutation = PairedTest.permutationOfMeans(first, second, { seed: 1 })
        assert.isTrue(permutation.exact)
        assert.closeTo(permutation.pValue, expected.permutationP, 1e-12)
      }
    })
  }

  it("gives McNemar's exact p-value of scipy", () => {
    const { onlyA, onlyB, p } = reference.mcnemarExact
    const found = PairedTest.mcnemarExact({ examples: 100, onlyFirst: onlyA, onlySecond: onlyB })
    assert.closeTo(found.pValue, p, 1e-14)
    assert.closeTo(found.difference, -0.12, 1e-15)
    assert.closeTo(found.oddsRatio, 7 / 19, 1e-15)
  })

  it("gives McNemar's tests of statsmodels, exact and corrected for continuity", () => {
    for (const { corrected, exact, onlyFirst, onlySecond, statistic } of mcnemar) {
      const counts = { examples: 5000, onlyFirst, onlySecond }
      assert.closeTo(PairedTest.mcnemarExact(counts).pValue / exact, 1, 1e-10)
      const found = PairedTest.mcnemarCorrected(counts)
      assert.closeTo(found.statistic, statistic ?? 0, 1e-12)
      assert.closeTo(found.pValue / (corrected ?? 1), 1, 1e-10)
    }
  })

  it("counts the examples on which one alone is right", () => {
    assert.deepStrictEqual(
      PairedTest.discordance([1, 1, 0, 0, 1], [true, false, true, false, false]),
      { examples: 5, onlyFirst: 2, onlySecond: 1 }
    )
  })

  it("counts every assignment of signs when Wilcoxon's test is exact, shared ranks or not", () => {
    for (const differences of [[1, -2, 3, 4, -5, 6], [1, 1, -2, 2, 2, -3, 3], [2, -2, 2, 2]]) {
      const zeros = differences.map(() => 0)
      const { pValue, statistic } = PairedTest.wilcoxon(differences, zeros, { method: "exact" })
      let extreme = 0
      for (let signs = 0; signs < 2 ** differences.length; signs++) {
        const signed = differences.map((d, i) => (signs >>> i & 1 ? -1 : 1) * Math.abs(d))
        if (PairedTest.wilcoxon(signed, zeros).statistic <= statistic) extreme++
      }
      assert.closeTo(pValue, extreme / 2 ** differences.length, 1e-14)
    }
  })

  it("says which side is favoured, from -1 to 1", () => {
    assert.strictEqual(PairedTest.wilcoxon([2, 3, 5], [1, 1, 1]).rankBiserial, 1)
    assert.strictEqual(PairedTest.wilcoxon([1, 1, 1], [2, 3, 5]).rankBiserial, -1)
    // Ranks 1, 2 and 3: 3 of 6 on either side.
    assert.strictEqual(PairedTest.wilcoxon([2, 3, 1], [1, 1, 4]).rankBiserial, 0)
  })

  it("finds no difference between a thing and itself", () => {
    const { a } = reference
    assert.isNaN(PairedTest.tTest(a, a).pValue)
    const same = PairedTest.wilcoxon(a, a)
    assert.deepStrictEqual([same.pValue, same.pairs, same.rankBiserial], [1, 0, 0])
    assert.strictEqual(PairedTest.permutationOfMeans(a, a, { seed: 1, permutations: 50 }).pValue, 1)
    assert.strictEqual(PairedTest.mcnemarExact(PairedTest.discordance([1, 0], [1, 0])).pValue, 1)
  })

  it("is sure of a difference that never varies", () => {
    const t = PairedTest.tTest([3, 4, 5], [1, 2, 3])
    assert.deepStrictEqual([t.estimate, t.statistic, t.pValue, t.degreesOfFreedom], [2, Infinity, 0, 2])
  })

  it("rejects a true hypothesis about as often as it says, by any test", () => {
    const rejected = { t: 0, wilcoxon: 0, permutation: 0 }
    for (let sample = 0; sample < 300; sample++) {
      const random = Random.make(2, "null", sample)
      const first = Array.from({ length: 20 }, () => random.normal())
      const second = first.map((value) => value + random.normal())
      if (PairedTest.tTest(first, second).pValue < 0.1) rejected.t++
      if (PairedTest.wilcoxon(first, second).pValue < 0.1) rejected.wilcoxon++
      if (PairedTest.permutationOfMeans(first, second, { seed: sample, permutations: 199 }).pValue < 0.1) {
        rejected.permutation++
      }
    }
    // Binomial with 300 draws of 0.1: five standard deviations are 26.
    for (const [name, count] of Object.entries(rejected)) assert.isTrue(count > 4 && count < 56, `${name}: ${count}`)
  })

  it("exchanges outputs for a score of the whole corpus, the same for a seed", () => {
    const references = Array.from({ length: 40 }, (_, i) => `the ${i} quick brown fox jumps over ${i % 7} lazy dogs`)
    const worse = references.map((text, i) => i % 2 === 0 ? text.replace("quick brown", "brown slow") : text)
    const counts = [references, worse].map((texts) => texts.map((text, i) => Bleu.counts(text, [references[i]!])))
    const difference = (exchanged: Uint8Array) => {
      const of = (system: number) => Bleu.score(references.map((_, i) => counts[system ^ exchanged[i]!]![i]!)).bleu
      return of(0) - of(1)
    }
    const found = PairedTest.permutation(40, difference, { seed: 5, permutations: 200 })
    assert.closeTo(found.pValue, 1 / 201, 1e-15)
    assert.isTrue(found.estimate > 10)
    assert.deepStrictEqual(PairedTest.permutation(40, difference, { seed: 5, permutations: 200 }), found)
  })

  it("refuses pairs that are none", () => {
    assert.throws(() => PairedTest.tTest([1, 2], [1]), /2 values cannot be paired with 1/)
    assert.throws(() => PairedTest.wilcoxon([1, NaN], [1, 2]), /Example 1 has the values NaN and 2/)
    assert.throws(() => PairedTest.tTest([1], [1]), /at least two pairs/)
    assert.throws(() => PairedTest.permutationOfMeans([1], [2], { seed: 1, permutations: 0 }), /0 permutations/)
  })
})
