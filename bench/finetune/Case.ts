/**
 * The models that are fine-tuned, and their data: both sides read the same files.
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Batches from "../../src/finetune/Batches.ts"
import { adapterOf, defaults, type Hyperparameters } from "../../src/finetune/Hyperparameters.ts"
import * as Adapter from "../../src/model/Adapter.ts"
import type { Config } from "../../src/model/Architecture.ts"
import * as Checkpoint from "../../src/model/Checkpoint.ts"
import type * as Examples from "../../src/model/Examples.ts"
import * as Lora from "../../src/model/Lora.ts"
import * as Tokenizer from "../../src/model/Tokenizer.ts"
import * as Random from "../../src/random/Random.ts"

export interface Case {
  readonly name: string
  readonly config: Config
  readonly vocabulary: number
  /** Texts a step, and tokens a text. */
  readonly batch: number
  readonly time: number
  /** Whether it is measured when no model is named. */
  readonly small: boolean
}

const labels = ["a", "b"]
const classes = { id2label: { 0: "a", 1: "b" }, label2id: { a: 0, b: 1 } }

const llama = (shape: Config): Config => ({
  model_type: "llama",
  architectures: ["LlamaForCausalLM"],
  hidden_act: "silu",
  max_position_embeddings: 2048,
  tie_word_embeddings: true,
  rope_theta: 100_000,
  ...shape
})

/** Nothing is dropped, so that both sides compute the same numbers. */
const withoutDropout = {
  attn_pdrop: 0,
  embd_pdrop: 0,
  resid_pdrop: 0,
  attention_dropout: 0,
  attention_probs_dropout_prob: 0,
  dropout: 0,
  hidden_dropout_prob: 0,
  seq_classif_dropout: 0
}

export const cases: ReadonlyArray<Case> = [
  {
    name: "llama",
    vocabulary: 8192,
    batch: 8,
    time: 128,
    small: true,
    config: llama({
      vocab_size: 8192,
      hidden_size: 256,
      num_hidden_layers: 6,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      intermediate_size: 704
    })
  },
  {
    name: "gpt2",
    vocabulary: 8192,
    batch: 8,
    time: 128,
    small: true,
    config: {
      ...withoutDropout,
      model_type: "gpt2",
      architectures: ["GPT2LMHeadModel"],
      vocab_size: 8192,
      n_positions: 256,
      n_embd: 256,
      n_layer: 6,
      n_head: 4
    }
  },
  {
    name: "bert",
    vocabulary: 8192,
    batch: 8,
    time: 128,
    small: true,
    config: {
      ...withoutDropout,
      ...classes,
      model_type: "bert",
      architectures: ["BertForSequenceClassification"],
      vocab_size: 8192,
      max_position_embeddings: 256,
      hidden_size: 256,
      num_hidden_layers: 6,
      num_attention_heads: 4,
      intermediate_size: 1024,
      pad_token_id: 0
    }
  },
  {
    name: "smollm2-135m",
    vocabulary: 49_152,
    batch: 8,
    time: 128,
    small: false,
    config: llama({
      vocab_size: 49_152,
      hidden_size: 576,
      num_hidden_layers: 30,
      num_attention_heads: 9,
      num_key_value_heads: 3,
      intermediate_size: 1536,
      initializer_range: 1 / 24
    })
  },
  {
    name: "distilbert-base",
    vocabulary: 30_522,
    batch: 16,
    time: 128,
    small: false,
    config: {
      ...withoutDropout,
      ...classes,
      model_type: "distilbert",
      architectures: ["DistilBertForSequenceClassification"],
      vocab_size: 30_522,
      max_position_embeddings: 512,
      dim: 768,
      n_layers: 6,
      n_heads: 12,
      hidden_dim: 3072,
      pad_token_id: 0
    }
  }
]

export type Mode = "full" | "lora" | "generate 1" | "generate 16"

export const isClassifier = ({ config }: Case): boolean => "id2label" in config

export const modesOf = (one: Case): ReadonlyArray<Mode> =>
  isClassifier(one) ? ["full", "lora"] : ["full", "lora", "generate 1", "generate 16"]

export const promptTokens = 32
export const newTokens = 64
export const rank = 16

export const hyperparametersOf = ({ batch }: Case, mode: Mode): Hyperparameters => ({
  ...defaults,
  learningRate: mode === "lora" ? 3e-4 : 5e-5,
  schedule: "constant",
  batchSize: batch,
  epochs: 1,
  ...(mode === "lora" ? { adapter: "lora", loraRank: rank } : {})
})

/** The end of text of the tokenizer that comes with every model here. */
const endOfText = 256

const tokensOf = (random: Random.Random, { vocabulary }: Case, length: number): Int32Array =>
  Int32Array.from({ length }, () => endOfText + 1 + random.integer(vocabulary - endOfText - 1))

export const examplesOf = (one: Case, steps: number): ReadonlyArray<Examples.Example> => {
  const random = Random.make(1, "texts")
  return Array.from({ length: steps * one.batch }, (_, index) => ({
    tokens: tokensOf(random, one, one.time),
    ...(isClassifier(one) ? { label: index % labels.length } : {})
  }))
}

export const promptsOf = (one: Case, texts: number): ReadonlyArray<Int32Array> => {
  const random = Random.make(2, "prompts")
  return Array.from({ length: texts }, () => tokensOf(random, one, promptTokens))
}

const write = (folder: string, files: ReadonlyMap<string, Uint8Array>): void => {
  fs.mkdirSync(folder, { recursive: true })
  for (const [name, bytes] of files) fs.writeFileSync(path.join(folder, name), bytes)
}

/** Writes what both sides read: the model, the adapter that training begins with, and the batches in our order. */
export const prepare = Effect.fnUntraced(function*(one: Case, folder: string, steps: number) {
  const base = yield* Checkpoint.untrained(one.config, Tokenizer.byteLevel(), 1)
  const model = yield* Checkpoint.modelOf(base)
  write(path.join(folder, "model"), Checkpoint.toFiles(base))
  const hyperparameters = hyperparametersOf(one, "lora")
  const placement = yield* Lora.place(model, adapterOf(hyperparameters, model.layers)!)
  const initial = Lora.initialize(placement, base.tensors, hyperparameters.seed)
  const adapter = Adapter.make(model, placement, initial, path.join(folder, "model"))
  write(path.join(folder, "adapter"), Adapter.toFiles(adapter))
  const examples = examplesOf(one, steps)
  const lengths = examples.map(({ tokens }) => tokens.length)
  const batches = Batches.plan(lengths, { ...hyperparameters, epoch: 0 }).map((rows) => ({
    tokens: Array.from(rows, (row) => Array.from(examples[row]!.tokens)),
    labels: Array.from(rows, (row) => examples[row]!.label ?? 0)
  }))
  fs.writeFileSync(path.join(folder, "batches.json"), JSON.stringify(batches))
  fs.writeFileSync(
    path.join(folder, "prompts.json"),
    JSON.stringify(promptsOf(one, 16).map((prompt) => Array.from(prompt)))
  )
  const numbers = (parameters: ReadonlyMap<string, { readonly data: Float32Array }>): number => {
    let sum = 0
    for (const { data } of parameters.values()) sum += data.length
    return sum
  }
  return { parameters: numbers(base.tensors), adapterParameters: numbers(initial) }
})
