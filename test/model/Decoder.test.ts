import { assert, describe, it, layer, type Vitest } from "@effect/vitest"
import { Effect } from "effect"
import { defaults } from "../../src/finetune/Hyperparameters.ts"
import * as Loss from "../../src/finetune/Loss.ts"
import * as Trainer from "../../src/finetune/Trainer.ts"
import type { Config } from "../../src/model/Architecture.ts"
import * as Checkpoint from "../../src/model/Checkpoint.ts"
import * as Examples from "../../src/model/Examples.ts"
import * as Family from "../../src/model/Family.ts"
import * as Llama from "../../src/model/Llama.ts"
import * as Safetensors from "../../src/model/Safetensors.ts"
import * as Tokenizer from "../../src/model/Tokenizer.ts"
import * as Weights from "../../src/model/Weights.ts"
import { Backend } from "../../src/tensor/Backend.ts"
import { everywhere } from "../tensor/Parity.ts"
import * as DrawnReference from "./DrawnReference.ts"
import * as FamilyTests from "./FamilyTests.ts"
import * as Reference from "./Reference.ts"

const drawn = DrawnReference.read("decoders.json")

const qwen = { model_type: "qwen2", architectures: ["Qwen2ForCausalLM"] }

const folders = ["llama", "llama3-rope-tied", "qwen2", "qwen3"] as const

const decoders = (it: Vitest.MethodsNonLive<Backend>) => {
  Reference.tests(it, folders)

  it.effect.each(drawn.cases)(
    "gives what transformers gives for $name",
    (expected) => DrawnReference.agrees(drawn, expected)
  )

  FamilyTests.recomputes(it, folders)
  FamilyTests.packs(it, folders)
  FamilyTests.drops(it, folders, 0.01)
  FamilyTests.freezes(it, "qwen3", /layers\.1\.(mlp\.up_proj|self_attn\.q_norm)|model\.norm/, 3)
}

for (const name of everywhere) layer(Backend.layer(name))(`decoders on ${name}`, decoders)

describe("the config of a decoder", () => {
  const config = Llama.config({ vocabularySize: 96, positions: 32, width: 24, layers: 2, heads: 4, keyValueHeads: 2 })
  const shapesOf = (config: Config) =>
    Effect.map(
      Family.model(config),
      ({ parameters }) => parameters.map(({ name, shape }) => `${name} [${shape.join(", ")}]`).toSorted()
    )

  it.effect("of a new Llama makes a model that learns its texts by heart", () =>
    Effect.gen(function*() {
      const shape = {
        vocabularySize: 257,
        positions: 16,
        width: 24,
        layers: 2,
        heads: 4,
        keyValueHeads: 2,
        endOfTextId: 256
      }
      const checkpoint = yield* Checkpoint.untrained(
        Llama.config({ ...shape, initializerRange: 0.1 }),
        Tokenizer.byteLevel(),
        1
      )
      const examples = ["to be or not", "that is the", "question"].map((text) => ({
        tokens: Int32Array.from(Buffer.from(text))
      }))
      const { checkpoint: trained } = yield* Trainer.train({
        model: checkpoint,
        task: { head: "causal-language-modeling" },
        examples,
        hyperparameters: { ...defaults, learningRate: 0.01, epochs: 60, batchSize: 3, dropout: 0 }
      })
      const model = yield* Checkpoint.modelOf(trained)
      const { tf } = yield* Backend
      const [loss] = yield* Reference.read(tf, () => {
        const weights = Weights.make(tf, model, Reference.upload(tf, trained.tensors))
        return [Loss.mean(tf, model, weights, Examples.collate(model, examples, Examples.oneEach([0, 1, 2])))]
      })
      assert.isBelow(loss![0]!, 0.5)
    }).pipe(Effect.provide(Backend.layer("wasm"))))

  it.effect("has heads of its own for a language model that is not tied, and for each task", () =>
    Effect.gen(function*() {
      const names = yield* shapesOf(config)
      assert.notInclude(names.join(), "lm_head")
      assert.include(names, "model.layers.1.self_attn.k_proj.weight [12, 24]")
      assert.include(names, "model.layers.0.mlp.down_proj.weight [24, 64]")
      assert.include(yield* shapesOf({ ...config, tie_word_embeddings: false }), "lm_head.weight [96, 24]")
      // What version 4 of transformers leaves out when it is its default.
      const { tie_word_embeddings: _, ...rest } = config
      assert.include(yield* shapesOf(rest), "lm_head.weight [96, 24]")
      const classifies = { id2label: { 0: "a", 1: "b", 2: "c" } }
      const classifier = yield* shapesOf({
        ...config,
        ...classifies,
        architectures: ["LlamaForSequenceClassification"]
      })
      assert.deepStrictEqual(classifier.filter((name) => !name.startsWith("model.")), ["score.weight [3, 24]"])
      const tagger = yield* shapesOf({ ...config, ...classifies, architectures: ["LlamaForTokenClassification"] })
      assert.deepStrictEqual(tagger.filter((name) => !name.startsWith("model.")), [
        "score.bias [3]",
        "score.weight [3, 24]"
      ])
      const bare = yield* shapesOf({ ...config, architectures: ["LlamaModel"] })
      assert.isTrue(bare.every((name) => name.startsWith("model.")))
      const answering = yield* Family.model({ ...config, architectures: ["LlamaForQuestionAnswering"] })
      assert.strictEqual(answering.head, "none")
    }))

  it.effect("reads a class from the last token that is not padding", () =>
    Effect.gen(function*() {
      const padded = yield* Family.model({ ...config, pad_token_id: 9 })
      assert.strictEqual(padded.pooledPosition([5, 6, 9, 7, 9, 9]), 3)
      const early = yield* Family.model({ ...config, pad_token_id: -1 })
      assert.strictEqual(early.paddingId, undefined)
      assert.strictEqual(early.pooledPosition([5, 6, 9]), 2)
    }))

  it.effect("finds the weights of bare bodies and of old versions under their names", () =>
    Effect.gen(function*() {
      const files = Reference.files("llama3-rope-tied")
      const { tensors } = yield* Safetensors.decode(files.get("model.safetensors")!)
      const embedding = tensors.get("model.embed_tokens.weight")!
      const renamed = [...tensors].map(([name, tensor]) => [name.replace(/^model\./, ""), tensor] as const)
      const old = Safetensors.encode([
        ...renamed,
        ["layers.0.self_attn.rotary_emb.inv_freq", { dtype: "F32", shape: [6], data: new Float32Array(6) }],
        ["lm_head.weight", embedding]
      ])
      const found = yield* Checkpoint.fromFiles(new Map([...files, ["model.safetensors", old]]))
      assert.deepStrictEqual(found.unused, ["layers.0.self_attn.rotary_emb.inv_freq", "lm_head.weight"])
      assert.deepStrictEqual(found.tensors, (yield* Checkpoint.fromFiles(files)).tensors)
    }))

  for (
    const [what, change, field] of [
      ["an activation that is not implemented", { hidden_act: "gelu" }, "hidden_act"],
      ["products in parts", { pretraining_tp: 2 }, "pretraining_tp"],
      ["key heads that do not divide the query heads", { num_key_value_heads: 3 }, "num_key_value_heads"],
      ["heads that do not divide the width", { hidden_size: 30, head_dim: null }, "hidden_size"],
      ["heads of an odd size", { head_dim: 7 }, "head_dim"],
      ["a padding token beyond the vocabulary", { pad_token_id: 96 }, "pad_token_id"],
      ["a rotary embedding that is not implemented", { rope_scaling: { type: "su" } }, "rope_scaling.rope_type"],
      ["a negative number of layers", { num_hidden_layers: -1 }, "num_hidden_layers"],
      [
        "a number of layers that would fill the memory with names",
        { num_hidden_layers: 2 ** 31 - 1 },
        "num_hidden_layers"
      ],
      ["a vocabulary that is text", { vocab_size: "many" }, "vocab_size"],
      [
        "a layer that looks back only so far",
        { ...qwen, layer_types: ["full_attention", "sliding_attention"] },
        "layer_types"
      ],
      [
        "upper layers that look back only so far",
        { ...qwen, use_sliding_window: true, sliding_window: 16, max_window_layers: 1 },
        "use_sliding_window"
      ]
    ] as ReadonlyArray<[string, Config, string]>
  ) {
    it.effect(`refuses ${what}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Family.model({ ...config, ...change }))
        assert.strictEqual(error._tag, "InvalidConfig")
        if (error._tag === "InvalidConfig") assert.strictEqual(error.field, field)
      }))
  }

  it.effect("may ask for windows that no layer has", () =>
    Family.model({ ...config, ...qwen, use_sliding_window: true, sliding_window: 16, max_window_layers: 28 }))
})
