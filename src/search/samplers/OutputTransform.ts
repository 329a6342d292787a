/**
 * Losses on a scale where a Gaussian process can follow them: the power
 * transform of Yeo and Johnson ("A new family of power transformations to improve
 * normality or symmetry", Biometrika 87, 2000) with the most likely power, as
 * HEBO has it (Cowen-Rivers et al., "HEBO: pushing the limits of sample-efficient
 * hyper-parameter optimisation", JAIR 74, 2022, section 4.2).
 *
 * Only powers up to 1 are used. They draw in the tail of bad losses; a power
 * above 1 would draw in the good ones, which matter. Before that, losses far
 * above the others, as of runs that diverge, are brought to a fence (winsorised):
 * a single one of them would make all others look the same.
 */

export interface Transformed {
  /** The power, in steps of a tenth. */
  readonly power: number
  /** Increasing in the losses up to the fence, with mean 0 and variance 1; all 0 where the losses are equal. */
  readonly targets: Float64Array
  /** The target that a loss has, or would have. */
  readonly apply: (loss: number) => number
  /** The loss that has this target, also beyond those seen. */
  readonly invert: (target: number) => number
}

const mostPower = 1
const powerStep = 0.1
/** How many powers are compared, the least of them -2. */
const powers = 31

interface Moments {
  readonly mean: number
  readonly deviation: number
}

const momentsOf = (values: Float64Array): Moments => {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length
  const deviation = Math.sqrt(variance)
  // Equal losses may differ in their last digits from their mean.
  return { mean, deviation: deviation > 1e-12 * Math.abs(mean) ? deviation : 1 }
}

/** Yeo and Johnson's transform, for a power of at most 1. */
export const bend = (x: number, power: number): number => {
  if (x >= 0) return Math.abs(power) < 1e-9 ? Math.log1p(x) : (Math.pow(x + 1, power) - 1) / power
  return -(Math.pow(1 - x, 2 - power) - 1) / (2 - power)
}

/** The inverse of {@link bend}. Of what lies above the bound that powers below 0 have: infinite. */
export const unbend = (y: number, power: number): number => {
  if (y >= 0) return Math.abs(power) < 1e-9 ? Math.expm1(y) : Math.pow(Math.max(0, power * y + 1), 1 / power) - 1
  return 1 - Math.pow(1 - (2 - power) * y, 1 / (2 - power))
}

/** How many spreads above the upper quartile the fence is: Tukey's outer fence has 3. */
const fenceDistance = 3

/** The highest loss that still counts: the others differ only in being bad. */
const fenceOf = (losses: Float64Array): number => {
  const sorted = losses.toSorted()
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))]!
  const spread = Math.max(at(0.75) - at(0.25), at(0.5) - at(0))
  return spread > 0 ? at(0.75) + fenceDistance * spread : Infinity
}

/** Of at least one loss, all finite. */
export const of = (measured: Float64Array): Transformed => {
  const fence = fenceOf(measured)
  const losses = measured.map((loss) => Math.min(loss, fence))
  const before = momentsOf(losses)
  const scaled = losses.map((loss) => (loss - before.mean) / before.deviation)
  const jacobian = scaled.reduce((sum, x) => sum + Math.sign(x) * Math.log1p(Math.abs(x)), 0)
  let power = 1, after: Moments = momentsOf(scaled), highest = -Infinity
  for (let index = 0; index < powers; index++) {
    // From 1 downwards: equal losses are left as they are.
    const tried = mostPower - powerStep * index
    const moments = momentsOf(scaled.map((x) => bend(x, tried)))
    const likelihood = -losses.length * Math.log(moments.deviation) + (tried - 1) * jacobian
    if (likelihood > highest) [highest, power, after] = [likelihood, tried, moments]
  }
  const apply = (loss: number) =>
    (bend((Math.min(loss, fence) - before.mean) / before.deviation, power) - after.mean) / after.deviation
  return {
    power,
    targets: losses.map(apply),
    apply,
    invert: (target) => before.mean + before.deviation * unbend(after.mean + after.deviation * target, power)
  }
}
