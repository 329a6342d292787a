import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Tensor, Tf } from "../../src/tensor/Backend.ts"
import { assertClose, everywhere, numbers, on, sizeOf, toleranceOf } from "./Parity.ts"

interface Case {
  readonly shapes: ReadonlyArray<ReadonlyArray<number>>
  readonly f: (tf: Tf, ...inputs: Array<any>) => Tensor
  /** Where the inputs lie: between -1 and 1 unless moved. */
  readonly from?: number
  readonly to?: number
}

const vector = (f: Case["f"], from?: number, to?: number): Case => ({
  shapes: [[7]],
  f,
  ...(from === undefined ? {} : { from }),
  ...(to === undefined ? {} : { to })
})
const broadcast = (f: Case["f"], from?: number, to?: number): Case => ({
  ...vector(f, from, to),
  shapes: [[3, 1, 4], [2, 1]]
})

const cases: Readonly<Record<string, Case>> = {
  Add: broadcast((tf, a, b) => tf.add(a, b)),
  Sub: broadcast((tf, a, b) => tf.sub(a, b)),
  Multiply: broadcast((tf, a, b) => tf.mul(a, b)),
  RealDiv: broadcast((tf, a, b) => tf.div(a, b), 0.5, 2),
  Maximum: broadcast((tf, a, b) => tf.maximum(tf.mul(a, 3), b)),
  Minimum: broadcast((tf, a, b) => tf.minimum(tf.mul(a, 3), b)),
  SquaredDifference: broadcast((tf, a, b) => tf.squaredDifference(a, b)),
  Pow: broadcast((tf, a, b) => tf.pow(a, b), 0.5, 2),
  "Pow by a number": vector((tf, x) => tf.pow(x, 3), 0.5, 2),
  Abs: vector((tf, x) => tf.abs(x)),
  Neg: vector((tf, x) => tf.neg(x)),
  Square: vector((tf, x) => tf.square(x)),
  Sqrt: vector((tf, x) => tf.sqrt(x), 0.5, 2),
  Rsqrt: vector((tf, x) => tf.rsqrt(x), 0.5, 2),
  Reciprocal: vector((tf, x) => tf.reciprocal(x), 0.5, 2),
  Exp: vector((tf, x) => tf.exp(x)),
  Expm1: vector((tf, x) => tf.expm1(x)),
  Log: vector((tf, x) => tf.log(x), 0.5, 2),
  Log1p: vector((tf, x) => tf.log1p(x), 0.5, 2),
  Sin: vector((tf, x) => tf.sin(x)),
  Cos: vector((tf, x) => tf.cos(x)),
  Tanh: vector((tf, x) => tf.tanh(x)),
  Sigmoid: vector((tf, x) => tf.sigmoid(x)),
  Softplus: vector((tf, x) => tf.softplus(x)),
  Erf: vector((tf, x) => tf.erf(x)),
  Relu: vector((tf, x) => tf.relu(x)),
  Relu6: vector((tf, x) => tf.relu6(x), -3, 9),
  LeakyRelu: vector((tf, x) => tf.leakyRelu(x, 0.1)),
  Elu: vector((tf, x) => tf.elu(x)),
  ClipByValue: vector((tf, x) => tf.clipByValue(x, -0.5, 0.3)),
  "Cast and Identity": vector((tf, x) => tf.cast(tf.clone(x), "float32")),
  Select: {
    shapes: [[4, 3], [4, 3]],
    f: (tf, a, b) => tf.where(tf.greater(a, b), tf.mul(a, 2), tf.mul(b, 5))
  },
  "Sum of leading axes": { shapes: [[2, 3, 4]], f: (tf, x) => tf.sum(tf.square(x), [0, 1]) },
  "Sum of inner axes": { shapes: [[2, 3, 4]], f: (tf, x) => tf.sum(tf.square(x), [1], true) },
  "Sum of all": { shapes: [[2, 3, 4]], f: (tf, x) => tf.sum(tf.square(x)) },
  Mean: { shapes: [[2, 3, 4]], f: (tf, x) => tf.mean(tf.square(x), [0, 2]) },
  Max: { shapes: [[3, 5]], f: (tf, x) => tf.max(x, 1) },
  Min: { shapes: [[3, 5]], f: (tf, x) => tf.min(x, 0, true) },
  Softmax: { shapes: [[3, 5]], f: (tf, x) => tf.softmax(x) },
  LogSoftmax: { shapes: [[3, 5]], f: (tf, x) => tf.logSoftmax(x) },
  "log of sum of exponentials": { shapes: [[3, 5]], f: (tf, x) => tf.logSumExp(x, 1) },
  Cumsum: { shapes: [[3, 4]], f: (tf, x) => tf.cumsum(x, 1) },
  "Cumsum, exclusive and reversed": { shapes: [[3, 4]], f: (tf, x) => tf.cumsum(x, 0, true, true) },
  AddN: { shapes: [[3, 2], [3, 2], [3, 2]], f: (tf, ...all) => tf.addN(all) },
  "BatchMatMul NN": { shapes: [[2, 3, 4], [2, 4, 5]], f: (tf, a, b) => tf.matMul(a, b) },
  "BatchMatMul NT": { shapes: [[2, 3, 4], [2, 5, 4]], f: (tf, a, b) => tf.matMul(a, b, false, true) },
  "BatchMatMul TN": { shapes: [[2, 4, 3], [2, 4, 5]], f: (tf, a, b) => tf.matMul(a, b, true, false) },
  "BatchMatMul TT": { shapes: [[2, 4, 3], [2, 5, 4]], f: (tf, a, b) => tf.matMul(a, b, true, true) },
  "BatchMatMul that broadcasts": { shapes: [[2, 3, 4], [4, 5]], f: (tf, a, b) => tf.matMul(a, b) },
  Reshape: { shapes: [[2, 6]], f: (tf, x) => tf.reshape(tf.square(x), [3, 4]) },
  ExpandDims: { shapes: [[2, 6]], f: (tf, x) => tf.square(tf.expandDims(x, 1)) },
  Transpose: { shapes: [[2, 3, 4]], f: (tf, x) => tf.transpose(tf.square(x), [1, 2, 0]) },
  BroadcastTo: { shapes: [[3, 1]], f: (tf, x) => tf.broadcastTo(x, [2, 3, 4]) },
  Tile: { shapes: [[2, 3]], f: (tf, x) => tf.tile(x, [3, 2]) },
  Slice: { shapes: [[4, 5]], f: (tf, x) => tf.slice(x, [1, 2], [2, -1]) },
  PadV2: { shapes: [[2, 3]], f: (tf, x) => tf.pad(x, [[1, 0], [2, 1]]) },
  Reverse: { shapes: [[2, 3]], f: (tf, x) => tf.reverse(x, 1) },
  Concat: { shapes: [[2, 3], [2, 1], [2, 4]], f: (tf, ...all) => tf.square(tf.concat(all, 1)) },
  SplitV: { shapes: [[2, 6]], f: (tf, x) => tf.mul(tf.split(x, [2, 4], 1)[1]!, 3) },
  Pack: { shapes: [[2, 3], [2, 3]], f: (tf, ...all) => tf.square(tf.stack(all, 1)) },
  Unpack: { shapes: [[3, 2]], f: (tf, x) => tf.mul(tf.unstack(x, 1)[1]!, 2) },
  "GatherV2 of rows": { shapes: [[4, 3]], f: (tf, x) => tf.gather(x, tf.tensor2d([[1, 3], [1, 0]], [2, 2], "int32")) },
  "GatherV2 along an inner axis": {
    shapes: [[2, 4, 3]],
    f: (tf, x) => tf.gather(x, tf.tensor1d([3, 3, 0], "int32"), 1)
  },
  UnsortedSegmentSum: {
    shapes: [[5, 2]],
    f: (tf, x) => tf.unsortedSegmentSum(x, tf.tensor1d([1, 0, 1, 2, 1], "int32"), 3)
  }
}

/** A number from the result in which every element counts differently. */
const weigh = (tf: Tf, result: Tensor): Tensor =>
  tf.sum(tf.mul(tf.reshape(result, [-1]), tf.tensor1d(numbers(result.size, 77))))

const inputsOf = ({ from = -1, shapes, to = 1 }: Case): Array<Float32Array> =>
  shapes.map((shape, at) => numbers(sizeOf(shape), at + 1).map((x) => from + (x + 1) / 2 * (to - from)))

describe("Gradients", () => {
  for (const [name, one] of Object.entries(cases)) {
    it.effect(`of ${name} are the slopes of the function`, () =>
      Effect.gen(function*() {
        const inputs = inputsOf(one)
        const upload = (tf: Tf, moved: (at: number, index: number) => number) =>
          one.shapes.map((shape, at) => tf.tensor(inputs[at]!.map((x, index) => x + moved(at, index)), [...shape]))
        const gradients = (tf: Tf) =>
          tf.grads((...xs: Array<Tensor>) => weigh(tf, one.f(tf, ...xs)))(upload(tf, () => 0))
        const onCpu = yield* on("cpu", gradients)
        for (const backend of everywhere) {
          assertClose(yield* on(backend, gradients), onCpu, toleranceOf(backend), `${name} on ${backend}`)
        }

        // Central differences on the reference, one element at a time.
        const h = 1 / 128
        const sweep = yield* on("cpu", (tf) =>
          inputs.map((input, at) =>
            tf.tensor1d(Array.from(input, (_, index) => {
              const value = (sign: number) =>
                tf.tidy(() =>
                  weigh(tf, one.f(tf, ...upload(tf, (i, j) => i === at && j === index ? sign * h : 0))).dataSync()[0]!
                )
              return (value(1) - value(-1)) / (2 * h)
            }))
          ))
        for (const [at, found] of onCpu.entries()) {
          assert.deepStrictEqual(found.shape, [...one.shapes[at]!])
          for (const [index, slope] of sweep[at]!.values.entries()) {
            assert.closeTo(found.values[index]!, slope, 2e-3 * Math.max(1, Math.abs(slope)), `input ${at} at ${index}`)
          }
        }
      }))
  }

  it.effect.each(everywhere)(
    "are zero through what is constant almost everywhere, on %s",
    (name) =>
      Effect.gen(function*() {
        for (const f of ["ceil", "floor", "round", "sign", "step", "onesLike", "zerosLike"] as const) {
          const [gradient] = yield* on(name, (tf) => [tf.grad((x) => tf[f](x))(tf.tensor1d([-0.3, 0.7]))])
          assert.deepStrictEqual(gradient!.values.map(Math.abs), [0, 0], f)
        }
      })
  )

  it.effect("give rows whose segment lies outside the range nothing", () =>
    Effect.gen(function*() {
      const compute = (tf: Tf) => [
        tf.grad((x) => tf.unsortedSegmentSum(x as any, tf.tensor1d([0, -1, 5, 1], "int32"), 2))(tf.ones([4, 2]))
      ]
      for (const backend of ["cpu", ...everywhere] as const) {
        const [gradient] = yield* on(backend, compute)
        assert.deepStrictEqual(gradient!.values, [1, 1, 0, 0, 0, 0, 1, 1])
      }
    }))
})
