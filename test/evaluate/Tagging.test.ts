import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { readFileSync } from "node:fs"
import * as Tagging from "../../src/evaluate/Tagging.ts"

const { cases }: {
  cases: Array<
    & { labels: Array<Array<string>>; predictions: Array<Array<string>>; perType: Array<Tagging.TypeScores> }
    & Record<"tokenAccuracy" | "precision" | "recall" | "f1" | "f1Macro" | "f1Weighted" | "support", number>
  >
} = JSON.parse(readFileSync(new URL("../fixtures/metrics/tagging.json", import.meta.url), "utf8"))

const spans = (tags: string, options?: Tagging.Options) =>
  Tagging.entities(tags.split(" "), options).map(({ end, start, type }) => `${type} ${start}-${end}`).join(", ")

const Tags = Schema.Array(Schema.Literals(["O", "B-X", "I-X", "E-X", "S-X", "B-Y", "I-Y"]))

describe("Tagging", () => {
  for (const [index, { labels, predictions, ...expected }] of cases.entries()) {
    it(`gives the scores of seqeval and the token accuracy of scikit-learn, case ${index}`, () => {
      const scores = Tagging.evaluate(labels, predictions)
      for (const name of Object.keys(expected) as Array<keyof typeof expected>) {
        if (name !== "perType") assert.closeTo(scores[name], expected[name], 1e-12, name)
      }
      assert.strictEqual(scores.perType.length, expected.perType.length)
      for (const [place, type] of expected.perType.entries()) {
        assert.strictEqual(scores.perType[place]!.type, type.type)
        for (const name of ["precision", "recall", "f1", "support"] as const) {
          assert.closeTo(scores.perType[place]![name], type[name], 1e-12, `${type.type} ${name}`)
        }
      }
    })
  }

  it("gives the scores that seqeval's documentation prints", () => {
    const scores = Tagging.evaluate(
      [["O", "O", "O", "B-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]],
      [["O", "O", "B-MISC", "I-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]
    )
    assert.deepStrictEqual([scores.f1, scores.tokenAccuracy, scores.f1Macro, scores.support], [0.5, 0.8, 0.5, 2])
    assert.deepStrictEqual(scores.perType.map(({ f1, type }) => [type, f1]), [["MISC", 0], ["PER", 1]])
  })

  it("reads IOB2, IOB1, IOBES and BILOU, leniently", () => {
    assert.strictEqual(spans("B-X I-X O B-Y"), "X 0-2, Y 3-4")
    assert.strictEqual(spans("B-X B-X I-X"), "X 0-1, X 1-3")
    assert.strictEqual(spans("I-X I-X O I-Y I-X"), "X 0-2, Y 3-4, X 4-5")
    assert.strictEqual(spans("B-X I-Y"), "X 0-1, Y 1-2")
    assert.strictEqual(spans("S-X S-X B-X E-X I-X"), "X 0-1, X 1-2, X 2-4, X 4-5")
    assert.strictEqual(spans("U-X B-X I-X L-X L-X"), "X 0-1, X 1-4, X 4-5")
    assert.strictEqual(spans("B I O B-"), "_ 0-2, _ 3-4")
    assert.strictEqual(spans("B-geo-loc I-geo-loc"), "geo-loc 0-2")
  })

  it("reads plain tags as runs of a type", () => {
    assert.strictEqual(spans("PER PER O ORG PER O", { scheme: "plain" }), "PER 0-2, ORG 3-4, PER 4-5")
    assert.strictEqual(spans("B-PER I-PER", { scheme: "plain" }), "B-PER 0-1, I-PER 1-2")
  })

  it.prop(
    "finds entities that are in order, do not overlap and cover every token that is not outside",
    [Tags],
    ([tags]) => {
      let covered = 0, end = 0
      for (const entity of Tagging.entities(tags)) {
        assert.isTrue(entity.start >= end && entity.end > entity.start)
        end = entity.end
        covered += entity.end - entity.start
        for (const tag of tags.slice(entity.start, entity.end)) assert.strictEqual(tag.slice(2), entity.type)
      }
      assert.strictEqual(covered, tags.filter((tag) => tag !== "O").length)
    }
  )

  it("ends entities with their sentence, and counts listed sentences as often as they are listed", () => {
    const two = Tagging.evaluate([["B-X"], ["I-X"]], [["B-X"], ["O"]])
    assert.deepStrictEqual([two.support, two.recall, two.precision], [2, 0.5, 1])
    const sentences = [Tagging.counts(["B-X"], ["B-X"]), Tagging.counts(["I-X"], ["O"])]
    assert.strictEqual(Tagging.score(sentences, [1, 1, 0, 1]).recall, 0.25)
    assert.strictEqual(Tagging.score(sentences, [0, 0]).f1, 1)
  })

  it("scores nothing without dividing by zero", () => {
    const scores = Tagging.evaluate([["O", "O"]], [["O", "O"]])
    assert.deepStrictEqual([scores.tokenAccuracy, scores.precision, scores.f1, scores.f1Macro], [1, 0, 0, 0])
    assert.strictEqual(Tagging.evaluate([], []).tokenAccuracy, 0)
  })

  it("says what is wrong with a tag or a length", () => {
    assert.throws(() => Tagging.entities(["PER"]), /"PER" is neither O nor B-.*scheme "plain"/)
    assert.throws(() => Tagging.entities(["BPER"]), /"BPER"/)
    assert.throws(() => Tagging.counts(["O", "O"], ["O"]), /2 labels of a sentence cannot be compared with 1/)
    assert.throws(() => Tagging.evaluate([["O"]], []), /1 labelled sentences cannot be compared with 0/)
  })
})
