/**
 * Bootstrap intervals: how much a score would vary had the examples been drawn again.
 *
 * Examples are resampled with replacement and the statistic is computed anew on each resample; the interval is the
 * percentile interval (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13). Draws come from the
 * counter-based generator, resample by resample, so a seed fixes the interval on every machine.
 */
import * as Random from "../random/Random.ts"

export interface Options {
  readonly seed: number
  /** How many resamples (2,000 unless given: the ends of a 95% interval then rest on 50 draws each). */
  readonly resamples?: number
  /** The share of resamples inside the interval (0.95 unless given). */
  readonly level?: number
}

export interface Interval {
  /** The statistic on the examples as they are. */
  readonly estimate: number
  readonly lower: number
  readonly upper: number
  readonly level: number
  readonly resamples: number
  /** The standard deviation of the statistic over the resamples. */
  readonly standardError: number
}

export interface Difference extends Interval {
  /**
   * Two-sided: twice the share of resamples in which the difference is zero or has the sign other than the estimate's
   * (the smaller tail), at least 2 / (resamples + 1) and at most 1.
   */
  readonly pValue: number
}

/** A number computed from a selection of examples, given by their indices, repeats included. */
export type Statistic = (examples: Uint32Array) => number

/** The quantile of sorted numbers, interpolated linearly (NumPy's default, Hyndman and Fan's type 7). */
const quantile = (sorted: Float64Array, probability: number): number => {
  const position = probability * (sorted.length - 1)
  const below = Math.floor(position)
  const low = sorted[below]!, high = sorted[Math.min(below + 1, sorted.length - 1)]!
  return low + (high - low) * (position - below)
}

const resample = (examples: number, statistic: Statistic, { level = 0.95, resamples = 2000, seed }: Options) => {
  if (examples < 1) throw new RangeError("A bootstrap needs at least one example")
  if (!(Number.isInteger(resamples) && resamples > 0)) throw new RangeError(`${resamples} resamples cannot be drawn`)
  if (!(level > 0 && level < 1)) throw new RangeError(`The level ${level} is not between 0 and 1`)
  const estimate = statistic(Uint32Array.from({ length: examples }, (_, index) => index))
  const draws = new Float64Array(resamples)
  const drawn = new Uint32Array(examples)
  for (let i = 0; i < resamples; i++) {
    const random = Random.make(seed, "bootstrap", i)
    for (let j = 0; j < examples; j++) drawn[j] = random.integer(examples)
    draws[i] = statistic(drawn)
  }
  const sorted = draws.toSorted()
  const mean = draws.reduce((sum, draw) => sum + draw, 0) / resamples
  const squares = draws.reduce((sum, draw) => sum + (draw - mean) ** 2, 0)
  const interval: Interval = {
    estimate,
    lower: quantile(sorted, (1 - level) / 2),
    upper: quantile(sorted, (1 + level) / 2),
    level,
    resamples,
    standardError: resamples > 1 ? Math.sqrt(squares / (resamples - 1)) : 0
  }
  return { interval, draws }
}

/**
 * The interval of any statistic of `examples` examples.
 *
 * The statistic is handed the same array at every resample: it must not keep it.
 */
export const interval = (examples: number, statistic: Statistic, options: Options): Interval =>
  resample(examples, statistic, options).interval

const meanOf = (values: ArrayLike<number>): Statistic => (examples) => {
  let sum = 0
  for (let i = 0; i < examples.length; i++) sum += values[examples[i]!]!
  return sum / examples.length
}

/** The interval of the mean of one number an example, such as the loss or whether the prediction is right. */
export const mean = (values: ArrayLike<number>, options: Options): Interval =>
  interval(values.length, meanOf(values), options)

/**
 * The interval of `first - second`, both statistics computed on the same resample of the same examples, with a
 * two-sided p-value for the hypothesis that they do not differ.
 */
export const pairedDifference = (
  examples: number,
  first: Statistic,
  second: Statistic,
  options: Options
): Difference => {
  const { draws, interval } = resample(examples, (drawn) => first(drawn) - second(drawn), options)
  let atMostZero = 0, atLeastZero = 0
  for (const draw of draws) {
    if (draw <= 0) atMostZero++
    if (draw >= 0) atLeastZero++
  }
  // One is added to both counts so that no finite number of resamples claims a probability of zero
  // (Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 4.2).
  const tail = (Math.min(atMostZero, atLeastZero) + 1) / (draws.length + 1)
  return { ...interval, pValue: Math.min(1, 2 * tail) }
}

/** The interval of the difference of two means over the same examples: `first[i]` and `second[i]` belong together. */
export const pairedMeanDifference = (
  first: ArrayLike<number>,
  second: ArrayLike<number>,
  options: Options
): Difference => {
  if (first.length !== second.length) {
    throw new RangeError(`${first.length} values cannot be paired with ${second.length}`)
  }
  return pairedDifference(first.length, meanOf(first), meanOf(second), options)
}
