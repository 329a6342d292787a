import { assert, describe, it, layer, type Vitest } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { defaults } from "../../src/finetune/Hyperparameters.ts"
import * as Loss from "../../src/finetune/Loss.ts"
import * as Trainer from "../../src/finetune/Trainer.ts"
import type { Config, Model, Parameters } from "../../src/model/Architecture.ts"
import * as Checkpoint from "../../src/model/Checkpoint.ts"
import * as Examples from "../../src/model/Examples.ts"
import * as Family from "../../src/model/Family.ts"
import * as Llama from "../../src/model/Llama.ts"
import * as Safetensors from "../../src/model/Safetensors.ts"
import * as Tokenizer from "../../src/model/Tokenizer.ts"
import * as Weights from "../../src/model/Weights.ts"
import { Backend } from "../../src/tensor/Backend.ts"
import * as Backpropagation from "../../src/tensor/Backpropagation.ts"
import { everywhere } from "../tensor/Parity.ts"
import * as Reference from "./Reference.ts"

/** What transformers computed with models of small shapes, whose weights are given by a formula. */
interface Case {
  readonly name: string
  readonly config: Config
  readonly labels: ReadonlyArray<number> | ReadonlyArray<ReadonlyArray<number>>
  /** Rows and columns whose logits are given, of a model that has them for each token. */
  readonly sites: ReadonlyArray<readonly [number, number]>
  readonly logits: ReadonlyArray<ReadonlyArray<number>>
  readonly loss: number
  /** The norm of each gradient, and its product with a wave. */
  readonly gradients: Readonly<Record<string, readonly [number, number]>>
}

const { cases, input_ids, lengths }: {
  readonly input_ids: ReadonlyArray<ReadonlyArray<number>>
  readonly lengths: ReadonlyArray<number>
  readonly cases: ReadonlyArray<Case>
} = JSON.parse(readFileSync(new URL("../fixtures/hf/decoders.json", import.meta.url), "utf8"))

/** The fixture's weights: the parameter number `p` in the order of the names. */
const draw = (name: string, p: number, size: number): Float32Array =>
  Float32Array.from({ length: size }, (_, i) => {
    const x = Math.sin(i * 12.9898 + p * 78.233) * 43758.5453
    const even = x - Math.floor(x) - 0.5
    return name.endsWith("norm.weight") ? 1 + 0.2 * even : 0.3 * even
  })

const batchOf = (model: Model, { labels }: Case): Examples.Batch => {
  const examples = input_ids.map((ids, row): Examples.Example => {
    const tokens = Int32Array.from(ids.slice(0, lengths[row]))
    const label = labels[row]!
    if (model.head === "sequence-regression") return { tokens, score: label as number }
    return typeof label === "number"
      ? { tokens, label }
      : { tokens, labels: Int32Array.from(label.slice(0, lengths[row])) }
  })
  return Examples.collate(model, examples, Examples.oneEach([...examples.keys()]))
}

const qwen = { model_type: "qwen2", architectures: ["Qwen2ForCausalLM"] }

const folders = ["llama", "llama3-rope-tied", "qwen2", "qwen3"] as const

const decoders = (it: Vitest.MethodsNonLive<Backend>) => {
  Reference.tests(it, folders)

  it.effect.each(cases)("gives what transformers gives for $name", (expected) =>
    Effect.gen(function*() {
      const model = yield* Family.model(expected.config)
      const { tf } = yield* Backend
      const before = tf.memory().numTensors
      const names = model.parameters.map(({ name }) => name).toSorted()
      assert.deepStrictEqual(names, Object.keys(expected.gradients).toSorted())
      const parameters: Parameters = new Map(model.parameters.map(({ name, shape }) => [name, {
        shape,
        data: draw(name, names.indexOf(name), shape.reduce((size, extent) => size * extent, 1))
      }]))
      const batch = batchOf(model, expected)
      const [logits, loss, ...gradients] = yield* Reference.read(tf, () => {
        const variables = Reference.upload(tf, parameters)
        const weights = Weights.make(tf, model, variables)
        const rows = model.head.startsWith("sequence")
          ? batch.rows
          : Int32Array.from(expected.sites, ([row, column]) => row * batch.time + column)
        const { gradients, value } = Backpropagation.valueAndGradients(
          tf,
          () => Loss.mean(tf, model, Weights.make(tf, model, variables), batch),
          names.map((name) => variables.get(name)!)
        )
        return [model.logits(tf, weights, model.hidden(tf, weights, batch, { rows })), value, ...gradients]
      })
      assert.isAtMost(Reference.relative(logits!, expected.logits.flat()), 1e-5, "logits")
      assert.isAtMost(Reference.relative(loss!, [expected.loss]), 1e-6, "loss")
      for (const [index, name] of names.entries()) {
        const [norm, product] = expected.gradients[name]!
        const found = gradients[index]!
        assert.closeTo(Math.sqrt(found.reduce((sum, x) => sum + x * x, 0)), norm, 1e-4 * norm, name)
        assert.closeTo(found.reduce((sum, x, i) => sum + x * Math.sin(0.37 * i + 1), 0), product, 1e-4 * norm, name)
      }
      assert.strictEqual(tf.memory().numTensors, before, "tensors left behind")
    }))

  it.effect.each(["gpt2", ...folders])(
    "gives the same gradients with layers computed anew: %s",
    (name) =>
      Effect.gen(function*() {
        const reference = yield* Reference.load(name)
        const { determinism, tf } = yield* Backend
        const before = tf.memory().numTensors
        for (const dropout of [undefined, { seed: 3, step: 2, rate: 0.2 }]) {
          const options = dropout === undefined ? {} : { dropout }
          const plain = yield* Reference.read(tf, () => Reference.lossAndGradients(tf, reference, options))
          const found = yield* Reference.read(
            tf,
            () => Reference.lossAndGradients(tf, reference, { ...options, recompute: true })
          )
          if (determinism === "exact") assert.deepStrictEqual(found, plain)
          for (const [index, gradient] of plain.entries()) {
            assert.isAtMost(Reference.relative(found[index]!, gradient, 1e-3), 1e-4)
          }
        }
        assert.strictEqual(tf.memory().numTensors, before, "tensors left behind")
      })
  )

  it.effect.each(["gpt2", ...folders])(
    "learns from texts packed into rows as from texts padded: %s",
    (name) =>
      Effect.gen(function*() {
        const reference = yield* Reference.load(name)
        const { model } = reference
        const { tf } = yield* Backend
        const examples = [9, 4, 12, 1, 7, 3].map((length, row): Examples.Example => ({
          tokens: reference.trainBatch(row).inputIds.slice(0, length)
        }))
        const learn = (rows: Examples.Rows) => {
          const batch = Examples.collate(model, examples, rows)
          return Effect.map(
            Reference.read(tf, () => Reference.lossAndGradients(tf, { ...reference, batch })),
            (found) => ({ batch, found })
          )
        }
        const padded = yield* learn(Examples.oneEach([0, 1, 2, 3, 4, 5]))
        const packed = yield* learn([[0, 1, 5], [2, 3], [4]])
        assert.strictEqual(padded.batch.segments, undefined)
        assert.strictEqual(packed.batch.batch, 3)
        const floor = 1e-3 * Math.max(...padded.found.map((values) => values.reduce((most, x) => Math.max(most, x), 0)))
        for (const [index, expected] of padded.found.entries()) {
          const what = index === 0 ? "loss" : model.parameters[index - 1]!.name
          assert.isAtMost(Reference.relative(packed.found[index]!, expected, floor), 1e-5, what)
        }
      })
  )

  it.effect("drops the same for a seed and a step, and its mean is the undropped value", () =>
    Effect.gen(function*() {
      const { checkpoint, input, model } = yield* Reference.load("qwen2")
      const { tf } = yield* Backend
      const run = (dropout?: { readonly seed: number; readonly step: number; readonly rate: number }) =>
        Effect.map(
          Reference.read(tf, () => {
            const weights = Weights.make(tf, model, Reference.upload(tf, checkpoint.tensors))
            return [model.hidden(tf, weights, input, dropout === undefined ? {} : { dropout })]
          }),
          ([hidden]) => hidden!
        )
      const dropped = yield* run({ seed: 1, step: 4, rate: 0.2 })
      assert.deepStrictEqual(yield* run({ seed: 1, step: 4, rate: 0.2 }), dropped)
      assert.isAbove(Reference.relative(yield* run({ seed: 1, step: 5, rate: 0.2 }), dropped), 0.01)
      assert.isAbove(Reference.relative(yield* run({ seed: 2, step: 4, rate: 0.2 }), dropped), 0.01)
      const plain = yield* run()
      assert.deepStrictEqual(yield* run({ seed: 1, step: 4, rate: 0 }), plain)
      assert.isBelow(Reference.relative(yield* run({ seed: 1, step: 4, rate: 1e-12 }), plain), 1e-5)
    }))

  it.effect("gives what is trained the same gradients while the rest is frozen", () =>
    Effect.gen(function*() {
      const reference = yield* Reference.load("qwen3")
      const { batch, checkpoint, model } = reference
      const { tf } = yield* Backend
      const all = yield* Reference.read(tf, () => Reference.lossAndGradients(tf, reference))
      const names = model.parameters.map(({ name }) => name)
      const trained = names.filter((name) => /layers\.1\.(mlp\.up_proj|self_attn\.q_norm)|model\.norm/.test(name))
      assert.strictEqual(trained.length, 3)
      const some = yield* Reference.read(tf, () => {
        const variables = Reference.upload(tf, checkpoint.tensors)
        const { gradients } = Backpropagation.valueAndGradients(
          tf,
          () => Loss.mean(tf, model, Weights.make(tf, model, variables, { trained: new Set(trained) }), batch),
          trained.map((name) => variables.get(name)!)
        )
        return [...gradients]
      })
      for (const [index, name] of trained.entries()) {
        assert.deepStrictEqual(some[index], all[1 + names.indexOf(name)], name)
      }
    }))
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
      ["a negative number of layers", { num_hidden_layers: -1 }, "holds"],
      ["a number of layers that would fill the memory with names", { num_hidden_layers: 2 ** 31 - 1 }, "holds"],
      ["a vocabulary that is text", { vocab_size: "many" }, "holds"],
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
