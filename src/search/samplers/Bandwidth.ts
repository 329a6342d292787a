/**
 * How wide the normal kernels of a Parzen estimator are along an axis, as shares
 * of the unit interval. After Watanabe, "Tree-structured Parzen estimator:
 * understanding its algorithm components and their roles for better empirical
 * performance", arXiv 2304.11127, section 3.3.
 */

export type Rule =
  /** The same for all, whatever the trials: n^(-1/(d+4)) over n trials in d dimensions. */
  | "shrinking"
  /** Scott's rule: the same for all, 1.06 standard deviations of the trials times n^(-1/(d+4)). */
  | "scott"
  /** For each trial the distance to the farther of its neighbours, as in Bergstra et al. 2011. */
  | "neighbours"

export interface Bandwidth {
  readonly rule: Rule
  /** What the rule gives is multiplied by this. */
  readonly factor: number
  /** Never narrower than this. */
  readonly minimum: number
  /**
   * The exponent a of magic clipping: never narrower than 1 / (1 + n^a) either,
   * which keeps few trials from claiming to know much. `Infinity`: not clipped.
   */
  readonly clipping: number
}

/** The most that magic clipping counts. */
const clippedAt = 100

/**
 * A bandwidth for each of `means`; those that are NaN, of trials without the axis
 * and of the prior, are not counted and have 1. `weights` may be shorter than `means`.
 */
export const select = (
  bandwidth: Bandwidth,
  means: Float64Array,
  weights: ArrayLike<number>,
  dimensions: number
): Float64Array => {
  const widths = new Float64Array(means.length).fill(1)
  const active: Array<number> = []
  for (let k = 0; k < means.length; k++) if (!Number.isNaN(means[k])) active.push(k)
  const count = active.length
  if (count === 0) return widths
  const { clipping, factor, minimum, rule } = bandwidth
  const magic = Math.min(clippedAt, 1 + (count + 1) ** clipping)
  const least = Math.min(1, Math.max(minimum, clipping === Infinity ? 0 : 1 / magic))
  const clip = (width: number) => Math.min(1, Math.max(least, factor * width))
  if (rule === "neighbours") {
    active.sort((a, b) => means[a]! - means[b]! || a - b)
    for (const [rank, k] of active.entries()) {
      const below = rank > 0 ? means[k]! - means[active[rank - 1]!]! : 0
      const above = rank < count - 1 ? means[active[rank + 1]!]! - means[k]! : 0
      // A single trial has no neighbours but the ends of the axis.
      widths[k] = clip(count === 1 ? Math.max(means[k]!, 1 - means[k]!) : Math.max(below, above))
    }
    return widths
  }
  const spread = rule === "scott" ? 1.06 * deviation(active, means, weights) : 1
  const width = clip(spread * count ** (-1 / (dimensions + 4)))
  for (const k of active) widths[k] = width
  return widths
}

/** The weighted standard deviation. */
const deviation = (active: ReadonlyArray<number>, means: Float64Array, weights: ArrayLike<number>): number => {
  let total = 0, mean = 0, squares = 0
  for (const k of active) {
    total += weights[k]!
    mean += weights[k]! * means[k]!
  }
  if (total === 0) return 0
  mean /= total
  for (const k of active) squares += weights[k]! * (means[k]! - mean) ** 2
  return Math.sqrt(squares / total)
}
