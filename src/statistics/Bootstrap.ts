/**
 * Bootstrap intervals: how much a score would vary had the examples been drawn again.
 *
 * Examples are resampled with replacement and the statistic is computed anew on each resample. The interval is the
 * percentile interval (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13) or, where asked for,
 * the bias-corrected and accelerated one (Efron, "Better bootstrap confidence intervals", Journal of the American
 * Statistical Association 82, 1987). Draws come from the counter-based generator, resample by resample, so a seed fixes
 * the interval on every machine.
 */
import * as Random from "../random/Random.ts"
import * as Normal from "./Normal.ts"

/**
 * Which interval the draws become.
 *
 * `"percentile"` takes the quantiles of the draws as they are. `"BCa"` moves them for the bias of the draws (their
 * median is not the estimate) and for a standard error that grows with the statistic, as it does for ratios and for
 * shares near 0 or 1: the error in coverage of either end falls with the number of examples rather than with its root.
 * It computes the statistic once more for each example, on all examples but that one.
 */
export type Method = "percentile" | "BCa"

export interface Options {
  readonly seed: number
  /** How many resamples (2,000 unless given: the ends of a 95% interval then rest on 50 draws each). */
  readonly resamples?: number
  /** The share of resamples inside the interval (0.95 unless given). */
  readonly level?: number
  /** Which interval (`"percentile"` unless given). */
  readonly method?: Method
}

export interface Interval {
  /** The statistic on the examples as they are. */
  readonly estimate: number
  /**
   * NaN, as `upper`, when a BCa interval was asked for and every draw lies on one side of the estimate: its bias is
   * then without bound. So few or so extreme examples carry no interval of that kind.
   */
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

/** Checks what every resampling needs, before anything is computed. */
export const check = (resamples: number, level: number): void => {
  if (!(Number.isInteger(resamples) && resamples > 0)) throw new RangeError(`${resamples} resamples cannot be drawn`)
  if (!(level > 0 && level < 1)) throw new RangeError(`The level ${level} is not between 0 and 1`)
}

/**
 * The interval that draws of a statistic give, whatever was resampled to make them: between their quantiles at
 * `probabilities`, which are those of the percentile interval unless given.
 */
export const fromDraws = (
  estimate: number,
  draws: Float64Array,
  level: number,
  probabilities: readonly [number, number] = [(1 - level) / 2, (1 + level) / 2]
): Interval => {
  const sorted = draws.toSorted()
  const mean = draws.reduce((sum, draw) => sum + draw, 0) / draws.length
  const squares = draws.reduce((sum, draw) => sum + (draw - mean) ** 2, 0)
  return {
    estimate,
    lower: quantile(sorted, probabilities[0]),
    upper: quantile(sorted, probabilities[1]),
    level,
    resamples: draws.length,
    standardError: draws.length > 1 ? Math.sqrt(squares / (draws.length - 1)) : 0
  }
}

/** The two-sided p-value for the hypothesis that a difference is zero, from draws of it: see {@link Difference}. */
export const pValueOf = (draws: Float64Array): number => {
  let atMostZero = 0, atLeastZero = 0
  for (const draw of draws) {
    if (draw <= 0) atMostZero++
    if (draw >= 0) atLeastZero++
  }
  // One is added to both counts so that no finite number of resamples claims a probability of zero
  // (Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 4.2).
  const tail = (Math.min(atMostZero, atLeastZero) + 1) / (draws.length + 1)
  return Math.min(1, 2 * tail)
}

/**
 * The acceleration, by the jackknife: a sixth of the skewness of the statistic without one example at a time
 * (Efron and Tibshirani 1993, equation 14.15). Zero where leaving one out never changes anything.
 */
const acceleration = (examples: number, statistic: Statistic): number => {
  const kept = Uint32Array.from({ length: examples - 1 }, (_, index) => index + 1)
  const without = new Float64Array(examples)
  for (let left = 0; left < examples; left++) {
    // What was kept before left out `left - 1`; the place of `left` in it becomes that one's.
    if (left > 0) kept[left - 1] = left - 1
    without[left] = statistic(kept)
  }
  const mean = without.reduce((sum, value) => sum + value, 0) / examples
  let squares = 0, cubes = 0
  for (const value of without) {
    squares += (mean - value) ** 2
    cubes += (mean - value) ** 3
  }
  return squares === 0 ? 0 : cubes / (6 * squares ** 1.5)
}

/** At which quantiles of the draws the BCa interval ends (Efron and Tibshirani 1993, equations 14.10 and 14.14). */
const correctedProbabilities = (
  examples: number,
  statistic: Statistic,
  estimate: number,
  draws: Float64Array,
  level: number
): readonly [number, number] => {
  let below = 0, atMost = 0
  for (const draw of draws) {
    if (draw < estimate) below++
    if (draw <= estimate) atMost++
  }
  // Draws equal to the estimate count half on either side, which matters for scores that take few values.
  const bias = Normal.quantile((below + atMost) / (2 * draws.length))
  if (!Number.isFinite(bias)) return [NaN, NaN]
  const accelerated = examples > 1 ? acceleration(examples, statistic) : 0
  const probability = (z: number) => Normal.cumulative(bias + (bias + z) / (1 - accelerated * (bias + z)))
  const z = Normal.quantile((1 + level) / 2)
  return [probability(-z), probability(z)]
}

const resample = (
  examples: number,
  statistic: Statistic,
  { level = 0.95, method = "percentile", resamples = 2000, seed }: Options
) => {
  if (examples < 1) throw new RangeError("A bootstrap needs at least one example")
  check(resamples, level)
  const estimate = statistic(Uint32Array.from({ length: examples }, (_, index) => index))
  const draws = new Float64Array(resamples)
  const drawn = new Uint32Array(examples)
  for (let i = 0; i < resamples; i++) {
    const random = Random.make(seed, "bootstrap", i)
    for (let j = 0; j < examples; j++) drawn[j] = random.integer(examples)
    draws[i] = statistic(drawn)
  }
  const interval = method === "percentile"
    ? fromDraws(estimate, draws, level)
    : fromDraws(estimate, draws, level, correctedProbabilities(examples, statistic, estimate, draws, level))
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
  return { ...interval, pValue: pValueOf(draws) }
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
