/**
 * What earlier studies say about the trials of this one: as the mean that a
 * Gaussian process of its losses starts from, and as points to begin with.
 *
 * Each earlier study has a Gaussian process of its own. How much each of them
 * counts is the weight that it has in the ensemble of Feurer, Letham, Hutter and
 * Bakshy, "Practical transfer learning for Bayesian optimization" (RGPE, arXiv
 * 1802.02219, section 4): the probability that it orders the finished trials of
 * this study better than every other, this study's own process included, which
 * is judged on trials that it has not seen. So a study that disagrees soon counts
 * for nothing, and all of them fade as this one learns.
 *
 * The ensemble's mean is not added to this study's process but subtracted from
 * what it explains, as in Golovin et al., "Google Vizier" (KDD 2017, section
 * 3.3): where the earlier studies are right there is little left to learn, and
 * where they are wrong it is learned from the difference.
 */
import * as Random from "../../random/Random.ts"
import type * as Sampler from "../Sampler.ts"
import type * as Lattice from "../space/Lattice.ts"
import * as Cholesky from "./Cholesky.ts"
import * as Evidence from "./Evidence.ts"
import * as GaussianProcess from "./GaussianProcess.ts"
import * as MixedKernel from "./MixedKernel.ts"
import * as OutputTransform from "./OutputTransform.ts"
import * as Surrogate from "./Surrogate.ts"

/** The fewest trials of a study that there is something to learn from. */
const least = 3

/** The most earlier studies that are listened to: the last ones. Each costs as much as a proposal without any. */
const most = 4

/** With fewer finished trials nothing can be said about agreement, and all earlier studies count alike. */
const compared = 3

/** How many draws from the posteriors the weights are counted from. */
const draws = 256

/** How many trials' worth of belief there is that losses differ as much here as they did in the earlier studies. */
const beliefInScale = 3

/** Trials of an earlier study, measured ones first, with losses on a scale of their own. */
const learned = (context: Sampler.Context, { observations }: Sampler.Earlier): Surrogate.Measured | undefined => {
  const { failures, losses: [losses], points } = Evidence.of({ ...context, objectives: 1, limits: 0 }, observations)
  if (points.length < least) return undefined
  const worst = losses!.reduce((most, loss) => Math.max(most, loss), -Infinity)
  const { targets } = OutputTransform.of(Float64Array.from([...losses!, ...failures.map(() => worst)]))
  return { points: [...points, ...failures], targets }
}

/**
 * The mean to start from, on the scale of `own` targets; `undefined` where there
 * is no earlier study to learn from, or none that is worth it.
 */
export const mean = (
  context: Sampler.Context,
  lattice: Lattice.Lattice,
  own: Surrogate.Measured
): GaussianProcess.Mean | undefined => {
  const regressions = context.earlier.slice(-most).flatMap((study) => {
    const measured = learned(context, study)
    const regression = measured === undefined ? undefined : Surrogate.of(lattice, measured)
    return regression === undefined ? [] : [regression]
  })
  if (regressions.length === 0) return undefined
  const weights = own.points.length < compared
    ? regressions.map(() => 1 / regressions.length)
    : weightsOf(context, lattice, regressions, own)
  const parts = regressions.flatMap((regression, index) =>
    weights[index]! > 0 ? [{ weight: weights[index]!, posterior: GaussianProcess.posterior(regression) }] : []
  )
  if (parts.length === 0) return undefined
  const ensemble: GaussianProcess.Mean = (point, slopes) => {
    slopes?.fill(0)
    let value = 0
    for (const { posterior, weight } of parts) {
      const at = posterior(point, slopes !== undefined)
      value += weight * at.mean
      if (slopes !== undefined) {
        for (let axis = 0; axis < slopes.length; axis++) slopes[axis]! += weight * at.byMean[axis]!
      }
    }
    return value
  }
  const { offset, slope } = onScaleOf(own, own.points.map((point) => ensemble(point)))
  return (point, slopes) => {
    const value = offset + slope * ensemble(point, slopes)
    if (slopes !== undefined) { for (let axis = 0; axis < slopes.length; axis++) slopes[axis]! *= slope }
    return value
  }
}

/** The line from what was expected to what was found, drawn towards a slope of 1. */
const onScaleOf = (
  { targets }: Surrogate.Measured,
  expected: ReadonlyArray<number>
): { readonly offset: number; readonly slope: number } => {
  const count = expected.length
  if (count === 0) return { offset: 0, slope: 1 }
  let meanExpected = 0, meanFound = 0
  for (const [i, value] of expected.entries()) {
    meanExpected += value / count
    meanFound += targets[i]! / count
  }
  let both = beliefInScale, alone = beliefInScale
  for (const [i, value] of expected.entries()) {
    both += (value - meanExpected) * (targets[i]! - meanFound)
    alone += (value - meanExpected) ** 2
  }
  const slope = Math.max(0, both / alone)
  return { offset: meanFound - slope * meanExpected, slope }
}

/** How often each regression, the study's own one last, orders the study's trials best. They sum to 1. */
const weightsOf = (
  context: Sampler.Context,
  lattice: Lattice.Lattice,
  regressions: ReadonlyArray<GaussianProcess.Regression>,
  own: Surrogate.Measured
): Float64Array => {
  const size = own.points.length, { targets } = own
  const random = Random.make(context.seed, "transfer", context.index)
  const ownRegression = Surrogate.of(lattice, own)
  const models = [
    ...regressions.map((regression) => jointDraws(regression, own.points, random)),
    ownRegression === undefined ? undefined : leaveOneOutDraws(ownRegression, random)
  ]
  /** Of each model in each draw, how many pairs of trials it orders otherwise than they were found. */
  const misranked = models.map((draw, model) =>
    Float64Array.from({ length: draws }, () => {
      if (draw === undefined) return Infinity
      const drawn = draw()
      let wrong = 0
      for (let j = 0; j < size; j++) {
        for (let k = 0; k < size; k++) {
          // The own model is compared with what was found, since each of its predictions leaves out one trial.
          const other = model === regressions.length ? targets[k]! : drawn[k]!
          if ((drawn[j]! < other) !== (targets[j]! < targets[k]!)) wrong++
        }
      }
      return wrong
    })
  )
  const ownLosses = misranked[regressions.length]!.toSorted()
  const bar = ownLosses[Math.floor(0.95 * (draws - 1))]!
  // A model that is worse than the own one for sure would still win by chance now and then, the more models there are.
  const discarded = misranked.map((losses, model) => model < regressions.length && losses.toSorted()[draws >> 1]! > bar)
  const weights = new Float64Array(models.length)
  for (let draw = 0; draw < draws; draw++) {
    let least = Infinity
    for (const [model, losses] of misranked.entries()) if (!discarded[model]) least = Math.min(least, losses[draw]!)
    // Of equal ones the own model.
    let winner = models.length - 1
    if (misranked[winner]![draw]! > least) {
      winner = misranked.findIndex((losses, model) => !discarded[model] && losses[draw] === least)
    }
    weights[winner]! += 1 / draws
  }
  return weights
}

/** Draws from the joint posterior of the losses at points; each call overwrites what the last one gave. */
const jointDraws = (
  { cross, data: { points: known }, lower, weights }: GaussianProcess.Regression,
  points: ReadonlyArray<ArrayLike<number>>,
  random: Random.Random
): () => Float64Array => {
  const size = points.length, axes = cross.kernel.axes
  const coordinates = new Float64Array(size * axes)
  for (const [i, point] of points.entries()) coordinates.set(Array.from(point), i * axes)
  const means = new Float64Array(size), covariance = new Float64Array(size * size)
  const solved = points.map((point, i) => {
    const toKnown = new Float64Array(known.size)
    MixedKernel.cross(cross, point, known, toKnown)
    for (let row = 0; row < known.size; row++) means[i]! += toKnown[row]! * weights[row]!
    Cholesky.solveLower(lower, known.size, toKnown)
    return toKnown
  })
  const row = new Float64Array(size)
  for (let i = 0; i < size; i++) {
    MixedKernel.cross(cross, points[i]!, { size, coordinates }, row)
    for (let j = 0; j <= i; j++) {
      let explained = 0
      for (let k = 0; k < known.size; k++) explained += solved[i]![k]! * solved[j]![k]!
      covariance[i * size + j] = row[j]! - explained + (i === j ? jitter : 0)
    }
  }
  const isDefinite = Cholesky.factor(covariance, size)
  const drawn = new Float64Array(size), normal = new Float64Array(size)
  return () => {
    for (let i = 0; i < size; i++) normal[i] = random.normal()
    for (let i = 0; i < size; i++) {
      let value = means[i]!
      if (isDefinite) { for (let j = 0; j <= i; j++) value += covariance[i * size + j]! * normal[j]! }
      drawn[i] = value
    }
    return drawn
  }
}

/** Keeps the covariance of points that lie close to each other positive definite. */
const jitter = 1e-6

/**
 * Draws of what a regression without one trial at a time expects of it
 * (Rasmussen and Williams 2006, equations 5.10 to 5.12).
 */
const leaveOneOutDraws = (
  { data: { targets }, lower, weights }: GaussianProcess.Regression,
  random: Random.Random
): () => Float64Array => {
  const size = targets.length
  const inverse = new Float64Array(size * size)
  Cholesky.inverse(lower, size, inverse, new Float64Array(size * size))
  const drawn = new Float64Array(size)
  return () => {
    for (let i = 0; i < size; i++) {
      const precision = inverse[i * size + i]!
      drawn[i] = targets[i]! - weights[i]! / precision + random.normal() / Math.sqrt(precision)
    }
    return drawn
  }
}

/** Whether there is an earlier study to learn from. */
export const isPossible = ({ earlier }: Sampler.Context): boolean =>
  earlier.slice(-most).some(({ observations }) =>
    observations.filter(({ measurements, status }) => status !== "failed" && measurements.length > 0).length >= least
  )

/** The best points of the earlier studies, in turn, each once: where to begin before this study knows anything. */
const points = (context: Sampler.Context): ReadonlyArray<ReadonlyArray<number>> => {
  const ranked = context.earlier.slice(-most).flatMap((study) => {
    const measured = learned(context, study)
    if (measured === undefined) return []
    const order = measured.points.map((_, i) => i).toSorted((a, b) =>
      measured.targets[a]! - measured.targets[b]! || a - b
    )
    return [order.map((i) => Array.from(measured.points[i]!))]
  })
  const longest = ranked.reduce((length, points) => Math.max(length, points.length), 0)
  return Array.from({ length: longest }, (_, place) => ranked.flatMap((points) => points.slice(place, place + 1)))
    .flat()
}

/** The best of these points that no trial has yet. */
export const begin = (context: Sampler.Context): Sampler.Proposal | undefined => {
  for (const point of points(context)) {
    const params = context.space.fromUnit(point.map((u) => Number.isNaN(u) ? 0.5 : u))
    if (context.space.allows(params) && !context.proposed.has(context.space.key(params))) return { params }
  }
  return undefined
}
