import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { readFileSync } from "node:fs"
import * as ExactMatch from "../../src/evaluate/ExactMatch.ts"

const { squad: { predictions, references, scores } }: {
  squad: {
    predictions: Array<string>
    references: Array<Array<string>>
    scores: Array<{ exactMatch: number; normalized: string }>
  }
} = JSON.parse(readFileSync(new URL("../fixtures/metrics/overlap.json", import.meta.url), "utf8"))

describe("ExactMatch", () => {
  it("normalizes and compares as SQuAD's evaluation does", () => {
    for (const [index, prediction] of predictions.entries()) {
      assert.strictEqual(ExactMatch.normalize(prediction), scores[index]!.normalized)
      assert.strictEqual(ExactMatch.squad(prediction, references[index]!), scores[index]!.exactMatch, prediction)
    }
  })

  it("compares to the letter when strict", () => {
    assert.strictEqual(ExactMatch.strict("Paris", ["London", "Paris"]), 1)
    assert.strictEqual(ExactMatch.strict("Paris", ["paris", "Paris."]), 0)
    assert.strictEqual(ExactMatch.squad("Paris", ["paris."]), 1)
    assert.strictEqual(ExactMatch.squad("Paris", []), 0)
  })

  it.prop("leaves what it normalized as it is, and takes the two for one answer", [
    Schema.String
  ], ([text]) => {
    const once = ExactMatch.normalize(text)
    assert.strictEqual(ExactMatch.normalize(once), once)
    assert.strictEqual(ExactMatch.squad(text, [once]), 1)
  })
})
