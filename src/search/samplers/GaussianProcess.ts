/**
 * Regression by a Gaussian process (Rasmussen and Williams, "Gaussian processes
 * for machine learning", 2006, algorithm 2.1 and section 5.4.1), whose parameters
 * are the most probable ones under priors.
 */
import * as BoundedMinimum from "./BoundedMinimum.ts"
import * as Cholesky from "./Cholesky.ts"
import * as MixedKernel from "./MixedKernel.ts"

/**
 * What is expected at a point before any target is known, on the scale of the
 * targets. Writes the derivatives by the coordinates, where asked for them.
 */
export type Mean = (point: ArrayLike<number>, slopes?: Float64Array) => number

export interface Data {
  readonly kernel: MixedKernel.Kernel
  readonly points: MixedKernel.Points
  /** One a point, on a scale where their variance is about 1. */
  readonly targets: Float64Array
  /** How unsure each target is beyond the noise of all, as a multiple of the parameter `doubt`; 0 when absent. */
  readonly doubts?: Float64Array
  /** 0 everywhere when absent. The process models what the targets differ from it by. */
  readonly mean?: Mean
}

export interface Parameters {
  readonly kernel: MixedKernel.Parameters
  /** The logarithms of the variance of the noise, and of its addition for a target with a doubt of 1. */
  readonly logNoise: number
  readonly logDoubt: number
}

/** A normal distribution of the logarithm of a parameter; with a deviation of 0 the parameter is fixed. */
export interface LogNormal {
  readonly mean: number
  readonly deviation: number
}

export interface Priors {
  readonly kernel: ReadonlyArray<LogNormal>
  readonly noise: LogNormal
  readonly doubt: LogNormal
}

export interface Regression {
  readonly data: Data
  readonly parameters: Parameters
  readonly logMarginalLikelihood: number
  /** The Cholesky factor of the covariance of the targets, and the solution of that covariance with them. */
  readonly lower: Float64Array
  readonly weights: Float64Array
  readonly cross: MixedKernel.Cross
}

/** What the process is to explain. */
const residuals = ({ kernel: { axes }, mean, points: { coordinates }, targets }: Data): Float64Array =>
  mean === undefined
    ? targets
    : targets.map((target, i) => target - mean(coordinates.subarray(i * axes, (i + 1) * axes)))

/** The regression with given parameters; `undefined` where the covariance is not positive definite. */
export const of = (data: Data, parameters: Parameters): Regression | undefined => {
  const { kernel, points } = data
  const { size } = points
  const targets = residuals(data)
  const distances = MixedKernel.distances(kernel, points), gram = MixedKernel.gramOf(kernel, distances)
  MixedKernel.write(kernel, parameters.kernel, distances, gram)
  const lower = new Float64Array(size * size)
  writeCovariance(data, parameters, gram, lower)
  if (!Cholesky.factor(lower, size)) return undefined
  const weights = Float64Array.from(targets)
  Cholesky.solveLower(lower, size, weights)
  Cholesky.solveUpper(lower, size, weights)
  return {
    data,
    parameters,
    logMarginalLikelihood: likelihood(lower, targets, weights),
    lower,
    weights,
    cross: MixedKernel.crossOf(kernel, parameters.kernel)
  }
}

const likelihood = (lower: Float64Array, targets: Float64Array, weights: Float64Array): number => {
  const size = targets.length
  let fit = 0
  for (let i = 0; i < size; i++) fit += targets[i]! * weights[i]!
  return -0.5 * (fit + Cholesky.logDeterminant(lower, size) + size * Math.log(2 * Math.PI))
}

/** Overwrites the lower triangle of `matrix` by the covariance of the targets. */
const writeCovariance = (
  { doubts, points: { size } }: Data,
  { logDoubt, logNoise }: Parameters,
  gram: MixedKernel.Gram,
  matrix: Float64Array
): void => {
  const noise = Math.exp(logNoise), doubt = Math.exp(logDoubt)
  for (let i = 0, pair = 0; i < size; i++) {
    for (let j = 0; j <= i; j++, pair++) matrix[i * size + j] = gram.covariance[pair]!
    matrix[i * size + i]! += noise + (doubts === undefined ? 0 : doubt * doubts[i]!)
  }
}

const flatten = ({ kernel, logDoubt, logNoise }: Parameters): Float64Array =>
  Float64Array.from([...kernel, logNoise, logDoubt])

const restore = (flat: Float64Array): Parameters => ({
  kernel: flat.slice(0, -2),
  logNoise: flat.at(-2)!,
  logDoubt: flat.at(-1)!
})

/**
 * The negative logarithm of the joint density of targets and parameters, up to a
 * constant, as a function of `[...kernel, logNoise, logDoubt]`.
 */
export const objective = (data: Data, priors: Priors): BoundedMinimum.Smooth => {
  const { doubts, kernel, points } = data
  const { size } = points
  const targets = residuals(data)
  const distances = MixedKernel.distances(kernel, points), gram = MixedKernel.gramOf(kernel, distances)
  const pairWeights = new Float64Array(distances.pairs), weights = new Float64Array(size)
  const lower = new Float64Array(size * size), inverse = new Float64Array(size * size)
  const columns = new Float64Array(size * size)
  const all = [...priors.kernel, priors.noise, priors.doubt]
  return (flat, gradient) => {
    const parameters = restore(flat)
    MixedKernel.write(kernel, parameters.kernel, distances, gram)
    writeCovariance(data, parameters, gram, lower)
    if (!Cholesky.factor(lower, size)) return Infinity
    weights.set(targets)
    Cholesky.solveLower(lower, size, weights)
    Cholesky.solveUpper(lower, size, weights)
    let value = -likelihood(lower, targets, weights)
    for (const [i, { deviation, mean }] of all.entries()) {
      if (deviation > 0) value += ((flat[i]! - mean) / deviation) ** 2 / 2
    }
    if (gradient === undefined) return value
    Cholesky.inverse(lower, size, inverse, columns)
    // dL/dK = (K^-1 - w w') / 2; each pair off the diagonal stands for two entries.
    let byNoise = 0, byDoubt = 0
    for (let i = 0, pair = 0; i < size; i++) {
      for (let j = 0; j < i; j++, pair++) pairWeights[pair] = inverse[i * size + j]! - weights[i]! * weights[j]!
      const own = 0.5 * (inverse[i * size + i]! - weights[i]! * weights[i]!)
      pairWeights[pair++] = own
      byNoise += own
      if (doubts !== undefined) byDoubt += own * doubts[i]!
    }
    gradient.fill(0)
    MixedKernel.backward(kernel, parameters.kernel, distances, gram, pairWeights, gradient)
    gradient[flat.length - 2] = byNoise * Math.exp(parameters.logNoise)
    gradient[flat.length - 1] = byDoubt * Math.exp(parameters.logDoubt)
    for (const [i, { deviation, mean }] of all.entries()) {
      gradient[i] = deviation === 0 ? 0 : gradient[i]! + (flat[i]! - mean) / deviation ** 2
    }
    return value
  }
}

export interface FitOptions {
  readonly priors: Priors
  /** Where the search for the parameters may start; the best of them after a look at each. */
  readonly starts: ReadonlyArray<Parameters>
  /** How many of the starts are followed. */
  readonly follow: number
  readonly steps: number
}

/** How far from the mean of its prior a parameter may be, in deviations. */
const reach = 4

/** Parameters that are a local maximum of their probability. */
export interface Fitted {
  readonly parameters: Parameters
  /** The negative logarithm of their density, up to a constant. */
  readonly energy: number
}

/** The most probable parameters found from each start that was followed, the best first; none when nothing can be computed. */
export const fit = (data: Data, options: FitOptions): ReadonlyArray<Fitted> => {
  const { priors, starts, steps } = options
  const smooth = objective(data, priors)
  const all = [...priors.kernel, priors.noise, priors.doubt]
  const lower = all.map(({ deviation, mean }) => mean - reach * deviation)
  const upper = all.map(({ deviation, mean }) => mean + reach * deviation)
  const looked = starts.map((start) => {
    const point = flatten(start).map((value, i) => Math.min(upper[i]!, Math.max(lower[i]!, value)))
    return { point, value: smooth(point) }
  }).filter(({ value }) => value < Infinity).toSorted((a, b) => a.value - b.value)
  return looked.slice(0, options.follow).map(({ point }) => {
    const found = BoundedMinimum.find(smooth, point, { lower, upper, steps, firstStep: 0.5, tolerance: 0.01 })
    return { parameters: restore(found.point), energy: found.value }
  }).toSorted((a, b) => a.energy - b.energy)
}

/** The posterior of the loss without noise at a point; with slopes, its derivatives by each coordinate. */
export interface Posterior {
  mean: number
  deviation: number
  readonly byMean: Float64Array
  readonly byDeviation: Float64Array
}

/** A function that gives posteriors; each call overwrites what the last one gave. */
export const posterior = (regression: Regression): (point: ArrayLike<number>, slopes?: boolean) => Posterior => {
  const { cross, data: { kernel: { axes }, mean: expected, points }, lower, weights } = regression
  const expectedSlopes = new Float64Array(axes)
  const { size } = points
  const covariance = new Float64Array(size), solved = new Float64Array(size), byPoint = new Float64Array(size * axes)
  const result: Posterior = {
    mean: 0,
    deviation: 0,
    byMean: new Float64Array(axes),
    byDeviation: new Float64Array(axes)
  }
  return (point, slopes = false) => {
    MixedKernel.cross(cross, point, points, covariance, slopes ? byPoint : undefined)
    let mean = expected === undefined ? 0 : expected(point, slopes ? expectedSlopes : undefined)
    for (let i = 0; i < size; i++) mean += covariance[i]! * weights[i]!
    solved.set(covariance)
    Cholesky.solveLower(lower, size, solved)
    const prior = MixedKernel.varianceAt(cross, point)
    let left = prior
    for (let i = 0; i < size; i++) left -= solved[i]! * solved[i]!
    const deviation = Math.sqrt(Math.max(left, 1e-12 * prior))
    result.mean = mean
    result.deviation = deviation
    if (slopes) {
      Cholesky.solveUpper(lower, size, solved)
      result.byMean.set(expectedSlopes)
      result.byDeviation.fill(0)
      for (let i = 0, at = 0; i < size; i++) {
        const weight = weights[i]!, share = -solved[i]! / deviation
        for (let axis = 0; axis < axes; axis++, at++) {
          const slope = byPoint[at]!
          result.byMean[axis]! += slope * weight
          result.byDeviation[axis]! += slope * share
        }
      }
    }
    return result
  }
}
