import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { fileURLToPath } from "node:url"
import * as Local from "../../src/executor/Local.ts"
import * as Adapter from "../../src/model/Adapter.ts"
import * as Checkpoint from "../../src/model/Checkpoint.ts"
import { LoadModel } from "../../src/model/LoadModel.ts"
import * as Lora from "../../src/model/Lora.ts"
import { MergeAdapter } from "../../src/model/MergeAdapter.ts"
import * as PretrainedModel from "../../src/model/PretrainedModel.ts"
import * as Safetensors from "../../src/model/Safetensors.ts"
import * as Node from "../../src/pipeline/Node.ts"
import * as Pipeline from "../../src/pipeline/Pipeline.ts"
import * as Source from "../../src/pipeline/Source.ts"
import { Store } from "../../src/store/Store.ts"
import * as AdapterFixtures from "./AdapterFixtures.ts"
import * as Reference from "./Reference.ts"

const { bases, changed, files, json, parse } = AdapterFixtures
const { config: configFile, weights: weightsFile } = Adapter.fileNames

/** A new adapter for a fixture, with numbers in all of its tensors. */
const fresh = Effect.fnUntraced(function*(base: string, settings: typeof Lora.Settings["~type.make.in"]) {
  const checkpoint = yield* Checkpoint.fromFiles(Reference.files(base))
  const model = yield* Checkpoint.modelOf(checkpoint)
  const placement = yield* Lora.place(model, Lora.Settings.make(settings))
  const tensors = new Map(
    Array.from(Lora.initialize(placement, checkpoint.tensors, 1), ([name, { data, shape }]) => [
      name,
      { shape, data: data.map((x, at) => x + 0.1 * Math.sin(at)) }
    ])
  )
  return { model, checkpoint: { ...checkpoint, adapter: Adapter.make(model, placement, tensors, base) } }
})

describe("Adapter", () => {
  for (const adapter of Object.keys(bases)) {
    it.effect(`writes ${adapter} as PEFT wrote it: the same tensors, and fields of the same values`, () =>
      Effect.gen(function*() {
        const given = files(adapter)
        const checkpoint = yield* Checkpoint.fromFiles(given)
        const model = yield* Checkpoint.modelOf(checkpoint)
        const placement = (yield* Checkpoint.placementOf(checkpoint))!
        const config = parse(given.get(configFile))
        // As it was read.
        const kept = Checkpoint.toFiles(checkpoint)
        assert.deepStrictEqual(parse(kept.get(configFile)), config)
        // As it is made anew of what was read.
        const { settings, tensors } = checkpoint.adapter!
        const made = Adapter.toFiles(Adapter.make(model, placement, tensors, config.base_model_name_or_path))
        const before = yield* Safetensors.decode(given.get(weightsFile)!)
        const after = yield* Safetensors.decode(made.get(weightsFile)!)
        assert.deepStrictEqual(new Map([...after.tensors].toSorted()), new Map([...before.tensors].toSorted()))
        assert.deepStrictEqual(after.metadata, before.metadata)
        const sorted = (value: unknown) =>
          Array.isArray(value) ? value.toSorted() : typeof value === "string" && value === "h" ? [value] : value
        for (const [field, value] of Object.entries(parse(made.get(configFile)))) {
          assert.property(config, field)
          assert.deepStrictEqual(sorted(value), sorted(config[field]), field)
        }
        const again = yield* Checkpoint.fromFiles(new Map([...given, ...made]))
        assert.deepStrictEqual(again.adapter!.settings, settings)
        assert.deepStrictEqual(again.adapter!.tensors, tensors)
      }))
  }

  for (
    const [what, base, settings] of [
      ["every linear map", "gpt2", { rank: 2 }],
      ["attention of one layer", "llama", { targets: "attention", layers: [1], variant: "dora" }],
      ["a pattern in one layer", "qwen3", { targets: { pattern: ".*_proj" }, layers: [0], exclude: ["o_proj"] }],
      ["names, some of them out", "qwen2", {
        targets: ["q_proj", "v_proj"],
        exclude: { pattern: ".*layers\\.0.*" },
        rankPattern: { q_proj: 3 },
        scaling: "rank-stabilized",
        dropout: 0.1,
        alpha: 5
      }],
      ["a classifier, with its head", "gpt2-classification", { targets: ["c_attn"], modulesToSave: ["ln_f"] }]
    ] as const
  ) {
    it.effect(`reads back what it wrote for ${what}`, () =>
      Effect.gen(function*() {
        const { checkpoint, model } = yield* fresh(base, settings)
        const written = Checkpoint.toFiles(checkpoint)
        const read = yield* Checkpoint.fromFiles(written)
        assert.deepStrictEqual(read.adapter!.tensors, checkpoint.adapter.tensors)
        const expected = yield* Lora.place(model, checkpoint.adapter.settings)
        const found = (yield* Checkpoint.placementOf(read))!
        assert.deepStrictEqual(found.adapted, expected.adapted)
        assert.strictEqual(found.settings.variant, expected.settings.variant)
        assert.strictEqual(found.settings.dropout, expected.settings.dropout)
        assert.deepStrictEqual([...Checkpoint.toFiles(read)], [...written])
        // All that computes is in the files: the head comes from the adapter, the rest from the base.
        const parameters = Checkpoint.parametersOf(checkpoint)
        assert.deepStrictEqual(
          new Map([...Checkpoint.parametersOf(read)].toSorted()),
          new Map([...parameters].toSorted())
        )
        const merged = yield* Checkpoint.merged(read)
        assert.deepStrictEqual([...merged.tensors.keys()], [...read.tensors.keys()])
        assert.isFalse(Checkpoint.toFiles(merged).has(configFile))
      }))
  }

  it.effect("writes short names where these choose no other module, and PEFT's lists where they would", () =>
    Effect.gen(function*() {
      const targets = (base: string, settings: typeof Lora.Settings["~type.make.in"]) =>
        Effect.map(fresh(base, settings), ({ checkpoint }) => checkpoint.adapter.config["target_modules"])
      assert.deepStrictEqual(yield* targets("gpt2", {}), ["c_attn", "c_fc", "c_proj"])
      assert.deepStrictEqual(yield* targets("gpt2", { targets: "attention" }), [
        "transformer.h.0.attn.c_attn",
        "transformer.h.0.attn.c_proj",
        "transformer.h.1.attn.c_attn",
        "transformer.h.1.attn.c_proj"
      ])
      assert.deepStrictEqual(yield* targets("llama", { targets: "attention" }), [
        "k_proj",
        "o_proj",
        "q_proj",
        "v_proj"
      ])
      const { checkpoint } = yield* fresh("gpt2-classification", {})
      assert.deepInclude(checkpoint.adapter.config, {
        task_type: "SEQ_CLS",
        modules_to_save: ["score"],
        fan_in_fan_out: true,
        base_model_name_or_path: "gpt2-classification"
      })
    }))

  it.effect("leaves the base as it is, so that its file is that of the base", () =>
    Effect.gen(function*() {
      const { checkpoint } = yield* fresh("gpt2", {})
      assert.deepStrictEqual(
        Checkpoint.toFiles(checkpoint).get("model.safetensors"),
        Reference.files("gpt2").get("model.safetensors")
      )
      // A classifier on the body of a language model: its head is the adapter's, and not in the base's file.
      const headed = yield* Checkpoint.withHead(yield* Checkpoint.fromFiles(Reference.files("gpt2")), {
        head: "sequence-classification",
        labels: ["a", "b", "c"],
        seed: 3
      })
      const model = yield* Checkpoint.modelOf(headed)
      const placement = yield* Lora.place(model, Lora.defaults)
      const adapter = Adapter.make(model, placement, Lora.initialize(placement, headed.tensors, 1))
      const written = Checkpoint.toFiles({ ...headed, adapter })
      assert.deepStrictEqual(written.get("model.safetensors"), Reference.files("gpt2").get("model.safetensors"))
      const read = yield* Checkpoint.fromFiles(written)
      assert.deepStrictEqual(read.tensors.get("score.weight"), headed.tensors.get("score.weight"))
      assert.deepStrictEqual(Checkpoint.labelsOf(read.config), ["a", "b", "c"])
    }))

  it.effect("puts a classifier's adapter on the language model that it was trained beside, as its user would have to", () =>
    Effect.gen(function*() {
      const classifier = files("adapters/gpt2-classification")
      const read = yield* Checkpoint.fromFiles(
        new Map([
          ...Reference.files("gpt2"),
          ...[configFile, weightsFile].map((name) => [name, classifier.get(name)!] as const)
        ])
      )
      const model = yield* Checkpoint.modelOf(read)
      assert.strictEqual(model.head, "sequence-classification")
      assert.strictEqual(model.outputs, 5)
      const { tensors } = yield* Safetensors.decode(classifier.get(weightsFile)!)
      assert.deepStrictEqual(read.tensors.get("score.weight")!.data, tensors.get("base_model.model.score.weight")!.data)
    }))

  it.effect("keeps its matrices under another head, and takes the new head in full", () =>
    Effect.gen(function*() {
      const language = yield* Checkpoint.fromFiles(files("adapters/gpt2"))
      const same = yield* Checkpoint.withHead(language, { head: "causal-language-modeling", seed: 1 })
      assert.deepStrictEqual(same.adapter!.tensors, language.adapter!.tensors)
      const classifier = yield* Checkpoint.withHead(language, {
        head: "sequence-classification",
        labels: ["a", "b"],
        seed: 1
      })
      const { tensors } = classifier.adapter!
      assert.strictEqual(tensors.size, language.adapter!.tensors.size + 1)
      for (const [name, parameter] of language.adapter!.tensors) {
        assert.deepStrictEqual(tensors.get(name), parameter, name)
      }
      assert.deepStrictEqual(tensors.get("base_model.model.score.weight"), classifier.tensors.get("score.weight"))
    }))

  it.effect("reads half precision, and the name that some versions give to DoRA's vectors", () =>
    Effect.gen(function*() {
      const given = files("adapters/gpt2-dora")
      const { tensors } = yield* Safetensors.decode(given.get(weightsFile)!)
      const renamed = Array.from(tensors, ([name, { data, shape }]) =>
        [
          name.endsWith("vector") ? `${name}.weight` : name,
          { dtype: "BF16", shape, data: data as Float32Array }
        ] as const)
      const read = yield* Checkpoint.fromFiles(given.set(weightsFile, Safetensors.encode(renamed)))
      const name = "base_model.model.transformer.h.0.attn.c_attn.lora_magnitude_vector"
      const found = read.adapter!.tensors.get(name)!.data, before = tensors.get(name)!.data as Float32Array
      assert.isBelow(Reference.relative(found, before), 2 ** -8)
      assert.notDeepEqual(found, before)
    }))

  for (
    const [what, change, field] of [
      ["another kind of adapter", { peft_type: "LOHA" }, "peft_type"],
      ["no kind at all", { peft_type: undefined }, "peft_type"],
      ["trained biases", { bias: "all" }, "bias"],
      ["biases of its own", { lora_bias: true }, "lora_bias"],
      ["QA-LoRA", { use_qalora: true }, "use_qalora"],
      ["target parameters", { target_parameters: ["experts.weight"] }, "target_parameters"],
      ["replicated layers", { layer_replication: [[0, 2], [1, 2]] }, "layer_replication"],
      ["trained tokens", { trainable_token_indices: [1] }, "trainable_token_indices"],
      ["an option that is newer than this", { new_kind_config: { beta: 1 } }, "new_kind_config"],
      ["changed base weights", { init_lora_weights: "pissa_niter_4" }, "init_lora_weights"],
      ["another task", { task_type: "SEQ_2_SEQ_LM" }, "task_type"],
      ["no targets", { target_modules: null }, "target_modules"],
      ["targets that are numbers", { target_modules: [1] }, "configuration"],
      ["a negative rank", { r: -1 }, "configuration"],
      ["a rank that is text", { r: "many" }, "configuration"],
      ["targets of another family", { target_modules: ["q_proj"] }, "target_modules"]
    ] as const
  ) {
    it.effect(`refuses ${what} by name`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Checkpoint.fromFiles(changed("adapters/gpt2", change)))
        assert.strictEqual(error._tag, "InvalidAdapter")
        if (error._tag === "InvalidAdapter") assert.strictEqual(error.field, field)
        assert.include(error.message, field)
      }))
  }

  it.effect("says what does not fit: missing, of another shape, without a place", () =>
    Effect.gen(function*() {
      const rank = yield* Effect.flip(Checkpoint.fromFiles(changed("adapters/gpt2", { r: 6 })))
      assert.match(rank.message, /Different 12: .*c_attn\.lora_A\.weight is F32 \[4, 48\], expected F32 \[6, 48\]/)
      const more = yield* Effect.flip(Checkpoint.fromFiles(changed("adapters/gpt2", { target_modules: "all-linear" })))
      assert.match(more.message, /16 tensors expected, 12 found\. Missing 4: .*mlp\.c_fc\.lora_A\.weight/)
      const less = yield* Effect.flip(Checkpoint.fromFiles(changed("adapters/gpt2", { target_modules: ["c_attn"] })))
      assert.strictEqual(less._tag, "MismatchedAdapter")
      assert.match(less.message, /Without a place 8: .*c_proj/)
      const given = files("adapters/gpt2")
      const { tensors } = yield* Safetensors.decode(given.get(weightsFile)!)
      const embedding = [
        ...tensors,
        ["base_model.model.lm_head.lora_A.weight", tensors.values().next().value!] as const
      ]
      const head = yield* Effect.flip(
        Checkpoint.fromFiles(files("adapters/gpt2").set(weightsFile, Safetensors.encode(embedding)))
      )
      assert.match(head.message, /Without a place 1: base_model\.model\.lm_head\.lora_A\.weight/)
      given.delete(weightsFile)
      const missing = yield* Effect.flip(Checkpoint.fromFiles(given.set("adapter_model.bin", json({}))))
      assert.match(missing.message, /adapter_model\.safetensors.*adapter_model\.bin/)
      const broken = yield* Effect.flip(Checkpoint.fromFiles(files("adapters/gpt2").set(configFile, json([]))))
      assert.match(broken.message, /adapter_config\.json.*not a JSON object/)
    }))
})

describe("a pipeline", () => {
  const folder = (name: string) => fileURLToPath(new URL(`../fixtures/hf/${name}`, import.meta.url))
  const TestLayer = Layer.mergeAll(Store.layerMemory, Local.layer())

  it.effect("loads a base with an adapter's folder, sharing the base's files, and merges the two", () =>
    Effect.gen(function*() {
      const model = LoadModel({
        files: Source.folder(folder("gpt2")),
        adapter: Source.folder(folder("adapters/gpt2"))
      })
      const { base, merged, whole } = yield* Pipeline.run(Node.all({
        base: LoadModel({ files: Source.folder(folder("gpt2")) }),
        whole: model,
        merged: MergeAdapter({ model })
      }))
      const digests = (files: ReadonlyArray<{ readonly name: string; readonly digest: string }>) =>
        new Map(files.map(({ digest, name }) => [name, digest]))
      const found = digests(whole.files)
      for (const [name, digest] of digests(base.files)) assert.strictEqual(found.get(name), digest, name)
      assert.deepStrictEqual(
        [...found.keys()].filter((name) => !digests(base.files).has(name)),
        [configFile, weightsFile]
      )
      assert.strictEqual(merged.parameters, base.parameters)
      assert.isAbove(whole.parameters, base.parameters)
      assert.deepStrictEqual([...digests(merged.files).keys()], [...digests(base.files).keys()])
      assert.notStrictEqual(digests(merged.files).get("model.safetensors"), found.get("model.safetensors"))
      const expected = yield* Checkpoint.merged(yield* PretrainedModel.load(whole.files))
      assert.deepStrictEqual((yield* PretrainedModel.load(merged.files)).tensors, expected.tensors)
    }).pipe(Effect.provide(TestLayer)))

  it.effect("refuses a folder for an adapter that has none", () =>
    Effect.gen(function*() {
      const files = Source.folder(folder("gpt2"))
      const error = yield* Effect.flip(Pipeline.run(LoadModel({ files, adapter: files })))
      assert.match((error as Error).message, /adapter's folder has no adapter_config\.json; it has config\.json, /)
    }).pipe(Effect.provide(TestLayer)))

  it("takes the tokenizer of the adapter's folder where it has one", () => {
    const named = (from: string, names: ReadonlyArray<string>) => names.map((name) => ({ from, name }))
    const base = named("base", [
      "config.json",
      "model.safetensors",
      "tokenizer.json",
      "tokenizer_config.json",
      "vocab.json"
    ])
    const adapter = named("adapter", ["README.md", configFile, weightsFile])
    assert.deepStrictEqual(PretrainedModel.withAdapterFiles(base, adapter), [...base, ...adapter.slice(1)])
    const tokenizer = named("adapter", ["tokenizer.json", "tokenizer_config.json"])
    assert.deepStrictEqual(PretrainedModel.withAdapterFiles(base, [...adapter, ...tokenizer]), [
      ...base.slice(0, 2),
      ...adapter.slice(1),
      ...tokenizer
    ])
  })
})
