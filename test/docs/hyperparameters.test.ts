/**
 * Holds docs/hyperparameters.md to the code: every knob of fine-tuning with its default, where it is searched, what it does
 * and whose word that is. `node test/docs/hyperparameters.ts` writes the page.
 */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { file, page } from "./hyperparameters.ts"

describe("docs/hyperparameters.md", () => {
  it("says what the code says (write it again with `node test/docs/hyperparameters.ts`)", () => {
    assert.strictEqual(readFileSync(file, "utf8"), page())
  })
})
