/**
 * What models of every family have in common, as tests on the folders of test/fixtures/hf.
 */
import { assert, type Vitest } from "@effect/vitest"
import { Effect } from "effect"
import * as Loss from "../../src/finetune/Loss.ts"
import * as Examples from "../../src/model/Examples.ts"
import * as Weights from "../../src/model/Weights.ts"
import { Backend } from "../../src/tensor/Backend.ts"
import * as Backpropagation from "../../src/tensor/Backpropagation.ts"
import * as Reference from "./Reference.ts"

type It = Vitest.MethodsNonLive<Backend>

/** Examples of these lengths from a fixture's texts, labelled for its head. */
export const examplesOf = ({ model, trainBatch }: Reference.Reference, lengths: ReadonlyArray<number>) =>
  lengths.map((length, row): Examples.Example => {
    const { inputIds } = trainBatch(row)
    const tokens = inputIds.slice(0, length)
    if (model.head === "causal-language-modeling") return { tokens }
    return model.head === "token-classification"
      ? { tokens, labels: tokens.map((token) => token % 5) }
      : { tokens, label: row % 5 }
  })

export const recomputes = (it: It, folders: ReadonlyArray<string>): void =>
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

export const packs = (it: It, folders: ReadonlyArray<string>): void =>
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
        assert.strictEqual(packed.batch.batch, 3)
        // Rows hold their texts in another order, and so do the targets; the mean is of the same.
        const floor = 1e-3 * Math.max(...padded.found.map((values) => values.reduce((most, x) => Math.max(most, x), 0)))
        for (const [index, expected] of padded.found.entries()) {
          const what = index === 0 ? "loss" : model.parameters[index - 1]!.name
          assert.isAtMost(Reference.relative(packed.found[index]!, expected, floor), 1e-5, what)
        }
      })
  )

/** Another seed or step gives hidden states that differ by `least` of the largest, or more. */
export const drops = (it: It, folders: ReadonlyArray<string>, least: number): void =>
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
        assert.isAbove(Reference.relative(another.hidden, dropped.hidden), least)
        assert.isAbove(Reference.relative((yield* run({ seed: 2, step: 4, rate: 0.2 })).hidden, dropped.hidden), least)
        // The fixtures' configs drop nothing anywhere, and with nothing dropped the path with factors is the path without.
        const plain = yield* run()
        assert.deepStrictEqual(yield* run({ seed: 1, step: 4, rate: 0 }), plain)
        const hardly = yield* run({ seed: 1, step: 4, rate: 1e-12 })
        assert.isBelow(Reference.relative(hardly.hidden, plain.hidden), 1e-5)
        assert.isBelow(Reference.relative(hardly.logits, plain.logits), 1e-5)
      })
  )

/** Trains the parameters whose names match, which are so many. */
export const freezes = (it: It, name: string, matching: RegExp, count: number): void =>
  it.effect("gives what is trained the same gradients while the rest is frozen", () =>
    Effect.gen(function*() {
      const reference = yield* Reference.load(name)
      const { batch, checkpoint, model } = reference
      const { tf } = yield* Backend
      const all = yield* Reference.read(tf, () => Reference.lossAndGradients(tf, reference))
      const names = model.parameters.map(({ name }) => name)
      const trained = names.filter((name) => matching.test(name))
      assert.strictEqual(trained.length, count)
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
