import { assert, describe, it } from "@effect/vitest"
import * as Result from "../../src/cli/Result.ts"

const file = (name: string, bytes: number) => ({
  $artifact: "file",
  name,
  digest: "a".repeat(64),
  sha256: "a".repeat(64),
  bytes,
  extension: "json"
})
const model = { kind: "model", files: [file("config.json", 1000), file("README.md", 48)] }

describe("a pipeline's result", () => {
  it("is printed as it is where it is a text, files beside it or not", () => {
    assert.strictEqual(Result.toText("one"), "one")
    assert.strictEqual(Result.toText({ summary: "one\ntwo", model }), "one\ntwo")
    assert.strictEqual(
      Result.hint({ summary: "one\ntwo", model }),
      "With it come 2 files, 1.0 KiB: --export <folder> copies them."
    )
    assert.isUndefined(Result.hint("one\ntwo"))
  })

  it("is JSON where there is more to read than a text, with a line for each file", () => {
    for (const result of [{ text: "short", model }, { summary: "one\ntwo", model, accuracy: 0.5 }, { model }, [1, 2]]) {
      assert.isDefined(JSON.parse(Result.toText(result)))
      assert.isUndefined(Result.hint(result))
    }
    assert.include(Result.toText({ model }), "\"config.json (file, 1000 bytes, aaaaaaaaaaaa)\"")
  })
})
