/**
 * The standard normal distribution: its cumulative probability and its quantiles.
 *
 * Both keep their relative accuracy in the tails, which is where small p-values are.
 */

/**
 * The complementary error function, of any real number.
 *
 * Up to 2 the series, beyond it the continued fraction (Abramowitz and Stegun, "Handbook of Mathematical Functions",
 * 7.1.6 and 7.1.14).
 */
export const complementaryError = (x: number): number => {
  if (x < 0) return 2 - complementaryError(-x)
  if (Number.isNaN(x)) return NaN
  if (x > 27.3) return 0
  const decay = Math.exp(-x * x)
  if (x < 2) {
    let term = x, sum = x
    for (let n = 1; term > sum * 1e-17; n++) {
      term *= 2 * x * x / (2 * n + 1)
      sum += term
    }
    return 1 - 2 / Math.sqrt(Math.PI) * decay * sum
  }
  // Evaluated from a fixed depth outwards: 60 levels are more than the smallest argument needs for a double.
  let fraction = x
  for (let k = 60; k > 0; k--) fraction = x + k / 2 / fraction
  return decay / (Math.sqrt(Math.PI) * fraction)
}

/** The probability of at most `z`. */
export const cumulative = (z: number): number => complementaryError(-z / Math.SQRT2) / 2

/** The probability of something at least as far from 0 as `z`, on either side: the two-sided p-value of `z`. */
export const twoSided = (z: number): number => complementaryError(Math.abs(z) / Math.SQRT2)

/** The number that a normal draw stays below with this probability; infinite at 0 and 1, NaN outside of them. */
export const quantile = (probability: number): number => {
  if (probability > 0.5) return -quantile(1 - probability)
  if (!(probability > 0)) return probability === 0 ? -Infinity : NaN
  // A rational start that is right to 4.5e-4 (Abramowitz and Stegun 26.2.23), then Halley's method, an
  // iteration of which triples the right digits.
  const t = Math.sqrt(-2 * Math.log(probability))
  let z = (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308))) - t
  for (let iteration = 0; iteration < 3; iteration++) {
    const density = Math.exp(-z * z / 2) / Math.sqrt(2 * Math.PI)
    const step = (cumulative(z) - probability) / density
    z -= step / (1 + z * step / 2)
  }
  return z
}
