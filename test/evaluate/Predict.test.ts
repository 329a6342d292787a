import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import * as Predict from "../../src/evaluate/Predict.ts"
import * as Checkpoint from "../../src/model/Checkpoint.ts"
import type { Example } from "../../src/model/Examples.ts"
import * as Safetensors from "../../src/model/Safetensors.ts"
import { Backend } from "../../src/tensor/Backend.ts"

const load = Effect.fnUntraced(function*(name: string) {
  const url = new URL(`../fixtures/hf/${name}/`, import.meta.url)
  const files = new Map(readdirSync(url).map((file) => [file, new Uint8Array(readFileSync(new URL(file, url)))]))
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
