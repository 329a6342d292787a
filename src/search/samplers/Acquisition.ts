/**
 * What a trial at a point is worth, as a logarithm: a sum of terms, each a
 * function of the point with its gradient.
 */
import * as Normal from "../../statistics/Normal.ts"
import * as Prior from "../space/Prior.ts"
import type * as Space from "../space/Space.ts"
import * as GaussianProcess from "./GaussianProcess.ts"
import * as LogExpectedImprovement from "./LogExpectedImprovement.ts"

/** The value at a point; adds its derivatives to the gradient, if given. */
export type Term = (point: Float64Array, gradient?: Float64Array) => number

/** The value at a point; overwrites the gradient, if given, with its derivatives there. */
export type Acquisition = Term

export const sum = (terms: ReadonlyArray<Term>): Acquisition => (point, gradient) => {
  gradient?.fill(0)
  let value = 0
  for (const term of terms) value += term(point, gradient)
  return value
}

/** By how much the loss is expected to fall below `best`, both on the scale of the regression's targets. */
export const improvement = (regression: GaussianProcess.Regression, best: number): Term => {
  const posterior = GaussianProcess.posterior(regression)
  return (point, gradient) => {
    const at = posterior(point, gradient !== undefined)
    if (gradient === undefined) return LogExpectedImprovement.of(at.mean, at.deviation, best)
    const { byDeviation, byMean, value } = LogExpectedImprovement.withSlopes(at.mean, at.deviation, best)
    add(gradient, at, byMean, byDeviation)
    return value
  }
}

/**
 * How probable it is that a metric is at most `bound`, on the scale of the
 * regression's targets. Beside an improvement it makes the constrained expected
 * improvement of Gardner, Kusner, Xu, Weinberger and Cunningham, "Bayesian
 * optimization with inequality constraints" (ICML 2014, equation 3).
 */
export const feasibility = (regression: GaussianProcess.Regression, bound: number): Term => {
  const posterior = GaussianProcess.posterior(regression)
  return (point, gradient) => {
    const at = posterior(point, gradient !== undefined)
    const z = (bound - at.mean) / at.deviation
    const value = LogExpectedImprovement.logCumulative(z)
    if (gradient !== undefined) {
      const ratio = Math.exp(-z * z / 2 - value) / Math.sqrt(2 * Math.PI)
      add(gradient, at, -ratio / at.deviation, -ratio * z / at.deviation)
    }
    return value
  }
}

const add = (gradient: Float64Array, at: GaussianProcess.Posterior, byMean: number, byDeviation: number): void => {
  for (let axis = 0; axis < gradient.length; axis++) {
    gradient[axis]! += byMean * at.byMean[axis]! + byDeviation * at.byDeviation[axis]!
  }
}

/**
 * Where the user expects good values, to a power that falls with the number of
 * trials: Hvarfner, Stoll, Souza, Lindauer, Hutter and Nardi, "piBO" (ICLR 2022,
 * equation 6). `undefined` where no dimension has a prior.
 */
export const belief = (space: Pick<Space.Space, "axes">, power: number): Term | undefined => {
  const informed = space.axes.flatMap(({ dimension: { prior } }, axis) => prior === undefined ? [] : [{ axis, prior }])
  if (informed.length === 0) return undefined
  return (point, gradient) => {
    let value = 0
    for (const { axis, prior } of informed) {
      const u = point[axis]!
      if (Number.isNaN(u)) continue
      value += power * Prior.logDensity(prior, u)
      if (gradient !== undefined && prior._tag === "Normal") {
        gradient[axis]! -= power * (u - prior.mean) / prior.deviation ** 2
      }
    }
    return value
  }
}

/** How many equally likely improvements an expectation is taken over. */
const quantiles = 64

/**
 * The expected improvement at a point in units of the loss: the mean of the
 * improvements at the quantiles of the posterior below `best`, each taken back to
 * the scale of the loss.
 */
export const improvementInLoss = (
  regression: GaussianProcess.Regression,
  point: ArrayLike<number>,
  best: { readonly loss: number; readonly target: number },
  invert: (target: number) => number
): number => {
  const { deviation, mean } = GaussianProcess.posterior(regression)(point)
  const probability = Normal.cumulative((best.target - mean) / deviation)
  let sum = 0
  for (let i = 0; i < quantiles; i++) {
    const target = mean + deviation * Normal.quantile((i + 0.5) / quantiles * probability)
    if (target > -Infinity) sum += Math.max(0, best.loss - invert(target))
  }
  return probability * sum / quantiles
}
