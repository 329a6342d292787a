/**
 * A normal distribution cut off at both ends of the unit interval, fast enough
 * for the hundreds of thousands of evaluations of a kernel density.
 */
import type * as Random from "../../random/Random.ts"
import * as Normal from "../../statistics/Normal.ts"

const rootTwoPi = Math.sqrt(2 * Math.PI)

/** Grid points for each unit of z. */
const resolution = 64
/** Beyond it a tail is 0 in double precision. */
const furthest = 38

/**
 * The ratio of the upper tail to the density, which is so smooth that a cubic
 * between grid points has nine right digits.
 */
const ratio = (z: number): number => {
  if (z < 3) return Normal.cumulative(-z) * rootTwoPi * Math.exp(z * z / 2)
  // The continued fraction of Laplace (Abramowitz and Stegun, "Handbook of Mathematical Functions", 26.2.14).
  let fraction = z
  for (let k = 100; k > 0; k--) fraction = z + k / fraction
  return 1 / fraction
}

const ratios = Float64Array.from({ length: furthest * resolution + 2 }, (_, i) => ratio(i / resolution))

/** The probability that a standard normal number is above `z`, to nine digits also where it is tiny. */
const above = (z: number): number => {
  if (z < 0) return 1 - above(-z)
  if (z >= furthest) return 0
  const scaled = z * resolution, i = Math.floor(scaled), t = scaled - i
  const from = ratios[i]!, to = ratios[i + 1]!
  // The derivative of the ratio r at z is z r - 1.
  const slopeFrom = (i / resolution * from - 1) / resolution, slopeTo = ((i + 1) / resolution * to - 1) / resolution
  const change = to - from
  const cubic = slopeFrom + slopeTo - 2 * change, square = 3 * change - 2 * slopeFrom - slopeTo
  return (from + t * (slopeFrom + t * (square + t * cubic))) * Math.exp(-z * z / 2) / rootTwoPi
}

/** The probability that a standard normal number lies between `low` and `high`. */
export const mass = (low: number, high: number): number =>
  low > 0 ? above(low) - above(high) : high < 0 ? above(-high) - above(-low) : 1 - above(-low) - above(high)

/** The share of a normal density that lies within [0, 1]. */
export const within = (mean: number, deviation: number): number => mass(-mean / deviation, (1 - mean) / deviation)

/** The logarithm of what the density of the untruncated normal is divided by: its peak's height, and the share within [0, 1]. */
export const logScale = (mean: number, deviation: number): number =>
  Math.log(deviation * rootTwoPi * within(mean, deviation))

/** A draw; `mean` lies in [0, 1] and `deviation` is at most 1, so about one try in three is kept at the very least. */
export const draw = (mean: number, deviation: number, random: Random.Random): number => {
  for (;;) {
    const u = mean + deviation * random.normal()
    if (u >= 0 && u <= 1) return u
  }
}
