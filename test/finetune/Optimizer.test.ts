import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Average from "../../src/finetune/ExponentialMovingAverage.ts"
import * as Optimizer from "../../src/finetune/Optimizer.ts"
import { type Parameter, sizeOf } from "../../src/model/Architecture.ts"
import * as Random from "../../src/random/Random.ts"
import { Backend, type Tensor, type Tf } from "../../src/tensor/Backend.ts"
import * as InPlace from "../../src/tensor/InPlace.ts"
import * as Heap from "../../src/tensor/wasm/Heap.ts"
import * as Kernels from "../../src/tensor/wasm/Kernels.ts"

const random = (name: string, shape: ReadonlyArray<number>): Parameter => {
  const draws = Random.make(1, name)
  // The same ones over and over: to draw a million takes a second.
  const some = Array.from({ length: 997 }, () => draws.normal())
  return { shape, data: Float32Array.from({ length: sizeOf(shape) }, (_, i) => some[i % some.length]!) }
}

const settings = (given: { readonly name: Optimizer.Name; readonly [setting: string]: unknown }): Optimizer.Settings =>
  Schema.decodeUnknownSync(Optimizer.Settings)({ weightDecay: 0.3, ...given })

/** Every optimizer, with everything that it can keep. */
const everything: ReadonlyArray<readonly [label: string, Optimizer.Settings]> = [
  ["adamw", settings({ name: "adamw" })],
  ["adamw with amsgrad", settings({ name: "adamw", amsgrad: true })],
  ["adam", settings({ name: "adam" })],
  ["sgd", settings({ name: "sgd" })],
  ["sgd with momentum", settings({ name: "sgd", momentum: 0.9, nesterov: true })],
  ["lion", settings({ name: "lion" })],
  ["adafactor", settings({ name: "adafactor", scaleParameter: true })],
  ["adafactor with momentum", settings({ name: "adafactor", beta1: 0.9 })],
  ["muon", settings({ name: "muon" })],
  ["muon in bfloat16", settings({ name: "muon", precision: "bfloat16", rateAdjustment: "original" })]
]

type Shapes = Readonly<Record<string, ReadonlyArray<number>>>

/** Parameters of these shapes; every matrix is of a hidden layer, unless it is called an embedding. */
const parametersOf = (shapes: Shapes): ReadonlyArray<Optimizer.Target & Parameter> =>
  Object.entries(shapes).map(([name, shape]) => ({
    ...Optimizer.target({ name, shape }),
    ...random(name, shape),
    matrix: shape.length === 2 && name !== "embedding"
  }))

const gradientsOf = (tf: Tf, shapes: Shapes, step: number): Array<Tensor> =>
  Object.entries(shapes).map(([name, shape]) =>
    tf.tensor(random(`gradient ${step} of ${name}`, shape).data, [...shape], "float32")
  )

/** Updates with gradients that depend on the step alone, every other one clipped. */
const advance = (tf: Tf, optimizer: Optimizer.Optimizer, shapes: Shapes, from: number, to: number): void => {
  for (let step = from; step < to; step++) {
    const joined = optimizer.join(gradientsOf(tf, shapes, step))
    optimizer.update(joined, { step, learningRate: 0.01, scale: step % 2 === 0 ? 1 : 0.37 })
    tf.dispose([...joined])
  }
}

const small: Shapes = { embedding: [17, 5], tall: [13, 11], wide: [6, 10], bias: [11], scalar: [], deep: [3, 2, 5] }

layer(Backend.layer("wasm"))("an optimizer", (it) => {
  for (const [label, given] of everything) {
    it.effect(`continues from its state as if it had never stopped, to the bit: ${label}`, () =>
      Effect.gen(function*() {
        const { tf } = yield* Backend
        const before = tf.memory().numTensors
        const parameters = parametersOf(small)
        const unbroken = Optimizer.make(tf, parameters, given)
        advance(tf, unbroken, small, 0, 6)
        const whole = yield* Effect.promise(() => unbroken.read())
        unbroken.dispose()

        const first = Optimizer.make(tf, parameters, given)
        advance(tf, first, small, 0, 3)
        const saved = yield* Effect.promise(() => first.read())
        // What was read is a copy: it stays as it is when the optimizer goes on.
        advance(tf, first, small, 3, 4)
        first.dispose()
        const reached = parameters.map((parameter) => ({ ...parameter, ...saved.parameters.get(parameter.name)! }))
        const second = Optimizer.make(tf, reached, given, saved.state)
        advance(tf, second, small, 3, 6)
        assert.deepStrictEqual(yield* Effect.promise(() => second.read()), whole)
        second.dispose()
        assert.strictEqual(tf.memory().numTensors, before)

        // What it keeps is what it says that it keeps.
        const shapes = Array.from(
          saved.state,
          ([slot, kept]) => [slot, new Map(Array.from(kept, ([name, { shape }]) => [name, shape]))] as const
        )
        assert.deepStrictEqual(new Map(shapes), Optimizer.stateShapes(parameters, given))
        const numbers = Array.from(saved.state.values()).flatMap((kept) => Array.from(kept.values()))
        for (const { data, shape } of numbers) assert.strictEqual(data.length, sizeOf(shape))
      }))

    it.effect(`leaves nothing behind from update to update: ${label}`, () =>
      Effect.gen(function*() {
        const { tf } = yield* Backend
        const buffers = () => (tf.backend() as unknown as { readonly numDataIds: () => number }).numDataIds()
        const optimizer = Optimizer.make(tf, parametersOf(small), given)
        const average = Average.make(tf, optimizer, 0.9)
        advance(tf, optimizer, small, 0, 1)
        average.update()
        const held = [tf.memory().numTensors, buffers()]
        advance(tf, optimizer, small, 1, 5)
        average.update()
        assert.deepStrictEqual([tf.memory().numTensors, buffers()], held)
        average.dispose()
        optimizer.dispose()
      }))

    it.effect(`takes the same steps with our own functions of WebAssembly and without: ${label}`, () =>
      Effect.gen(function*() {
        const { tf } = yield* Backend
        const run = Effect.fnUntraced(function*() {
          const optimizer = Optimizer.make(tf, parametersOf(small), given)
          advance(tf, optimizer, small, 0, 6)
          const found = yield* Effect.promise(() => optimizer.read())
          optimizer.dispose()
          return [found.parameters, ...found.state.values()].flatMap((all) =>
            Array.from(all, ([name, { data }]) => [name, Array.from(data)] as const)
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
        // Matrix products add up in another order, and so may sums.
        const exact = given.name !== "muon" && given.name !== "adafactor"
        // Of two bfloat16 numbers that are equally near, the other one.
        const tolerance = given.name === "muon" && given.precision === "bfloat16" ? 1e-3 : 1e-5
        if (exact) assert.deepStrictEqual(inPlace, composed)
        for (const [i, [name, values]] of inPlace.entries()) {
          for (const [at, value] of values.entries()) {
            assert.closeTo(value, composed[i]![1][at]!, tolerance * Math.max(1, Math.abs(value)), `${name} ${at}`)
          }
        }
      }))

    it.effect(`takes the memory that it says: ${label}`, () =>
      Effect.gen(function*() {
        const { tf } = yield* Backend
        const heap = (tf.backend() as unknown as Heap.WasmBackend).wasm
        // Large enough for padding and small things not to matter.
        const groups: ReadonlyArray<Shapes> = [
          { embedding: [700, 300], tall: [500, 200], wide: [200, 500], square: [300, 300], bias: [300], gain: [300] },
          { square: [400, 400] },
          { tall: [900, 60], wide: [60, 900] }
        ]
        for (const kernels of ["ours", "stock"] as const) {
          if (kernels === "stock") {
            Kernels.uninstall(tf)
            Kernels.install(tf, { relaxedSimd: false })
          }
          for (const shapes of groups) {
            const parameters = parametersOf(shapes)
            // The first of all makes room for working memory that stays.
            for (const measured of [false, true]) {
              const meter = Heap.meter(heap)
              const gradients = gradientsOf(tf, shapes, 0)
              const apart = meter.live()
              const optimizer = Optimizer.make(tf, parameters, given)
              const held = meter.live() - apart
              meter.reset()
              const joined = optimizer.join(gradients)
              tf.dispose([optimizer.squaredNorm(joined)])
              optimizer.update(joined, { step: 0, learningRate: 0.01, scale: 0.5 })
              const updating = meter.peak() - held - apart
              tf.dispose([...joined])
              const before = meter.live()
              const average = Average.make(tf, optimizer, 0.9)
              const shadows = meter.live() - before
              meter.reset()
              average.update()
              const averaging = meter.peak() - before - shadows
              average.dispose()
              optimizer.dispose()
              meter.stop()
              if (!measured) continue
              const expected = Optimizer.footprint(parameters, given, InPlace.hasAdamW(tf))
              const about = `${kernels}, ${Object.keys(shapes).join()}: ${held} and ${updating} bytes of ${
                JSON.stringify(expected)
              } numbers`
              assert.isAtLeast(4 * expected.held, held, about)
              assert.isAtMost(4 * expected.held, 1.01 * held, about)
              assert.isAtLeast(4 * expected.updating + 2048, updating, about)
              assert.isAtMost(4 * expected.updating, 1.02 * updating, about)
              const ofAverage = Average.footprint(parameters, given)
              assert.strictEqual(4 * ofAverage.held, shadows, about)
              // And a scalar.
              assert.strictEqual(4 * ofAverage.updating + 4, averaging, about)
              const kept = Array.from(Optimizer.stateShapes(parameters, given).values(), (shapes) =>
                Array.from(shapes.values(), sizeOf).reduce((sum, size) => sum + size, 0))
              const sum = kept.reduce((sum, size) =>
                sum + size, 0)
              assert.isAtLeast(expected.state, sum, about)
              assert.isAtMost(expected.state, 1.01 * sum + 4096, about)
            }
          }
        }
        Kernels.uninstall(tf)
        Kernels.install(tf)
      }))

    it.effect(`treats each parameter as if it were alone, in any company: ${label}`, () =>
      Effect.gen(function*() {
        const { tf } = yield* Backend
        const run = Effect.fnUntraced(function*(shapes: Shapes) {
          const optimizer = Optimizer.make(tf, parametersOf(shapes), given)
          advance(tf, optimizer, shapes, 0, 2)
          const found = yield* Effect.promise(() => optimizer.read())
          optimizer.dispose()
          return found
        })
        const together = yield* run(small)
        assert.deepStrictEqual([...together.parameters.keys()], Object.keys(small))
        for (const [name, shape] of Object.entries(small)) {
          const alone = yield* run({ [name]: shape })
          assert.deepStrictEqual(together.parameters.get(name), alone.parameters.get(name), name)
          for (const [slot, kept] of alone.state) {
            assert.deepStrictEqual(together.state.get(slot)!.get(name), kept.get(name), `${slot} of ${name}`)
          }
        }
      }))

    it.effect(`scales the learning rate of a parameter, and spares it from decay: ${label}`, () =>
      Effect.gen(function*() {
        const { tf } = yield* Backend
        const shape = [4, 6]
        const start = random("start", shape)
        const step = Effect.fnUntraced(function*(
          options: {
            readonly scale?: number
            readonly decays?: boolean
            readonly rate?: number
            readonly zero?: boolean
          }
        ) {
          const { decays = true, rate = 0.01, scale = 1, zero = false } = options
          const parameter = { name: "w", ...start, decays, learningRateScale: scale, matrix: true }
          const optimizer = Optimizer.make(tf, [parameter], given)
          const gradient = zero ? tf.zeros(shape) : tf.tensor(random("gradient", shape).data, shape)
          const joined = optimizer.join([gradient])
          optimizer.update(joined, { step: 0, learningRate: rate, scale: 1 })
          tf.dispose([...joined])
          const { parameters } = yield* Effect.promise(() => optimizer.read())
          optimizer.dispose()
          return parameters.get("w")!.data
        })
        assert.deepStrictEqual(yield* step({ scale: 0.25 }), yield* step({ rate: 0.01 * 0.25 }))
        assert.notDeepEqual(yield* step({ scale: 0.25 }), yield* step({}))
        // Without a gradient all that could move it is decay.
        assert.deepStrictEqual(yield* step({ decays: false, zero: true }), start.data)
        const decayed = yield* step({ zero: true })
        assert.isTrue(decayed.every((value, i) => Math.abs(value) < Math.abs(start.data[i]!)))
      }))
  }

  it.effect("has the squared norm of all gradients, of parameters large and small", () =>
    Effect.gen(function*() {
      const { tf } = yield* Backend
      const before = tf.memory().numTensors
      const shapes: Shapes = {
        ...small,
        // Larger than a shared tensor may be, with and without padding.
        huge: [1025, 1024],
        even: [1026, 1024]
      }
      const sum = gradientsOf(tf, shapes, 0).reduce((sum, gradient) => {
        const values = gradient.dataSync<"float32">()
        gradient.dispose()
        return sum + values.reduce((sum, value) => sum + value ** 2, 0)
      }, 0)
      for (const name of ["adamw", "muon", "adafactor"] as const) {
        const optimizer = Optimizer.make(tf, parametersOf(shapes), settings({ name }))
        const joined = optimizer.join(gradientsOf(tf, shapes, 0))
        const squared = optimizer.squaredNorm(joined)
        assert.isBelow(Math.abs(squared.dataSync()[0]! / sum - 1), 1e-5, name)
        tf.dispose([...joined, squared])
        for (const { name, shape } of parametersOf(shapes)) {
          assert.deepStrictEqual(optimizer.parameters().get(name)!.shape, [...shape])
        }
        optimizer.dispose()
      }
      assert.strictEqual(tf.memory().numTensors, before)
    }))

  it.effect("leaves embeddings, biases and norms to AdamW where hidden matrices are Muon's", () =>
    Effect.gen(function*() {
      const { tf } = yield* Backend
      const run = Effect.fnUntraced(function*(given: Optimizer.Settings) {
        const optimizer = Optimizer.make(tf, parametersOf(small), given)
        advance(tf, optimizer, small, 0, 3)
        const found = yield* Effect.promise(() => optimizer.read())
        optimizer.dispose()
        return found
      })
      const muon = yield* run(settings({ name: "muon" }))
      const adamW = yield* run(settings({ name: "adamw" }))
      for (const name of Object.keys(small)) {
        const hidden = name === "tall" || name === "wide"
        assert.strictEqual(muon.state.get("momentum")!.has(name), hidden, name)
        assert.strictEqual(muon.state.get("second")!.has(name), !hidden, name)
        const [ours, theirs] = [muon, adamW].map(({ parameters }) => parameters.get(name))
        if (hidden) assert.notDeepEqual(ours, theirs, name)
        else assert.deepStrictEqual(ours, theirs, name)
      }
    }))

  it.effect("keeps of a matrix no more than its rows and columns where it factors them", () =>
    Effect.gen(function*() {
      const { tf } = yield* Backend
      const parameters = parametersOf({ w: [300, 200] })
      const { state } = Optimizer.footprint(parameters, settings({ name: "adafactor" }), InPlace.hasAdamW(tf))
      assert.strictEqual(state, 500)
    }))
})

layer(Backend.layer("wasm"))("an average of weights", (it) => {
  it.effect("begins as the weights, follows them, and continues to the bit", () =>
    Effect.gen(function*() {
      const { tf } = yield* Backend
      const before = tf.memory().numTensors
      const parameters = parametersOf(small)
      const optimizer = Optimizer.make(tf, parameters, settings({ name: "adamw" }))
      const average = Average.make(tf, optimizer, 0.8)
      const start = yield* Effect.promise(() => average.read())
      assert.deepStrictEqual(start, new Map(parameters.map(({ data, name, shape }) => [name, { shape, data }])))
      // Weights that stay are their own average, exactly.
      average.update()
      assert.deepStrictEqual(yield* Effect.promise(() => average.read()), start)

      const values = parameters.map(({ data }) => Array.from(data))
      let resumed: Average.ExponentialMovingAverage | undefined
      for (let step = 0; step < 4; step++) {
        advance(tf, optimizer, small, step, step + 1)
        average.update()
        resumed?.update()
        const current = yield* Effect.promise(() => optimizer.read())
        const found = yield* Effect.promise(() => average.read())
        for (const [i, { name }] of parameters.entries()) {
          for (const [at, weight] of current.parameters.get(name)!.data.entries()) {
            values[i]![at] = 0.8 * values[i]![at]! + 0.2 * weight
            assert.closeTo(found.get(name)!.data[at]!, values[i]![at]!, 1e-6, `${name} ${at}`)
          }
        }
        if (step === 1) resumed = Average.make(tf, optimizer, 0.8, found)
      }
      const found = yield* Effect.promise(() => average.read())
      assert.deepStrictEqual(yield* Effect.promise(() => resumed!.read()), found)

      const tensors = average.parameters()
      assert.deepStrictEqual([...tensors.keys()].toSorted(), [...found.keys()].toSorted())
      for (const [name, tensor] of tensors) {
        assert.deepStrictEqual(tensor.shape, [...found.get(name)!.shape])
        assert.deepStrictEqual(tensor.dataSync(), found.get(name)!.data)
      }
      tf.dispose([...tensors.values()])
      resumed!.dispose()
      average.dispose()
      optimizer.dispose()
      assert.strictEqual(tf.memory().numTensors, before)
    }))
})

describe("settings", () => {
  it("are whole when only the name is given, and there is one for each name", () => {
    for (const name of Optimizer.names) assert.strictEqual(Optimizer.defaultsOf(name).name, name)
    assert.deepInclude(Optimizer.defaultsOf("adamw"), { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 })
    assert.deepInclude(Optimizer.defaultsOf("lion"), { beta1: 0.9, beta2: 0.99 })
  })

  it("are refused when they make no sense", () => {
    const decode = Schema.decodeUnknownSync(Optimizer.Settings)
    assert.throws(() => decode({ name: "adamw", beta1: 1 }))
    assert.throws(() => decode({ name: "sgd", weightDecay: -1 }))
    assert.throws(() => decode({ name: "muon", newtonSchulzSteps: 0 }))
    assert.throws(() => decode({ name: "rprop" }))
  })

  it.prop("are what they were before they were written down and read again", [Optimizer.Settings], ([settings]) => {
    const write = (settings: Optimizer.Settings) =>
      JSON.stringify(Schema.encodeUnknownSync(Optimizer.Settings)(settings))
    assert.strictEqual(
      write(Schema.decodeUnknownSync(Optimizer.Settings)(JSON.parse(write(settings)))),
      write(settings)
    )
  })
})

describe("clipScale", () => {
  it("scales down to the maximum and never up", () => {
    assert.closeTo(Optimizer.clipScale(4, 1), 0.25, 1e-6)
    assert.strictEqual(Optimizer.clipScale(0.5, 1), 1)
    assert.strictEqual(Optimizer.clipScale(0, 1), 1)
    assert.closeTo(Optimizer.clipScale(1e30, 1e29), 0.1, 1e-12)
  })
})
