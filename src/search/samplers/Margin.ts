/**
 * The margin of CMA-ES for hyperparameters with finitely many values: Hamano,
 * Saito, Nomura and Shirakawa, "CMA-ES with margin: lower-bounding marginal
 * probability for mixed-integer black-box optimization", GECCO 2022.
 *
 * Where values are discrete, a distribution that has become narrower than a
 * value's share draws the same value for ever. The margin keeps every such
 * hyperparameter above a least probability of another value than the one at the
 * mean, by moving the mean and by widening the distribution along that axis
 * alone (section 4).
 */
import * as Normal from "../../statistics/Normal.ts"
import { type Dimension, indexAt } from "../space/Dimension.ts"

/** The share of [0, 1] that value number `index` of a dimension of finite size has. */
export const shareOf = (dimension: Dimension<unknown>, index: number): readonly [number, number] => {
  const { domain, size } = dimension
  if (domain._tag !== "Integer" || domain.scale === "linear") return [index / size, (index + 1) / size]
  const low = Math.log(domain.min - 0.5), range = Math.log(domain.max + 0.5) - low
  const edge = (value: number) => (Math.log(value - 0.5) - low) / range
  return [edge(domain.min + index), edge(domain.min + index + 1)]
}

/** The mean of a marginal distribution and its standard deviation. */
export interface Marginal {
  readonly mean: number
  readonly deviation: number
}

/**
 * A marginal distribution after the margin. At the first and the last value, and
 * so wherever there are only two, the probability of any other value is at least
 * `margin` (equation 12); in between each side has at least half of it
 * (equations 13 to 18).
 */
export const widen = (dimension: Dimension<unknown>, { deviation, mean }: Marginal, margin: number): Marginal => {
  const index = indexAt(dimension, mean)
  const [lower, upper] = shareOf(dimension, index)
  const isFirst = index === 0
  if (isFirst || index === dimension.size - 1) {
    const edge = isFirst ? upper : lower
    const farthest = deviation * Normal.quantile(1 - margin)
    return { deviation, mean: isFirst ? Math.max(mean, edge - farthest) : Math.min(mean, edge + farthest) }
  }
  const below = Normal.cumulative((lower - mean) / deviation), above = Normal.cumulative((mean - upper) / deviation)
  const least = margin / 2
  if (below >= least && above >= least) return { mean, deviation }
  // What is added to one side comes from the others in proportion to what they have above the least.
  const left = Math.max(below, least), right = Math.max(above, least), between = 1 - below - above
  const missing = (1 - left - right - between) / (left + right + between - 3 * least)
  const low = -Normal.quantile(left + missing * (left - least))
  const high = -Normal.quantile(right + missing * (right - least))
  return { mean: (lower * high + upper * low) / (low + high), deviation: (upper - lower) / (low + high) }
}
