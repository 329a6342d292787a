import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { readFileSync } from "node:fs"
import * as Rouge from "../../src/evaluate/Rouge.ts"

const { rouge: { predictions, references, scores } }: {
  rouge: { predictions: Array<string>; references: Array<Array<string>>; scores: Array<Rouge.Scores> }
} = JSON.parse(readFileSync(new URL("../fixtures/metrics/overlap.json", import.meta.url), "utf8"))

const Words = Schema.Array(Schema.Literals(["a", "b", "c"]))

/** The longest common subsequence by trying every subsequence of the first. */
const longestCommon = (first: ReadonlyArray<string>, second: ReadonlyArray<string>): number => {
  if (first.length === 0) return 0
  const at = second.indexOf(first[0]!)
  const without = longestCommon(first.slice(1), second)
  return at < 0 ? without : Math.max(without, 1 + longestCommon(first.slice(1), second.slice(at + 1)))
}

describe("Rouge", () => {
  it("gives precision, recall and F1 of torchmetrics for ROUGE-1, -2, -L and -Lsum", () => {
    for (const [index, prediction] of predictions.entries()) {
      const found = Rouge.evaluate(prediction, references[index]!)
      for (const kind of ["rouge1", "rouge2", "rougeL", "rougeLsum"] as const) {
        for (const name of ["precision", "recall", "f1"] as const) {
          assert.closeTo(found[kind][name], scores[index]![kind][name], 1e-12, `${kind} ${name} of ${index}`)
        }
      }
    }
  })

  it("gives the scores of the examples in Lin's paper", () => {
    // Section 3.1: "police kill the gunman" scores 3/4 against "police killed the gunman", where the order is kept,
    // and the same words turned around 2/4, while ROUGE-2 takes the two for equal.
    const reference = ["police killed the gunman"]
    assert.strictEqual(Rouge.sentence("police kill the gunman", reference).f1, 3 / 4)
    assert.strictEqual(Rouge.sentence("the gunman kill police", reference).f1, 2 / 4)
    assert.strictEqual(Rouge.ngrams("police kill the gunman", reference, 2).f1, 1 / 3)
    assert.strictEqual(Rouge.ngrams("the gunman kill police", reference, 2).f1, 1 / 3)
    // Section 3.2: of the five words w1 to w5, the two candidate sentences together have w1, w2, w3 and w5.
    assert.strictEqual(Rouge.summary("w1 w2 w6 w7 w8\nw1 w3 w8 w9 w5", ["w1 w2 w3 w4 w5"]).recall, 4 / 5)
  })

  it("tears other alphabets apart unless words are Unicode's", () => {
    assert.strictEqual(Rouge.evaluate("Кошка спит", ["Кошка спит"]).rouge1.f1, 0)
    assert.strictEqual(Rouge.evaluate("Кошка спит", ["кошка спит."], Rouge.unicodeWords).rougeL.f1, 1)
    assert.deepStrictEqual(Rouge.asciiWords("naïve x-ray"), ["na", "ve", "x", "ray"])
    assert.deepStrictEqual(Rouge.unicodeWords("nai\u0308ve हिन्दी x-ray"), ["naïve", "हिन्दी", "x", "ray"])
  })

  it.prop("finds the longest common subsequence", [Words, Words], ([first, second]) => {
    const a = first.slice(0, 9), b = second.slice(0, 9)
    const { f1, precision, recall } = Rouge.sentence(a.join(" "), [b.join(" ")])
    const length = longestCommon(a, b)
    assert.closeTo(precision * a.length, length, 1e-9)
    assert.closeTo(recall * b.length, length, 1e-9)
    assert.isTrue(f1 >= 0 && f1 <= 1)
    // On a single line, both kinds of ROUGE-L are one.
    assert.deepStrictEqual(Rouge.summary(a.join(" "), [b.join(" ")]), { f1, precision, recall })
  })

  it("takes the reference of the best F1, and scores nothing as 0", () => {
    assert.strictEqual(Rouge.sentence("a b", ["c d", "a b"]).f1, 1)
    assert.deepStrictEqual(Rouge.sentence("a", []), { precision: 0, recall: 0, f1: 0 })
    assert.deepStrictEqual(Rouge.ngrams("a", ["a"], 2), { precision: 0, recall: 0, f1: 0 })
    assert.throws(() => Rouge.ngrams("a", ["a"], 0), /ROUGE-0 is not defined/)
  })
})
