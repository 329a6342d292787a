/**
 * The factors of dropout, drawn by TensorFlow: the same to the bit as `random/Random.ts` draws them.
 *
 * TensorFlow's stateless random numbers are those of our generator, Philox4x32-10 (Salmon, Moraes, Dror and Shaw,
 * "Parallel random numbers: as easy as 1, 2, 3", SC 2011), with the key and the counter that they are given.
 */
import * as FusedKernels from "../FusedKernels.ts"
import type { KernelFunc, Tensor, Tf } from "../TensorFlow.ts"

/** What the addon gives for a result that TensorFlow keeps. */
interface Handle {
  readonly id: number
}

interface OperationAttribute {
  readonly name: string
  readonly type: number
  readonly value: number
}

interface Backend {
  readonly binding: {
    readonly TF_ATTR_TYPE: number
    readonly createTensor: (shape: ReadonlyArray<number>, dtype: number, values: Int32Array) => number
    readonly deleteTensor: (id: number) => void
    readonly executeOp: (
      name: string,
      attributes: ReadonlyArray<OperationAttribute>,
      inputs: ReadonlyArray<number>,
      outputs: number
    ) => ReadonlyArray<Handle>
  }
  readonly createOutputTensor: (handle: Handle) => Tensor
}

/** Numbers of types in TensorFlow's C interface, most of which TensorFlow.js has no tensors of. */
const types = { float: 1, int32: 3, int64: 9, uint16: 17, uint32: 22, uint64: 23 } as const

/** Of TensorFlow's generators. */
const philox = 1

const wrapped = (value: number) => value | 0

/** A kernel for {@link FusedKernels.names.dropoutFactors}. */
export const make = (tf: Tf): KernelFunc => ({ attrs, backend }) => {
  const { key0, key1, kept, size, step, stream, threshold } = attrs as unknown as Readonly<
    Record<"key0" | "key1" | "step" | "stream" | "threshold" | "kept" | "size", number>
  >
  if (size === 0) return tf.zeros([0])
  const { binding, createOutputTensor } = backend as unknown as Backend
  const held: Array<number> = []
  const hold = (id: number): number => {
    held.push(id)
    return id
  }
  const given = (shape: ReadonlyArray<number>, type: number, values: ReadonlyArray<number>) =>
    hold(binding.createTensor(shape, type, Int32Array.from(values, wrapped)))
  const run = (
    name: string,
    attributes: Readonly<Record<string, number>>,
    inputs: ReadonlyArray<number>
  ): Handle =>
    binding.executeOp(
      name,
      Object.entries(attributes).map(([name, value]) => ({ name, type: binding.TF_ATTR_TYPE, value })),
      inputs,
      1
    )[0]!
  // There is no array of unsigned 64-bit integers to pass, but signed ones have the same bits.
  const unsigned = (shape: ReadonlyArray<number>, values: ReadonlyArray<number>) =>
    hold(run("Bitcast", { T: types.int64, type: types.uint64 }, [given(shape, types.int64, values)]).id)
  try {
    const words = hold(
      run("StatelessRandomUniformFullIntV2", { dtype: types.uint32, Tshape: types.int32 }, [
        given([1], types.int32, [Math.ceil(size / 2)]),
        unsigned([1], [key0, key1]),
        unsigned([2], [0, 0, step, stream]),
        given([], types.int32, [philox])
      ]).id
    )
    const halves = hold(run("Bitcast", { T: types.uint32, type: types.uint16 }, [words]).id)
    const drawn = run("Cast", { SrcT: types.uint16, DstT: types.float }, [halves])
    return tf.tidy(() => {
      const all = tf.reshape(createOutputTensor.call(backend, drawn), [2 * Math.ceil(size / 2)])
      const numbers = all.size === size ? all : tf.slice(all, [0], [size])
      return tf.mul(tf.cast(tf.greaterEqual(numbers, threshold), "float32"), kept)
    })
  } finally {
    for (const id of held) binding.deleteTensor(id)
  }
}

export const name = FusedKernels.names.dropoutFactors
