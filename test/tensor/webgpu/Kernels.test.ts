import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { defaults } from "../../../src/finetune/Hyperparameters.ts"
import * as Step from "../../../src/finetune/Step.ts"
import * as Architecture from "../../../src/model/Architecture.ts"
import * as Gpt2 from "../../../src/model/Gpt2.ts"
import {
  Backend,
  type Determinism,
  type Scalar,
  type Tensor,
  type Tensor1D,
  type Tf
} from "../../../src/tensor/Backend.ts"
import * as Operations from "../../../src/tensor/Operations.ts"
import type { WebgpuBackend } from "../../../src/tensor/webgpu/Gpu.ts"
import * as Kernels from "../../../src/tensor/webgpu/Kernels.ts"
import { assertClose, isPresent, numbers, on, sizeOf, tensor } from "../Parity.ts"

/** Runs a body on the backend in a mode, with its tensors gone afterwards. */
const within = <A, E>(determinism: Determinism, body: (tf: Tf) => Effect.Effect<A, E>) =>
  Backend.use(({ tf }) =>
    Effect.gen(function*() {
      const before = tf.memory().numTensors
      tf.engine().startScope()
      const result = yield* body(tf)
      tf.engine().endScope()
      assert.strictEqual(tf.memory().numTensors, before)
      return result
    })
  ).pipe(Effect.provide(Backend.layer("webgpu", { determinism })))

const read = (tensor: Tensor) => Effect.promise(() => tensor.data())

/** Two steps of a small language model with dropout: what is known of them, the weights and the moments. */
const train = Effect.fnUntraced(function*(tf: Tf) {
  const model = yield* Gpt2.family.make(
    Gpt2.config({ vocabularySize: 50, positions: 8, width: 32, layers: 2, heads: 2 }),
    "causal-language-modeling"
  )
  const ids = Int32Array.from({ length: 4 * 8 }, (_, at) => (at * 7) % 13)
  const batch = {
    batch: 4,
    time: 8,
    inputIds: ids,
    lengths: new Int32Array(4).fill(8),
    rows: Int32Array.from(ids.keys()),
    targets: ids,
    scores: new Float32Array(0),
    tokens: 32
  }
  const stepper = Step.make(tf, {
    model,
    parameters: Architecture.initialize(model, 1),
    totalSteps: 2,
    hyperparameters: { ...defaults, dropout: 0.1 }
  })
  const first = yield* Effect.promise(() => stepper.take([batch], 0))
  const second = yield* Effect.promise(() => stepper.take([batch], 1))
  const state = yield* Effect.promise(() => stepper.read())
  stepper.dispose()
  return { first, second, state }
})

interface StockProgram {
  readonly atomic?: boolean
  readonly shaderKey: string
}

/** The stock programs that add or write with atomics, among those that a body runs. */
const atomicPrograms = <A, E, R>(tf: Tf, body: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const backend = tf.backend() as unknown as { runWebGPUProgram: (program: StockProgram, ...rest: Array<any>) => any }
    const stock = backend.runWebGPUProgram
    const seen = new Set<string>()
    let programs = 0
    backend.runWebGPUProgram = function(program, ...rest) {
      programs++
      const result = stock.call(this, program, ...rest)
      if (program.atomic === true) seen.add(program.shaderKey.split("_")[0]!)
      return result
    }
    yield* Effect.ensuring(body, Effect.sync(() => void Reflect.deleteProperty(backend, "runWebGPUProgram")))
    assert.isAbove(programs, 0)
    return [...seen]
  })

/** Sums of rows in their order, each rounded to a float. */
const inOrder = (rows: Float32Array, width: number, indices: ArrayLike<number>, count: number): Array<number> => {
  const sums = new Float32Array(count * width)
  for (let row = 0; row < indices.length; row++) {
    const index = indices[row]!
    if (index < 0 || index >= count) continue
    for (let column = 0; column < width; column++) sums[index * width + column]! += rows[row * width + column]!
  }
  return Array.from(sums)
}

describe.skipIf(!isPresent("webgpu"))("webgpu's kernels", () => {
  it.effect.prop(
    "sum rows by index in the order of the rows, and leave out what lies outside",
    [
      Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: -2, maximum: 12 }))).check(Schema.isMaxLength(400)),
      Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 300 }))
    ],
    ([indices, width]) =>
      Effect.gen(function*() {
        const rows = numbers(indices.length * width, 3)
        const [sums] = yield* on("webgpu", (tf) => [
          tf.unsortedSegmentSum(
            tf.tensor2d(rows, [indices.length, width]),
            tf.tensor1d(indices as Array<number>, "int32"),
            10
          )
        ])
        assert.deepStrictEqual(sums!.shape, [10, width])
        assert.deepStrictEqual(sums!.values, inOrder(rows, width, indices, 10))
      }),
    { arbitrary: { runs: 20 } }
  )

  it.effect("sum whole numbers by index to the last digit", () =>
    Effect.gen(function*() {
      const [sums] = yield* on("webgpu", (tf) => [
        tf.unsortedSegmentSum(
          tf.tensor1d([2 ** 30 + 1, 5, 2 ** 29 + 1], "int32"),
          tf.tensor1d([1, 0, 1], "int32"),
          2
        )
      ])
      assert.deepStrictEqual(sums, { shape: [2], dtype: "int32", values: [5, 2 ** 30 + 2 ** 29 + 2] })
    }))

  it.effect("scatter into elements, rows and planes in the order of the updates", () =>
    Effect.gen(function*() {
      const rank = (indices: Array<Array<number>>, shape: Array<number>) => (tf: Tf) => {
        const updates = [indices.length, ...shape.slice(indices[0]!.length)]
        return [tf.scatterND(tf.tensor2d(indices, undefined, "int32"), tensor(tf, updates), shape)]
      }
      const indices = Array.from({ length: 200 }, (_, at) => [(at * 7) % 4, (at * 5) % 3])
      for (const [picked, shape] of [[1, [4, 130]], [2, [4, 3]], [2, [4, 3, 5]]] as const) {
        const compute = rank(indices.map((row) => row.slice(0, picked)), [...shape])
        const [expected] = yield* on("cpu", compute)
        const [found] = yield* on("webgpu", compute)
        assert.deepStrictEqual(found!.shape, expected!.shape)
        // The reference adds floats in the same order, each rounded as it is stored.
        assert.deepStrictEqual(found!.values, expected!.values)
      }
    }))

  it.effect("take the softmax of more rows than one dimension of a dispatch holds", () =>
    Effect.gen(function*() {
      const compute = (tf: Tf) => [tf.softmax(tf.mul(tensor(tf, [70_001, 3]), 4))]
      assertClose(yield* on("webgpu", compute), yield* on("cpu", compute))
    }))

  it.effect("find the label of a row beyond the 2^24th number", () =>
    Effect.gen(function*() {
      const positions = 340, classes = 50_257
      assert.isAbove(positions * classes, 2 ** 24)
      const labels = Int32Array.from({ length: positions }, (_, row) => (row * 7919 + 1) % classes)
      // Every label stands out by another amount, and nothing else does.
      const values = new Float32Array(positions * classes)
      for (const [row, label] of labels.entries()) values[row * classes + label] = 5 + row / 100
      const [losses, gradient] = yield* on("webgpu", (tf) => {
        const loss = (logits: Tensor): Scalar =>
          Operations.crossEntropy(tf, logits, tf.tensor1d(labels, "int32"), tf.ones([positions]))
        const { grads, value } = tf.valueAndGrads(loss)([tf.tensor2d(values, [positions, classes])])
        const last = tf.slice(grads[0]!, [positions - 1, 0], [1, classes])
        return [value, tf.gather(tf.reshape(last, [classes]), tf.tensor1d([labels.at(-1)!, 0], "int32"))]
      })
      const height = (row: number) => Math.exp(5 + row / 100)
      let expected = 0
      for (let row = 0; row < positions; row++) expected += Math.log(1 + (classes - 1) / height(row))
      assert.closeTo(losses!.values[0]!, expected, 1e-5 * expected)
      const total = height(positions - 1) + classes - 1
      assert.closeTo(gradient!.values[0]!, height(positions - 1) / total - 1, 1e-5)
      assert.closeTo(gradient!.values[1]!, 1 / total, 1e-9)
    }))

  it.effect("split into more parts than a shader may write, some of them empty", () =>
    Effect.gen(function*() {
      const sizes = Array.from({ length: 40 }, (_, part) => (part * 5) % 7)
      const length = sizes.reduce((sum, size) => sum + size, 0)
      for (const dtype of ["float32", "int32", "bool"] as const) {
        const compute = (tf: Tf) => tf.split(tf.cast(tf.mul(tensor(tf, [3, length, 2]), 9), dtype), sizes, 1)
        assert.deepStrictEqual(yield* on("webgpu", compute), yield* on("cpu", compute))
      }
    }))

  it.effect("sum over leading axes of matrices of any height", () =>
    Effect.gen(function*() {
      for (const shape of [[2, 32], [7, 100], [257, 33], [5000, 70], [9, 40, 65]]) {
        for (const keepDims of [false, true]) {
          const compute = (tf: Tf) => [tf.sum(tensor(tf, shape), shape.length === 3 ? [0, 1] : [0], keepDims)]
          assertClose(yield* on("webgpu", compute), yield* on("cpu", compute))
        }
      }
    }))

  it.effect("normalise rows wider than a workgroup, and many of them", () =>
    Effect.gen(function*() {
      const compute = (rows: number, width: number) => (tf: Tf) =>
        tf.grads((x, gain, bias) =>
          tf.sum(tf.mul(
            Operations.layerNorm(tf, x, gain as Tensor1D, bias as Tensor1D, 1e-5),
            tensor(tf, [rows, width], 5)
          ))
        )([tensor(tf, [rows, width]), tensor(tf, [width], 2), tensor(tf, [width], 3)])
      for (const [rows, width] of [[3, 1500], [700, 65]] as const) {
        assertClose(yield* on("webgpu", compute(rows, width)), yield* on("cpu", compute(rows, width)), 1e-4)
      }
    }))

  describe("in exact mode", () => {
    it.effect("run no stock program that works with atomics, in products, gathers, scatters or a training step", () =>
      within("exact", (tf) =>
        Effect.gen(function*() {
          const found = yield* atomicPrograms(
            tf,
            Effect.gen(function*() {
              for (const [transposeA, transposeB] of [[false, false], [true, false], [false, true]]) {
                const a = tensor(tf, transposeA ? [3000, 40] : [40, 3000])
                const b = tensor(tf, transposeB ? [20, 3000] : [3000, 20])
                yield* read(tf.matMul(a, b, transposeA, transposeB))
              }
              yield* read(tf.scatterND(tf.tensor1d([1, 1, 0], "int32"), tf.ones([3]), [2]))
              yield* train(tf)
            })
          )
          assert.deepStrictEqual(found, [])
        })))

    it.effect("train to the same bits again", () =>
      Effect.gen(function*() {
        const once = yield* within("exact", train)
        assert.deepStrictEqual(yield* within("exact", train), once)
      }))

    it.effect("multiply long rows by few columns as the reference does", () =>
      Effect.gen(function*() {
        for (const [rows, columns] of [[40, 20], [3, 5], [8, 400], [200, 190]] as const) {
          const compute = (tf: Tf) => [tf.matMul(tensor(tf, [rows, 2500]), tensor(tf, [2500, columns], 2))]
          assertClose(yield* on("webgpu", compute), yield* on("cpu", compute))
        }
      }))

    it.effect("refuse what gives other bits on each run, and say what would allow it", () =>
      Effect.gen(function*() {
        const count = (tf: Tf) => tf.denseBincount(tf.tensor1d([0, 1, 1], "int32"), tf.tensor1d([1, 2, 3]), 2)
        yield* within("exact", (tf) =>
          Effect.sync(() => assert.throws(() => count(tf), /DenseBincount.*determinism "fast"/)))
        yield* within("fast", (tf) =>
          Effect.gen(function*() {
            assert.deepStrictEqual(Array.from(yield* read(count(tf))), [1, 5])
          }))
      }))
  })

  it.effect("leave the stock programs where they may be faster, in fast mode", () =>
    within("fast", (tf) =>
      Effect.gen(function*() {
        const found = yield* atomicPrograms(
          tf,
          Effect.gen(function*() {
            const product = yield* read(tf.matMul(tensor(tf, [40, 3000]), tf.ones([3000, 20])))
            const values = numbers(40 * 3000, 1).subarray(0, 3000).reduce((sum, value) => sum + value, 0)
            assert.closeTo(product[0]!, values, 1e-3)
            yield* read(tf.scatterND(tf.tensor1d([1, 1, 0], "int32"), tf.ones([3]), [2]))
          })
        )
        assert.deepStrictEqual(found.toSorted(), ["matMulSplitK", "scatter"])
      })))

  it.effect("take half as many dispatches for a training step as the stock ones", () =>
    within("exact", (tf) =>
      Effect.gen(function*() {
        const { device } = tf.backend() as unknown as WebgpuBackend
        const counted = Effect.gen(function*() {
          const original = device.createBindGroup.bind(device)
          let dispatches = 0
          Object.defineProperty(device, "createBindGroup", {
            configurable: true,
            value: (descriptor: Parameters<typeof original>[0]) => {
              dispatches++
              return original(descriptor)
            }
          })
          yield* Effect.ensuring(train(tf), Effect.sync(() => void Reflect.deleteProperty(device, "createBindGroup")))
          return dispatches
        })
        const ours = yield* counted
        Kernels.uninstall(tf)
        assert.isBelow(ours, 0.55 * (yield* counted))
      })))

  it.effect("say what they keep", () =>
    Effect.gen(function*() {
      for (const determinism of ["exact", "fast"] as const) {
        const kept = yield* Backend.use((backend) => Effect.succeed(backend.determinism)).pipe(
          Effect.provide(Backend.layer("webgpu", { determinism }))
        )
        assert.strictEqual(kept, determinism)
      }
    }))

  it.effect("count no elements where there are none", () =>
    Effect.gen(function*() {
      const compute = (tf: Tf) => [
        tf.sum(tf.zeros([0, 40]), 0),
        tf.matMul(tf.zeros([3, 0]), tf.zeros([0, 2])),
        tf.unsortedSegmentSum(tf.zeros([0, 2]), tf.tensor1d([], "int32"), 3),
        tf.softmax(tf.zeros([0, 4])),
        Operations.gelu(tf, tf.zeros([0])),
        tf.transpose(tf.zeros([0, 2, 3]), [2, 0, 1])
      ]
      const found = yield* on("webgpu", compute)
      assert.deepStrictEqual(found.map(({ shape }) => shape), [[40], [3, 2], [3, 2], [0, 4], [0], [3, 0, 2]])
      for (const { shape, values } of found) {
        assert.deepStrictEqual(
          values,
          Array.from({ length: sizeOf(shape) }, () => 0)
        )
      }
    }))
})
