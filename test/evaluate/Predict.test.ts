import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as Predict from "../../src/evaluate/Predict.ts"
import * as Checkpoint from "../../src/model/Checkpoint.ts"
import type { Example } from "../../src/model/Examples.ts"
import * as Family from "../../src/model/Family.ts"
import * as Gpt2 from "../../src/model/Gpt2.ts"
import * as Safetensors from "../../src/model/Safetensors.ts"
import * as Tokenizer from "../../src/model/Tokenizer.ts"
import * as Weights from "../../src/model/Weights.ts"
import { Backend } from "../../src/tensor/Backend.ts"
import * as Heap from "../../src/tensor/wasm/Heap.ts"
import * as AdapterFixtures from "../model/AdapterFixtures.ts"
import * as Reference from "../model/Reference.ts"

const load = Effect.fnUntraced(function*(name: string) {
  const files = Reference.files(name)
  const { tensors } = yield* Safetensors.decode(files.get("reference.safetensors")!)
  const integer = (key: string) => Int32Array.from(tensors.get(key)!.data as BigInt64Array, Number)
  const [batch, time] = tensors.get("input_ids")!.shape as [number, number]
  const mask = integer("attention_mask"), ids = integer("input_ids"), labels = integer("labels")
  const checkpoint = yield* Checkpoint.fromFiles(files)
  const examples = Array.from({ length: batch }, (_, row): Example => {
    const length = mask.subarray(row * time, (row + 1) * time).reduce((sum, one) => sum + one, 0)
    const tokens = ids.subarray(row * time, row * time + length)
    return labels.length === batch
      ? { tokens, label: labels[row]! }
      : { tokens, labels: labels.subarray(row * time, row * time + length) }
  })
  return {
    checkpoint,
    examples,
    logits: tensors.get("logits")!.data as Float32Array,
    loss: (tensors.get("loss")!.data as Float32Array)[0]!
  }
})

layer(Backend.layer("wasm"))("Predict", (it) => {
  for (const batchSize of [1, 3, 64]) {
    it.effect(`gives the classifier's logits of transformers in the order asked, ${batchSize} at once`, () =>
      Effect.gen(function*() {
        const { checkpoint, examples, logits, loss } = yield* load("gpt2-classification")
        const { tf } = yield* Backend
        const before = tf.memory()
        const found = yield* Predict.classify({ checkpoint, examples, batchSize })
        assert.deepStrictEqual([tf.memory().numTensors, tf.memory().numBytes], [before.numTensors, before.numBytes])
        assert.strictEqual(found.classes, 5)
        const largest = logits.reduce((a, b) => Math.max(a, Math.abs(b)), 0)
        for (const [i, value] of logits.entries()) assert.closeTo(found.logits[i]!, value, 1e-5 * largest)
        assert.closeTo(found.meanLoss, loss, 1e-6 * loss)
        for (const [index, { label }] of examples.entries()) {
          const row = Array.from(found.probabilities.subarray(index * 5, (index + 1) * 5))
          assert.closeTo(row.reduce((sum, p) => sum + p, 0), 1, 1e-6)
          assert.strictEqual(row.indexOf(Math.max(...row)), found.predicted[index])
          assert.closeTo(found.losses[index]!, -Math.log(row[label!]!), 1e-5)
        }
      }))
  }

  it.effect("classifies what has no label, and has no loss for it", () =>
    Effect.gen(function*() {
      const { checkpoint, examples } = yield* load("gpt2-classification")
      const all = yield* Predict.classify({ checkpoint, examples })
      const some = yield* Predict.classify({
        checkpoint,
        examples: examples.map(({ label, tokens }, i) => i === 2 ? { tokens } : { tokens, label: label! })
      })
      assert.deepStrictEqual(some.logits, all.logits)
      assert.isNaN(some.losses[2])
      const rest = [...all.losses].filter((_, i) => i !== 2)
      assert.closeTo(some.meanLoss, rest.reduce((sum, loss) => sum + loss, 0) / rest.length, 1e-6)
      const none = yield* Predict.classify({ checkpoint, examples: [] })
      assert.strictEqual(none.predicted.length, 0)
      assert.isNaN(none.meanLoss)
    }))

  it.effect("gives the language model's loss of transformers, over tokens and not over texts", () =>
    Effect.gen(function*() {
      const { checkpoint, examples, loss } = yield* load("gpt2")
      const found = yield* Predict.languageLoss({ checkpoint, examples, batchSize: 3 })
      assert.closeTo(found.meanLoss, loss, 1e-6 * loss)
      assert.closeTo(found.perplexity, Math.exp(loss), 1e-4 * Math.exp(loss))
      const alone = yield* Predict.languageLoss({ checkpoint, examples: examples.slice(2, 3) })
      assert.closeTo(found.losses[2]!, alone.meanLoss, 1e-5)
    }))

  it.effect("counts tokens, their losses and those that are right, text by text", () =>
    Effect.gen(function*() {
      const { checkpoint, examples } = yield* load("gpt2")
      const found = yield* Predict.languageLoss({ checkpoint, examples, batchSize: 3 })
      const { float, input, model } = yield* Reference.load("gpt2")
      const logits = float("logits"), vocabulary = model.outputs
      for (const [index, { labels }] of examples.entries()) {
        let nats = 0, right = 0, count = 0
        for (let position = 1; position < labels!.length; position++) {
          const label = labels![position]!
          if (label === -100) continue
          const start = (index * input.time + position - 1) * vocabulary
          const row = Array.from(logits.subarray(start, start + vocabulary))
          nats += Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0)) - row[label]!
          if (row.indexOf(Math.max(...row)) === label) right++
          count++
        }
        assert.closeTo(found.nats[index]!, nats, 1e-5 * nats)
        assert.deepStrictEqual([found.counts[index], found.right[index]], [count, right])
      }
      assert.closeTo(found.accuracy, found.right.reduce((a, b) => a + b) / found.tokens, 1e-12)
    }))

  it.effect("never has the logits of a large vocabulary all at once, and gives the same for them", () =>
    Effect.gen(function*() {
      const config = Gpt2.config({ vocabularySize: 60_000, positions: 24, width: 8, layers: 1, heads: 1 })
      const checkpoint = yield* Checkpoint.untrained(config, Tokenizer.byteLevel(), 1)
      const examples = Array.from({ length: 32 }, (_, text): Example => ({
        tokens: Int32Array.from({ length: 24 - text % 3 }, (_, i) => (text * 7919 + i * 104_729) % 60_000)
      }))
      const { tf } = yield* Backend
      const meter = Heap.meter((tf.backend() as unknown as Heap.WasmBackend).wasm)
      const found = yield* Predict.languageLoss({ checkpoint, examples })
      // The weights are 2 MB; the logits of all 700 predictions would be 170 MB.
      assert.isBelow(meter.peak(), 90e6)
      meter.stop()
      const few = yield* Predict.languageLoss({ checkpoint, examples, batchSize: 4 })
      assert.deepStrictEqual([found.counts, found.right], [few.counts, few.right])
      for (const [index, loss] of found.losses.entries()) assert.closeTo(loss, few.losses[index]!, 1e-5)
    }))

  it.effect("gives the logits of PEFT for a classifier with an adapter", () =>
    Effect.gen(function*() {
      const { examples } = yield* load("gpt2-classification")
      const { checkpoint, expected } = yield* AdapterFixtures.load("adapters/gpt2-classification")
      const { tf } = yield* Backend
      const before = tf.memory().numTensors
      const { logits } = yield* Predict.classify({ checkpoint, examples })
      assert.isAtMost(Reference.relative(logits, expected("logits")!), 1e-5)
      assert.strictEqual(tf.memory().numTensors, before)
    }))

  /** An untrained model of some liveliness under a head, and its logits without any of what prediction does. */
  const lively = Effect.fnUntraced(function*(
    head: "sequence-regression" | "token-classification",
    labels?: ReadonlyArray<string>
  ) {
    const base = Gpt2.config({ vocabularySize: 257, positions: 32, width: 32, layers: 2, heads: 2, endOfTextId: 256 })
    const config = yield* Family.withHead({ ...base, initializer_range: 0.3 }, head, labels)
    const checkpoint = yield* Checkpoint.untrained(config, Tokenizer.byteLevel(), 1)
    const model = yield* Checkpoint.modelOf(checkpoint)
    const { tf } = yield* Backend
    const logits = (tokens: Int32Array) =>
      Effect.map(
        Reference.read(tf, () => {
          const weights = Weights.make(tf, model, Reference.upload(tf, checkpoint.tensors))
          const batch = { batch: 1, time: tokens.length, inputIds: tokens, lengths: Int32Array.of(tokens.length) }
          return [model.logits(tf, weights, model.hidden(tf, weights, batch))]
        }),
        ([all]) => all!
      )
    return { checkpoint, logits }
  })
  const tokens = Array.from({ length: 7 }, (_, i) => Int32Array.from({ length: 1 + (i * 5) % 9 }, (_, k) => 7 * i + k))

  it.effect("scores texts by a regression, in the order asked", () =>
    Effect.gen(function*() {
      const { checkpoint, logits } = yield* lively("sequence-regression")
      const examples = tokens.map((tokens, i) => i === 3 ? { tokens } : { tokens, score: i / 2 })
      for (const batchSize of [1, 3, 64]) {
        const found = yield* Predict.score({ checkpoint, examples, batchSize })
        for (const [index, { score, tokens }] of examples.entries()) {
          const expected = (yield* logits(tokens)).at(-1)!
          assert.closeTo(found.predicted[index]!, expected, 1e-5)
          if (score === undefined) assert.isNaN(found.losses[index])
          else assert.closeTo(found.losses[index]!, (expected - score) ** 2, 1e-4)
        }
        const losses = Array.from(found.losses).filter((loss) => !Number.isNaN(loss))
        assert.closeTo(found.meanLoss, losses.reduce((a, b) => a + b) / 6, 1e-6)
      }
      assert.isNaN((yield* Predict.score({ checkpoint, examples: [] })).meanLoss)
    }))

  it.effect("tags tokens where they are supervised", () =>
    Effect.gen(function*() {
      const { checkpoint, logits } = yield* lively("token-classification", ["a", "b", "c"])
      const examples = tokens.map((tokens, i) => ({
        tokens,
        labels: tokens.map((_, k) => (i + k) % 3 === 0 ? -100 : k % 3)
      }))
        .filter(({ labels }) => labels.some((label) => label >= 0))
      for (const batchSize of [1, 64]) {
        const found = yield* Predict.tag({ checkpoint, examples, batchSize })
        for (const [index, { labels, tokens }] of examples.entries()) {
          const all = yield* logits(tokens)
          const positions = Array.from(labels.keys()).filter((position) => labels[position]! >= 0)
          const expected = positions.map((position) => Array.from(all.subarray(position * 3, position * 3 + 3)))
          assert.isAtMost(Reference.relative(found.logits[index]!, expected.flat()), 1e-5)
          assert.deepStrictEqual(
            Array.from(found.predicted[index]!),
            expected.map((row) => row.indexOf(Math.max(...row)))
          )
          const losses = expected.map((row, i) =>
            Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0)) - row[labels[positions[i]!]!]!
          )
          assert.closeTo(found.losses[index]!, losses.reduce((a, b) => a + b) / losses.length, 1e-5)
        }
      }
    }))

  it.effect("gives the token classifier's logits of transformers", () =>
    Effect.gen(function*() {
      const { checkpoint, examples, logits, loss } = yield* load("bert-token-classification")
      const found = yield* Predict.tag({ checkpoint, examples, batchSize: 3 })
      assert.closeTo(found.meanLoss, loss, 1e-6 * loss)
      const time = logits.length / examples.length / found.classes
      for (const [index, { labels }] of examples.entries()) {
        const positions = Array.from(labels!.keys()).filter((position) => labels![position]! >= 0)
        const expected = positions.flatMap((position) => {
          const start = (index * time + position) * found.classes
          return Array.from(logits.subarray(start, start + found.classes))
        })
        assert.isAtMost(Reference.relative(found.logits[index]!, expected), 1e-5)
      }
    }))

  it.effect("refuses the wrong kind of model and tokens it does not know", () =>
    Effect.gen(function*() {
      const language = yield* load("gpt2"), classifier = yield* load("gpt2-classification")
      const tokens = Int32Array.of(1, 5000)
      assert.match((yield* Effect.flip(Predict.classify(language))).message, /cannot classify/)
      assert.match((yield* Effect.flip(Predict.languageLoss(classifier))).message, /cannot continue/)
      const error = yield* Effect.flip(Predict.classify({ checkpoint: classifier.checkpoint, examples: [{ tokens }] }))
      assert.strictEqual(error._tag, "TokenOutOfRange")
    }))
})
