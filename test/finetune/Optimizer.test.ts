import { assert, describe, it, layer } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import * as Optimizer from "../../src/finetune/Optimizer.ts"
import { type Parameter, sizeOf } from "../../src/model/Architecture.ts"
import * as Random from "../../src/random/Random.ts"
import { Backend, type Tensor } from "../../src/tensor/Backend.ts"
import * as InPlace from "../../src/tensor/InPlace.ts"
import * as Kernels from "../../src/tensor/wasm/Kernels.ts"

const reference: { w0: Array<number>; target: Array<number>; shape: [number, number]; weights: Array<Array<number>> } =
  JSON.parse(readFileSync(new URL("../fixtures/hf/optimizers-schedules.json", import.meta.url), "utf8")).optimizers
    .adamw

const random = (name: string, shape: ReadonlyArray<number>): Parameter => {
  const draws = Random.make(1, name)
  return { shape, data: Float32Array.from({ length: sizeOf(shape) }, () => draws.normal()) }
}

layer(Backend.layer("wasm"))("Optimizer", (it) => {
  it.effect("takes the steps of torch's AdamW", () =>
    Effect.gen(function*() {
      const { tf } = yield* Backend
      const before = tf.memory().numTensors
      const { shape, target, w0, weights } = reference
      const optimizer = Optimizer.make(
        tf,
        new Map([["w", { shape, data: Float32Array.from(w0) }]]),
        { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1 }
      )
      assert.strictEqual(weights.length, 15)
      for (const [step, expected] of weights.entries()) {
        // The loss is the sum of i (w - target)^2 with i = 1, 2, ..., 12.
        const current = optimizer.parameters().get("w")!.dataSync()
        const gradient = tf.tensor(current.map((w, i) => 2 * (i + 1) * (w - target[i]!)), shape, "float32")
        const joined = optimizer.join([gradient])
        optimizer.update(joined, { step, learningRate: 0.05, scale: 1 })
        tf.dispose([gradient, ...joined])
        for (const [i, value] of optimizer.parameters().get("w")!.dataSync().entries()) {
          assert.closeTo(value, expected[i]!, 1e-5, `weight ${i} at step ${step}`)
        }
      }
      optimizer.dispose()
      assert.strictEqual(tf.memory().numTensors, before)
    }))

  it.effect("takes the very same steps in place and by operations one by one", () =>
    Effect.gen(function*() {
      const { tf } = yield* Backend
      const shapes = { matrix: [13, 11], bias: [11], scalar: [] }
      const parameters = new Map(Object.entries(shapes).map(([name, shape]) => [name, random(name, shape)]))
      const settings = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.3 }
      const run = Effect.fnUntraced(function*() {
        const optimizer = Optimizer.make(tf, parameters, settings)
        for (let step = 0; step < 6; step++) {
          const gradients = Object.entries(shapes).map(([name, shape]) =>
            tf.tensor(random(`d${name}${step}`, shape).data, [...shape], "float32")
          )
          const joined = optimizer.join(gradients)
          optimizer.update(joined, { step, learningRate: 0.01, scale: step % 2 === 0 ? 1 : 0.37 })
          tf.dispose([...joined])
        }
        const found = yield* Effect.promise(() => optimizer.read())
        optimizer.dispose()
        return [found.parameters, found.moments.first, found.moments.second].map((all) =>
          Array.from(all, ([name, { data }]) => [name, Array.from(data)])
        )
      })
      assert.isTrue(InPlace.hasAdamW(tf))
      const inPlace = yield* run()
      Kernels.uninstall(tf)
      Kernels.install(tf, { relaxedSimd: false })
      assert.isFalse(InPlace.hasAdamW(tf))
      const composed = yield* run()
      Kernels.uninstall(tf)
      Kernels.install(tf)
      assert.deepStrictEqual(inPlace, composed)
    }))

  it.effect("treats each parameter as if it were alone, large or small", () =>
    Effect.gen(function*() {
      const { tf } = yield* Backend
      const before = tf.memory().numTensors
      const shapes: Record<string, ReadonlyArray<number>> = {
        matrix: [7, 11],
        bias: [11],
        // Larger than a shared tensor may be, with and without padding.
        huge: [1025, 1024],
        even: [1026, 1024],
        scalar: [],
        other: [3, 2, 5]
      }
      const parameters = new Map(Object.entries(shapes).map(([name, shape]) => [name, random(name, shape)]))
      const gradients = new Map(Object.entries(shapes).map(([name, shape]) => [name, random(`d${name}`, shape)]))
      const settings = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.5 }
      const run = async (names: ReadonlyArray<string>) => {
        const optimizer = Optimizer.make(tf, new Map(names.map((name) => [name, parameters.get(name)!])), settings)
        const tensors = names.map((name): Tensor => {
          const { data, shape } = gradients.get(name)!
          return tf.tensor(data, [...shape], "float32")
        })
        const joined = optimizer.join(tensors)
        const squared = optimizer.squaredNorm(joined)
        const norm = squared.dataSync()[0]!
        for (let step = 0; step < 2; step++) optimizer.update(joined, { step, learningRate: 0.1, scale: 0.5 })
        tf.dispose([...tensors, ...joined, squared])
        const read = await optimizer.read()
        optimizer.dispose()
        return { ...read, norm }
      }
      const names = Object.keys(shapes)
      const together = yield* Effect.promise(() => run(names))
      let sum = 0
      for (const name of names) {
        const alone = yield* Effect.promise(() => run([name]))
        assert.deepStrictEqual(together.parameters.get(name), alone.parameters.get(name), name)
        assert.deepStrictEqual(together.moments.first.get(name), alone.moments.first.get(name), name)
        assert.deepStrictEqual(together.moments.second.get(name), alone.moments.second.get(name), name)
        for (const value of gradients.get(name)!.data) sum += value ** 2
      }
      assert.deepStrictEqual([...together.parameters.keys()], names)
      assert.isBelow(Math.abs(together.norm / sum - 1), 1e-5)
      assert.strictEqual(tf.memory().numTensors, before)
    }))

  it.effect("decays matrices and not biases", () =>
    Effect.gen(function*() {
      const { tf } = yield* Backend
      const ones = (shape: ReadonlyArray<number>) => ({ shape, data: new Float32Array(sizeOf(shape)).fill(1) })
      const optimizer = Optimizer.make(
        tf,
        new Map([["matrix", ones([2, 2])], ["bias", ones([2])]]),
        { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.5 }
      )
      // Without a gradient all that moves a parameter is decay: 1 - 0.1 * 0.5.
      const zeros = [tf.zeros([2, 2]), tf.zeros([2])]
      const joined = optimizer.join(zeros)
      optimizer.update(joined, { step: 0, learningRate: 0.1, scale: 1 })
      const { parameters } = yield* Effect.promise(() => optimizer.read())
      assert.deepStrictEqual([...parameters.get("matrix")!.data], Array.from({ length: 4 }, () => Math.fround(0.95)))
      assert.deepStrictEqual([...parameters.get("bias")!.data], [1, 1])
      tf.dispose([...zeros, ...joined])
      optimizer.dispose()
    }))
})

describe("clipScale", () => {
  it("scales down to the maximum and never up", () => {
    assert.closeTo(Optimizer.clipScale(4, 1), 0.25, 1e-6)
    assert.strictEqual(Optimizer.clipScale(0.5, 1), 1)
    assert.strictEqual(Optimizer.clipScale(0, 1), 1)
    assert.closeTo(Optimizer.clipScale(1e30, 1e29), 0.1, 1e-12)
  })
})
