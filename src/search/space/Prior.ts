/**
 * What one believes of a hyperparameter before the first trial, as a density on
 * its unit interval. It says where samplers look first; it rules nothing out.
 */
import * as Normal from "../../statistics/Normal.ts"

export type Prior =
  /** A normal density around `mean`, cut off at both ends of the unit interval. */
  | { readonly _tag: "Normal"; readonly mean: number; readonly deviation: number }
  /** A probability for each value of a list, in order; they sum to 1. */
  | { readonly _tag: "Weights"; readonly weights: ReadonlyArray<number> }

/**
 * The position that a share `u` in [0, 1] of the prior lies below. Even numbers
 * become draws from the prior by it. Without a prior `u` itself.
 */
export const quantile = (prior: Prior | undefined, u: number): number => {
  if (prior === undefined) return u
  if (prior._tag === "Normal") {
    const { deviation, mean } = prior
    const low = Normal.cumulative(-mean / deviation), high = Normal.cumulative((1 - mean) / deviation)
    return Math.min(1, Math.max(0, mean + deviation * Normal.quantile(low + u * (high - low))))
  }
  const size = prior.weights.length
  let below = 0
  for (const [index, weight] of prior.weights.entries()) {
    if (u < below + weight || index === size - 1) {
      const within = weight > 0 ? Math.min(1, Math.max(0, (u - below) / weight)) : 0.5
      return Math.min((index + within) / size, index === size - 1 ? 1 : (index + 1) / size - Number.EPSILON)
    }
    below += weight
  }
  return u
}

/** The logarithm of the density at a position, where a prior without preference has 0. */
export const logDensity = (prior: Prior | undefined, u: number): number => {
  if (prior === undefined) return 0
  if (prior._tag === "Normal") {
    const { deviation, mean } = prior
    const mass = Normal.cumulative((1 - mean) / deviation) - Normal.cumulative(-mean / deviation)
    return -0.5 * ((u - mean) / deviation) ** 2 - Math.log(deviation * Math.sqrt(2 * Math.PI) * mass)
  }
  const size = prior.weights.length
  return Math.log(prior.weights[Math.min(size - 1, Math.floor(u * size))]! * size)
}
