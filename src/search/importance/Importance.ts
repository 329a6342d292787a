/**
 * Which hyperparameters mattered, by the trials of a study.
 *
 * Two answers to two questions. {@link pedAnova} asks what it took to be among the
 * best: it compares where the best trials lie with where all of them lie, and is
 * what to look at after a search. {@link fanova} asks what the objective varies with
 * over the whole space, alone and in pairs: the part of its variance that each
 * hyperparameter explains, most of which may be due to its bad values.
 *
 * **Failures** count as the worst result. To `pedAnova` a failed trial is never
 * among the best, however few succeeded; to `fanova` its loss is the worst that any
 * trial has (or, where all that succeeded are equal, something worse than that).
 *
 * **Conditional hyperparameters** are inactive in some trials. `pedAnova` compares
 * only trials in which the hyperparameter is active, and weighs what it finds
 * there by how many of the best trials those are ("Conditional PED-ANOVA",
 * arXiv:2601.20800, 2026): what decides whether it is active is credited to the
 * hyperparameter that it depends on. `fanova` takes the objective as a function on
 * the whole product of the hyperparameters, on which an inactive one has no effect.
 * So one that is active in half of the space explains some variance by itself and
 * some together with the hyperparameter that switches it on.
 */
import * as Schema from "effect/Schema"
import { InvalidStudy } from "../InvalidStudy.ts"
import * as Fanova from "./Fanova.ts"
import * as PedAnova from "./PedAnova.ts"
import * as RegressionForest from "./RegressionForest.ts"

/** A hyperparameter. */
export interface Axis {
  readonly name: string
  /** `categorical` when its values have no order. */
  readonly kind: "numeric" | "categorical"
  /** How many values there are: `Infinity` where they are continuous. */
  readonly size: number
}

/** Trials to learn from. */
export interface Samples {
  readonly axes: ReadonlyArray<Axis>
  /**
   * By trial, the position of each hyperparameter in [0, 1]; NaN where it is inactive.
   * Category number i of n lies at (i + 0.5) / n, and so do n evenly spaced numbers; whole numbers on a log
   * scale lie where that scale has them.
   */
  readonly points: ReadonlyArray<ArrayLike<number>>
  /** By trial; lower is better, and whatever is not finite is a failure. */
  readonly losses: ArrayLike<number>
}

/** Fewer trials than this say nothing that a reader should act on. */
const fewest = 10

/** The trials say nothing of importance. */
export class NoImportance extends Schema.TaggedError<NoImportance>()("NoImportance", {
  reason: Schema.Literals(["too few trials", "all losses equal", "nothing varies"]),
  trials: Schema.Int,
  /** How many of them did not fail. */
  succeeded: Schema.Int
}) {
  override get message(): string {
    const found = `Importance cannot be told from ${this.trials} trials, ${
      this.trials - this.succeeded
    } of which failed: `
    switch (this.reason) {
      case "too few trials":
        return `${found}at least ${fewest} are needed. Run more trials.`
      case "all losses equal":
        return `${found}those to compare did equally well. Run more trials, or choose a metric that tells them apart.`
      case "nothing varies":
        return `${found}no hyperparameter has two values that enough trials tried. Widen the space.`
    }
  }
}

export interface PedAnovaOptions {
  /**
   * Which share of the trials counts as the best, above 0 and below `region`.
   * Default 0.1, or five trials where those are more, and at most half of the region.
   */
  readonly quantile?: number
  /** Compare with this share of the trials instead of with all, best first. Default 1. */
  readonly region?: number
  /**
   * What the best trials are compared with: the `trials` of the region, so that
   * where the sampler went anyway is no merit; or the whole `space`, evenly. Default `trials`.
   */
  readonly baseline?: "trials" | "space"
}

export interface PedAnovaImportance {
  readonly name: string
  /** Its part of the sum over all hyperparameters. */
  readonly importance: number
  /** Pearson's divergence of the best trials from the others, 0 where nothing tells them apart. */
  readonly divergence: number
}

export interface PedAnovaResult {
  /** Most important first. They sum to 1, unless every divergence is 0. */
  readonly importances: ReadonlyArray<PedAnovaImportance>
  /**
   * How many trials counted as the best: more than the quantile says where others equal the last of them, fewer
   * where too few are better than the worst. Of fewer than five expect little.
   */
  readonly best: number
  /** How many they were compared with, the best among them. */
  readonly compared: number
}

/**
 * The importance of each hyperparameter for being among the best trials
 * (Watanabe, Bansal and Hutter, IJCAI 2023). It sees each hyperparameter by
 * itself, and no interactions.
 *
 * A hyperparameter that has one value only, or is inactive in all of the best
 * trials, has importance 0.
 *
 * Throws `NoImportance` for fewer than ten trials, losses that are all equal in the region, or hyperparameters
 * none of which varies; `InvalidStudy` for options or samples that cannot be used.
 */
export const pedAnova = (samples: Samples, options: PedAnovaOptions = {}): PedAnovaResult => {
  const { losses, varying } = prepare(samples)
  const region = options.region ?? 1
  const quantile = options.quantile ?? Math.min(0.5 * region, Math.max(0.1, 5 / losses.length))
  checkQuantiles(quantile, region, options.baseline)
  const compared = upTo(losses, region)
  const worst = compared.reduce((most, trial) => Math.max(most, losses[trial]!), -Infinity)
  // Where the quantile reaches into the worst, as it does when most trials fail, those are not the best for that.
  const best = upTo(losses, quantile).filter((trial) => losses[trial]! < worst)
  if (best.length === 0) throw noImportance(losses, "all losses equal")

  const divergences = samples.axes.map(({ kind, size }, axis) => {
    if (!varying[axis]) return 0
    const positions = samples.points.map((point) => point[axis]!)
    const active = (trials: ReadonlyArray<number>) =>
      trials.map((trial) => positions[trial]!).filter((position) => !Number.isNaN(position))
    const inBest = active(best), inCompared = active(compared)
    if (inBest.length === 0 || inCompared.length < 2) return 0
    const grid = PedAnova.gridOf(kind, size, active(Array.from(positions.keys())))
    const base = options.baseline === "space"
      ? new Float64Array(grid.size).fill(1 / grid.size)
      : PedAnova.density(grid, inCompared)
    const share = inBest.length / best.length
    return share ** 2 / (inCompared.length / compared.length) *
      PedAnova.divergence(PedAnova.density(grid, inBest), base)
  })
  const total = divergences.reduce((sum, each) => sum + each, 0)
  return {
    importances: samples.axes
      .map(({ name }, axis) => ({
        name,
        importance: total > 0 ? divergences[axis]! / total : 0,
        divergence: divergences[axis]!
      }))
      .toSorted((a, b) => b.importance - a.importance),
    best: best.length,
    compared: compared.length
  }
}

const checkQuantiles = (quantile: number, region: number, baseline: "trials" | "space" | undefined): void => {
  if (!(region > 0 && region <= 1)) {
    throw new InvalidStudy({ option: "region", found: String(region), expected: "a share above 0 and at most 1" })
  }
  if (!(quantile > 0 && quantile < region)) {
    throw new InvalidStudy({
      option: "quantile",
      found: String(quantile),
      expected: `a share above 0 and below the region's ${region}`
    })
  }
  if (baseline === "space" && region < 1) {
    throw new InvalidStudy({
      option: "region",
      found: `${region} with the whole space as the baseline`,
      expected: "1, or the trials as the baseline"
    })
  }
}

/** The trials whose losses are at most the quantile's, which is one of the losses. */
const upTo = (losses: Float64Array, quantile: number): ReadonlyArray<number> => {
  const cutoff = losses.toSorted()[Math.ceil(quantile * losses.length) - 1]!
  return Array.from(losses.keys()).filter((trial) => losses[trial]! <= cutoff)
}

export interface FanovaOptions {
  /** Of the forest. The same seed gives the same result. */
  readonly seed: number
  /** How many trees the forest has. Default 64. */
  readonly trees?: number
  /**
   * Which share of the hyperparameters, rounded up, is tried at each split of a tree. Default 1: with so few
   * features the bootstrap samples make the trees differ enough, and fewer blur the interactions.
   */
  readonly features?: number
  /** The fewest trials in a leaf. More than the default of 1 smooths a noisy objective. */
  readonly leaf?: number
  /**
   * Losses above this quantile of those that did not fail count as equal to it,
   * failures too: how the objective varies among the bad trials then explains nothing. Default 1.
   */
  readonly cap?: number
  /** How many pairs to report, the most important of all. Default all of them; 0 leaves the work out. */
  readonly pairs?: number
}

export interface FanovaImportance {
  readonly name: string
  /** The part of the variance that it explains by itself: the mean over the trees. */
  readonly importance: number
  /** The standard deviation over the trees. */
  readonly deviation: number
}

export interface FanovaInteraction {
  /** In the order of the axes. */
  readonly names: readonly [string, string]
  /** The part of the variance that the two explain together and neither does by itself. */
  readonly importance: number
  readonly deviation: number
}

export interface FanovaResult {
  /** Each hyperparameter by itself, most important first. */
  readonly importances: ReadonlyArray<FanovaImportance>
  /** Most important first. */
  readonly interactions: ReadonlyArray<FanovaInteraction>
  /**
   * The part of the variance that is left: what three and more explain together, and pairs that are not reported.
   * With it, main effects and interactions sum to 1.
   */
  readonly rest: number
}

/**
 * The part of the objective's variance over the space that each hyperparameter
 * explains, alone and in pairs, by a random forest (Hutter, Hoos and
 * Leyton-Brown, ICML 2014). Every value of a hyperparameter counts the same,
 * wherever the trials were: on a log scale every position on it.
 *
 * It is as good as the forest is. With few trials or much noise the trees find interactions that are not there,
 * at the cost of the main effects, as any implementation's do.
 *
 * A hyperparameter that has one value only has importance 0.
 *
 * Throws `NoImportance` for fewer than ten trials, losses that are all equal, or hyperparameters none of which
 * has two values with enough trials to fill a leaf; `InvalidStudy` for options or samples that cannot be used.
 */
export const fanova = (samples: Samples, options: FanovaOptions): FanovaResult => {
  const { trees = 64, features: share = 1, leaf = 1, cap = 1, pairs = Infinity, seed } = options
  const { losses, varying } = prepare(samples)
  checkForest({ seed, trees, features: share, leaf, cap, pairs })
  const targets = targetsOf(losses, cap)
  const chosen = samples.axes.map((_, axis) => axis).filter((axis) => varying[axis])
  const features = chosen.map((axis): RegressionForest.Feature => {
    const { kind, size } = samples.axes[axis]!
    const values = Float64Array.from(samples.points, (point) => point[axis]!)
    if (kind === "numeric") return { kind, values }
    return { kind, size, values: values.map((position) => Math.min(size - 1, Math.floor(position * size))) }
  })
  const forest = RegressionForest.fit(features, targets, {
    seed,
    trees,
    features: Math.ceil(share * features.length),
    leaf,
    depth: 64
  })
  const decomposition = Fanova.decompose(forest, features, pairs > 0)
  if (decomposition.trees === 0) throw noImportance(losses, "nothing varies")

  const importances = samples.axes.map(({ name }, axis): FanovaImportance => {
    const effect = decomposition.main[chosen.indexOf(axis)] ?? { mean: 0, deviation: 0 }
    return { name, importance: effect.mean, deviation: effect.deviation }
  })
  const interactions: Array<FanovaInteraction> = []
  for (const [a, first] of samples.axes.entries()) {
    for (const [b, second] of samples.axes.entries()) {
      if (b <= a || pairs === 0) continue
      const [i, j] = [chosen.indexOf(a), chosen.indexOf(b)]
      const effect = i < 0 || j < 0 ? undefined : decomposition.pairs[pairIndex(i, j, chosen.length)]
      const { deviation, mean } = effect ?? { mean: 0, deviation: 0 }
      interactions.push({ names: [first.name, second.name], importance: mean, deviation })
    }
  }
  const reported = interactions.toSorted((a, b) => b.importance - a.importance).slice(0, pairs)
  const explained = [...importances, ...reported].reduce((sum, { importance }) => sum + importance, 0)
  return {
    importances: importances.toSorted((a, b) => b.importance - a.importance),
    interactions: reported,
    rest: Math.max(0, 1 - explained)
  }
}

/** Where the pair (i, j), i below j, stands among the pairs of `count` features. */
const pairIndex = (i: number, j: number, count: number): number => i * (2 * count - i - 1) / 2 + j - i - 1

const checkForest = (options: Required<FanovaOptions>): void => {
  const refuse = (option: keyof FanovaOptions, expected: string) => {
    throw new InvalidStudy({ option, found: String(options[option]), expected })
  }
  const whole = (value: number, least: number) => Number.isSafeInteger(value) && value >= least
  if (!whole(options.seed, 0)) refuse("seed", "a whole number from 0")
  if (!whole(options.trees, 1)) refuse("trees", "a whole number from 1")
  if (!whole(options.leaf, 1)) refuse("leaf", "a whole number from 1")
  if (!(options.features > 0 && options.features <= 1)) refuse("features", "a share above 0 and at most 1")
  if (!(options.cap > 0 && options.cap <= 1)) refuse("cap", "a share above 0 and at most 1")
  if (options.pairs !== Infinity && !whole(options.pairs, 0)) refuse("pairs", "a whole number from 0")
}

/** Losses for a forest: failures as the worst, capped, and scaled so that no square overflows. */
const targetsOf = (losses: Float64Array, cap: number): Float64Array => {
  const finite = losses.filter((loss) => loss < Infinity).toSorted()
  if (finite.length === 0) throw noImportance(losses, "all losses equal")
  const largest = Math.max(Math.abs(finite[0]!), Math.abs(finite.at(-1)!))
  const scale = largest > 0 ? largest : 1
  const limit = finite[Math.ceil(cap * finite.length) - 1]! / scale
  // Where those that succeeded are equal, that they succeeded is what there is to explain.
  const worst = limit > finite[0]! / scale ? limit : limit + 1
  const targets = losses.map((loss) => loss === Infinity ? worst : Math.min(limit, loss / scale))
  if (targets.every((target) => target === targets[0])) throw noImportance(losses, "all losses equal")
  return targets
}

/** The losses, failures as `Infinity`, and which hyperparameters have at least two values in the trials. */
const prepare = (
  samples: Samples
): { readonly losses: Float64Array; readonly varying: ReadonlyArray<boolean> } => {
  const { axes, points } = samples
  const refuse = (option: string, found: string, expected: string) => {
    throw new InvalidStudy({ option, found, expected })
  }
  if (samples.losses.length !== points.length) {
    refuse("losses", `${samples.losses.length} losses of ${points.length} points`, "one for each point")
  }
  const twice = axes.find(({ name }, axis) => axes.findIndex((other) => other.name === name) !== axis)
  if (twice !== undefined) refuse("axes", `${twice.name} twice`, "each hyperparameter once")
  for (const { kind, name, size } of axes) {
    const isCount = Number.isSafeInteger(size) && size >= 1
    if (!isCount && !(kind === "numeric" && size === Infinity)) {
      refuse("axes", `${name} of ${size} values`, "how many values it has; only numbers may be continuous")
    }
  }
  for (const [trial, point] of points.entries()) {
    if (point.length !== axes.length) refuse(`points[${trial}]`, `${point.length} positions`, `${axes.length}`)
    for (const [axis, { name }] of axes.entries()) {
      const position = point[axis]!
      if (position < 0 || position > 1) {
        refuse(`points[${trial}]`, `${name} at ${position}`, "a position in [0, 1], or NaN where it is inactive")
      }
    }
  }
  const losses = Float64Array.from(samples.losses, (loss) => Number.isFinite(loss) ? loss : Infinity)
  if (losses.length < fewest) throw noImportance(losses, "too few trials")
  const varying = axes.map((_, axis) => {
    const active = points.map((point) => point[axis]!).filter((position) => !Number.isNaN(position))
    return active.some((position) => position !== active[0])
  })
  if (!varying.includes(true)) throw noImportance(losses, "nothing varies")
  return { losses, varying }
}

const noImportance = (losses: Float64Array, reason: NoImportance["reason"]): NoImportance =>
  new NoImportance({
    reason,
    trials: losses.length,
    succeeded: losses.filter((loss) => loss < Infinity).length
  })
