/**
 * How alike the losses at two points are expected to be: a covariance function
 * for numeric, categorical and conditional hyperparameters.
 *
 * It is a sum of three parts, each with a variance of its own:
 *
 * - joint: a Matern 5/2 function of the distance over all axes, each with a
 *   length scale (ARD; Rasmussen and Williams, "Gaussian processes for machine
 *   learning", 2006, equation 4.17 and section 5.1);
 * - single: the mean of Matern 5/2 functions of each axis alone;
 * - paired: the mean of the products of two of these.
 *
 * The last two are the first and second order of Duvenaud, Nickisch and
 * Rasmussen, "Additive Gaussian processes" (NeurIPS 2011, equations 6 to 8):
 * where hyperparameters act nearly on their own, as they often do, what is
 * learned of one holds for all values of the others.
 *
 * Two values of a categorical axis are at distance 0 when equal and 1 when not.
 * An axis that is inactive at a point lies, for the joint part, in the middle;
 * the parts of single axes are 0 unless the axis is active at both points. Each
 * part is positive semi-definite: the joint one is a function of the distance of
 * points in a Euclidean space, the others are products of kernels on the points
 * where an axis is active, continued by 0.
 */

/** The points of a regression or of a question to it. */
export interface Points {
  readonly size: number
  /** `size` rows, one number an axis: in [0, 1], for a categorical axis the middle of its value's share; NaN where inactive. */
  readonly coordinates: Float64Array
}

export interface Kernel {
  readonly axes: number
  /** For each axis 1 when its values have no order. */
  readonly categorical: Uint8Array
}

/**
 * All as logarithms, in this order: the length scales of the joint part, those
 * of the single axes, the variances of the joint, single and paired parts.
 */
export type Parameters = Float64Array

export const parameterCount = (kernel: Kernel): number => 2 * kernel.axes + 3

/** Where in the parameters the three variances begin. */
export const variancesAt = (kernel: Kernel): number => 2 * kernel.axes

const root5 = Math.sqrt(5)

const perUnit = 64
const tabled = 40

/** exp(-i / 64). */
const table = Float64Array.from({ length: perUnit * tabled + 1 }, (_, i) => Math.exp(-i / perUnit))

/**
 * exp(-t) for t of at least 0, to the precision of a double, by a table and the
 * Taylor series about its nearest entry: nearly all the time of a small
 * regression goes into exponentials. Beyond 40 it is 0, which a sum with a
 * variance does not notice.
 */
const decayOf = (t: number): number => {
  if (!(t < tabled)) return t !== t ? t : 0
  const i = (t * perUnit + 0.5) | 0
  const r = i / perUnit - t
  return table[i]! * (1 + r * (1 + r * (1 / 2 + r * (1 / 6 + r * (1 / 24 + r / 120)))))
}

/** How many pairs of axes there are, at least 1. */
const axisPairs = (axes: number): number => Math.max(1, axes * (axes - 1) / 2)

/** The variance of every point, when all axes are active. */
export const variance = (kernel: Kernel, parameters: Parameters): number => {
  const at = variancesAt(kernel)
  return Math.exp(parameters[at]!) + Math.exp(parameters[at + 1]!) +
    (kernel.axes > 1 ? Math.exp(parameters[at + 2]!) : 0)
}

/** The distances between the points of a regression, which no parameter changes. */
export interface Distances {
  readonly pairs: number
  /** For each pair (i, j < i), row after row, and each axis; NaN where it is active at one of them only. */
  readonly each: Float64Array
  /** The same with inactive coordinates in the middle. */
  readonly imputed: Float64Array
}

const middle = 0.5

const impute = (coordinate: number): number => coordinate !== coordinate ? middle : coordinate

export const distances = (kernel: Kernel, points: Points): Distances => {
  const { axes, categorical } = kernel
  const { coordinates, size } = points
  const pairs = size * (size + 1) / 2
  const each = new Float64Array(pairs * axes), imputed = new Float64Array(pairs * axes)
  let at = 0
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      for (let axis = 0; axis < axes; axis++, at++) {
        const a = coordinates[i * axes + axis]!, b = coordinates[j * axes + axis]!
        const distance = categorical[axis] ? (a === b ? 0 : 1) : Math.abs(a - b)
        each[at] = a !== a || b !== b ? Number.NaN : distance
        imputed[at] = categorical[axis]
          ? (a === b || (a !== a && b !== b) ? 0 : 1)
          : Math.abs(impute(a) - impute(b))
      }
    }
  }
  return { pairs, each, imputed }
}

/** What a covariance matrix leaves for its derivatives. */
export interface Gram {
  /** One number a pair, as `Distances` orders them. */
  readonly covariance: Float64Array
  readonly joint: Float64Array
  readonly single: Float64Array
  readonly paired: Float64Array
  /** The derivative of `joint` by half the squared scaled distance, negated. */
  readonly jointSlope: Float64Array
  /** The functions of single axes and their derivatives by the logarithm of the length scale, for each pair and axis. */
  readonly values: Float64Array
  readonly slopes: Float64Array
}

export const gramOf = (kernel: Kernel, { pairs }: Distances): Gram => ({
  covariance: new Float64Array(pairs),
  joint: new Float64Array(pairs),
  single: new Float64Array(pairs),
  paired: new Float64Array(pairs),
  jointSlope: new Float64Array(pairs),
  values: new Float64Array(pairs * kernel.axes),
  slopes: new Float64Array(pairs * kernel.axes)
})

/** Overwrites `gram` by the covariances under other parameters. */
export const write = (kernel: Kernel, parameters: Parameters, distances: Distances, gram: Gram): void => {
  const { axes } = kernel
  const { each, imputed, pairs } = distances
  const at = variancesAt(kernel)
  const jointVariance = Math.exp(parameters[at]!), singleVariance = Math.exp(parameters[at + 1]!)
  const pairedVariance = axes > 1 ? Math.exp(parameters[at + 2]!) : 0
  const inverse = new Float64Array(axes), rate = new Float64Array(axes)
  for (let axis = 0; axis < axes; axis++) {
    inverse[axis] = Math.exp(-2 * parameters[axis]!)
    rate[axis] = root5 * Math.exp(-parameters[axes + axis]!)
  }
  const perAxis = 1 / axes, perPair = 1 / axisPairs(axes)
  const { covariance, joint, jointSlope, paired, single, slopes, values } = gram
  for (let pair = 0, base = 0; pair < pairs; pair++, base += axes) {
    let squared = 0, sum = 0, squares = 0
    for (let axis = 0; axis < axes; axis++) {
      const d = imputed[base + axis]!
      squared += d * d * inverse[axis]!
      const t = each[base + axis]! * rate[axis]!
      let value = 0, slope = 0
      if (t === 0) value = 1
      else if (t === t) {
        const decay = decayOf(t)
        value = (1 + t + t * t / 3) * decay
        slope = t * t * (1 + t) / 3 * decay
      }
      values[base + axis] = value
      slopes[base + axis] = slope
      sum += value
      squares += value * value
    }
    const r = root5 * Math.sqrt(squared), decay = decayOf(r)
    joint[pair] = jointVariance * (1 + r + r * r / 3) * decay
    jointSlope[pair] = jointVariance * 5 / 3 * (1 + r) * decay
    single[pair] = singleVariance * perAxis * sum
    paired[pair] = pairedVariance * perPair * (sum * sum - squares) / 2
    covariance[pair] = joint[pair]! + single[pair]! + paired[pair]!
  }
}

/** Adds to `gradient`, for each parameter, the sum over pairs of `weights` times the derivative of the covariance. */
export const backward = (
  kernel: Kernel,
  parameters: Parameters,
  { imputed, pairs }: Distances,
  gram: Gram,
  weights: Float64Array,
  gradient: Float64Array
): void => {
  const { axes } = kernel
  const at = variancesAt(kernel)
  const singleVariance = Math.exp(parameters[at + 1]!) / axes
  const pairedVariance = axes > 1 ? Math.exp(parameters[at + 2]!) / axisPairs(axes) : 0
  const inverse = new Float64Array(axes), joint = new Float64Array(axes), single = new Float64Array(axes)
  for (let axis = 0; axis < axes; axis++) inverse[axis] = Math.exp(-2 * parameters[axis]!)
  let byJoint = 0, bySingle = 0, byPaired = 0
  for (let pair = 0, base = 0; pair < pairs; pair++, base += axes) {
    const weight = weights[pair]!
    byJoint += weight * gram.joint[pair]!
    bySingle += weight * gram.single[pair]!
    byPaired += weight * gram.paired[pair]!
    let sum = 0
    for (let axis = 0; axis < axes; axis++) sum += gram.values[base + axis]!
    const far = weight * gram.jointSlope[pair]!
    for (let axis = 0; axis < axes; axis++) {
      const d = imputed[base + axis]!
      joint[axis]! += far * d * d
      const others = sum - gram.values[base + axis]!
      single[axis]! += weight * gram.slopes[base + axis]! * (singleVariance + pairedVariance * others)
    }
  }
  for (let axis = 0; axis < axes; axis++) {
    gradient[axis]! += joint[axis]! * inverse[axis]!
    gradient[axes + axis]! += single[axis]!
  }
  gradient[at]! += byJoint
  gradient[at + 1]! += bySingle
  gradient[at + 2]! += byPaired
}

/** The parameters of a kernel in the form in which covariances with a single point need them. */
export interface Cross {
  readonly kernel: Kernel
  readonly inverse: Float64Array
  readonly rate: Float64Array
  readonly jointVariance: number
  readonly singleVariance: number
  readonly pairedVariance: number
}

export const crossOf = (kernel: Kernel, parameters: Parameters): Cross => {
  const { axes } = kernel
  const at = variancesAt(kernel)
  return {
    kernel,
    inverse: Float64Array.from({ length: axes }, (_, axis) => Math.exp(-2 * parameters[axis]!)),
    rate: Float64Array.from({ length: axes }, (_, axis) => root5 * Math.exp(-parameters[axes + axis]!)),
    jointVariance: Math.exp(parameters[at]!),
    singleVariance: Math.exp(parameters[at + 1]!) / axes,
    pairedVariance: axes > 1 ? Math.exp(parameters[at + 2]!) / axisPairs(axes) : 0
  }
}

/** The variance at a point of which some axes may be inactive. */
export const varianceAt = (
  { jointVariance, kernel, pairedVariance, singleVariance }: Cross,
  point: ArrayLike<number>
) => {
  let active = 0
  for (let axis = 0; axis < kernel.axes; axis++) if (point[axis] === point[axis]) active++
  return jointVariance + singleVariance * active + pairedVariance * active * (active - 1) / 2
}

/**
 * Overwrites `covariance` by the covariances of a point with each of `points`,
 * and `slopes`, if given, by their derivatives by each coordinate of the point
 * (a row for each of `points`; 0 for categorical and inactive axes).
 */
export const cross = (
  { inverse, jointVariance, kernel, pairedVariance, rate, singleVariance }: Cross,
  point: ArrayLike<number>,
  { coordinates, size }: Points,
  covariance: Float64Array,
  slopes?: Float64Array
): void => {
  const { axes, categorical } = kernel
  const values = new Float64Array(axes), own = new Float64Array(axes)
  const additive = singleVariance + pairedVariance > 0
  for (let row = 0, base = 0; row < size; row++, base += axes) {
    let squared = 0, sum = 0, squares = 0
    for (let axis = 0; axis < axes; axis++) {
      const a = point[axis]!, b = coordinates[base + axis]!
      const both = a === a && b === b
      const d = categorical[axis]
        ? (a === b || (a !== a && b !== b) ? 0 : 1)
        : both
        ? a - b
        : impute(a) - impute(b)
      squared += d * d * inverse[axis]!
      if (additive && both) {
        const t = Math.abs(d) * rate[axis]!
        const decay = decayOf(t)
        const value = (1 + t + t * t / 3) * decay
        values[axis] = value
        sum += value
        squares += value * value
        if (slopes !== undefined) {
          own[axis] = categorical[axis] ? 0 : -rate[axis]! * rate[axis]! * d / 3 * (1 + t) * decay
        }
      } else {
        values[axis] = 0
        own[axis] = 0
      }
    }
    const r = root5 * Math.sqrt(squared), decay = decayOf(r)
    covariance[row] = jointVariance * (1 + r + r * r / 3) * decay + singleVariance * sum +
      pairedVariance * (sum * sum - squares) / 2
    if (slopes === undefined) continue
    const far = -jointVariance * 5 / 3 * (1 + r) * decay
    for (let axis = 0; axis < axes; axis++) {
      const a = point[axis]!
      slopes[base + axis] = categorical[axis] || a !== a
        ? 0
        : far * (a - impute(coordinates[base + axis]!)) * inverse[axis]! +
          own[axis]! * (singleVariance + pairedVariance * (sum - values[axis]!))
    }
  }
}
