/**
 * CMA-ES: trials are drawn from a normal distribution that moves towards the
 * better ones of each generation and takes on their shape (Hansen, "The CMA
 * evolution strategy: a tutorial", arXiv:1604.00772), with a margin for integers,
 * ordinals and choices of two (Hamano et al., GECCO 2022; see `Margin.ts`).
 *
 * What follows from being a pure function of the history:
 *
 * - Generations are counted by proposals: the first has the first `population`
 *   of them, and so on. A proposal comes from the newest distribution whose
 *   generations have all finished, so that with parallelism some of a generation
 *   come from the distribution before it. Trials that were there before the
 *   first proposal (enqueued ones, say) take part in the first generation.
 * - Each proposal rebuilds the distribution from the trials. The sample behind a
 *   trial is drawn anew, since a trial only has the rounded values; where that
 *   does not give the trial's values (losses that changed with a higher rung may
 *   have changed what the distribution was) the trial itself stands for it.
 *   Samples of another distribution have their steps shortened (Hansen,
 *   "Injecting external solutions into CMA-ES", arXiv:1110.4181, 2011).
 * - Equal losses share their weights. Failed trials rank last, all equal, and
 *   those that break a limit behind those that keep all.
 *
 * What falls outside of the bounds is moved to them, and the distribution learns
 * from where it is then, as from any sample that it did not draw (Hansen 2011,
 * which has such repairs as its first use). The best values of hyperparameters
 * often lie on a bound; reflected or drawn again, samples come near it slowly.
 * Samples of discrete values are moved too, unlike in the paper on the margin:
 * all that is beyond the last value has its loss, so nothing would keep the
 * distribution from running away there.
 *
 * When the distribution has shrunk to a point, another starts at random with
 * twice the population (Auger and Hansen, "A restart CMA evolution strategy with
 * increasing population size", CEC 2005).
 */
import * as Random from "../../random/Random.ts"
import { InvalidStudy } from "../InvalidStudy.ts"
import * as Ranking from "../Ranking.ts"
import * as Sampler from "../Sampler.ts"
import { isCategorical } from "../space/Dimension.ts"
import * as Prior from "../space/Prior.ts"
import * as Space from "../space/Space.ts"
import * as Evidence from "./Evidence.ts"
import * as EvolutionStrategy from "./EvolutionStrategy.ts"
import * as Margin from "./Margin.ts"

export interface Options {
  /**
   * The first standard deviation along each axis, in shares of its range. The
   * width of a hyperparameter's prior takes its place where that is less.
   * Default 0.25.
   */
  readonly sigma?: number
  /** Trials in a generation, at least 4. By default 4 + 3 ln(hyperparameters), rounded down. */
  readonly population?: number
}

/** Throws `InvalidStudy` for a sigma that is not in (0, 1], or a population that is not a whole number of at least 4. */
export const make = (options: Options = {}): Sampler.Sampler => {
  const sigma = options.sigma ?? 0.25
  const { population } = options
  const { leastPopulation } = EvolutionStrategy
  if (!(sigma > 0 && sigma <= 1)) {
    throw new InvalidStudy({ option: "cma-es sigma", found: String(sigma), expected: "a number above 0 and at most 1" })
  }
  if (population !== undefined && !(Number.isSafeInteger(population) && population >= leastPopulation)) {
    const expected = `a whole number of at least ${leastPopulation}`
    throw new InvalidStudy({ option: "cma-es population", found: String(population), expected })
  }
  return {
    name: "cma-es",
    description: `CMA-ES with margin, first steps of ${sigma} of each range` +
      (population === undefined ? "" : `, ${population} trials in a generation`),
    size: (space) => space.size,
    check,
    propose: (context) => {
      const { axes } = context.space
      if (axes.length === 0) return Sampler.proposeDistinct(context, () => context.space.fromUnit([]))
      const draw = candidates(context.space, current(context, sigma, population), context.seed, context.index)
      return Sampler.proposeDistinct(context, () => draw().params)
    }
  }
}

const check = ({ objectives, space }: Sampler.Problem) => {
  if (objectives > 1) {
    return {
      found: `${objectives} objectives`,
      expected: "one objective for the cma-es sampler; the tpe and random samplers take several"
    }
  }
  const conditional = space.axes.find(({ when }) => when.length > 0)
  if (conditional !== undefined) {
    return {
      found: `${conditional.name}, which only some branches have`,
      expected: "the same hyperparameters everywhere for the cma-es sampler; the tpe and random samplers take branches"
    }
  }
  const unordered = space.axes.find(({ dimension }) => isCategorical(dimension) && dimension.size > 2)
  if (unordered !== undefined) {
    return {
      found: `${unordered.name}, a choice of ${unordered.dimension.size} values without an order`,
      expected: "numbers, ordinals and choices of two for the cma-es sampler; the gp and tpe samplers take any choice"
    }
  }
  return undefined
}

/** A distribution over the axes. */
interface Distribution {
  readonly parameters: EvolutionStrategy.Parameters
  readonly state: EvolutionStrategy.State
  /** The matrix A of the margin, a diagonal: by how much samples are spread along each axis beyond what the state says. */
  readonly spread: Float64Array
}

const deviation = ({ spread, state }: Distribution, axis: number): number =>
  state.sigma * spread[axis]! * Math.sqrt(state.covariance[axis * spread.length + axis]!)

/** Puts the margin on every axis of finitely many values: at least 1 / (dimensions population), as its paper has it. */
const guarded = (space: Space.Space, { parameters, spread, state }: Distribution): Distribution => {
  const mean = state.mean.slice(), widened = spread.slice()
  for (const [axis, { dimension }] of space.axes.entries()) {
    if (dimension.size === Infinity) continue
    const before = { mean: mean[axis]!, deviation: deviation({ parameters, spread, state }, axis) }
    const after = Margin.widen(dimension, before, 1 / (parameters.dimensions * parameters.population))
    mean[axis] = after.mean
    widened[axis]! *= after.deviation / before.deviation
  }
  return { parameters, spread: widened, state: { ...state, mean } }
}

const begin = (
  space: Space.Space,
  mean: ArrayLike<number>,
  sigma: number,
  population: number | undefined
): Distribution => {
  const deviations = space.axes.map(({ dimension: { prior } }) =>
    prior?._tag === "Normal" ? Math.min(sigma, prior.deviation) : sigma
  )
  return guarded(space, {
    parameters: EvolutionStrategy.parameters(space.axes.length, population),
    state: EvolutionStrategy.initial(mean, deviations),
    spread: new Float64Array(space.axes.length).fill(1)
  })
}

/** A sample: where it fell, discrete values aside, and the hyperparameters there. */
interface Candidate {
  readonly position: Float64Array
  /** Whether it lies where the distribution drew it. */
  readonly isInside: boolean
  readonly params: Space.Params
}

/** Attempts at a new point before they are spread out more than the distribution says. */
const narrow = 16

/** Attempts after which they are spread over the whole space. */
const wide = 48

/** The samples that proposal number `index` looks at, one after the other, until one is new. */
const candidates = (space: Space.Space, distribution: Distribution, seed: number, index: number): () => Candidate => {
  const { spread, state } = distribution
  const random = Random.make(seed, "cma-es", index)
  let attempt = 0
  return () => {
    const y = EvolutionStrategy.step(state, Float64Array.from(state.mean, () => random.normal()))
    const growth = attempt < narrow ? 1 : 2 ** ((attempt - narrow + 1) / 4)
    const anywhere = attempt++ >= wide
    let isInside = !anywhere && growth === 1
    const position = state.mean.map((mean, axis) => {
      if (anywhere) return Prior.quantile(space.axes[axis]!.dimension.prior, random.uniform())
      const limit = Math.max(1, Math.min(growth, 0.25 / deviation(distribution, axis)))
      const x = mean + state.sigma * spread[axis]! * limit * y[axis]!
      if (x >= 0 && x <= 1) return x
      isInside = false
      return x < 0 ? 0 : 1
    })
    return { position, isInside, params: space.fromUnit(position) }
  }
}

/** Whether a trial is over or has reached a rung. */
const isKnown = ({ measurements, status }: Sampler.Observation): boolean =>
  status === "failed" || measurements.length > 0

/** Distributions before the present one that a trial of a generation may have come from. */
const lag = 4

/** The newest distribution, from the trials so far. */
const current = (context: Sampler.Context, sigma: number, population: number | undefined): Distribution => {
  const { index, space } = context
  const start = space.axes.map(({ dimension }) =>
    dimension.prior === undefined ? dimension.toUnit(dimension.default) : Prior.quantile(dimension.prior, 0.5)
  )
  const first = begin(space, start, sigma, population)
  // The proposals of the first generation wait for no result, so that all of them may run at once.
  if (index < first.parameters.population) return first

  const observations = context.history()
  const ranks = rankingOf(context, observations)
  const earlier = Math.max(0, observations.length - index)
  const keys = observations.map(({ params }) => space.key(params))
  const seen = new Set(keys.slice(0, earlier))
  const distributions = [first]
  for (let from = earlier;;) {
    const distribution = distributions.at(-1)!
    const { population } = distribution.parameters
    const trials = Array.from({ length: population }, (_, i) => from + i)
    if (!trials.every((trial) => trial < observations.length && isKnown(observations[trial]!))) return distribution
    const positions = new Map(trials.map((trial) => {
      const found = sampleOf(context, distributions, keys[trial]!, seen, trial - earlier)
      seen.add(keys[trial]!)
      return [trial, found] as const
    }))
    // Those from before the first proposal compete with the first generation for its places.
    const others = from > earlier ? [] : Array.from({ length: earlier }, (_, trial) => trial)
    const ranked = ranks([...others.filter((trial) => isKnown(observations[trial]!)), ...trials])
    const places = ranked.order.slice(0, population)
    const learned = learn(
      space,
      distribution,
      places.map((trial) =>
        positions.get(trial) ??
          { isOwn: false, position: Float64Array.from(space.toUnit(observations[trial]!.params)) }
      ),
      ranked.ties.slice(0, population).map(([low, high]) => [low, Math.min(high, population - 1)])
    )
    from += population
    distributions.push(isSpent(space, learned) ? restarted(context, learned, sigma, from) : learned)
  }
}

/** A sample, and whether the newest distribution drew it. */
interface Sample {
  readonly position: Float64Array
  readonly isOwn: boolean
}

/**
 * The sample behind proposal number `index`, drawn anew, or `undefined` when no
 * distribution that it may have come from gives that trial.
 */
const sampleOf = (
  { seed, space }: Pick<Sampler.Context, "seed" | "space">,
  distributions: ReadonlyArray<Distribution>,
  key: string,
  seen: ReadonlySet<string>,
  index: number
): Sample | undefined => {
  for (let back = 1; back <= Math.min(1 + lag, distributions.length); back++) {
    const draw = candidates(space, distributions.at(-back)!, seed, index)
    for (let attempt = 0; attempt < wide; attempt++) {
      const { isInside, params, position } = draw()
      const other = space.key(params)
      if (other === key) return { position, isOwn: isInside && back === 1 }
      if (!seen.has(other) && space.allows(params)) break
    }
  }
  return undefined
}

/** The distribution after a generation: samples with the best first, and the ranks that are tied. */
const learn = (
  space: Space.Space,
  { parameters, spread, state }: Distribution,
  samples: ReadonlyArray<Sample>,
  ties: ReadonlyArray<readonly [number, number]>
): Distribution => {
  const steps = samples.map(({ isOwn, position }) => {
    const y = position.map((x, axis) => (x - state.mean[axis]!) / (state.sigma * spread[axis]!))
    return isOwn ? y : EvolutionStrategy.shortened(state, y)
  })
  return guarded(space, { parameters, spread, state: EvolutionStrategy.update(parameters, state, steps, ties) })
}

/**
 * A standard deviation, in shares of the range, at which a continuous axis is
 * settled: ten times the digits that values are rounded to. Any narrower, and
 * there would soon be no new point in reach.
 */
const resolution = 1e-4

/** The largest and smallest standard deviation in any direction, beyond which rounding makes them meaningless. */
const conditioning = 1e7

/** Whether nothing can be learnt any more: the distribution has become a point, or is no distribution. */
const isSpent = (space: Space.Space, distribution: Distribution): boolean => {
  const { eigen, sigma } = distribution.state
  const smallest = eigen.values.reduce((least, value) => Math.min(least, value), Infinity)
  const largest = eigen.values.reduce((most, value) => Math.max(most, value), 0)
  if (!(smallest * conditioning ** 2 > largest && Number.isFinite(sigma))) return true
  return space.axes.every(({ dimension }, axis) =>
    deviation(distribution, axis) / distribution.spread[axis]! <
      (dimension.size === Infinity ? resolution : 0.01 / dimension.size)
  )
}

const restarted = (
  { seed, space }: Pick<Sampler.Context, "seed" | "space">,
  { parameters }: Distribution,
  sigma: number,
  trial: number
): Distribution => {
  const random = Random.make(seed, "cma-es-restart", trial)
  const mean = Space.spread(space, space.axes.map(() => random.uniform()))
  return begin(space, mean, sigma, 2 * parameters.population)
}

/** Ranks trials by number: their order, and the first and last rank that each shares with its equals. */
const rankingOf = (context: Sampler.Context, observations: ReadonlyArray<Sampler.Observation>) => {
  const { losses, violations } = Evidence.of(context, observations)
  let measured = 0
  const entries = observations.map(({ measurements, status }): Ranking.Entry | undefined => {
    if (status === "failed" || measurements.length === 0) return undefined
    const at = measured++
    return { losses: [losses[0]![at]!], violations: violations.map((limit) => limit[at]!) }
  })
  const isEqual = (a: Ranking.Entry | undefined, b: Ranking.Entry | undefined): boolean =>
    a === undefined || b === undefined
      ? a === b
      : a.losses[0] === b.losses[0] &&
        a.violations.every((value, limit) => Math.max(0, value) === Math.max(0, b.violations[limit]!))
  return (trials: ReadonlyArray<number>) => {
    const alive = trials.filter((trial) => entries[trial] !== undefined)
    const order = [
      ...Ranking.order(alive.map((trial) => entries[trial]!)).map((position) => alive[position]!),
      ...trials.filter((trial) => entries[trial] === undefined)
    ]
    const ties: Array<readonly [number, number]> = []
    for (let low = 0, high = 0; low < order.length; low = high) {
      while (high < order.length && isEqual(entries[order[low]!], entries[order[high]!])) high++
      for (let rank = low; rank < high; rank++) ties.push([low, high - 1])
    }
    return { order, ties }
  }
}
