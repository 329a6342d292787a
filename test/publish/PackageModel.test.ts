import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { LabeledText } from "../../src/dataset/LabeledText.ts"
import { OpenTest } from "../../src/dataset/OpenTest.ts"
import { SplitExamples } from "../../src/dataset/SplitExamples.ts"
import { Evaluate } from "../../src/evaluate/Evaluate.ts"
import * as Predict from "../../src/evaluate/Predict.ts"
import * as Local from "../../src/executor/Local.ts"
import { fineTuneThrough } from "../../src/finetune/Rungs.ts"
import * as Checkpoint from "../../src/model/Checkpoint.ts"
import { LoadModel } from "../../src/model/LoadModel.ts"
import * as PretrainedModel from "../../src/model/PretrainedModel.ts"
import * as Safetensors from "../../src/model/Safetensors.ts"
import * as Codec from "../../src/pipeline/Codec.ts"
import * as Node from "../../src/pipeline/Node.ts"
import * as Pipeline from "../../src/pipeline/Pipeline.ts"
import * as Source from "../../src/pipeline/Source.ts"
import * as Stage from "../../src/pipeline/Stage.ts"
import { PackagedModel, PackageModel } from "../../src/publish/PackageModel.ts"
import * as Random from "../../src/random/Random.ts"
import * as FullBudget from "../../src/search/schedulers/FullBudget.ts"
import * as Space from "../../src/search/space/Space.ts"
import * as Study from "../../src/search/Study.ts"
import * as Artifact from "../../src/store/Artifact.ts"
import * as Export from "../../src/store/Export.ts"
import { Store } from "../../src/store/Store.ts"
import { Backend } from "../../src/tensor/Backend.ts"
import * as FrontMatter from "./FrontMatter.ts"

const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/hf/${name}/`, import.meta.url))

/** Texts of letters, labelled by their first one. */
const Texts = Stage.make("texts", {
  inputs: {},
  params: {},
  output: Artifact.table(LabeledText),
  run: () => {
    const random = Random.make(1, "texts")
    const rows = Array.from({ length: 36 }, (_, index) => {
      const letters = Array.from({ length: 1 + random.integer(5) }, () => String.fromCharCode(97 + random.integer(26)))
      return { text: `${"abc"[index % 3]}${letters.join("")}`, label: ["one", "<b>two</b>", "three | 3"][index % 3]! }
    })
    return Artifact.writeTable("examples", LabeledText, rows)
  }
})

const base = LoadModel({
  files: Source.folder(fileURLToPath(new URL("../../data/base/", import.meta.url)))
})
const split = SplitExamples({ examples: Texts({}) }, {
  by: { stratified: { validation: 0.25, test: 0.25 } },
  seed: 0
})
const space = Space.make({
  learningRate: Space.logUniform(1e-3, 1e-2, { default: 3e-3 }),
  batchSize: Space.choice([4, 9], { default: 9 })
})

/** A study of two trials, and what goes out of it. */
const packaged = (name: string, fixed: { readonly adapter: "none" | "lora" }) => {
  const trial = (params: Space.Type<typeof space>, epochs: number) => {
    const train = Node.at(split, "train")
    const tuned = fineTuneThrough({ model: base, train }, { ...params, ...fixed, epochs }, [epochs])
    const evaluation = Evaluate({ model: Node.at(tuned, "model"), split: Node.at(split, "validation") })
    return Node.all({ tuned, evaluation })
  }
  const study = Study.make(name, {
    space,
    scheduler: FullBudget.make(1),
    trials: 2,
    maximize: "evaluation.accuracy",
    trial: (params, { horizon }) => trial(params, horizon)
  })
  const output = Node.at(study, "best", "output")
  const model = Node.at(output, "tuned", "model")
  const test = OpenTest({ sealed: Node.at(split, "test"), selection: Node.at(study, "selection") })
  const evaluation = Node.at(output, "evaluation")
  const wiring = {
    model,
    base,
    data: split,
    study,
    training: Node.at(output, "tuned"),
    validation: evaluation,
    test: Evaluate({ model, split: test }),
    seeds: Node.all([evaluation, evaluation]),
    defaults: Node.all([Node.at(trial(Space.defaults(space), 1), "evaluation")])
  }
  return { wiring, about: { name, hyperparameters: { ...fixed, epochs: 1 }, pipeline: "pipelines/letters.ts" } }
}

const TestLayer = Layer.mergeAll(Store.layerMemory, Local.layer({ backend: Backend.layer("wasm") }))

const temporary = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "attune-package-"))),
  (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
)

const readFolder = (folder: string): Map<string, Uint8Array> =>
  new Map(fs.readdirSync(folder).map((name) => [name, new Uint8Array(fs.readFileSync(path.join(folder, name)))]))

/** The files of a package after they were copied out of the store. */
const exported = Effect.fnUntraced(function*(value: PackagedModel) {
  const folder = yield* temporary
  yield* Export.toFolder(yield* Codec.encode(PackagedModel, value), folder)
  return readFolder(folder)
})

const texts = ["abc", "bcd", "c", ""].map((text) => new TextEncoder().encode(text)).map((bytes) =>
  Int32Array.from(bytes)
)

const logits = (checkpoint: Checkpoint.Checkpoint) =>
  Effect.map(
    Predict.classify({ checkpoint, examples: texts.slice(0, 3).map((tokens) => ({ tokens, label: 0 })) }).pipe(
      Effect.provide(Backend.layer("wasm"))
    ),
    (answers) => answers.logits
  )

const fromStore = Effect.fnUntraced(function*(value: PackagedModel, name: string) {
  const file = value.files.find((file) => file.name === name)
  assert.isDefined(file, name)
  return new TextDecoder().decode(yield* Artifact.readFile(file!))
})

describe("PackageModel", () => {
  it.effect("puts a tuned classifier and its card into a folder that loads as what was tuned", () =>
    Effect.gen(function*() {
      const { about, wiring } = packaged("letters", { adapter: "none" })
      const out = yield* Pipeline.run(Node.all({ package: PackageModel(wiring, about), model: wiring.model }))
      assert.strictEqual(out.package.library, "transformers")
      const files = yield* exported(out.package)
      assert.deepStrictEqual([...files.keys()].toSorted(), [
        "README.md",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json"
      ])
      const tuned = yield* PretrainedModel.load(out.model.files)
      const reloaded = yield* Checkpoint.fromFiles(files)
      assert.deepStrictEqual(Checkpoint.labelsOf(reloaded.config), ["<b>two</b>", "one", "three | 3"])
      assert.deepStrictEqual(yield* logits(reloaded), yield* logits(tuned))

      const { body, metadata } = FrontMatter.split(new TextDecoder().decode(files.get("README.md")))
      const [test, validation] = metadata["model-index"][0].results
      assert.deepStrictEqual([test.dataset.split, validation.dataset.split], ["test", "validation"])
      assert.include(body, "| train | 18 | ")
      assert.include(body, "&lt;b&gt;two&lt;/b&gt;, one, three \\| 3")
      assert.include(body, "The study `letters` ran 2 trials (2 completed)")
      assert.match(
        body,
        /by the largest `evaluation\.accuracy`.* Sampler: Gaussian process.*chosen: at most 2 trials.* Scheduler: every trial to 1\./
      )
      assert.match(body, /\| Accuracy \| \d+\.\d % \(\d+\.\d % to \d+\.\d %\) \| \d+\.\d % \(/)
      assert.match(body, /\| Accuracy \| \d+\.\d % \(\d+\.\d % to \d+\.\d %\) \| \d+\.\d % \|\n/)
      assert.include(body, "over examples and seeds")
      for (const file of out.package.files) if (file.name !== "README.md") assert.include(body, file.sha256)
    }).pipe(Effect.provide(TestLayer)))

  it.effect("writes the same bytes again in another store", () =>
    Effect.gen(function*() {
      const { about, wiring } = packaged("again", { adapter: "none" })
      const once = Effect.map(Pipeline.run(PackageModel(wiring, about)), ({ files }) => files).pipe(
        Effect.provide(TestLayer, { local: true })
      )
      assert.deepStrictEqual(yield* once, yield* once)
    }))

  it.effect("lets an adapter go alone, without the base's weights, or in them", () =>
    Effect.gen(function*() {
      const { about, wiring } = packaged("adapted", { adapter: "lora" })
      const out = yield* Pipeline.run(Node.all({
        alone: PackageModel(wiring, { ...about, base: "somebody/base" }),
        merged: PackageModel(wiring, { ...about, adapter: "merge" }),
        model: wiring.model,
        base
      }))
      const tuned = yield* PretrainedModel.load(out.model.files)
      const expected = yield* logits(tuned)

      assert.strictEqual(out.alone.library, "peft")
      const alone = yield* exported(out.alone)
      assert.deepStrictEqual([...alone.keys()].toSorted(), [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json"
      ])
      const { tensors } = yield* Safetensors.decode(alone.get("adapter_model.safetensors")!)
      assert.isAbove(tensors.size, 2)
      assert.deepStrictEqual([...tensors.keys()].filter((name) => !/\.(?:lora_[AB]|score)\.weight$/.test(name)), [])
      const config = JSON.parse(new TextDecoder().decode(alone.get("adapter_config.json")))
      assert.strictEqual(config.base_model_name_or_path, "somebody/base")
      // As `LoadModel` with an adapter's folder puts them together.
      const baseFiles = yield* Effect.forEach(out.base.files, (file) =>
        Effect.map(Artifact.readFile(file), (bytes) => ({ name: file.name, bytes })))
      const together = PretrainedModel.withAdapterFiles(
        baseFiles,
        Array.from(alone, ([name, bytes]) => ({ name, bytes }))
      )
      const beside = yield* Checkpoint.fromFiles(new Map(together.map(({ bytes, name }) => [name, bytes])))
      assert.deepStrictEqual(yield* logits(beside), expected)

      assert.strictEqual(out.merged.library, "transformers")
      const merged = yield* exported(out.merged)
      assert.isFalse(merged.has("adapter_config.json") || merged.has("adapter_model.safetensors"))
      const found = yield* logits(yield* Checkpoint.fromFiles(merged))
      expected.forEach((logit, index) =>
        assert.closeTo(found[index]!, logit, 1e-5)
      )
      assert.include(yield* fromStore(out.merged, "README.md"), "The adapter is merged into the weights")
    }).pipe(Effect.provide(TestLayer)))

  it.effect("takes along how to generate, and says nothing of training that it was not told of", () =>
    Effect.gen(function*() {
      const model = LoadModel({ files: Source.folder(fixture("gpt2")) })
      const out = yield* Pipeline.run(PackageModel({ model }, { name: "plain" }))
      assert.include(out.files.map(({ name }) => name), "generation_config.json")
      const card = yield* fromStore(out, "README.md")
      assert.include(card, "AutoModelForCausalLM.from_pretrained(folder)")
      assert.notMatch(card, /fine-tuned|## Search|## Results/)
    }).pipe(Effect.provide(TestLayer)))

  it.effect("asks what an adapter belongs to before it goes alone", () =>
    Effect.gen(function*() {
      const files = Source.folder(fixture("gpt2-classification"))
      const adapter = Source.folder(fixture("adapters/gpt2-classification"))
      const known = yield* Pipeline.run(PackageModel({ model: LoadModel({ files, adapter }) }, { name: "known" }))
      const config = JSON.parse(yield* fromStore(known, "adapter_config.json"))
      assert.isString(config.base_model_name_or_path)
      assert.include(yield* fromStore(known, "README.md"), `base = ${JSON.stringify(config.base_model_name_or_path)}`)

      const { about, wiring } = packaged("nameless", { adapter: "lora" })
      const error = yield* Effect.flip(Pipeline.run(PackageModel({ model: wiring.model }, about)))
      assert.strictEqual(error._tag, "UnknownBase")
      assert.match(error.message, /`base`.*adapter: "merge"/)
    }).pipe(Effect.provide(TestLayer)))

  it.effect("takes no test for a validation, and compares nothing that was measured otherwise", () =>
    Effect.gen(function*() {
      const { about, wiring } = packaged("wrong", { adapter: "none" })
      const { model, test, validation } = wiring
      const swapped = yield* Effect.flip(Pipeline.run(PackageModel({ model, test: validation }, about)))
      assert.strictEqual(swapped._tag, "WrongSide")
      const seeds = Node.all([validation])
      const compared = yield* Effect.flip(
        Pipeline.run(PackageModel({ model, seeds, defaults: Node.all([test]) }, about))
      )
      assert.strictEqual(compared._tag, "NotComparable")
      assert.match(compared.message, /validation examples, another "evaluation" on test examples/)
    }).pipe(Effect.provide(TestLayer)))
})
