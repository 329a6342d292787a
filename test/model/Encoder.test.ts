import { assert, describe, it, layer, type Vitest } from "@effect/vitest"
import { Effect } from "effect"
import * as Loss from "../../src/finetune/Loss.ts"
import { type Config, initialize, type TokenBatch } from "../../src/model/Architecture.ts"
import * as Examples from "../../src/model/Examples.ts"
import * as Family from "../../src/model/Family.ts"
import * as Weights from "../../src/model/Weights.ts"
import { Backend } from "../../src/tensor/Backend.ts"
import * as Backpropagation from "../../src/tensor/Backpropagation.ts"
import { everywhere } from "../tensor/Parity.ts"
import * as DrawnReference from "./DrawnReference.ts"
import * as Reference from "./Reference.ts"

const folders = ["bert", "roberta", "distilbert", "bert-token-classification"] as const

const drawn = DrawnReference.read("encoders.json")

/** Examples of these lengths from a fixture's texts, labelled for its head. */
const examplesOf = ({ model, trainBatch }: Reference.Reference, lengths: ReadonlyArray<number>) =>
  lengths.map((length, row): Examples.Example => {
    const { inputIds } = trainBatch(row)
    const tokens = inputIds.slice(0, length)
    return model.head === "token-classification"
      ? { tokens, labels: tokens.map((token) => token % 5) }
      : { tokens, label: row % 5 }
  })

const encoders = (it: Vitest.MethodsNonLive<Backend>) => {
  Reference.tests(it, folders)

  it.effect.each(drawn.cases)(
    "gives what transformers gives for $name",
    (expected) => DrawnReference.agrees(drawn, expected)
  )

  it.effect.each(folders)("gives the same gradients with layers computed anew: %s", (name) =>
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
    }))

  it.effect.each(folders)(
    "learns from texts packed into rows as from texts padded: %s",
    (name) =>
      Effect.gen(function*() {
        const reference = yield* Reference.load(name)
        const { model } = reference
        const { tf } = yield* Backend
        const examples = examplesOf(reference, [9, 4, 12, 1, 7, 3])
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
        assert.isDefined(packed.batch.segments)
        // Rows hold their texts in another order, and so do the targets; the mean is of the same.
        const floor = 1e-3 * Math.max(...padded.found.map((values) => values.reduce((most, x) => Math.max(most, x), 0)))
        for (const [index, expected] of padded.found.entries()) {
          const what = index === 0 ? "loss" : model.parameters[index - 1]!.name
          assert.isAtMost(Reference.relative(packed.found[index]!, expected, floor), 1e-5, what)
        }
      })
  )

  it.effect.each(folders)("packs rows that are longer than the longest text: %s", (name) =>
    Effect.gen(function*() {
      const reference = yield* Reference.load(name)
      const { checkpoint, model } = reference
      const { tf } = yield* Backend
      const examples = examplesOf(reference, [30, 31, 29, 32, 5])
      const run = (rows: Examples.Rows) => {
        const batch = Examples.collate(model, examples, rows)
        return Reference.read(tf, () => {
          const weights = Weights.make(tf, model, Reference.upload(tf, checkpoint.tensors))
          return [model.logits(tf, weights, model.hidden(tf, weights, batch, { rows: batch.rows }))]
        })
      }
      // The second row is one short text, and then padding beyond the last position.
      assert.isAbove(30 + 31 + 29 + 32, model.maximumLength)
      const [packed] = yield* run([[0, 1, 2, 3], [4]])
      const [padded] = yield* run(Examples.oneEach([0, 1, 2, 3, 4]))
      assert.isAtMost(Reference.relative(packed!, padded!), 1e-5)
    }))

  it.effect.each(folders)(
    "gives a text the same answer however much padding it gets: %s",
    (name) =>
      Effect.gen(function*() {
        const reference = yield* Reference.load(name)
        const { checkpoint, model } = reference
        const { tf } = yield* Backend
        const [{ tokens } = { tokens: new Int32Array() }] = examplesOf(reference, [7])
        const run = (time: number, filler: number) =>
          Reference.read(tf, () => {
            const inputIds = new Int32Array(2 * time).fill(filler)
            inputIds.set(tokens, 0)
            // Beside it a text as long as the batch, so that only the first is padded.
            inputIds.fill(11, time)
            const batch: TokenBatch = { batch: 2, time, inputIds, lengths: Int32Array.of(7, time) }
            const weights = Weights.make(tf, model, Reference.upload(tf, checkpoint.tensors))
            const rows = Int32Array.from({ length: 7 }, (_, column) => column)
            return [model.logits(tf, weights, model.hidden(tf, weights, batch, { rows }))]
          })
        const [alone] = yield* run(7, 0)
        for (const time of [8, 21, model.maximumLength]) {
          for (const filler of [model.paddingId!, 9]) {
            const [found] = yield* run(time, filler)
            assert.isAtMost(Reference.relative(found!, alone!), 1e-6, `${time} columns, filled with ${filler}`)
          }
        }
      })
  )

  it.effect.each(folders)(
    "drops the same for a seed and a step, and nothing at a rate of 0: %s",
    (name) =>
      Effect.gen(function*() {
        const { batch, checkpoint, model } = yield* Reference.load(name)
        const { tf } = yield* Backend
        const run = (dropout?: { readonly seed: number; readonly step: number; readonly rate: number }) =>
          Effect.map(
            Reference.read(tf, () => {
              const weights = Weights.make(tf, model, Reference.upload(tf, checkpoint.tensors))
              const options = dropout === undefined ? {} : { dropout }
              const hidden = model.hidden(tf, weights, batch, { ...options, rows: batch.rows })
              return [hidden, model.logits(tf, weights, hidden, dropout)]
            }),
            ([hidden, logits]) => ({ hidden: hidden!, logits: logits! })
          )
        const dropped = yield* run({ seed: 1, step: 4, rate: 0.2 })
        assert.deepStrictEqual(yield* run({ seed: 1, step: 4, rate: 0.2 }), dropped)
        const another = yield* run({ seed: 1, step: 5, rate: 0.2 })
        assert.isAbove(Reference.relative(another.hidden, dropped.hidden), 0.01)
        assert.isAbove(Reference.relative((yield* run({ seed: 2, step: 4, rate: 0.2 })).hidden, dropped.hidden), 0.01)
        const plain = yield* run()
        // The fixtures' configs drop nothing anywhere.
        assert.deepStrictEqual(yield* run({ seed: 1, step: 4, rate: 0 }), plain)
        const hardly = yield* run({ seed: 1, step: 4, rate: 1e-12 })
        assert.isBelow(Reference.relative(hardly.hidden, plain.hidden), 1e-5)
        assert.isBelow(Reference.relative(hardly.logits, plain.logits), 1e-5)
      })
  )

  it.effect("gives what is trained the same gradients while the rest is frozen", () =>
    Effect.gen(function*() {
      const reference = yield* Reference.load("bert")
      const { batch, checkpoint, model } = reference
      const { tf } = yield* Backend
      const all = yield* Reference.read(tf, () => Reference.lossAndGradients(tf, reference))
      const names = model.parameters.map(({ name }) => name)
      const trained = names.filter((name) =>
        /layer\.0\.attention\.self\.key\.weight|layer\.1\.output|pooler/.test(name)
      )
      assert.strictEqual(trained.length, 7)
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

for (const name of everywhere) layer(Backend.layer(name))(`encoders on ${name}`, encoders)

/** One place at a time, so that each shows its own rate. */
describe("an encoder's dropout", () => {
  const small = { vocab_size: 50, max_position_embeddings: 20, id2label: { 0: "a", 1: "b" } }
  const places = {
    bert: ["hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"],
    roberta: ["hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"],
    distilbert: ["dropout", "attention_dropout", "seq_classif_dropout"]
  } as const
  for (const family of ["bert", "roberta", "distilbert"] as const) {
    it.effect(`happens at the rates of its config: ${family}`, () =>
      Effect.gen(function*() {
        const { tf } = yield* Backend
        const shape = family === "distilbert"
          ? { dim: 16, n_layers: 1, n_heads: 2, hidden_dim: 32 }
          : { hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 32 }
        const run = Effect.fnUntraced(function*(rates: Config) {
          const config = { model_type: family, ...small, ...shape, initializer_range: 0.5, ...rates }
          const model = yield* Effect.flatMap(Family.withHead(config, "sequence-classification"), Family.model)
          const batch = Examples.collate(model, [{ tokens: Int32Array.of(2, 7, 9, 3) }], [[0]])
          const [hidden, logits] = yield* Reference.read(tf, () => {
            const weights = Weights.make(tf, model, Reference.upload(tf, initialize(model, 1)))
            const dropout = { seed: 1, step: 1 }
            const hidden = model.hidden(tf, weights, batch, { dropout })
            return [hidden, model.logits(tf, weights, hidden, dropout)]
          })
          return { hidden, logits }
        })
        const [inner, attention, head] = places[family]
        const none = { [inner]: 0, [attention]: 0, [head]: 0 }
        const plain = yield* run(none)
        for (const place of [inner, attention]) {
          assert.notDeepEqual((yield* run({ ...none, [place]: 0.5 })).hidden, plain.hidden, place)
        }
        const dropped = yield* run({ ...none, [head]: 0.5 })
        assert.deepStrictEqual(dropped.hidden, plain.hidden)
        assert.notDeepEqual(dropped.logits, plain.logits)
        // What a config leaves out has transformers' default, which drops.
        assert.notDeepEqual((yield* run({})).hidden, plain.hidden)
      }).pipe(Effect.provide(Backend.layer("wasm"))))
  }
})
