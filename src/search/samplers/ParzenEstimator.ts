/**
 * A kernel density over a search space, for a tree-structured Parzen estimator:
 * a mixture of one component for each trial and one for the prior. A component
 * is a product of kernels (see `Kernels.ts`) over the axes that are active at
 * the point, as in Falkner, Klein and Hutter, "BOHB", ICML 2018.
 *
 * Where the point has an axis that the trial did not have, because it took
 * another branch, the trial's kernel is the prior of that axis. So the mixture is
 * a density over the whole tree of branches, it can be drawn from branch by
 * branch, and every trial teaches the axes that it shares with the point.
 */
import type * as Random from "../../random/Random.ts"
import * as Dimension from "../space/Dimension.ts"
import * as Space from "../space/Space.ts"
import * as Bandwidth from "./Bandwidth.ts"
import * as Kernels from "./Kernels.ts"

export interface ParzenEstimator {
  /** Fills in the axes of the estimator from a draw; NaN where an axis is inactive. Other coordinates are left as they are. */
  readonly draw: (random: Random.Random, into: Float64Array) => void
  /**
   * The logarithm of the density over the active axes of the estimator. In unit
   * coordinates where values are continuous; a probability where they are discrete.
   */
  readonly logDensity: (point: ArrayLike<number>) => number
}

export interface Options {
  readonly bandwidth: Bandwidth.Bandwidth
  /** How many trials of mean weight the prior counts as. Above 0. */
  readonly priorWeight: number
  /**
   * How far kernels on values without order spread: over n trials and c values a
   * kernel is a draw from the prior with probability c / (c + n / `categorical`).
   */
  readonly categorical: number
}

export interface Data {
  /** Unit coordinates, NaN on inactive axes. */
  readonly points: ReadonlyArray<ArrayLike<number>>
  /** A weight for each of `points`. */
  readonly weights: ArrayLike<number>
}

/** The estimator over some of a space's axes, given in ascending order. */
export const make = (
  space: Pick<Space.Space, "axes">,
  axes: ReadonlyArray<number>,
  data: Data,
  options: Options
): ParzenEstimator => {
  const { points } = data
  const trials = points.length
  const weights = mixtureWeights(data, options.priorWeight)
  const kernels = axes.map((axis) => kernelsOf(space.axes[axis]!.dimension, axis, axes.length, data, options))
  const logWeights = weights.map((weight) => Math.log(weight))
  const sums = new Float64Array(trials + 1)
  const pick = (random: Random.Random): number => {
    let left = random.uniform(), component = 0
    while (component < trials && left >= weights[component]!) left -= weights[component++]!
    return component
  }
  return {
    draw: (random, into) => {
      const component = pick(random)
      for (const [i, axis] of axes.entries()) {
        into[axis] = Space.isActive(space, into, axis) ? kernels[i]!.draw(component, random) : Number.NaN
      }
    },
    logDensity: (point) => {
      sums.set(logWeights)
      for (const [i, axis] of axes.entries()) {
        const u = point[axis]!
        if (!Number.isNaN(u)) kernels[i]!.addLogDensity(u, sums)
      }
      return logSumExp(sums)
    }
  }
}

/** The weights of the trials and last of the prior, summing to 1. */
const mixtureWeights = ({ points, weights }: Data, priorWeight: number): Float64Array => {
  const trials = points.length
  const all = new Float64Array(trials + 1)
  let sum = 0
  for (let k = 0; k < trials; k++) sum += all[k] = weights[k]!
  all[trials] = trials === 0 || sum === 0 ? 1 : priorWeight * sum / trials
  sum += all[trials]!
  for (let k = 0; k <= trials; k++) all[k]! /= sum
  return all
}

const kernelsOf = (
  dimension: Dimension.Dimension<unknown>,
  axis: number,
  axes: number,
  { points, weights }: Data,
  options: Options
): Kernels.Kernels => {
  const trials = points.length
  if (Dimension.isCategorical(dimension)) {
    // The last component is the prior.
    const values = new Int32Array(trials + 1).fill(-1)
    let active = 0
    for (let k = 0; k < trials; k++) {
      const u = points[k]![axis]!
      if (Number.isNaN(u)) continue
      values[k] = Dimension.indexAt(dimension, u)
      active++
    }
    const { size } = dimension
    return Kernels.unordered(dimension, values, size / (size + (active + 1) / options.categorical))
  }
  const means = new Float64Array(trials + 1).fill(Number.NaN)
  for (let k = 0; k < trials; k++) means[k] = points[k]![axis]!
  return Kernels.ordered(dimension, means, Bandwidth.select(options.bandwidth, means, weights, axes))
}

/** Components that are less than this share of the largest are left out: e^-36 is below the precision of the sum. */
const negligible = -36

const logSumExp = (terms: Float64Array): number => {
  let greatest = -Infinity
  for (let k = 0; k < terms.length; k++) if (terms[k]! > greatest) greatest = terms[k]!
  let sum = 0
  for (let k = 0; k < terms.length; k++) {
    const excess = terms[k]! - greatest
    if (excess > negligible) sum += Math.exp(excess)
  }
  return greatest + Math.log(sum)
}
