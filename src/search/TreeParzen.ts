/**
 * The tree-structured Parzen estimator (Bergstra, Bardenet, Bengio and Kegl,
 * "Algorithms for hyper-parameter optimization", NIPS 2011). The trials so far
 * are split into a good group and the others. Candidates are drawn from a
 * density of the good ones, l, and the one where l is the largest compared with
 * the density of the others, g, is proposed.
 *
 * - The densities are over all axes together (Falkner, Klein and Hutter, "BOHB",
 *   ICML 2018), and over the branches of the space too: see `ParzenEstimator.ts`.
 *   The components follow the ablations of Watanabe, "Tree-structured Parzen
 *   estimator: understanding its algorithm components and their roles for better
 *   empirical performance", arXiv 2304.11127.
 * - Trials that failed belong to the others, and so do trials that run: where
 *   one is already at work is not where the next should go.
 * - With several objectives or limits on metrics the good group are the first in
 *   the order of `Ranking.ts`: feasible ones first, those that break limits by
 *   how much, then by non-dominated front and spread over the front (Ozaki,
 *   Tanigaki, Watanabe and Onishi, "Multiobjective tree-structured Parzen
 *   estimator", JAIR 73, 2022, split by the front as well).
 * - What one believes before the first trial is a component of both densities,
 *   so their ratio knows nothing of it. It counts as in Hvarfner, Stoll, Souza,
 *   Lindauer, Hutter and Nardi, "piBO", ICLR 2022: the prior to the power of
 *   `belief` / n multiplies the ratio after n trials.
 */
import * as Random from "../random/Random.ts"
import type { Bandwidth } from "./Bandwidth.ts"
import * as Evidence from "./Evidence.ts"
import * as ParzenEstimator from "./ParzenEstimator.ts"
import * as Prior from "./Prior.ts"
import * as RandomSampler from "./RandomSampler.ts"
import * as Ranking from "./Ranking.ts"
import * as Sampler from "./Sampler.ts"
import * as Sobol from "./Sobol.ts"
import * as Space from "./Space.ts"

/** How much a trial of the good group counts. */
export type Weighting =
  /** By how much it is better than the best of the others (Watanabe's "EI"). With several objectives, or where limits are broken, all count the same. */
  | "improvement"
  | "uniform"

export interface Options {
  /** How many trials there are before the estimator is asked: Sobol points. Default 8. */
  readonly startup?: number
  /** The share of the trials that is in the good group, rounded up to a whole number. Default 0.15. */
  readonly good?: number
  /** The most trials that are in the good group. Default Infinity. */
  readonly most?: number
  readonly weighting?: Weighting
  /** How many candidates are drawn and compared for a proposal: more is greedier. Default 24. */
  readonly candidates?: number
  /**
   * `"joint"`: one density over all axes, which knows of interactions.
   * `"independent"`: a density for each axis, and the best candidate of each. Default `"joint"`.
   */
  readonly density?: "joint" | "independent"
  /** How many trials the prior counts as, in either group. Default 1. */
  readonly priorWeight?: number
  /** After how many trials the priors of the dimensions count once: half as much after twice as many. Default 10. */
  readonly belief?: number
  /** How far the kernels of values without order spread: see `ParzenEstimator.Options`. Default 1. */
  readonly categorical?: number
  /** Of the good group, as changes to the default. */
  readonly goodBandwidth?: Partial<Bandwidth>
  /** Of the others, as changes to the default. */
  readonly otherBandwidth?: Partial<Bandwidth>
}

const goodBandwidth: Bandwidth = { rule: "scott", factor: 0.7, minimum: 0.01, clipping: 1 }
const otherBandwidth: Bandwidth = { rule: "shrinking", factor: 0.2, minimum: 0.01, clipping: 1 }

type Settings = Required<Options> & { readonly goodBandwidth: Bandwidth; readonly otherBandwidth: Bandwidth }

export const make = (options: Options = {}): Sampler.Sampler => {
  const settings: Settings = {
    startup: 8,
    good: 0.15,
    most: Infinity,
    weighting: "improvement",
    candidates: 24,
    density: "joint",
    priorWeight: 1,
    belief: 10,
    categorical: 1,
    ...options,
    goodBandwidth: { ...goodBandwidth, ...options.goodBandwidth },
    otherBandwidth: { ...otherBandwidth, ...options.otherBandwidth }
  }
  const sobol = Sobol.make(), random = RandomSampler.make()
  return {
    name: "tpe",
    description: `tree-structured Parzen estimator with a ${
      settings.density === "joint" ? "joint density" : "density for each hyperparameter"
    }, after ${settings.startup} Sobol points`,
    size: (space) => space.size,
    propose: (context) => {
      if (context.proposed.size < settings.startup) {
        return (sobol.check?.(context) === undefined ? sobol : random).propose(context)
      }
      const groups = split(context, Evidence.of(context, context.history()), settings)
      return settings.density === "joint" ? joint(context, groups, settings) : independent(context, groups, settings)
    }
  }
}

interface Groups {
  /** How many trials have ended, failed ones included. */
  readonly finished: number
  readonly good: ParzenEstimator.Data
  readonly others: ParzenEstimator.Data
}

const split = (context: Sampler.Context, evidence: Evidence.Evidence, settings: Settings): Groups => {
  const { failures, losses, pending, points, violations } = evidence
  const finished = points.length + failures.length
  const count = Math.min(points.length, Math.ceil(settings.good * finished), settings.most)
  const order = ranked(evidence, count)
  const best = order.slice(0, count), rest = order.slice(count)
  const feasible = (index: number) => violations.every((all) => all[index]! <= 0)
  const others = [...rest.map((index) => points[index]!), ...failures, ...pending]
  const bar = order[Math.min(count, order.length - 1)]
  const weighted = settings.weighting === "improvement" && context.objectives === 1 && bar !== undefined &&
    feasible(bar)
  return {
    finished,
    good: {
      points: best.map((index) => points[index]!),
      weights: weighted ? improvements(best.map((index) => losses[0]![bar]! - losses[0]![index]!)) : ones(count)
    },
    others: { points: others, weights: ones(others.length) }
  }
}

/** The trials with a measurement: the first `count`, and the one after them, are in the order of their rank. */
const ranked = ({ losses, points, violations }: Evidence.Evidence, count: number): ReadonlyArray<number> => {
  if (losses.length > 1 || violations.length > 0) {
    return Ranking.order(
      points.map((_, i) => ({ losses: losses.map((all) => all[i]!), violations: violations.map((all) => all[i]!) }))
    )
  }
  // One loss: thousands of trials need not be sorted to know the first few.
  const all = losses[0]!
  const bar = all.toSorted()[Math.min(count, all.length - 1)]!
  const first: Array<number> = [], rest: Array<number> = []
  for (let i = 0; i < all.length; i++) (all[i]! <= bar ? first : rest).push(i)
  return [...first.toSorted((a, b) => all[a]! - all[b]! || a - b), ...rest]
}

const ones = (length: number): Float64Array => new Float64Array(length).fill(1)

/** Weights with a mean of 1; all the same when nothing is better than anything. */
const improvements = (by: ReadonlyArray<number>): Float64Array => {
  const sum = by.reduce((total, each) => total + each, 0)
  return sum > 0 && Number.isFinite(sum) ? Float64Array.from(by, (each) => each / sum * by.length) : ones(by.length)
}

const estimators = (context: Sampler.Context, axes: ReadonlyArray<number>, groups: Groups, settings: Settings) => {
  const { categorical, priorWeight } = settings
  const make = (data: ParzenEstimator.Data, bandwidth: Bandwidth) =>
    ParzenEstimator.make(context.space, axes, data, { bandwidth, categorical, priorWeight })
  const good = make(groups.good, settings.goodBandwidth), others = make(groups.others, settings.otherBandwidth)
  const informed = axes.filter((axis) => context.space.axes[axis]!.dimension.prior !== undefined)
  const power = settings.belief / Math.max(1, groups.finished)
  const score = (point: Float64Array): number => {
    let value = good.logDensity(point) - others.logDensity(point)
    for (const axis of informed) {
      if (Number.isNaN(point[axis]!)) continue
      value += power * Prior.logDensity(context.space.axes[axis]!.dimension.prior, point[axis]!)
    }
    return value
  }
  return { good, score }
}

const stream = (context: Sampler.Context): Random.Random =>
  Random.make(context.seed, "tree-parzen-sampler", context.index)

/** How many draws are made for each candidate that is wanted, while they are refused or repeat themselves. */
const draws = 4

const joint = (context: Sampler.Context, groups: Groups, settings: Settings): Sampler.Proposal | undefined => {
  const { space } = context
  const random = stream(context)
  const { good, score } = estimators(context, space.axes.map((_, axis) => axis), groups, settings)
  const draw = () => {
    const point = new Float64Array(space.axes.length)
    good.draw(random, point)
    return point
  }
  let best: Space.Params | undefined, highest = -Infinity
  for (let i = 0, found = 0; i < draws * settings.candidates && found < settings.candidates; i++) {
    const point = draw()
    const params = space.fromUnit(point)
    if (!Sampler.isNew(context, params)) continue
    found++
    const value = score(point)
    if (value > highest) {
      highest = value
      best = params
    }
  }
  return best === undefined ? Sampler.proposeDistinct(context, () => space.fromUnit(draw())) : { params: best }
}

const independent = (context: Sampler.Context, groups: Groups, settings: Settings): Sampler.Proposal | undefined => {
  const { space } = context
  const random = stream(context)
  const having = (axis: number, { points, weights }: ParzenEstimator.Data): ParzenEstimator.Data => {
    const indices = points.flatMap((point, index) => Number.isNaN(point[axis]!) ? [] : [index])
    return { points: indices.map((index) => points[index]!), weights: indices.map((index) => weights[index]!) }
  }
  const models = space.axes.map((_, axis) =>
    estimators(context, [axis], {
      ...groups,
      good: having(axis, groups.good),
      others: having(axis, groups.others)
    }, settings)
  )
  return Sampler.proposeDistinct(context, (attempt) => {
    // Each further attempt compares fewer candidates, so that it comes to less probable values in the end.
    const candidates = Math.max(1, settings.candidates >> attempt)
    const point = new Float64Array(space.axes.length)
    for (const [axis, { good, score }] of models.entries()) {
      let best = Number.NaN, highest = -Infinity
      for (let candidate = 0; candidate < candidates; candidate++) {
        good.draw(random, point)
        if (Number.isNaN(point[axis]!)) break
        const value = score(point)
        if (value > highest) {
          highest = value
          best = point[axis]!
        }
      }
      point[axis] = best
    }
    return space.fromUnit(point)
  })
}
