/**
 * Holds models to what transformers computed with models of the same small shapes, whose weights are given by a formula.
 */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import * as Loss from "../../src/finetune/Loss.ts"
import type { Config, Model, Parameters } from "../../src/model/Architecture.ts"
import * as Examples from "../../src/model/Examples.ts"
import * as Family from "../../src/model/Family.ts"
import * as Weights from "../../src/model/Weights.ts"
import { Backend } from "../../src/tensor/Backend.ts"
import * as Backpropagation from "../../src/tensor/Backpropagation.ts"
import * as Reference from "./Reference.ts"

export interface Case {
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

export interface Fixture {
  readonly input_ids: ReadonlyArray<ReadonlyArray<number>>
  readonly lengths: ReadonlyArray<number>
  readonly cases: ReadonlyArray<Case>
}

export const read = (file: string): Fixture =>
  JSON.parse(readFileSync(new URL(`../fixtures/hf/${file}`, import.meta.url), "utf8"))

/** The parameters of a model by the fixtures' formula. */
export const parametersOf = (model: Model): Parameters => {
  const names = model.parameters.map(({ name }) => name).toSorted()
  return new Map(model.parameters.map(({ name, shape }) => {
    const p = names.indexOf(name)
    const data = Float32Array.from({ length: shape.reduce((size, extent) => size * extent, 1) }, (_, i) => {
      const x = Math.sin(i * 12.9898 + p * 78.233) * 43758.5453
      const even = x - Math.floor(x) - 0.5
      return /norm\.weight$/i.test(name) ? 1 + 0.2 * even : 0.3 * even
    })
    return [name, { shape, data }]
  }))
}

const examplesOf = (model: Model, { input_ids, lengths }: Fixture, { labels }: Case): ReadonlyArray<Examples.Example> =>
  input_ids.map((ids, row): Examples.Example => {
    const tokens = Int32Array.from(ids.slice(0, lengths[row]))
    const label = labels[row]!
    if (typeof label !== "number") return { tokens, labels: Int32Array.from(label.slice(0, lengths[row])) }
    return model.head === "sequence-regression" ? { tokens, score: label } : { tokens, label }
  })

/**
 * The case's logits to 1e-5, its loss to 1e-6, each gradient to 1e-4, and nothing left behind. A gradient whose norm is less
 * than `floor` of the largest is held to 1e-4 of that: some are zero in exact arithmetic, as that of a bias that all keys
 * share, and what is there is rounding.
 */
export const agrees = Effect.fnUntraced(function*(fixture: Fixture, expected: Case, floor = 0) {
  const model = yield* Family.model(expected.config)
  const { tf } = yield* Backend
  const before = tf.memory().numTensors
  const names = model.parameters.map(({ name }) => name)
  assert.deepStrictEqual(names.toSorted(), Object.keys(expected.gradients).toSorted())
  const batch = Examples.collate(
    model,
    examplesOf(model, fixture, expected),
    Examples.oneEach([...fixture.lengths.keys()])
  )
  const [logits, loss, ...gradients] = yield* Reference.read(tf, () => {
    const variables = Reference.upload(tf, parametersOf(model))
    const weights = Weights.make(tf, model, variables)
    const rows = model.head.startsWith("sequence")
      ? batch.rows
      : Int32Array.from(expected.sites, ([row, column]) => row * batch.time + column)
    const { gradients, value } = Backpropagation.valueAndGradients(
      tf,
      () => Loss.mean(tf, model, weights, batch),
      names.map((name) => variables.get(name)!)
    )
    return [model.logits(tf, weights, model.hidden(tf, weights, batch, { rows })), value, ...gradients]
  })
  assert.isAtMost(Reference.relative(logits!, expected.logits.flat()), 1e-5, "logits")
  assert.isAtMost(Reference.relative(loss!, [expected.loss]), 1e-6, "loss")
  const largest = Math.max(...names.map((name) => expected.gradients[name]![0]))
  for (const [index, name] of names.entries()) {
    const [norm, product] = expected.gradients[name]!
    const found = gradients[index]!
    const tolerance = 1e-4 * Math.max(norm, floor * largest)
    assert.closeTo(Math.sqrt(found.reduce((sum, x) => sum + x * x, 0)), norm, tolerance, name)
    assert.closeTo(found.reduce((sum, x, i) => sum + x * Math.sin(0.37 * i + 1), 0), product, tolerance, name)
  }
  assert.strictEqual(tf.memory().numTensors, before, "tensors left behind")
})
