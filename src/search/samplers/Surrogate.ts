/**
 * What a Gaussian process believes of a metric all over a search space, from
 * the trials so far: which priors its parameters have, from where they are
 * searched for, and what is left out where there are too many trials.
 *
 * The length scales of the joint part have the priors of Hvarfner, Hellsten and
 * Nardi, "Vanilla Bayesian optimization performs great in high dimensions" (ICML
 * 2024, section 4), which grow with the square root of the number of axes. Those
 * of single axes do not depend on it.
 */
import type * as Lattice from "../space/Lattice.ts"
import * as GaussianProcess from "./GaussianProcess.ts"

/** One measurement of the metric. */
export interface Measured {
  readonly points: ReadonlyArray<ArrayLike<number>>
  /** On a scale where their mean is about 0 and their variance about 1. */
  readonly targets: ArrayLike<number>
  /** How unsure each is beyond the noise of all, between 0 and 1; none when absent. */
  readonly doubts?: ArrayLike<number> | undefined
}

export interface Options {
  /** What is believed of the targets before any trial; 0 everywhere when absent. */
  readonly mean?: GaussianProcess.Mean | undefined
  /** Points that will be measured; believed to give what is expected there. */
  readonly pending?: ReadonlyArray<ArrayLike<number>> | undefined
}

/** The most trials that a regression is made of: what it costs grows with their cube. */
const mostTrials = 400

/** The most trials that its parameters are searched with, which costs some twenty times as much. */
const mostFitted = 120

/** With more trials than this the parameters hardly depend on where their search starts, and only the best start is followed. */
const few = 60

/**
 * At most `count` trials: half of them the best ones, half an even choice of the
 * others, in their order.
 */
const select = (measured: Measured, count: number): Measured => {
  const { doubts, points, targets } = measured
  if (points.length <= count) return measured
  const order = points.map((_, i) => i).toSorted((a, b) => targets[a]! - targets[b]! || a - b)
  const best = order.slice(0, count >> 1), rest = order.slice(count >> 1)
  const others = count - best.length
  const chosen = [...best, ...Array.from({ length: others }, (_, i) => rest[Math.floor(i * rest.length / others)]!)]
    .toSorted((a, b) => a - b)
  return {
    points: chosen.map((i) => points[i]!),
    targets: chosen.map((i) => targets[i]!),
    doubts: doubts === undefined ? undefined : chosen.map((i) => doubts[i]!)
  }
}

const normal = (mean: number, deviation: number): GaussianProcess.LogNormal => ({ mean, deviation })

const priorsOf = (axes: number, doubtful: boolean): GaussianProcess.Priors => {
  const same = (prior: GaussianProcess.LogNormal) => Array.from({ length: axes }, () => prior)
  return {
    kernel: [
      ...same(normal(Math.SQRT2 + 0.5 * Math.log(axes), Math.sqrt(3))),
      ...same(normal(-1.7, 1)),
      normal(0, 1),
      normal(0, 1),
      normal(0, axes > 1 ? 1 : 0)
    ],
    // A loss that is measured without noise is common, and so is one with much.
    noise: normal(-10, 2.5),
    doubt: normal(-3, doubtful ? 1.5 : 0)
  }
}

/** Smooth and rough functions, with and without interactions, with little and with much noise. */
const startsOf = (axes: number, priors: GaussianProcess.Priors): ReadonlyArray<GaussianProcess.Parameters> =>
  ([
    [0, 0, 0, 0, -7],
    [-1, -1, 0, 0, -7],
    [0, 0, -3, 0, -5],
    [0, -1.5, -3, 0, -5],
    [0, 0, 0, -3, -5],
    [-1, 0, 0, -3, -7],
    [0.5, 0.5, 0, 0, -1]
  ] as const).map(([jointScale, singleScale, joint, single, logNoise]) => ({
    kernel: Float64Array.from([
      ...Array.from({ length: axes }, () => 0.5 * Math.log(axes) + jointScale),
      ...Array.from({ length: axes }, () => singleScale),
      joint,
      single,
      single
    ]),
    logNoise,
    logDoubt: priors.doubt.mean
  }))

const dataOf = (lattice: Lattice.Lattice, measured: Measured, options: Options): GaussianProcess.Data => {
  const { axes, categorical } = lattice
  const coordinates = new Float64Array(measured.points.length * axes)
  for (const [i, point] of measured.points.entries()) coordinates.set(Array.from(point), i * axes)
  return {
    kernel: { axes, categorical },
    points: { size: measured.points.length, coordinates },
    targets: Float64Array.from(measured.targets),
    ...(measured.doubts === undefined ? {} : { doubts: Float64Array.from(measured.doubts) }),
    ...(options.mean === undefined ? {} : { mean: options.mean })
  }
}

/** The regression with the most probable parameters found; `undefined` where there is none. */
export const of = (
  lattice: Lattice.Lattice,
  measured: Measured,
  options: Options = {}
): GaussianProcess.Regression | undefined => {
  const priors = priorsOf(lattice.axes, measured.doubts !== undefined)
  const fitted = dataOf(lattice, select(measured, mostFitted), options)
  const [best] = GaussianProcess.fit(fitted, {
    priors,
    starts: startsOf(lattice.axes, priors),
    follow: fitted.points.size > few ? 1 : 2,
    steps: 20
  })
  if (best === undefined) return undefined
  const used = select(measured, mostTrials)
  const regression = GaussianProcess.of(dataOf(lattice, used, options), best.parameters)
  const pending = options.pending ?? []
  if (regression === undefined || pending.length === 0) return regression
  const posterior = GaussianProcess.posterior(regression)
  const believed: Measured = {
    points: [...used.points, ...pending],
    targets: [...Array.from(used.targets), ...pending.map((point) => posterior(point).mean)],
    doubts: used.doubts === undefined ? undefined : [...Array.from(used.doubts), ...pending.map(() => 0)]
  }
  return GaussianProcess.of(dataOf(lattice, believed, options), best.parameters)
}
