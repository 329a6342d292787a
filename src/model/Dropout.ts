/**
 * Dropout whose masks are a function of (seed, place, step), so that a resumed run drops what an unbroken one would have
 * dropped.
 *
 * Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15, 2014, in the form that
 * scales at training time: what is kept is divided by the probability of keeping it.
 */
import * as Random from "../random/Random.ts"
import type { Tensor, Tf } from "../tensor/Backend.ts"

export interface Dropout {
  readonly seed: number
  readonly step: number
  /** The probability of dropping, for every place alike. Without it each place has the rate of the model's config. */
  readonly rate?: number
}

/** The rate at a place whose config says `configured`. */
export const rateAt = (dropout: Dropout | undefined, configured: number): number =>
  dropout === undefined ? 0 : dropout.rate ?? configured

/**
 * Factors for `size` numbers at `place`: 0 with probability `rate`, otherwise what keeps the mean at 1.
 *
 * Each random word decides on two numbers, so the probability is `rate` to the nearest 1/65,536.
 */
export const factors = (dropout: Dropout, place: string, size: number, rate: number): Float32Array => {
  const random = Random.make(dropout.seed, `dropout ${place}`, dropout.step)
  const threshold = Math.min(Math.round(rate * 65536), 65535)
  const kept = 65536 / (65536 - threshold)
  const values = new Float32Array(size)
  for (let i = 0; i < size; i += 2) {
    const word = random.uint32()
    values[i] = (word & 0xffff) < threshold ? 0 : kept
    values[i + 1] = (word >>> 16) < threshold ? 0 : kept
  }
  return values
}

/** Factors as a tensor of this shape. */
export const mask = (
  tf: Tf,
  dropout: Dropout,
  place: string,
  shape: ReadonlyArray<number>,
  rate: number
): Tensor =>
  tf.tensor(factors(dropout, place, shape.reduce((size, length) => size * length, 1), rate), [...shape], "float32")

/** `x` with dropout at `place`; `x` itself where nothing is dropped. */
export const apply = (tf: Tf, x: Tensor, dropout: Dropout | undefined, place: string, configured: number): Tensor => {
  const rate = rateAt(dropout, configured)
  return dropout === undefined || rate === 0 ? x : tf.mul(x, mask(tf, dropout, place, x.shape, rate))
}
