import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { defaults } from "../../src/finetune/Hyperparameters.ts"
import * as Loss from "../../src/finetune/Loss.ts"
import * as Trainer from "../../src/finetune/Trainer.ts"
import { type Config, initialize } from "../../src/model/Architecture.ts"
import * as Checkpoint from "../../src/model/Checkpoint.ts"
import * as Examples from "../../src/model/Examples.ts"
import * as Family from "../../src/model/Family.ts"
import * as Safetensors from "../../src/model/Safetensors.ts"
import * as Tokenizer from "../../src/model/Tokenizer.ts"
import * as Weights from "../../src/model/Weights.ts"
import { Backend } from "../../src/tensor/Backend.ts"
import * as Reference from "./Reference.ts"

const folders = ["bert", "roberta", "distilbert", "bert-token-classification"] as const

const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))

/** A fixture's files with its config and its tensors changed. */
const changed = Effect.fnUntraced(function*(
  folder: string,
  config: Config,
  change: (tensors: Map<string, Safetensors.Tensor>) => void = () => {}
) {
  const files = Reference.files(folder)
  const before = JSON.parse(new TextDecoder().decode(files.get("config.json")))
  const { tensors } = yield* Safetensors.decode(files.get("model.safetensors")!)
  const after = new Map(tensors)
  change(after)
  return files.set("config.json", json({ ...before, ...config })).set("model.safetensors", Safetensors.encode(after))
})

const rename = (tensors: Map<string, Safetensors.Tensor>, renamed: (name: string) => string) => {
  const before = Array.from(tensors)
  tensors.clear()
  for (const [name, tensor] of before) tensors.set(renamed(name), tensor)
}

const zeros = (...shape: Array<number>): Safetensors.Tensor => ({
  dtype: "F32",
  shape,
  data: new Float32Array(shape.reduce((size, extent) => size * extent, 1))
})

describe("the checkpoint of an encoder", () => {
  for (const name of folders) {
    it.effect(`is read as transformers wrote it, and written the same: ${name}`, () =>
      Effect.gen(function*() {
        const files = Reference.files(name)
        const checkpoint = yield* Checkpoint.fromFiles(files)
        assert.deepStrictEqual(checkpoint.unused, [])
        const { tensors } = yield* Safetensors.decode(Checkpoint.toFiles(checkpoint).get("model.safetensors")!)
        const { tensors: given } = yield* Safetensors.decode(files.get("model.safetensors")!)
        assert.deepStrictEqual(new Map([...tensors].toSorted()), new Map([...given].toSorted()))
        // The configs say 64 positions; RoBERTa's begin after that of its padding token, 0.
        const { maximumLength, pooledPosition } = yield* Checkpoint.modelOf(checkpoint)
        assert.strictEqual(maximumLength, name === "roberta" ? 63 : 64)
        assert.strictEqual(pooledPosition([4, 5, 6, 0]), 0)
      }))
  }

  const old = {
    bert: ["BertForPreTraining", "BertForMaskedLM", "BertModel"],
    roberta: ["RobertaForMaskedLM", "RobertaModel"],
    distilbert: ["DistilBertForMaskedLM", "DistilBertModel"]
  } as const
  for (const name of ["bert", "roberta", "distilbert"] as const) {
    for (const architecture of old[name]) {
      it.effect(`of version 4, pre-trained as ${architecture}, gets a classifier`, () =>
        Effect.gen(function*() {
          const given = yield* Checkpoint.fromFiles(Reference.files(name))
          const others = name === "bert"
            ? ["cls.predictions.bias", "cls.predictions.transform.LayerNorm.gamma", "cls.seq_relationship.weight"]
            : name === "roberta"
            ? ["lm_head.bias", "lm_head.decoder.weight", "roberta.pooler.dense.weight"]
            : ["vocab_transform.weight", "vocab_projector.bias"]
          const bare = architecture.endsWith("Model")
          const files = yield* changed(
            name,
            {
              architectures: [architecture],
              dtype: undefined,
              torch_dtype: "float32",
              gradient_checkpointing: false,
              position_embedding_type: "absolute"
            },
            (tensors) => {
              for (const name of tensors.keys()) if (/^(pre_)?classifier\./.test(name)) tensors.delete(name)
              for (const other of others) tensors.set(other, zeros(3))
              tensors.set(`${name}.embeddings.position_ids`, {
                dtype: "I64",
                shape: [1, 2],
                data: BigInt64Array.of(0n, 1n)
              })
              rename(tensors, (tensor) =>
                (bare ? tensor.replace(new RegExp(`^${name}\\.`), "") : tensor)
                  .replace(/LayerNorm\.weight$/, "LayerNorm.gamma").replace(/LayerNorm\.bias$/, "LayerNorm.beta"))
            }
          )
          const body = yield* Checkpoint.fromFiles(files)
          assert.strictEqual((yield* Checkpoint.modelOf(body)).head, "none")
          assert.strictEqual(body.unused.length, others.length + 1)
          const classifier = yield* Checkpoint.withHead(body, {
            head: "sequence-classification",
            labels: ["a", "b", "c", "d", "e"],
            seed: 5
          })
          assert.deepStrictEqual(new Set(classifier.tensors.keys()), new Set(given.tensors.keys()))
          for (const [tensor, { data }] of given.tensors) {
            const found = classifier.tensors.get(tensor)!.data
            if (/^(pre_)?classifier\..*weight$/.test(tensor)) assert.notDeepEqual(found, data, tensor)
            // BERT's pooler came with the body.
            else if (!/^(pre_)?classifier\./.test(tensor)) assert.deepStrictEqual(found, data, tensor)
          }
          const written = yield* Checkpoint.fromFiles(Checkpoint.toFiles(classifier))
          assert.strictEqual((yield* Checkpoint.modelOf(written)).outputs, 5)
        }))
    }
  }

  it.effect("without a pooler gets a new one with a classifier of texts, and needs none for one of tokens", () =>
    Effect.gen(function*() {
      const files = yield* changed("bert", { architectures: ["BertForMaskedLM"] }, (tensors) => {
        for (const name of tensors.keys()) if (/pooler|classifier/.test(name)) tensors.delete(name)
      })
      const body = yield* Checkpoint.fromFiles(files)
      const withHead = (head: "sequence-classification" | "token-classification", seed = 5) =>
        Checkpoint.withHead(body, { head, labels: ["a", "b", "c"], seed })
      const pooler = "bert.pooler.dense.weight"
      const first = (yield* withHead("sequence-classification")).tensors.get(pooler)!
      assert.deepStrictEqual(first.shape, [48, 48])
      assert.deepStrictEqual((yield* withHead("sequence-classification")).tensors.get(pooler), first)
      assert.notDeepEqual((yield* withHead("sequence-classification", 6)).tensors.get(pooler), first)
      const tagger = yield* withHead("token-classification")
      assert.isFalse(tagger.tensors.has(pooler))
      // As it is when the classifier of tokens becomes one of texts.
      const again = yield* Checkpoint.withHead(tagger, { head: "sequence-classification", labels: ["a"], seed: 5 })
      assert.deepStrictEqual(again.tensors.get(pooler), first)
      // A classifier of texts that says it has one must have it.
      const error = yield* Effect.flip(Checkpoint.fromFiles(
        yield* changed("bert", {}, (tensors) => void tensors.delete(pooler))
      ))
      assert.deepInclude(error, { _tag: "MismatchedTensors", missing: [pooler] })
    }))

  it.effect("becomes a regression of one score", () =>
    Effect.gen(function*() {
      const checkpoint = yield* Checkpoint.fromFiles(Reference.files("roberta"))
      const scored = yield* Checkpoint.withHead(checkpoint, { head: "sequence-regression", seed: 1 })
      const model = yield* Checkpoint.modelOf(scored)
      assert.deepInclude(model, { head: "sequence-regression", outputs: 1 })
      assert.deepStrictEqual(scored.tensors.get("classifier.out_proj.weight")!.shape, [1, 48])
      const dense = "classifier.dense.weight"
      assert.deepStrictEqual(scored.tensors.get(dense), checkpoint.tensors.get(dense))
    }))
})

describe("the config of an encoder", () => {
  const names = (config: Config) =>
    Effect.map(
      Family.model(config),
      ({ parameters }) => parameters.map(({ name, shape }) => `${name} [${shape.join(", ")}]`)
    )

  it.effect("has the defaults of transformers' classes", () =>
    Effect.gen(function*() {
      const bert = yield* Family.model({ model_type: "bert", architectures: ["BertForSequenceClassification"] })
      assert.deepInclude(bert, { vocabularySize: 30522, maximumLength: 512, outputs: 2, paddingId: 0, layers: 12 })
      assert.include(yield* names(bert.config), "bert.encoder.layer.11.intermediate.dense.weight [3072, 768]")
      const roberta = yield* Family.model({ model_type: "roberta", max_position_embeddings: 514 })
      assert.deepInclude(roberta, { vocabularySize: 50265, maximumLength: 512, paddingId: 1, layers: 12 })
      const distilbert = yield* Family.model({ model_type: "distilbert" })
      assert.deepInclude(distilbert, { vocabularySize: 30522, maximumLength: 512, paddingId: 0, layers: 6 })
      const without = yield* Family.model({ model_type: "bert", pad_token_id: null })
      assert.strictEqual(without.paddingId, undefined)
    }))

  it.effect("says how new weights are drawn: nothing for padding, sinusoids where it asks for them", () =>
    Effect.gen(function*() {
      const small = { vocab_size: 9, max_position_embeddings: 6 }
      const distilbert = yield* Family.model({
        model_type: "distilbert",
        ...small,
        dim: 4,
        n_heads: 2,
        n_layers: 1,
        hidden_dim: 8,
        pad_token_id: 2,
        sinusoidal_pos_embds: true
      })
      const drawn = initialize(distilbert, 1)
      const words = drawn.get("distilbert.embeddings.word_embeddings.weight")!.data
      assert.deepStrictEqual([...words].map((x, i) => [i, x] as const).filter(([, x]) => x === 0).map(([i]) => i), [
        8,
        9,
        10,
        11
      ])
      const positions = drawn.get("distilbert.embeddings.position_embeddings.weight")!.data
      // By `create_sinusoidal_embeddings` of transformers 5.18.0.
      const expected = [0, 1, 0, 1, 0.8414709568023682, 0.5403022766113281, 0.009999833069741726, 0.9999499917030334]
      assert.deepStrictEqual(Array.from(positions.subarray(0, 8)), expected.map(Math.fround))
      const roberta = yield* Family.model({
        model_type: "roberta",
        ...small,
        hidden_size: 4,
        num_attention_heads: 2,
        num_hidden_layers: 1,
        intermediate_size: 8
      })
      const table = initialize(roberta, 1).get("roberta.embeddings.position_embeddings.weight")!.data
      assert.deepStrictEqual([...table].map((x) => x === 0).slice(0, 12), [
        ...Array(4).fill(false),
        ...Array(4).fill(true),
        ...Array(4).fill(false)
      ])
    }))

  const bert: Config = { model_type: "bert", architectures: ["BertForSequenceClassification"] }
  const roberta: Config = { model_type: "roberta", architectures: ["RobertaForSequenceClassification"] }
  const distilbert: Config = { model_type: "distilbert", architectures: ["DistilBertForSequenceClassification"] }
  for (
    const [what, config, field] of [
      [
        "positions relative to each other",
        { ...bert, position_embedding_type: "relative_key" },
        "position_embedding_type"
      ],
      ["a decoder", { ...bert, is_decoder: true }, "is_decoder"],
      ["attention to another model", { ...roberta, add_cross_attention: true }, "add_cross_attention"],
      ["feed forward parts in chunks", { ...bert, chunk_size_feed_forward: 8 }, "chunk_size_feed_forward"],
      ["layers without some of their heads", { ...distilbert, pruned_heads: { 1: [0] } }, "pruned_heads"],
      ["an activation that is not implemented", { ...bert, hidden_act: "silu" }, "hidden_act"],
      ["one of DistilBERT's", { ...distilbert, activation: "tanh" }, "activation"],
      ["heads that do not divide the width", { ...roberta, num_attention_heads: 5 }, "hidden_size"],
      ["heads that do not divide DistilBERT's width", { ...distilbert, n_heads: 5 }, "dim"],
      ["several labels for a text", { ...bert, problem_type: "multi_label_classification" }, "problem_type"],
      ["a regression of several scores", { ...bert, problem_type: "regression", num_labels: 3 }, "num_labels"],
      ["no class", { ...distilbert, id2label: {} }, "id2label"],
      ["a padding token beyond the vocabulary", { ...bert, vocab_size: 10, pad_token_id: 10 }, "pad_token_id"],
      ["a padding token below it", { ...distilbert, pad_token_id: -1 }, "pad_token_id"],
      ["positions counted from no padding token", { ...roberta, pad_token_id: null }, "pad_token_id"],
      ["too few positions", { ...roberta, max_position_embeddings: 2 }, "max_position_embeddings"],
      ["a negative number of layers", { ...bert, num_hidden_layers: -1 }, "num_hidden_layers"],
      [
        "a number of layers that would fill the memory with names",
        { ...distilbert, n_layers: 2 ** 31 - 1 },
        "n_layers"
      ],
      ["a vocabulary that is text", { ...bert, vocab_size: "many" }, "vocab_size"],
      ["a dropout that leaves nothing", { ...bert, hidden_dropout_prob: 1 }, "hidden_dropout_prob"]
    ] as ReadonlyArray<[string, Config, string]>
  ) {
    it.effect(`refuses ${what}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Family.model(config))
        assert.strictEqual(error._tag, "InvalidConfig")
        assert.strictEqual((error as { readonly field?: string }).field, field)
      }))
  }

  it.effect("reads XLM-RoBERTa as RoBERTa", () =>
    Effect.gen(function*() {
      const model = yield* Family.model({ model_type: "xlm-roberta", architectures: ["XLMRobertaForMaskedLM"] })
      assert.deepInclude(model, { family: "xlm-roberta", head: "none", outputs: 768 })
      assert.include(yield* names(model.config), "roberta.encoder.layer.0.attention.self.query.bias [768]")
    }))
})

describe("an untrained encoder", () => {
  it.effect("learns to tell texts apart, and tokens", () =>
    Effect.gen(function*() {
      const { tf } = yield* Backend
      const config = {
        model_type: "bert",
        vocab_size: 257,
        pad_token_id: 256,
        hidden_size: 24,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        intermediate_size: 48,
        max_position_embeddings: 16,
        initializer_range: 0.1
      }
      const body = yield* Checkpoint.untrained(config, Tokenizer.byteLevel(), 1)
      const texts = ["to be or not", "that is the", "question", "whether tis"]
      for (const head of ["sequence-classification", "token-classification"] as const) {
        const examples = texts.map((text, index): Examples.Example => {
          const tokens = Int32Array.from(Buffer.from(text))
          return head === "token-classification"
            // Whether the token after it is a space: nothing that a token tells of itself.
            ? { tokens, labels: tokens.map((_, at) => tokens[at + 1] === 32 ? 1 : 0) }
            : { tokens, label: index % 2 }
        })
        const { checkpoint } = yield* Trainer.train({
          model: body,
          task: { head, labels: ["a", "b"] },
          examples,
          hyperparameters: { ...defaults, learningRate: 0.005, epochs: 80, batchSize: 4, dropout: 0 }
        })
        const model = yield* Checkpoint.modelOf(checkpoint)
        const [loss] = yield* Reference.read(tf, () => {
          const weights = Weights.make(tf, model, Reference.upload(tf, checkpoint.tensors))
          return [Loss.mean(tf, model, weights, Examples.collate(model, examples, Examples.oneEach([0, 1, 2, 3])))]
        })
        assert.isBelow(loss![0]!, 0.1, head)
      }
    }).pipe(Effect.provide(Backend.layer("wasm"))))
})
