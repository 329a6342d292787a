/**
 * The distribution of CMA-ES and how it learns from ranked samples: Hansen, "The
 * CMA evolution strategy: a tutorial", arXiv:1604.00772 (2016, revised 2023),
 * with its default parameters (table 1) and the active update, which learns from
 * the worst samples too.
 *
 * Pure functions over plain arrays; matrices are square, row after row.
 */
import * as Eigen from "./Eigen.ts"

/** The parameters of the tutorial's table 1, by the names it gives them. */
export interface Parameters {
  readonly dimensions: number
  /** lambda: how many samples a generation has. */
  readonly population: number
  /** One a rank, the best first. The first half are above 0 and sum to 1, the others at most 0. */
  readonly weights: Float64Array
  /** mu_eff: how many samples of equal weight would say as much as the weighted ones. */
  readonly effective: number
  readonly cSigma: number
  readonly dSigma: number
  readonly cC: number
  readonly c1: number
  readonly cMu: number
  /** The expected length of a standard normal vector. */
  readonly chi: number
}

export interface State {
  /** How many generations it has learnt from. */
  readonly generation: number
  readonly mean: Float64Array
  readonly sigma: number
  /** C: the shape of the distribution, whose covariance is sigma^2 C. */
  readonly covariance: Float64Array
  readonly eigen: Eigen.Eigen
  /** p_sigma, whose length says whether the steps of the mean go one way. */
  readonly sigmaPath: Float64Array
  /** p_c. */
  readonly covariancePath: Float64Array
}

/** The least that a population may have: with fewer there is no better half to choose. */
export const leastPopulation = 4

export const defaultPopulation = (dimensions: number): number => 4 + Math.floor(3 * Math.log(dimensions))

/** The default parameters for a number of dimensions, equations 49 to 58. */
export const parameters = (dimensions: number, population = defaultPopulation(dimensions)): Parameters => {
  const n = dimensions, half = population >> 1
  const raw = Float64Array.from({ length: population }, (_, i) => Math.log((population + 1) / 2) - Math.log(i + 1))
  const positive = sums(raw.subarray(0, half)), negative = sums(raw.subarray(half))
  const effective = positive.sum ** 2 / positive.squares
  const c1 = 2 / ((n + 1.3) ** 2 + effective)
  const cMu = Math.min(1 - c1, 2 * (0.25 + effective + 1 / effective - 2) / ((n + 2) ** 2 + effective))
  const mass = Math.min(
    1 + c1 / cMu,
    1 + 2 * (negative.sum ** 2 / negative.squares) / (effective + 2),
    (1 - c1 - cMu) / (n * cMu)
  )
  const cSigma = (effective + 2) / (n + effective + 5)
  return {
    dimensions,
    population,
    weights: raw.map((weight, i) => i < half ? weight / positive.sum : weight * mass / -negative.sum),
    effective,
    cSigma,
    dSigma: 1 + 2 * Math.max(0, Math.sqrt((effective - 1) / (n + 1)) - 1) + cSigma,
    cC: (4 + effective / n) / (n + 4 + 2 * effective / n),
    c1,
    cMu,
    chi: Math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n))
  }
}

const sums = (values: Float64Array): { readonly sum: number; readonly squares: number } => {
  let sum = 0, squares = 0
  for (const value of values) {
    sum += value
    squares += value * value
  }
  return { sum, squares }
}

/** The distribution before the first sample, independent in each dimension. */
export const initial = (mean: ArrayLike<number>, deviations: ArrayLike<number>): State => {
  const n = mean.length
  let sigma = 0
  for (let i = 0; i < n; i++) sigma = Math.max(sigma, deviations[i]!)
  const covariance = new Float64Array(n * n)
  for (let i = 0; i < n; i++) covariance[i * n + i] = (deviations[i]! / sigma) ** 2
  return {
    generation: 0,
    mean: Float64Array.from(mean),
    sigma,
    covariance,
    eigen: Eigen.symmetric(covariance, n),
    sigmaPath: new Float64Array(n),
    covariancePath: new Float64Array(n)
  }
}

/** y of a standard normal vector z: normal with covariance C. The sample is mean + sigma y. */
export const step = ({ eigen }: State, z: ArrayLike<number>): Float64Array => {
  const n = z.length, y = new Float64Array(n)
  for (let j = 0; j < n; j++) {
    const along = Math.sqrt(eigen.values[j]!) * z[j]!
    for (let i = 0; i < n; i++) y[i]! += eigen.vectors[i * n + j]! * along
  }
  return y
}

/** C^(-1/2) y. */
const whitened = ({ eigen }: State, y: Float64Array): Float64Array => {
  const n = y.length, result = new Float64Array(n)
  for (let j = 0; j < n; j++) {
    let along = 0
    for (let i = 0; i < n; i++) along += eigen.vectors[i * n + j]! * y[i]!
    along /= Math.sqrt(eigen.values[j]!)
    for (let i = 0; i < n; i++) result[i]! += eigen.vectors[i * n + j]! * along
  }
  return result
}

const norm = (vector: Float64Array): number => Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0))

/**
 * A step shortened to what this distribution could have drawn, for samples that
 * it did not draw: at most sqrt(n) + 2 n / (n + 2) long after whitening (Hansen,
 * "Injecting external solutions into CMA-ES", arXiv:1110.4181, 2011, table 1).
 */
export const shortened = (state: State, y: Float64Array): Float64Array => {
  const n = y.length
  const excess = norm(whitened(state, y)) / (Math.sqrt(n) + 2 * n / (n + 2))
  return excess > 1 ? y.map((value) => value / excess) : y
}

/**
 * The distribution after a generation: `steps` are the y of its samples, the
 * best first, one for each weight. `ties` names for each the first and the last
 * rank that it shares with others; those have equal parts of their weights, so
 * that a plateau pulls nowhere. Without it all ranks differ, as in the tutorial.
 */
export const update = (
  parameters: Parameters,
  state: State,
  steps: ReadonlyArray<Float64Array>,
  ties: ReadonlyArray<readonly [number, number]> = []
): State => {
  const { c1, cC, cMu, cSigma, chi, dSigma, dimensions: n, effective } = parameters
  const weights = shared(parameters.weights, ties)
  const recombination = shared(parameters.weights.map((weight) => Math.max(0, weight)), ties)

  const shift = new Float64Array(n)
  for (const [rank, y] of steps.entries()) for (let i = 0; i < n; i++) shift[i]! += recombination[rank]! * y[i]!
  const direction = whitened(state, shift)

  const pull = Math.sqrt(cSigma * (2 - cSigma) * effective)
  const sigmaPath = state.sigmaPath.map((value, i) => (1 - cSigma) * value + pull * direction[i]!)
  const length = norm(sigmaPath)
  const generation = state.generation + 1
  const isStalled = length / Math.sqrt(1 - (1 - cSigma) ** (2 * generation)) >= (1.4 + 2 / (n + 1)) * chi
  const reach = isStalled ? 0 : Math.sqrt(cC * (2 - cC) * effective)
  const covariancePath = state.covariancePath.map((value, i) => (1 - cC) * value + reach * shift[i]!)

  const kept = 1 + (isStalled ? c1 * cC * (2 - cC) : 0) - c1 - cMu * sums(weights).sum
  const covariance = state.covariance.map((value) => kept * value)
  const add = (weight: number, vector: Float64Array): void => {
    for (let i = 0; i < n; i++) {
      const left = weight * vector[i]!
      for (let j = 0; j <= i; j++) covariance[i * n + j]! += left * vector[j]!
    }
  }
  add(c1, covariancePath)
  for (const [rank, y] of steps.entries()) {
    const weight = weights[rank]!
    // The worst samples count as if all were equally far, or a single far one could make C indefinite.
    add(cMu * (weight >= 0 ? weight : weight * n / Math.max(norm(whitened(state, y)) ** 2, 1e-300)), y)
  }
  for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) covariance[j * n + i] = covariance[i * n + j]!
  return {
    generation,
    mean: state.mean.map((value, i) => value + state.sigma * shift[i]!),
    // No more than a factor of e at once, for samples that another distribution drew (Hansen 2011, table 1).
    sigma: state.sigma * Math.exp(Math.min(1, cSigma / dSigma * (length / chi - 1))),
    covariance,
    eigen: Eigen.symmetric(covariance, n),
    sigmaPath,
    covariancePath
  }
}

const shared = (weights: Float64Array, ties: ReadonlyArray<readonly [number, number]>): Float64Array =>
  weights.map((weight, rank) => {
    const [first, last] = ties[rank] ?? [rank, rank]
    return first === last ? weight : sums(weights.subarray(first, last + 1)).sum / (last - first + 1)
  })
