/**
 * The regularized incomplete beta function, and the distributions that tests take from it: Student's t and the
 * binomial.
 */

/**
 * The logarithm of the gamma function of a positive number: Stirling's series, where it converges fast enough
 * (Abramowitz and Stegun, "Handbook of Mathematical Functions", 6.1.41), brought there by the recurrence 6.1.15.
 */
const logGamma = (x: number): number => {
  let shift = 1, at = x
  while (at < 15) shift *= at++
  const inverse = 1 / at, square = inverse * inverse
  const series = inverse *
    (1 / 12 -
      square * (1 / 360 - square * (1 / 1260 - square * (1 / 1680 - square * (1 / 1188 - square * 691 / 360360)))))
  return (at - 0.5) * Math.log(at) - at + Math.log(2 * Math.PI) / 2 + series - Math.log(shift)
}

/** The continued fraction of DLMF 8.17.22, by Lentz's method as Thompson and Barnett changed it. */
const continuedFraction = (x: number, a: number, b: number): number => {
  const tiny = 1e-300
  const awayFromZero = (value: number) => Math.abs(value) < tiny ? tiny : value
  let c = 1
  let d = 1 / awayFromZero(1 - (a + b) * x / (a + 1))
  let fraction = d
  for (let m = 1; m <= 100_000; m++) {
    const even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
    d = 1 / awayFromZero(1 + even * d)
    c = awayFromZero(1 + even / c)
    fraction *= d * c
    const odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
    d = 1 / awayFromZero(1 + odd * d)
    c = awayFromZero(1 + odd / c)
    const change = d * c
    fraction *= change
    if (Math.abs(change - 1) < 1e-16) break
  }
  return fraction
}

/**
 * The regularized incomplete beta function I_x(a, b) for `x` in [0, 1] and positive `a` and `b`.
 *
 * `complement` is 1 - x, for a caller who knows it better than the subtraction would give it.
 */
export const regularized = (x: number, a: number, b: number, complement = 1 - x): number => {
  if (x <= 0) return 0
  if (complement <= 0) return 1
  const scale = Math.exp(
    logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log(complement)
  )
  // The fraction converges fast on its side of the mean; the other side follows by symmetry (DLMF 8.17.4).
  return x < (a + 1) / (a + b + 2)
    ? scale * continuedFraction(x, a, b) / a
    : 1 - scale * continuedFraction(complement, b, a) / b
}

/** The probability that Student's t, of so many degrees of freedom, lies at least as far from 0 as `t`. */
export const studentTwoSided = (t: number, degreesOfFreedom: number): number => {
  if (Number.isNaN(t)) return NaN
  if (!Number.isFinite(t)) return 0
  const total = degreesOfFreedom + t * t
  return regularized(degreesOfFreedom / total, degreesOfFreedom / 2, 0.5, t * t / total)
}

/** The probability of at most `successes` in so many tosses of a fair coin. */
export const fairCoinAtMost = (successes: number, tosses: number): number =>
  successes >= tosses ? 1 : regularized(0.5, tosses - successes, successes + 1)
