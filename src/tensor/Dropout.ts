/**
 * Factors of dropout, drawn on the backend where it has a kernel for that, and the same to the bit where it has not.
 *
 * Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15, 2014, in the form that
 * scales at training time: what is kept is divided by the probability of keeping it.
 */
import * as Random from "../random/Random.ts"
import * as FusedKernels from "./FusedKernels.ts"
import type { Tensor, Tf } from "./TensorFlow.ts"

/** A factor for each number of a tensor. */
export interface Factors {
  /** Each 0 or `kept`; `float32`. */
  readonly values: Tensor
  /** What keeps the mean at 1. */
  readonly kept: number
}

/**
 * Factors of this shape, 0 with probability `rate`.
 *
 * Each random word decides on two numbers, so the probability is `rate` to the nearest 1/65,536.
 *
 * @param rate in [0, 1)
 */
export const factors = (tf: Tf, address: Random.Address, shape: ReadonlyArray<number>, rate: number): Factors => {
  const size = shape.reduce((product, extent) => product * extent, 1)
  const threshold = Math.min(Math.round(rate * 65536), 65535)
  const kept = Math.fround(65536 / (65536 - threshold))
  if (!FusedKernels.has(tf, FusedKernels.names.dropoutFactors, [])) {
    return { values: tf.tensor(draw(address, size, threshold, kept), [...shape], "float32"), kept }
  }
  const [key0, key1] = address.key, [step, stream] = address.upper
  const attributes = { key0, key1, step, stream, threshold, kept, size }
  const flat = FusedKernels.run(tf, FusedKernels.names.dropoutFactors, {}, attributes)
  return { values: tf.reshape(flat, [...shape]), kept }
}

/** The same numbers without a kernel: half a random word for each. */
const draw = (address: Random.Address, size: number, threshold: number, kept: number): Float32Array => {
  const random = Random.at(address)
  const values = new Float32Array(size)
  for (let i = 0; i < size; i += 2) {
    const word = random.uint32()
    values[i] = (word & 0xffff) < threshold ? 0 : kept
    values[i + 1] = (word >>> 16) < threshold ? 0 : kept
  }
  return values
}
