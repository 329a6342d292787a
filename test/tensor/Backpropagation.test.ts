import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Loss from "../../src/finetune/Loss.ts"
import { initialize, type Model } from "../../src/model/Architecture.ts"
import * as Examples from "../../src/model/Examples.ts"
import * as Gpt2 from "../../src/model/Gpt2.ts"
import * as Weights from "../../src/model/Weights.ts"
import * as Random from "../../src/random/Random.ts"
import { Backend, type Scalar, type Tensor, type Tensor2D, type Tf } from "../../src/tensor/Backend.ts"
import * as Backpropagation from "../../src/tensor/Backpropagation.ts"
import * as Heap from "../../src/tensor/wasm/Heap.ts"

type Loss = (tf: Tf, xs: ReadonlyArray<Tensor>) => Scalar

/** Functions in which gradients meet, part and come to nothing. */
const functions: Readonly<Record<string, Loss>> = {
  "one argument used in several places": (tf, [a, b]) => tf.sum(tf.mul(tf.add(a!, a!), tf.add(tf.mul(a!, b!), a!))),
  "one gradient for both terms of a sum": (tf, [a, b]) => {
    const sum = tf.add(a!, b!)
    return tf.sum(tf.add(tf.square(sum), tf.sub(sum, tf.mul(sum, b!))))
  },
  "parts of a tensor, some unused": (tf, [a, b]) => {
    const [first, , last] = tf.split(a!, 3, 0) as [Tensor, Tensor, Tensor]
    return tf.sum(tf.add(tf.exp(first), tf.mul(last, tf.slice(b!, [1, 0], [1, 4]))))
  },
  "branches that lead nowhere": (tf, [a, b]) => {
    const nowhere = tf.exp(tf.mul(a!, 3))
    tf.softmax(tf.matMul(nowhere as Tensor2D, b as Tensor2D, false, true))
    return tf.mean(tf.mul(a!, tf.relu(b!)))
  },
  "shapes that broadcast": (tf, [a, b]) =>
    tf.sum(tf.div(tf.sub(a!, tf.mean(b!, 0)), tf.add(tf.square(tf.sum(b!, 1, true)), 1))),
  "a gather with indices that repeat": (tf, [a, b]) =>
    tf.sum(tf.mul(tf.gather(a!, tf.tensor1d([2, 0, 2], "int32")), tf.slice(tf.concat([b!, b!], 0), [2, 0], [3, 4]))),
  "what is saved for its shape alone": (tf, [a, b]) => {
    const tall = tf.expandDims(tf.reshape(tf.pad(a!, [[0, 1], [0, 0]]), [2, 8]), 1)
    const stacked = tf.stack([
      tf.tile(tf.squeeze(tall), [2, 1]),
      tf.reshape(tf.concat([b!, a!, tf.slice(b!, 0, 2)]), [4, 8])
    ])
    const floor = tf.mul(tf.floor(b!), tf.cast(tf.greater(b!, 0), "float32"))
    const wide = tf.broadcastTo(tf.mean(tf.addN([a!, b!, floor]), 0, true), [3, 4])
    return tf.add(tf.sum(tf.square(stacked)), tf.sum(tf.mul(wide, tf.sub(a!, floor))))
  },
  "the loss itself as an argument's sum": (tf, [a, b]) => tf.add(tf.sum(a!), tf.sum(b!))
}

const matrix = (tf: Tf, seed: number): Tensor => {
  const random = Random.make(seed, "matrix")
  return tf.tensor2d(Float32Array.from({ length: 12 }, () => random.normal()), [3, 4])
}

const numbers = (tensors: ReadonlyArray<Tensor>) => tensors.map((tensor) => Array.from(tensor.dataSync()))

/** The bits of value and gradients, by TensorFlow.js and by us; throws unless all is gone afterwards. */
const both = (tf: Tf, loss: Loss, xs: ReadonlyArray<Tensor>) => {
  const before = tf.memory().numTensors
  const theirs = tf.valueAndGrads((...of: Array<Tensor>) => loss(tf, of))([...xs])
  const ours = Backpropagation.valueAndGradients(tf, () => loss(tf, xs), xs)
  assert.strictEqual(tf.memory().numTensors - before, 2 * (1 + xs.length))
  const result = {
    theirs: numbers([theirs.value, ...theirs.grads]),
    ours: numbers([ours.value, ...ours.gradients])
  }
  tf.dispose([theirs.value, theirs.grads, ours.value, [...ours.gradients]])
  assert.strictEqual(tf.memory().numTensors, before)
  return result
}

const transformer = Effect.gen(function*() {
  const config = {
    ...Gpt2.config({ vocabularySize: 40, positions: 12, width: 16, layers: 3, heads: 2 }),
    num_labels: 3
  }
  const head = "causal-language-modeling"
  const model: Model = yield* Gpt2.family.make(config, head)
  const tokens = (length: number, seed: number) => Int32Array.from({ length }, (_, i) => (i * 7 + seed) % 40)
  const examples = [{ tokens: tokens(12, 1) }, { tokens: tokens(9, 5) }, { tokens: tokens(5, 11) }]
  const batch = Examples.collate(model, examples, [[0], [1], [2]])
  const parameters = initialize(model, 3)
  const loss: Loss = (tf, xs) =>
    Loss.mean(
      tf,
      model,
      Weights.make(tf, model, new Map(model.parameters.map(({ name }, i) => [name, xs[i]!]))),
      batch,
      {
        dropout: { seed: 1, step: 2, rate: 0.1 }
      }
    )
  const upload = (tf: Tf) =>
    model.parameters.map(({ name, shape }) => tf.tensor(parameters.get(name)!.data, [...shape]))
  return { loss, upload }
})

describe("valueAndGradients", () => {
  for (const name of ["cpu", "wasm"] as const) {
    it.effect(`gives the bits of TensorFlow.js' own on ${name}`, () =>
      Effect.gen(function*() {
        const { tf } = yield* Backend
        const xs = [matrix(tf, 1), matrix(tf, 2)]
        for (const [about, loss] of Object.entries(functions)) {
          const { ours, theirs } = both(tf, loss, xs)
          assert.deepStrictEqual(ours, theirs, about)
        }
        tf.dispose(xs)
        const { loss, upload } = yield* transformer
        const parameters = upload(tf)
        const { ours, theirs } = both(tf, loss, parameters)
        assert.deepStrictEqual(ours, theirs, "a transformer")
        tf.dispose(parameters)
      }).pipe(Effect.provide(Backend.layer(name))))
  }

  it.effect("needs much less memory on the way", () =>
    Effect.gen(function*() {
      const { tf } = yield* Backend
      const meter = Heap.meter((tf.backend() as unknown as Heap.WasmBackend).wasm)
      const { loss, upload } = yield* transformer
      const parameters = upload(tf)
      const peakOf = (compute: () => unknown) => {
        const before = meter.live()
        meter.reset()
        tf.tidy(() => void compute())
        assert.strictEqual(meter.live(), before)
        return meter.peak() - before
      }
      const theirs = peakOf(() => tf.valueAndGrads((...xs: Array<Tensor>) => loss(tf, xs))(parameters))
      const ours = peakOf(() => Backpropagation.valueAndGradients(tf, () => loss(tf, parameters), parameters))
      assert.isBelow(ours, 0.7 * theirs)
      meter.stop()
      tf.dispose(parameters)
    }).pipe(Effect.provide(Backend.layer("wasm"))))

  it.effect("keeps nothing of what comes before the first argument", () =>
    Effect.gen(function*() {
      const { tf } = yield* Backend
      const meter = Heap.meter((tf.backend() as unknown as Heap.WasmBackend).wasm)
      const { loss, upload } = yield* transformer
      const parameters = upload(tf)
      /** The topmost parameters, with all others as they are. */
      const peakOf = (count: number) => {
        const xs = parameters.slice(-count)
        const before = meter.live()
        meter.reset()
        const found = Backpropagation.valueAndGradients(tf, () => loss(tf, parameters), xs)
        const peak = meter.peak() - before
        const gradients = numbers(found.gradients)
        tf.dispose([found.value, ...found.gradients])
        return { peak, gradients }
      }
      const all = peakOf(parameters.length), topmost = peakOf(2)
      // The gradients that are not asked for would be some of it, and a quarter is none of those.
      const unasked = 4 * parameters.slice(0, -2).reduce((sum, { size }) => sum + size, 0)
      assert.isBelow(topmost.peak, 0.75 * (all.peak - unasked))
      assert.deepStrictEqual(topmost.gradients, all.gradients.slice(-2))
      meter.stop()
      tf.dispose(parameters)
    }).pipe(Effect.provide(Backend.layer("wasm"))))

  it.effect("leaves nothing behind when the function or a gradient throws", () =>
    Effect.gen(function*() {
      const { tf } = yield* Backend
      const xs = [matrix(tf, 1), matrix(tf, 2)]
      const before = tf.memory()
      const attempt = (loss: Loss) => () => Backpropagation.valueAndGradients(tf, () => loss(tf, xs), xs)
      const failing = (where: "forward" | "backward"): Loss => (tf, [a, b]) => {
        const exponential = tf.exp(tf.mul(a!, b!))
        const through = tf.customGrad((...of) => {
          if (where === "forward") throw new Error("forward")
          const x = of[0] as Tensor
          return {
            value: tf.square(x),
            gradFunc: () => {
              throw new Error("backward")
            }
          }
        })(exponential)
        return tf.sum(tf.mul(through, exponential))
      }
      assert.throws(attempt(failing("forward")), "forward")
      assert.throws(attempt(failing("backward")), "backward")
      assert.throws(attempt((tf, [a]) => tf.sum(a!)), "does not depend on its argument 1")
      assert.throws(attempt((tf, [a, b]) => tf.sum(tf.add(tf.asin(a!), b!))), /Asin has no gradient/)
      assert.deepStrictEqual(tf.memory(), before)
      // And the next one is none the worse for it.
      const { ours, theirs } = both(tf, functions["shapes that broadcast"]!, xs)
      assert.deepStrictEqual(ours, theirs)
      tf.dispose(xs)
    }).pipe(Effect.provide(Backend.layer("wasm"))))
})
