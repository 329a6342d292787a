/**
 * A function to minimise whose answer is known, with the space it is searched
 * in as plain data: problems know nothing of samplers or of search spaces.
 */
import * as Random from "../../src/random/Random.ts"

/** Hyperparameters by name; those of a branch lie below its `_tag`. */
export type Params = Readonly<Record<string, unknown>>

/** One hyperparameter: bounds include both ends. */
export type Hyperparameter =
  | {
    readonly name: string
    /** `log` and `log-integer` give equal chances to equal ratios. */
    readonly kind: "uniform" | "log" | "integer" | "log-integer"
    readonly min: number
    readonly max: number
  }
  | {
    readonly name: string
    /** The values of an `ordinal` are in the order in which they grow. */
    readonly kind: "choice" | "ordinal"
    readonly values: ReadonlyArray<string | number>
  }
  | {
    readonly name: string
    /** A choice of tag that brings hyperparameters of its own: the value is `{ _tag, ... }`. */
    readonly kind: "branches"
    readonly branches: Readonly<Record<string, ReadonlyArray<Hyperparameter>>>
  }

export interface Problem<out P = Params> {
  readonly name: string
  readonly hyperparameters: ReadonlyArray<Hyperparameter>
  /** The lowest value there is, of the value without noise. */
  readonly minimum: number
  /**
   * The median of random configurations, so that normalised regret is
   * (value - `minimum`) / (`reference` - `minimum`).
   */
  readonly reference: number
  /** What a trial reports. NaN: the trial diverged. */
  evaluate(params: P): number
  /** The value without the noise, by which a choice is judged: `evaluate` where there is none. */
  noiseless(params: P): number
}

export const uniform = (name: string, min: number, max: number): Hyperparameter => ({ name, kind: "uniform", min, max })

export const log = (name: string, min: number, max: number): Hyperparameter => ({ name, kind: "log", min, max })

export const integer = (name: string, min: number, max: number): Hyperparameter => ({ name, kind: "integer", min, max })

export const logInteger = (name: string, min: number, max: number): Hyperparameter => ({
  name,
  kind: "log-integer",
  min,
  max
})

export const choice = (name: string, values: ReadonlyArray<string | number>): Hyperparameter => ({
  name,
  kind: "choice",
  values
})

export const ordinal = (name: string, values: ReadonlyArray<string | number>): Hyperparameter => ({
  name,
  kind: "ordinal",
  values
})

export const branches = (
  name: string,
  branches: Readonly<Record<string, ReadonlyArray<Hyperparameter>>>
): Hyperparameter => ({ name, kind: "branches", branches })

/** `x0` to `x<d-1>`, all with the same bounds. */
export const box = (dimensions: number, min: number, max: number): ReadonlyArray<Hyperparameter> =>
  Array.from({ length: dimensions }, (_, i) => uniform(`x${i}`, min, max))

/** A function of the point, for the hyperparameters of a {@link box}. */
export const ofPoint =
  (dimensions: number, f: (x: ReadonlyArray<number>) => number) => (params: Readonly<Record<string, number>>): number =>
    f(Array.from({ length: dimensions }, (_, i) => params[`x${i}`]!))

const draw = (hyperparameter: Hyperparameter, random: Random.Random): unknown => {
  switch (hyperparameter.kind) {
    case "choice":
    case "ordinal":
      return hyperparameter.values[random.integer(hyperparameter.values.length)]!
    case "branches": {
      const tags = Object.keys(hyperparameter.branches)
      const tag = tags[random.integer(tags.length)]!
      return { _tag: tag, ...sample(hyperparameter.branches[tag]!, random) }
    }
    default: {
      const { kind, max, min } = hyperparameter
      if (kind === "integer") return min + random.integer(max - min + 1)
      // The whole number v takes the share from v - 1/2 to v + 1/2.
      const half = kind === "log-integer" ? 0.5 : 0
      const u = random.uniform()
      if (kind === "uniform") return min + u * (max - min)
      const low = Math.log(min - half), high = Math.log(max + half)
      const value = Math.exp(low + u * (high - low))
      return Math.min(max, Math.max(min, half === 0 ? value : Math.round(value)))
    }
  }
}

/** Hyperparameters drawn independently and uniformly on their scales. */
export const sample = (hyperparameters: ReadonlyArray<Hyperparameter>, random: Random.Random): Params =>
  Object.fromEntries(hyperparameters.map((hyperparameter) => [hyperparameter.name, draw(hyperparameter, random)]))

/** The middle value, or the mean of the two in the middle. */
export const median = (values: ArrayLike<number>): number => {
  const sorted = Float64Array.from(values).toSorted()
  const half = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2
}

const configurations = 1000
const seed = 12_345

/** The median value of 1,000 random configurations; one that diverges counts as worse than every other. */
export const medianOfRandom = (problem: Pick<Problem, "hyperparameters" | "noiseless">): number =>
  median(Array.from({ length: configurations }, (_, i) => {
    const value = problem.noiseless(sample(problem.hyperparameters, Random.make(seed, "random configurations", i)))
    return Number.isNaN(value) ? Infinity : value
  }))

/**
 * A problem from its definition. Without a `reference`, it is the
 * {@link medianOfRandom}; without `noiseless`, there is no noise.
 */
export const make = <P>(
  definition:
    & Pick<Problem<P>, "name" | "hyperparameters" | "minimum" | "evaluate">
    & { readonly reference?: number; readonly noiseless?: (params: P) => number }
): Problem<P> => {
  const noiseless = definition.noiseless ?? definition.evaluate
  const reference = definition.reference ??
    medianOfRandom({ hyperparameters: definition.hyperparameters, noiseless: noiseless as Problem["noiseless"] })
  return { ...definition, noiseless, reference }
}
