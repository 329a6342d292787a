/**
 * Where a model drops, and how often: masks are a function of (seed, place, step), so that a resumed run drops what an
 * unbroken one would have dropped.
 */
import * as Random from "../random/Random.ts"
import type { Tensor, Tf } from "../tensor/Backend.ts"
import * as Factors from "../tensor/Dropout.ts"

export interface Dropout {
  readonly seed: number
  readonly step: number
  /** Which part of the step's batch this is, counted from 0: parts drop differently. */
  readonly part?: number
  /** The probability of dropping, for every place alike. Without it each place has the rate of the model's config. */
  readonly rate?: number
}

/**
 * Factors for a tensor of this shape at a place whose config says `configured`; `undefined` where nothing is dropped.
 */
export const factors = (
  tf: Tf,
  dropout: Dropout | undefined,
  place: string,
  shape: ReadonlyArray<number>,
  configured: number
): Factors.Factors | undefined => {
  const rate = dropout?.rate ?? configured
  if (dropout === undefined || rate === 0) return undefined
  const { part = 0, seed, step } = dropout
  const purpose = part === 0 ? `dropout ${place}` : `dropout ${place}, part ${part}`
  return Factors.factors(tf, Random.address(seed, purpose, step), shape, rate)
}

/** `x` with dropout at `place`; `x` itself where nothing is dropped. */
export const apply = (tf: Tf, x: Tensor, dropout: Dropout | undefined, place: string, configured: number): Tensor => {
  const found = factors(tf, dropout, place, x.shape, configured)
  return found === undefined ? x : tf.mul(x, found.values)
}
