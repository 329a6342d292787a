import { assert, describe, it } from "@effect/vitest"
import * as Misspelling from "../../src/pipeline/Misspelling.ts"

describe("Misspelling", () => {
  const known = ["learningRate", "loraRank", "loraAlpha", "epochs"]

  it("finds the name that was meant, and none where nothing is near", () => {
    const cases = [
      ["learningrate", "learningRate"],
      ["learnigRate", "learningRate"],
      ["loraRnak", "loraRank"],
      ["epoch", "epochs"],
      ["lr", undefined],
      ["warmup", undefined],
      ["", undefined]
    ] as const
    for (const [name, meant] of cases) assert.strictEqual(Misspelling.meant(name, known), meant, name)
    assert.strictEqual(Misspelling.meant("epochs", []), undefined)
  })

  it("lists what there is where nothing is near", () => {
    assert.strictEqual(Misspelling.hint("lr", known), "it has learningRate, loraRank, loraAlpha, epochs")
    assert.strictEqual(Misspelling.hint("lr", []), "it has none")
  })
})
