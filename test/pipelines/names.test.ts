import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"
import { names } from "../../pipelines/names.ts"
import * as LabeledText from "../../src/dataset/LabeledText.ts"
import * as Local from "../../src/executor/Local.ts"
import { LoadModel } from "../../src/model/LoadModel.ts"
import * as Pipeline from "../../src/pipeline/Pipeline.ts"
import * as Source from "../../src/pipeline/Source.ts"
import * as Artifact from "../../src/store/Artifact.ts"
import { Store } from "../../src/store/Store.ts"

const TestLayer = Layer.mergeAll(Store.layerMemory, Local.layer())
const data = (name: string) => fileURLToPath(new URL(`../../data/${name}`, import.meta.url))

describe("the shipped data", () => {
  it.effect("keeps the names that the base model learned from apart from all that is labelled", () =>
    Effect.gen(function*() {
      const { test, train, unused, validation } = yield* Pipeline.run(names)
      const textsOf = (table: LabeledText.Table) =>
        Effect.map(Artifact.readTable(LabeledText.LabeledText, table), (rows) => rows.map((row) => row.text))
      const pretraining = new Set(yield* textsOf(unused))
      const labelled = [
        ...yield* textsOf(train.examples),
        ...yield* textsOf(validation.examples),
        ...yield* textsOf(test.examples)
      ]
      assert.isAbove(pretraining.size, 10_000)
      assert.strictEqual(labelled.length, train.labels.length * (24 + 24 + 30))
      // No name has two languages, so that none is on two sides either.
      assert.strictEqual(new Set(labelled).size, labelled.length)
      assert.deepStrictEqual(labelled.filter((name) => pretraining.has(name)), [])
      assert.isAtLeast(train.labels.length, 40)
      // The README names the content that the base model was trained on: another split would need another model.
      assert.include(fs.readFileSync(data("README.md"), "utf8"), unused.digest)
    }).pipe(Effect.provide(TestLayer)))

  it.effect("has a base model that loads, of at most a million parameters", () =>
    Effect.gen(function*() {
      const model = yield* Pipeline.run(LoadModel({ files: Source.folder(data("base")) }))
      assert.strictEqual(model.architecture, "GPT2LMHeadModel")
      assert.isAbove(model.parameters, 300_000)
      assert.isBelow(model.parameters, 1_000_000)
    }).pipe(Effect.provide(TestLayer)))
})
