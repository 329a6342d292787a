import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as MinHash from "../../src/dataset/MinHash.ts"
import * as Shingles from "../../src/dataset/Shingles.ts"
import * as Random from "../../src/random/Random.ts"

const fixture: {
  banding: ReadonlyArray<{
    permutations: number
    threshold: number
    falsePositiveWeight: number
    bands: number
    rows: number
    falsePositives: number
    falseNegatives: number
    missedAtThreshold: number
  }>
  agreement: ReadonlyArray<{ permutations: number; threshold: number; places: number }>
} = JSON.parse(fs.readFileSync(new URL("../fixtures/dataset/minhash.json", import.meta.url), "utf8"))

describe("the banding", () => {
  it("has the false positives, false negatives and misses that scipy computes", () => {
    for (const { bands, falseNegatives, falsePositives, missedAtThreshold, rows, threshold } of fixture.banding) {
      const banding = { bands, rows }
      assert.closeTo(MinHash.falsePositives(threshold, banding), falsePositives, 1e-7)
      assert.closeTo(MinHash.falseNegatives(threshold, banding), falseNegatives, 1e-7)
      assert.closeTo(1 - MinHash.candidateProbability(threshold, banding), missedAtThreshold, 1e-12)
    }
  })

  it("is the one that has the least of both, whatever they weigh", () => {
    for (const { bands, falsePositiveWeight, permutations, rows, threshold } of fixture.banding) {
      assert.deepStrictEqual(
        MinHash.banding(threshold, permutations, falsePositiveWeight),
        { bands, rows },
        `${permutations} permutations, ${threshold}, ${falsePositiveWeight}`
      )
    }
  })

  it("misses few by default, and few of those at the threshold are refused by their signatures", () => {
    const banding = MinHash.banding(0.8, 128)
    assert.isBelow(1 - MinHash.candidateProbability(0.8, banding), 1 / 500)
    assert.isBelow(1 - MinHash.candidateProbability(0.9, banding), 1e-6)
    for (const { permutations, places, threshold } of fixture.agreement) {
      assert.strictEqual(MinHash.agreement(threshold, permutations), places, `${permutations} at ${threshold}`)
    }
  })
})

/** Two sets of hashes of which so many are in both. */
const sets = (random: Random.Random, shared: number, alone: number) => {
  const draw = (count: number) => Array.from({ length: count }, random.uint32)
  const both = draw(shared)
  return [[...both, ...draw(alone)], [...both, ...draw(alone)]].map((values) => ({
    values: Uint32Array.from(values),
    count: values.length
  }))
}

describe("a signature", () => {
  it("agrees in as large a part as the sets do, with the spread of independent permutations", () => {
    const keys = MinHash.permutations(128, 7)
    const out = new Int32Array(256)
    const random = Random.make(3, "test")
    for (const [shared, alone] of [[1, 1], [2, 1], [4, 1], [40, 5], [100, 100], [5, 45]] as const) {
      const truth = shared / (shared + 2 * alone)
      const repetitions = 400
      let sum = 0, squares = 0
      for (let i = 0; i < repetitions; i++) {
        const [a, b] = sets(random, shared, alone)
        MinHash.sign(keys, a!, out, 0)
        MinHash.sign(keys, b!, out, 128)
        let agreeing = 0
        for (let row = 0; row < 128; row++) if (out[row] === out[128 + row]) agreeing++
        sum += agreeing / 128
        squares += (agreeing / 128 - truth) ** 2
      }
      const variance = (truth * (1 - truth)) / 128
      // Five standard errors of the mean; a variance of 400 draws is within a third of its own.
      assert.closeTo(sum / repetitions, truth, 5 * Math.sqrt(variance / repetitions), `${shared} of ${alone}`)
      assert.closeTo(squares / repetitions / variance, 1, 0.35, `${shared} of ${alone}`)
    }
  })

  it("depends on the set and the seed, and on no order or repetition", () => {
    const [set] = sets(Random.make(4, "test"), 50, 0)
    const sign = (values: ArrayLike<number>, seed: number) => {
      const out = new Int32Array(64)
      const hashes = { values: Uint32Array.from(Array.from(values)), count: values.length }
      MinHash.sign(MinHash.permutations(64, seed), hashes, out, 0)
      return out
    }
    const once = sign(set!.values, 1)
    assert.deepStrictEqual(sign([...set!.values].toReversed(), 1), once)
    assert.deepStrictEqual(sign([...set!.values, ...set!.values], 1), once)
    assert.notDeepEqual(sign(set!.values, 2), once)
  })

  it("holds the smallest hash under permutations of the 32-bit integers", () => {
    const [key] = MinHash.permutations(1, 5)
    const out = new Int32Array(1)
    const values = Uint32Array.from([1, 2, 3, 0xffffffff])
    MinHash.sign(Int32Array.of(key!), { values, count: 4 }, out, 0)
    assert.strictEqual(out[0], Math.min(...Array.from(values, (value) => Shingles.mix(value ^ key!))))
    // What mixes is undone by no two values alike: no two of many have one image.
    assert.strictEqual(new Set(Array.from({ length: 100_000 }, (_, i) => Shingles.mix(i * 40_503))).size, 100_000)
  })
})

describe("the index", () => {
  it("finds all that share a band and no others, each once", () => {
    const random = Random.make(6, "test")
    const banding = { bands: 4, rows: 2 }
    const length = 9
    const count = 300
    // Few different numbers, so that many share a band; the last place is in no band.
    const signatures = Int32Array.from({ length: count * length }, () => random.integer(6))
    const index = MinHash.index(banding, count)
    const found = new Int32Array(count)
    for (let added = 0; added < count; added++) {
      const number = index.add(signatures, added * length, found)
      const expected = Array.from({ length: added }, (_, other) => other).filter((other) =>
        [0, 2, 4, 6].some((start) =>
          [start, start + 1].every((row) => signatures[added * length + row] === signatures[other * length + row])
        )
      )
      assert.deepStrictEqual([...found.subarray(0, number)].toSorted((a, b) => a - b), expected)
    }
  })

  it("counts the places in which two signatures agree", () => {
    const signatures = Int32Array.of(1, 2, 3, 4, 1, 2, 0, 0)
    assert.isTrue(MinHash.agrees(signatures, 0, 4, 4, 2))
    assert.isFalse(MinHash.agrees(signatures, 0, 4, 4, 3))
  })
})
