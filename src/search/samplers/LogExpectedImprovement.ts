/**
 * By how much a normally distributed loss is expected to fall below the best
 * one so far, as a logarithm: far from the best the expectation underflows, but
 * its logarithm still tells which way is better (Ament, Daulton, Eriksson,
 * Balandat and Bakshy, "Unexpected improvements to expected improvement for
 * Bayesian optimization", NeurIPS 2023, section 4.1 and equation 9).
 */
import * as Normal from "../../statistics/Normal.ts"

const logRootTwoPi = 0.5 * Math.log(2 * Math.PI)

/** Below this the series is exact to the last digits; above it differences lose at most three of them. */
const farTail = -25

/** The chance of a normal draw above x, relative to the density at x (Mills' ratio), for x of at least 0. */
const mills = (x: number): number => {
  if (x < 3) return Normal.cumulative(-x) * Math.exp(x * x / 2 + logRootTwoPi)
  // Laplace's continued fraction; 40 levels are enough for the smallest argument.
  let fraction = x
  for (let k = 40; k > 0; k--) fraction = x + k / fraction
  return 1 / fraction
}

/** The logarithm of phi(z) + z Phi(z), the expectation for a draw of deviation 1 with its mean z below the best. */
const logUnit = (z: number): number => {
  if (z > -1) return Math.log(Math.exp(-z * z / 2 - logRootTwoPi) + z * Normal.cumulative(z))
  if (z > farTail) return -z * z / 2 - logRootTwoPi + Math.log1p(z * mills(-z))
  // Abramowitz and Stegun 26.2.12: 1 + z mills(-z) = 1/z^2 - 3/z^4 + 15/z^6 - ...
  const w = 1 / (z * z)
  return -z * z / 2 - logRootTwoPi - 2 * Math.log(-z) + Math.log1p(w * (-3 + w * (15 + w * (-105 + w * 945))))
}

/** The logarithm of E[max(0, best - loss)] for a loss of this mean and standard deviation, which is above 0. */
export const of = (mean: number, deviation: number, best: number): number =>
  Math.log(deviation) + logUnit((best - mean) / deviation)

export interface Slopes {
  readonly value: number
  /** Its derivatives by the mean and by the standard deviation. */
  readonly byMean: number
  readonly byDeviation: number
}

/** The same with its derivatives: of the expectation they are -Phi(z) and phi(z). */
export const withSlopes = (mean: number, deviation: number, best: number): Slopes => {
  const z = (best - mean) / deviation
  const unit = logUnit(z)
  const density = Math.exp(-z * z / 2 - logRootTwoPi - unit)
  const below = z > -1 ? Normal.cumulative(z) * Math.exp(-unit) : density * mills(-z)
  return { value: Math.log(deviation) + unit, byMean: -below / deviation, byDeviation: density / deviation }
}

/** The logarithm of the chance that a standard normal draw is at most z, also where the chance underflows. */
export const logCumulative = (z: number): number =>
  z > -1 ? Math.log(Normal.cumulative(z)) : -z * z / 2 - logRootTwoPi + Math.log(mills(-z))
