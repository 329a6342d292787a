/**
 * The divergence that PED-ANOVA measures importance by (Watanabe, Bansal and
 * Hutter, "PED-ANOVA: efficiently quantifying hyperparameter importance in
 * arbitrary subspaces", IJCAI 2023): how far the density of a hyperparameter
 * among the best trials is from its density among all of them.
 *
 * The densities are one-dimensional Parzen estimators on a grid, as in Optuna 5.0:
 * a kernel for each point of the grid that holds trials, weighted by their number,
 * and one for the prior, of the weight of one trial.
 */
import * as Normal from "../../statistics/Normal.ts"

/** A grid over the values of a hyperparameter. */
export interface Grid {
  readonly kind: "numeric" | "categorical"
  readonly size: number
  /** The point of the grid for a position in [0, 1]. */
  readonly indexOf: (position: number) => number
}

const most = 50

/**
 * The grid for a hyperparameter of `size` values (`Infinity` when continuous)
 * that has been tried at `positions`.
 *
 * A category is a point of the grid. Numbers have at most 50: with fewer values
 * than that each has its own. Values that are finitely many but not evenly spaced,
 * as whole numbers on a log scale, have one more than the logarithm of `size` to base 2.
 */
export const gridOf = (
  kind: "numeric" | "categorical",
  size: number,
  positions: ArrayLike<number>
): Grid => {
  if (kind === "categorical") return { kind, size, indexOf: (position) => within(Math.floor(position * size), size) }
  const isLattice = Number.isFinite(size) && Array.prototype.every.call(positions, (position: number) => {
    const index = position * size - 0.5
    return Math.abs(index - Math.round(index)) < 1e-6
  })
  const points = Math.min(most, isLattice || size === Infinity ? size : Math.ceil(Math.log2(size)) + 1)
  return {
    kind,
    size: points,
    indexOf: (position) => {
      // The first and the last value lie at the ends of the grid.
      const along = isLattice ? Math.round(position * size - 0.5) / (size - 1) : position
      return within(Math.ceil(along * (points - 1) - 0.5), points)
    }
  }
}

const within = (index: number, size: number): number => Math.min(size - 1, Math.max(0, index))

/** The probability of each point of the grid, estimated from at least one position. */
export const density = (grid: Grid, positions: ArrayLike<number>): Float64Array => {
  const counts = new Float64Array(grid.size)
  for (let i = 0; i < positions.length; i++) counts[grid.indexOf(positions[i]!)]!++
  const observed: Array<number> = []
  for (let point = 0; point < grid.size; point++) if (counts[point]! > 0) observed.push(point)
  return grid.kind === "categorical"
    ? categorical(counts, observed, positions.length)
    : numeric(counts, observed, positions.length)
}

/** Each kernel is its category, smoothed by one share of the prior; the prior is even. */
const categorical = (counts: Float64Array, observed: ReadonlyArray<number>, total: number): Float64Array => {
  const size = counts.length
  const smoothing = 1 / (observed.length + 1)
  const mass = 1 + size * smoothing
  const base = (total * smoothing / mass + 1 / size) / (total + 1)
  return counts.map((count) => base + count / mass / (total + 1))
}

/** Each kernel is a normal distribution, rounded to the grid and cut off at its ends; the prior's is as wide as it. */
const numeric = (counts: Float64Array, observed: ReadonlyArray<number>, total: number): Float64Array => {
  const size = counts.length
  const result = new Float64Array(size)
  const below = edges(bandwidth(counts, observed, total), size)
  for (const point of observed) {
    const scale = counts[point]! / (total + 1) / (below[2 * size - point]! - below[size - point]!)
    for (let each = 0; each < size; each++) {
      result[each]! += scale * (below[size + each + 1 - point]! - below[size + each - point]!)
    }
  }
  const middle = (edge: number) => Normal.cumulative((edge - size / 2) / size)
  const scale = 1 / (total + 1) / (middle(size) - middle(0))
  for (let each = 0; each < size; each++) result[each]! += scale * (middle(each + 1) - middle(each))
  return result
}

/**
 * How much of a kernel lies below the lower edge of a point of the grid, by the
 * distance from its own point to that one plus `size`. All kernels share the table.
 */
const edges = (deviation: number, size: number): Float64Array =>
  Float64Array.from({ length: 2 * size + 1 }, (_, index) => Normal.cumulative((index - size - 0.5) / deviation))

/**
 * Scott's rule ("Multivariate density estimation", 1992) with the
 * interquartile range against outliers, in units of the grid; at least so wide
 * that nine tenths of a kernel are on its own point.
 */
const bandwidth = (counts: Float64Array, observed: ReadonlyArray<number>, total: number): number => {
  let mean = 0, squares = 0
  for (const point of observed) mean += point * counts[point]! / total
  for (const point of observed) squares += counts[point]! * (point - mean) ** 2
  const deviation = Math.sqrt(squares / Math.max(1, total - 1))
  // The first observed point where the running count reaches a quarter, and where it passes three quarters.
  let below = 0, lower: number | undefined, upper: number | undefined
  for (const point of observed) {
    below += counts[point]!
    if (below >= Math.floor(total / 4)) lower ??= point
    if (below > total * 3 / 4) upper ??= point
  }
  const range = upper! - lower!
  return Math.max(0.5 / 1.64, 1.059 * Math.min(range / 1.34, deviation) * total ** -0.2)
}

/** Pearson's divergence of `best` from `base`, both over the same grid: 0 where they are equal. */
export const divergence = (best: Float64Array, base: Float64Array): number => {
  let total = 0
  for (const [point, probability] of base.entries()) {
    // So that a point of the grid where neither has a density to speak of counts as no difference.
    const p = best[point]! + 1e-12, q = probability + 1e-12
    total += q * (p / q - 1) ** 2
  }
  return total
}
