import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as Shingles from "../../src/dataset/Shingles.ts"
import * as Random from "../../src/random/Random.ts"

const { murmur3 }: { murmur3: ReadonlyArray<{ text: string; seed: number; hash: number }> } = JSON.parse(
  fs.readFileSync(new URL("../fixtures/dataset/minhash.json", import.meta.url), "utf8")
)

const points = (text: string) => Array.from(text, (character) => character.codePointAt(0)!)

/** The definition, on the shingles themselves. */
const plain = (text: string, { length, of }: Shingles.Shingle): Set<string> => {
  const units = of === "characters" ? Array.from(text) : text.split(" ").filter((word) => word !== "")
  const width = Math.min(length, units.length)
  return new Set(
    Array.from({ length: units.length - width + 1 }, (_, i) => units.slice(i, i + width).join("\u0000"))
  )
}

const words = "the a of snow 雪 ice 😀 fall drift by night and so on".split(" ")
const sentence = (random: Random.Random, length: number) =>
  Array.from({ length }, () => words[random.integer(words.length)]!).join(" ")

describe("Shingles", () => {
  it("hashes as MurmurHash3 of scikit-learn does", () => {
    for (const { hash, seed, text } of murmur3) {
      const blocks = points(text)
      assert.strictEqual(Shingles.hash(blocks, 0, blocks.length, seed), hash, text)
    }
    const text = "日本語の 😀 text"
    const blocks = points(text)
    const { count, values } = Shingles.make({ of: "characters", length: 3 }).hashes(text)
    assert.deepStrictEqual(
      [...values.subarray(0, count)],
      Array.from({ length: blocks.length - 2 }, (_, i) => Shingles.hash(blocks, i, i + 3, 0x9747b28c))
    )
  })

  it("has the shingles of the definition, of characters and of words", () => {
    const random = Random.make(1, "test")
    for (const  of of["characters", "words"] as const) {
      for (const length of [1, 2, 5, 9]) {
        const shingles = Shingles.make({ of, length })
        for (let i = 0; i < 40; i++) {
          const text = sentence(random, random.integer(30))
          const set = shingles.set(text)
          assert.strictEqual(set.length, plain(text, { of, length }).size, `"${text}" by ${length} ${of}`)
          assert.deepStrictEqual(set, set.toSorted())
        }
      }
    }
  })

  it("takes a text that is shorter than a shingle for one", () => {
    for (const  of of["characters", "words"] as const) {
      const shingles = Shingles.make({ of, length: 5 })
      const sets = ["", "a", "b", "aa", "hey"].map(shingles.set)
      for (const set of sets) assert.strictEqual(set.length, 1)
      assert.strictEqual(new Set(sets.map(([hash]) => hash)).size, 5)
      assert.strictEqual(Shingles.jaccard(sets[1]!, sets[1]!), 1)
      assert.strictEqual(Shingles.jaccard(sets[1]!, sets[3]!), 0)
    }
  })

  it("is as similar as the sets of the definition are, or 0 below what is asked for", () => {
    const random = Random.make(2, "test")
    let reached = 0
    for (let i = 0; i < 300; i++) {
      const shingle = { of: i % 3 === 0 ? "words" : "characters", length: 1 + random.integer(4) } as const
      const { set } = Shingles.make(shingle)
      const a = sentence(random, random.integer(40))
      // Half of the pairs are an edit apart, the others have nothing to do with each other.
      const b = i % 2 === 0 ? `${a} ${sentence(random, 3)}` : sentence(random, random.integer(40))
      const left = plain(a, shingle), right = plain(b, shingle)
      const shared = [...left].filter((one) => right.has(one)).length
      const expected = shared / (left.size + right.size - shared)
      assert.strictEqual(Shingles.jaccard(set(a), set(b)), expected)
      const atLeast = Shingles.jaccard(set(a), set(b), 0.8)
      assert.strictEqual(atLeast, expected >= 0.8 ? expected : 0)
      if (expected >= 0.8) reached++
    }
    assert.isAbove(reached, 20)
  })

  it("reaches a threshold that it equals", () => {
    for (const [shared, all, threshold] of [[4, 5, 0.8], [7, 10, 0.7], [9, 10, 0.9], [14, 20, 0.7]] as const) {
      const a = Float64Array.from({ length: all }, (_, i) => i)
      assert.strictEqual(Shingles.jaccard(a, a.slice(0, shared), threshold), threshold)
    }
  })
})
