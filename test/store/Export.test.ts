import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Artifact from "../../src/store/Artifact.ts"
import * as Export from "../../src/store/Export.ts"
import { Store } from "../../src/store/Store.ts"

const Row = Schema.Struct({ value: Schema.Finite })
const json = (value: unknown) => value as Schema.Json

describe("Export.toFolder", () => {
  const temporary = Effect.acquireRelease(
    Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "attune-export-"))),
    (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
  )

  it.effect("writes tables and files under their names, replacing what is there, and nothing else", () =>
    Effect.gen(function*() {
      const folder = yield* temporary
      fs.writeFileSync(path.join(folder, "config.json"), "old")
      fs.writeFileSync(path.join(folder, "notes.txt"), "mine")
      const table = yield* Artifact.writeTable("scores", Row, [{ value: 1 }])
      const file = yield* Artifact.writeFile("config.json", Buffer.from("{}"))
      const written = yield* Export.toFolder(json({ table, file, number: 1 }), folder)
      assert.deepStrictEqual(written.map((name) => path.basename(name)), ["scores.parquet", "config.json"])
      assert.deepStrictEqual(fs.readdirSync(folder).toSorted(), ["config.json", "notes.txt", "scores.parquet"])
      assert.strictEqual(fs.readFileSync(path.join(folder, "config.json"), "utf8"), "{}")
    }).pipe(Effect.provide(Store.layerMemory)))

  it.effect("keeps artifacts of one name apart by their fields", () =>
    Effect.gen(function*() {
      const folder = yield* temporary
      const one = yield* Artifact.writeTable("scores", Row, [{ value: 1 }])
      const two = yield* Artifact.writeTable("scores", Row, [{ value: 2 }])
      yield* Export.toFolder(json({ train: one, test: two }), folder)
      assert.deepStrictEqual(fs.readdirSync(folder).toSorted(), ["test.scores.parquet", "train.scores.parquet"])
    }).pipe(Effect.provide(Store.layerMemory)))

  it.effect("keeps the files of a model together: as the folder itself, or below it where there is more", () =>
    Effect.gen(function*() {
      const config = yield* Artifact.writeFile("config.json", Buffer.from("{}"))
      const card = yield* Artifact.writeFile("README.md", Buffer.from("# Model"))
      const table = yield* Artifact.writeTable("scores", Row, [{ value: 1 }])
      const state = yield* Artifact.writeFile("state.safetensors", Buffer.from("x"))
      const model = { kind: "model", files: [config, card] }
      const exported = Effect.fnUntraced(function*(output: unknown) {
        const folder = yield* temporary
        yield* Export.toFolder(json(output), folder)
        return fs.readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) =>
          /\.(?:md|json|parquet|safetensors)$/.test(name)
        )
          .toSorted()
      })
      assert.deepStrictEqual(yield* exported(model), ["README.md", "config.json"])
      assert.deepStrictEqual(yield* exported({ model, summary: "All is well." }), ["README.md", "config.json"])
      assert.deepStrictEqual(yield* exported({ model, table }), [
        "model/README.md",
        "model/config.json",
        "scores.parquet"
      ])
      assert.deepStrictEqual(yield* exported({ first: model, second: { files: [config] } }), [
        "first/README.md",
        "first/config.json",
        "second/config.json"
      ])
      assert.deepStrictEqual(yield* exported({ tuned: { model, state } }), [
        "state.safetensors",
        "tuned.model/README.md",
        "tuned.model/config.json"
      ])
    }).pipe(Effect.provide(Store.layerMemory)))

  it.effect("writes nothing outside the folder, whatever a field is called", () =>
    Effect.gen(function*() {
      const folder = yield* temporary
      const file = yield* Artifact.writeFile("config.json", Buffer.from("{}"))
      for (const field of ["..", "a/b", "../x", "a\\b", ".hidden"]) {
        const output = json({ [field]: { files: [file] }, other: { files: [file] } })
        const error = yield* Effect.flip(Export.toFolder(output, path.join(folder, "inner")))
        assert.match(error.message, /its name is not that of a plain file/, field)
      }
      assert.deepStrictEqual(fs.readdirSync(folder), [])
    }).pipe(Effect.provide(Store.layerMemory)))

  it.effect("writes nothing outside the folder, whatever an artifact is called", () =>
    Effect.gen(function*() {
      const folder = yield* temporary
      const hostile = yield* Artifact.writeFile("../outside.bin", Buffer.from("x"))
      const error = yield* Effect.flip(Export.toFolder(json({ hostile }), path.join(folder, "inner")))
      assert.match(error.message, /its name is not that of a plain file/)
      assert.deepStrictEqual(fs.readdirSync(folder), [])
    }).pipe(Effect.provide(Store.layerMemory)))
})
