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
 * - Whoever only follows the best trials stays with their branch, and with their
 *   values without order, though others may need different neighbours to show what
 *   they can do. So from time to time a proposal is a detour: for some hyperparameter
 *   it takes another value than the best trial's, and is made from the trials with
 *   that value alone. Without it searches on mixed spaces stand still after a
 *   hundred trials or so.
 * - What one believes before the first trial is a component of both densities,
 *   so their ratio knows nothing of it. It counts as in Hvarfner, Stoll, Souza,
 *   Lindauer, Hutter and Nardi, "piBO", ICLR 2022: the prior to the power of
 *   `belief` / n, at most 1, multiplies the ratio after n trials.
 */
import * as Random from "../../random/Random.ts"
import * as Ranking from "../Ranking.ts"
import * as Sampler from "../Sampler.ts"
import * as Dimension from "../space/Dimension.ts"
import * as Prior from "../space/Prior.ts"
import * as Space from "../space/Space.ts"
import type { Bandwidth } from "./Bandwidth.ts"
import * as Evidence from "./Evidence.ts"
import * as ParzenEstimator from "./ParzenEstimator.ts"
import * as RandomSampler from "./RandomSampler.ts"
import * as Sobol from "./Sobol.ts"
import * as Transfer from "./Transfer.ts"

/** How much a trial of the good group counts. */
export type Weighting =
  /** By how much it is better than the best of the others (Watanabe's "EI"). With several objectives, or where limits are broken, all count the same. */
  | "improvement"
  | "uniform"

export interface Options {
  /** How many trials there are before the estimator is asked: Sobol points. Default 5. */
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
  /** Every how many proposals there is a detour. `Infinity`: none. Default 5. */
  readonly detour?: number
  /** Up to how many trials the priors of the dimensions count in full: half as much after twice as many. Default 10. */
  readonly belief?: number
  /** How far the kernels of values without order spread: see `ParzenEstimator.Options`. Default 1. */
  readonly categorical?: number
  /** Of the good group, as changes to the default. */
  readonly goodBandwidth?: Partial<Bandwidth>
  /** Of the others, as changes to the default. */
  readonly otherBandwidth?: Partial<Bandwidth>
}

/**
 * What did best on the benchmark of samplers. Others wider than the good ones
 * warn of a neighbourhood, not of a point; with an axis at a time there are
 * trials enough to follow their distances.
 */
const bandwidths = {
  joint: {
    good: { rule: "scott", factor: 1, minimum: 0.01, clipping: 1 },
    others: { rule: "shrinking", factor: 0.2, minimum: 0.01, clipping: 1 }
  },
  independent: {
    good: { rule: "neighbours", factor: 1, minimum: 0.01, clipping: 1 },
    others: { rule: "neighbours", factor: 1, minimum: 0.01, clipping: 1 }
  }
} as const

type Settings = Required<Options> & { readonly goodBandwidth: Bandwidth; readonly otherBandwidth: Bandwidth }

export const make = (options: Options = {}): Sampler.Sampler => {
  const usual = bandwidths[options.density ?? "joint"]
  const settings: Settings = {
    startup: 5,
    good: 0.15,
    most: Infinity,
    weighting: "improvement",
    candidates: 24,
    density: "joint",
    priorWeight: 1,
    detour: 5,
    belief: 10,
    categorical: 1,
    ...options,
    goodBandwidth: { ...usual.good, ...options.goodBandwidth },
    otherBandwidth: { ...usual.others, ...options.otherBandwidth }
  }
  const sobol = Sobol.make(), random = RandomSampler.make()
  return {
    name: "tpe",
    description: `tree-structured Parzen estimator with a ${
      settings.density === "joint" ? "joint density" : "density for each hyperparameter"
    }, after ${settings.startup} Sobol points`,
    size: (space) => space.size,
    usesEarlier: true,
    propose: (context) => {
      // Earlier studies say where to begin: their best points take the place of even ones.
      const inherited = context.index < settings.startup ? Transfer.begin(context) : undefined
      if (inherited !== undefined) return inherited
      if (context.proposed.size < settings.startup) {
        return (sobol.check?.(context) === undefined ? sobol : random).propose(context)
      }
      const known = knownTrials(Evidence.of(context, context.history()))
      const due = context.index >= settled && context.index % settings.detour === settings.detour - 1
      const detour = due ? detourOf(context, known) : undefined
      const groups = split(detour === undefined ? known : having(context, known, detour), settings)
      return settings.density === "joint"
        ? joint(context, groups, detour, settings)
        : independent(context, groups, detour, settings)
    }
  }
}

/** How many proposals there are before the first detour. */
const settled = 25

/** The trials so far, as far as the estimator asks. */
interface Known {
  /** Of the trials with a measurement. */
  readonly points: ReadonlyArray<ReadonlyArray<number>>
  /** For each of `points` a number that is lower for a better one. */
  readonly merits: Float64Array
  /** The losses of `points`, NaN where a limit is broken; none with several objectives. */
  readonly losses: Float64Array | undefined
  readonly failures: ReadonlyArray<ReadonlyArray<number>>
  readonly pending: ReadonlyArray<ReadonlyArray<number>>
}

const knownTrials = ({ failures, losses, pending, points, violations }: Evidence.Evidence): Known => {
  const first = losses[0]!
  if (losses.length === 1 && violations.length === 0) {
    return { points, merits: first, losses: first, failures, pending }
  }
  const merits = new Float64Array(points.length)
  const order = Ranking.order(
    points.map((_, i) => ({ losses: losses.map((all) => all[i]!), violations: violations.map((all) => all[i]!) }))
  )
  for (const [rank, index] of order.entries()) merits[index] = rank
  const kept = first.map((loss, index) => violations.every((all) => all[index]! <= 0) ? loss : Number.NaN)
  return { points, merits, losses: losses.length === 1 ? kept : undefined, failures, pending }
}

/**
 * The value to take a detour by: of one of the hyperparameters without order,
 * each as likely, not the best trial's, but half as often the one after it, and
 * so on down to those that no trial has had.
 */
const detourOf = (context: Sampler.Context, known: Known): Space.Condition | undefined => {
  const { axes } = context.space
  const choices = axes.flatMap(({ dimension }, axis) => Dimension.isCategorical(dimension) ? [axis] : [])
  if (choices.length === 0) return undefined
  const random = Random.make(context.seed, "tree-parzen-detour", context.index)
  const axis = choices[random.integer(choices.length)]!
  const { dimension } = axes[axis]!
  const best = new Float64Array(dimension.size).fill(Infinity)
  for (const [i, point] of known.points.entries()) {
    if (Number.isNaN(point[axis]!)) continue
    const index = Dimension.indexAt(dimension, point[axis]!)
    best[index] = Math.min(best[index]!, known.merits[i]!)
  }
  const order = Array.from(best, (_, index) => index).toSorted((a, b) =>
    best[a]! < best[b]! ? -1 : best[a]! > best[b]! ? 1 : a - b
  )
  let place = 1
  while (place < order.length - 1 && random.uniform() < 0.5) place++
  return { axis, index: order[place]! }
}

const meets = (space: Space.Space, point: ArrayLike<number>, { axis, index }: Space.Condition): boolean =>
  !Number.isNaN(point[axis]!) && Dimension.indexAt(space.axes[axis]!.dimension, point[axis]!) === index

/** The trials that have a value. */
const having = ({ space }: Sampler.Context, known: Known, value: Space.Condition): Known => {
  const has = (point: ReadonlyArray<number>) => meets(space, point, value)
  const indices = known.points.flatMap((point, index) => has(point) ? [index] : [])
  return {
    points: indices.map((index) => known.points[index]!),
    merits: Float64Array.from(indices, (index) => known.merits[index]!),
    losses: known.losses && Float64Array.from(indices, (index) => known.losses![index]!),
    failures: known.failures.filter(has),
    pending: known.pending.filter(has)
  }
}

interface Groups {
  /** How many trials have ended, failed ones included. */
  readonly finished: number
  readonly good: ParzenEstimator.Data
  readonly others: ParzenEstimator.Data
}

const split = ({ failures, losses, merits, pending, points }: Known, settings: Settings): Groups => {
  const finished = points.length + failures.length
  const count = Math.min(points.length, Math.ceil(settings.good * finished), settings.most)
  const order = ranked(merits, count)
  const best = order.slice(0, count)
  const others = [...order.slice(count).map((index) => points[index]!), ...failures, ...pending]
  // The loss to improve on. NaN where it breaks a limit: then trials in the good group may break it too.
  const bar = losses?.[order[Math.min(count, order.length - 1)]!] ?? Number.NaN
  const weighted = settings.weighting === "improvement" && !Number.isNaN(bar)
  return {
    finished,
    good: {
      points: best.map((index) => points[index]!),
      weights: weighted ? improvements(best.map((index) => bar - losses![index]!)) : ones(count)
    },
    others: { points: others, weights: ones(others.length) }
  }
}

/** The indices of the trials: the first `count` and the one after them the best in order, the rest as they come. */
const ranked = (merits: Float64Array, count: number): ReadonlyArray<number> => {
  // Thousands of trials need not be sorted to know the first few, and numbers alone are sorted fast.
  const bar = merits.toSorted()[Math.min(count, merits.length - 1)]!
  const first: Array<number> = [], rest: Array<number> = []
  for (let i = 0; i < merits.length; i++) (merits[i]! <= bar ? first : rest).push(i)
  return [...first.toSorted((a, b) => merits[a]! - merits[b]! || a - b), ...rest]
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
  const power = Math.min(1, settings.belief / Math.max(1, groups.finished))
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

const joint = (
  context: Sampler.Context,
  groups: Groups,
  detour: Space.Condition | undefined,
  settings: Settings
): Sampler.Proposal | undefined => {
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
    if (detour !== undefined && !meets(space, point, detour)) continue
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

const independent = (
  context: Sampler.Context,
  groups: Groups,
  detour: Space.Condition | undefined,
  settings: Settings
): Sampler.Proposal | undefined => {
  const { space } = context
  const random = stream(context)
  const along = (axis: number, { points, weights }: ParzenEstimator.Data): ParzenEstimator.Data => {
    const indices = points.flatMap((point, index) => Number.isNaN(point[axis]!) ? [] : [index])
    return { points: indices.map((index) => points[index]!), weights: indices.map((index) => weights[index]!) }
  }
  const models = space.axes.map((_, axis) =>
    estimators(context, [axis], {
      ...groups,
      good: along(axis, groups.good),
      others: along(axis, groups.others)
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
      const forced = axis === detour?.axis && !Number.isNaN(best)
      const { dimension } = space.axes[axis]!
      point[axis] = forced ? dimension.toUnit(dimension.at(detour.index)) : best
    }
    return space.fromUnit(point)
  })
}
