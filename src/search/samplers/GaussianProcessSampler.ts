/**
 * Bayesian optimisation: a Gaussian process learns from the trials what to
 * expect of the others, and the next trial is where the expected improvement on
 * the best one is largest (Jones, Schonlau and Welch, "Efficient global
 * optimization of expensive black-box functions", 1998), by its logarithm.
 *
 * - The kernel (`MixedKernel.ts`) is for numeric, categorical and conditional
 *   hyperparameters. Losses are transformed first (`OutputTransform.ts`).
 * - Trials that failed count as having the worst loss of all.
 * - Trials that run count as having the loss that is expected of them (the
 *   kriging believer of Ginsbourger, Le Riche and Carraro, "Kriging is
 *   well-suited to parallelize optimization", 2010, section 4.2).
 * - Losses that are expected, from a lower rung, rather than measured at the
 *   highest have more noise.
 * - Earlier studies say what to expect before there are trials (`Transfer.ts`).
 * - Several objectives become one, another one for each proposal
 *   (`Tchebycheff.ts`); limits on metrics and what one believes of dimensions
 *   before the first trial are factors of the expected improvement
 *   (`Acquisition.ts`).
 */
import * as Random from "../../random/Random.ts"
import * as Sampler from "../Sampler.ts"
import * as Lattice from "../space/Lattice.ts"
import * as Space from "../space/Space.ts"
import * as Acquisition from "./Acquisition.ts"
import * as AcquisitionSearch from "./AcquisitionSearch.ts"
import * as Evidence from "./Evidence.ts"
import * as GaussianProcess from "./GaussianProcess.ts"
import * as OutputTransform from "./OutputTransform.ts"
import * as RandomSampler from "./RandomSampler.ts"
import * as Sobol from "./Sobol.ts"
import * as Surrogate from "./Surrogate.ts"
import * as Tchebycheff from "./Tchebycheff.ts"
import * as Transfer from "./Transfer.ts"

export interface Options {
  /** How many trials there are before the model is asked: Sobol points, and those enqueued. Default 5. */
  readonly startup?: number
  /** After how many trials the priors of the dimensions count once: half as much after twice as many. Default 10. */
  readonly belief?: number
}

type Settings = Required<Options>

export const make = (options: Options = {}): Sampler.Sampler => {
  const settings: Settings = { startup: 5, belief: 10, ...options }
  const sobol = Sobol.make(), random = RandomSampler.make()
  return {
    name: "gaussian-process",
    description: `Gaussian process with log expected improvement, after ${settings.startup} Sobol points`,
    size: (space) => space.size,
    expectsImprovement: true,
    usesEarlier: true,
    propose: (context) => {
      const even = () => (sobol.check?.(context) === undefined ? sobol : random).propose(context)
      if (context.space.axes.length === 0) return even()
      // Where earlier studies say what to expect, there is no need to look around first.
      const isInformed = context.objectives === 1 && Transfer.isPossible(context)
      if (!isInformed && context.proposed.size < settings.startup) return even()
      const evidence = Evidence.of(context, context.history())
      const finished = evidence.points.length + evidence.failures.length
      if (isInformed && evidence.points.length === 0) return Transfer.begin(context) ?? even()
      if (!isInformed && finished < Math.min(leastFinished, settings.startup)) return even()
      return model(context, evidence, settings) ?? even()
    }
  }
}

/** With fewer results there is nothing to learn from. */
const leastFinished = 3

const model = (
  context: Sampler.Context,
  evidence: Evidence.Evidence,
  settings: Settings
): Sampler.Proposal | undefined => {
  const { space } = context
  const lattice = Lattice.of(space)
  const outcome = outcomeOf(context, evidence)
  const surrogate = Surrogate.of(lattice, outcome, {
    pending: evidence.pending,
    mean: context.objectives === 1 ? Transfer.mean(context, lattice, outcome) : undefined
  })
  if (surrogate === undefined) return undefined
  const feasible = feasibleOf(evidence)
  const incumbent = incumbentOf(surrogate, outcome, feasible)
  const limits = limitsOf(lattice, evidence)
  const hoped = hopedOf(surrogate, evidence, limits)
  const believed = Acquisition.belief(space, settings.belief / Math.max(1, outcome.points.length))
  const acquisition = Acquisition.sum([
    // Before any trial keeps the limits there is nothing to improve on: first to find one (Gardner et al., section 3).
    ...(incumbent === undefined ? [] : [Acquisition.improvement(surrogate, Math.min(incumbent.target, hoped))]),
    ...limits,
    ...(believed === undefined ? [] : [believed])
  ])
  const found = AcquisitionSearch.search({
    context,
    lattice,
    acquisition,
    best: bestOf(outcome, feasible),
    random: Random.make(context.seed, "gaussian-process-sampler", context.index)
  })
  const point = found?.point
  if (point === undefined) return Sampler.proposeDistinct(context, drawn(context))
  const params = space.fromUnit(point)
  if (context.objectives > 1 || incumbent?.loss === undefined) return { params }
  let chance = 1
  for (const limit of limits) chance *= Math.exp(limit(point))
  const improvement = Acquisition.improvementInLoss(
    surrogate,
    point,
    { loss: incumbent.loss, target: incumbent.target },
    outcome.invert
  )
  const expectedImprovement = chance * improvement
  // Losses near the largest numbers there are have differences beyond them.
  return Number.isFinite(expectedImprovement) ? { params, expectedImprovement } : { params }
}

const drawn = (context: Sampler.Context) => {
  const stream = Random.make(context.seed, "gaussian-process-sampler/rest", context.index)
  return () => context.space.fromUnit(Space.spread(context.space, context.space.axes.map(() => stream.uniform())))
}

/** The trials as the model of the loss has them: first those measured, then those that failed. */
interface Outcome extends Surrogate.Measured {
  readonly points: ReadonlyArray<ReadonlyArray<number>>
  readonly targets: Float64Array
  /** The losses of those measured. */
  readonly losses: Float64Array
  readonly invert: (target: number) => number
}

const outcomeOf = (context: Sampler.Context, evidence: Evidence.Evidence): Outcome => {
  const { failures, fidelities, points } = evidence
  const losses = context.objectives === 1 ? evidence.losses[0]! : Tchebycheff.scalarise(
    evidence.losses,
    Tchebycheff.weights(context.objectives, Random.make(context.seed, "objective-weights", context.index))
  )
  const worst = losses.reduce((most, loss) => Math.max(most, loss), -Infinity)
  const all = Float64Array.from([...losses, ...failures.map(() => losses.length > 0 ? worst : 0)])
  const { invert, targets } = OutputTransform.of(all)
  const doubtful = fidelities.some((fidelity) => fidelity < 1)
  return {
    points: [...points, ...failures],
    targets,
    losses,
    invert,
    doubts: doubtful
      ? Float64Array.from([...fidelities, ...failures.map(() => 1)], (fidelity) => 1 - fidelity)
      : undefined
  }
}

/** Whether each measured trial keeps every limit. */
const feasibleOf = ({ points, violations }: Evidence.Evidence): ReadonlyArray<boolean> =>
  points.map((_, i) => violations.every((all) => all[i]! <= 0))

interface Incumbent {
  /** The best target, as the model sees it without noise. */
  readonly target: number
  /** The best loss; absent where no trial was measured. */
  readonly loss: number | undefined
}

const incumbentOf = (
  surrogate: GaussianProcess.Regression,
  { invert, losses, points, targets }: Outcome,
  feasible: ReadonlyArray<boolean>
): Incumbent | undefined => {
  if (losses.length === 0) return { target: targets[0]!, loss: undefined }
  const posterior = GaussianProcess.posterior(surrogate)
  const candidates = Array.from(losses, (_, i) => i).filter((i) => feasible[i]!)
    .toSorted((a, b) => targets[a]! - targets[b]!).slice(0, incumbentsCompared)
  if (candidates.length === 0) return undefined
  const target = candidates.reduce((least, i) => Math.min(least, posterior(points[i]!).mean), Infinity)
  return { target, loss: invert(target) }
}

/**
 * The best target among the trials that run, as far as they are believed to keep
 * the limits. What they are expected to improve is no improvement any more,
 * though they have not finished.
 */
const hopedOf = (
  surrogate: GaussianProcess.Regression,
  { pending }: Evidence.Evidence,
  limits: ReadonlyArray<Acquisition.Term>
): number => {
  const posterior = GaussianProcess.posterior(surrogate)
  return pending.map((point) => Float64Array.from(point))
    .filter((point) => limits.every((limit) => limit(point) > Math.log(0.5)))
    .reduce((least, point) => Math.min(least, posterior(point).mean), Infinity)
}

/** With noise the best trial is not always the one with the least loss, but it is among the first. */
const incumbentsCompared = 20

/** How many of the best trials the search for the next one looks around. */
const lookedAround = 5

const bestOf = (
  { points, targets }: Outcome,
  feasible: ReadonlyArray<boolean>
): ReadonlyArray<ArrayLike<number>> =>
  points.map((point, i) => ({ point, target: targets[i]!, last: feasible[i] === true ? 0 : 1 }))
    .toSorted((a, b) => a.last - b.last || a.target - b.target)
    .slice(0, lookedAround)
    .map(({ point }) => point)

/**
 * For each limit how probable it is that a trial keeps it. Violations are bent
 * about 0 first, so that a few large ones do not hide on which side of the limit
 * the small ones are.
 */
const limitsOf = (
  lattice: Lattice.Lattice,
  { pending, points, violations }: Evidence.Evidence
): ReadonlyArray<Acquisition.Term> =>
  points.length === 0 ? [] : violations.flatMap((all) => {
    const scale = all.map(Math.abs).toSorted()[all.length >> 1]! || 1
    const bent = all.map((each) => Math.asinh(each / scale))
    const mean = bent.reduce((sum, each) => sum + each, 0) / bent.length
    const deviation = Math.sqrt(bent.reduce((sum, each) => sum + (each - mean) ** 2, 0) / bent.length) || 1
    const targets = bent.map((each) => (each - mean) / deviation)
    const surrogate = Surrogate.of(lattice, { points, targets }, { pending })
    return surrogate === undefined ? [] : [Acquisition.feasibility(surrogate, -mean / deviation)]
  })
