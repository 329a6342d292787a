import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import * as TokenF1 from "../../src/evaluate/TokenF1.ts"

const { squad: { predictions, references, scores } }: {
  squad: { predictions: Array<string>; references: Array<Array<string>>; scores: Array<{ f1: number }> }
} = JSON.parse(readFileSync(new URL("../fixtures/metrics/overlap.json", import.meta.url), "utf8"))

describe("TokenF1", () => {
  it("gives SQuAD's F1 against the best reference", () => {
    for (const [index, prediction] of predictions.entries()) {
      assert.closeTo(TokenF1.score(prediction, references[index]!), scores[index]!.f1, 1e-12, prediction)
    }
  })

  it("counts a word as often as both have it, whatever the order", () => {
    // Two words of three, two of two: precision 2/3, recall 1.
    assert.closeTo(TokenF1.score("red red car", ["car red"]), 0.8, 1e-15)
    assert.strictEqual(TokenF1.score("the", [""]), 1)
    assert.strictEqual(TokenF1.score("word", [""]), 0)
    assert.strictEqual(TokenF1.score("word", []), 0)
  })
})
