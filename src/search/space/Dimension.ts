/**
 * A dimension is one hyperparameter of a search space: the values it may take,
 * laid along the unit interval. Every sampler, from a grid to a model, works on
 * numbers in [0, 1] and stays ignorant of names and types.
 *
 * Constructors never throw: a definition that makes no sense carries its
 * `problem`, and `Space.make`, which knows the hyperparameter's name, reports it.
 */
import * as Schema from "effect/Schema"
import type { Prior } from "./Prior.ts"

/** A value that a choice, an ordinal or a fixed dimension may hold. */
export type Value = string | number | boolean

/** What a dimension is, as plain data: for keys, tables and model-based samplers. */
export type Domain =
  | { readonly _tag: "Uniform"; readonly min: number; readonly max: number; readonly step: number | undefined }
  | { readonly _tag: "LogUniform"; readonly min: number; readonly max: number }
  | {
    readonly _tag: "Integer"
    readonly min: number
    readonly max: number
    readonly step: number
    readonly scale: Scale
  }
  | { readonly _tag: "Choice"; readonly values: ReadonlyArray<Value> }
  | { readonly _tag: "Ordinal"; readonly values: ReadonlyArray<Value> }
  | { readonly _tag: "Fixed"; readonly value: Value }

export type Scale = "linear" | "log"

/** Why a definition makes no sense. */
export interface Problem {
  readonly found: string
  readonly expected: string
}

export interface Dimension<out A> {
  readonly domain: Domain
  /** Accepts exactly the values of this dimension; encodes them as they are. */
  readonly schema: Schema.Codec<A>
  /** The values in words, such as `0.00001 to 0.01, log scale`. */
  readonly description: string
  /** The given default. Without one: the middle of the scale, and the first value of a choice. */
  readonly default: A
  /** How many values there are: `Infinity` where they are continuous. */
  readonly size: number
  /** The value at `u` in [0, 1]; a `u` outside is moved to the nearer end. */
  readonly fromUnit: (u: number) => A
  /**
   * Where a value lies in [0, 1] (the middle of its share when values are
   * discrete), or NaN when it is none of this dimension's.
   * `fromUnit(toUnit(value))` is `value` for every value that `fromUnit` gives.
   */
  toUnit(value: A): number
  /** The value number `index` of a dimension of finite size, in order. */
  readonly at: (index: number) => A
  /** Where good values are expected, if anything is. */
  readonly prior: Prior | undefined
  readonly problem: Problem | undefined
}

/** Whether its values have no order, so that no two of them are nearer to each other than to a third. */
export const isCategorical = (dimension: Dimension<unknown>): boolean => dimension.domain._tag === "Choice"

/** Which value of a dimension of finite size lies at `u`, counted from 0. Of one on a log scale the numbers of `at`. */
export const indexAt = (dimension: Dimension<unknown>, u: number): number => {
  const { domain } = dimension
  if (domain._tag === "Integer" && domain.scale === "log") return (dimension.fromUnit(u) as number) - domain.min
  return Math.min(dimension.size - 1, Math.floor(unit(u) * dimension.size))
}

const clamp = (value: number, min: number, max: number): number => Math.min(max, Math.max(min, value))

const unit = (u: number): number => {
  if (Number.isNaN(u)) throw new RangeError("a position in the unit interval cannot be NaN")
  return clamp(u, 0, 1)
}

const show = (value: unknown): string => typeof value === "string" ? JSON.stringify(value) : String(value)

const continuousHasNoIndex = (): never => {
  throw new RangeError("the values of a continuous dimension cannot be counted")
}

const interval = (min: number, max: number): Problem | undefined => {
  if (!Number.isFinite(min) || !Number.isFinite(max)) {
    return { found: `bounds ${min} and ${max}`, expected: "two finite numbers" }
  }
  if (min >= max) {
    return { found: `min ${min} and max ${max}`, expected: "min below max (Space.fixed holds a single value)" }
  }
  return Number.isFinite(max - min) ? undefined : { found: `bounds ${min} and ${max}`, expected: "a finite range" }
}

const defaultWithin = <A>(given: A | undefined, toUnit: (value: A) => number, values: string): Problem | undefined =>
  given !== undefined && Number.isNaN(toUnit(given))
    ? { found: `default ${show(given)}`, expected: `a default among ${values}` }
    : undefined

/**
 * The schema of a definition that makes sense. One that does not gets a schema
 * of nothing, because the constructors of `Schema` throw at a NaN before
 * `Space.make` can report it with the hyperparameter's name.
 */
const unless = <A>(problem: Problem | undefined, schema: () => Schema.Codec<A>): Schema.Codec<A> =>
  problem === undefined ? schema() : Schema.Never

/** Continuous values are rounded to this many significant digits (log) or digits of the range (linear). */
const significantDigits = 5

/**
 * Rounds to a decimal step between a hundred-thousandth and a millionth of the
 * range, so that a table shows 0.12345 and not 0.12345000000000001.
 */
const roundLinear = (value: number, range: number): number => {
  const decimals = significantDigits - Math.floor(Math.log10(range))
  if (decimals > 100) return value
  if (decimals >= 0) return Number(value.toFixed(decimals)) + 0
  const step = 10 ** -decimals
  return Math.round(value / step) * step + 0
}

export interface Options<A> {
  /** The value to start from: what you would use without a search. */
  readonly default?: A
}

/** A value that is expected to be good, and how far from it others may be. */
export interface Expected {
  readonly around: number
  /**
   * One standard deviation: in the unit of the values on the linear scale, a
   * factor above 1 on the log scale (10 is a decade to either side).
   */
  readonly width: number
}

export interface NumericOptions extends Options<number> {
  /** Where good values are expected; nothing is ruled out by it. */
  readonly prior?: Expected
}

const normalPrior = (
  expected: Expected | undefined,
  toUnit: (value: number) => number,
  scale: Scale,
  lengthOf: (width: number) => number
): { readonly prior: Prior | undefined; readonly problem: Problem | undefined } => {
  if (expected === undefined) return { prior: undefined, problem: undefined }
  const { around, width } = expected
  const mean = toUnit(around)
  if (Number.isNaN(mean)) {
    const found = `a prior around ${around}`
    return { prior: undefined, problem: { found, expected: "a prior around a value of the dimension" } }
  }
  if (!(Number.isFinite(width) && width > (scale === "log" ? 1 : 0))) {
    const wanted = scale === "log" ? "a factor above 1, such as 10 for a decade" : "a width above zero"
    return { prior: undefined, problem: { found: `a prior of width ${width}`, expected: wanted } }
  }
  return { prior: { _tag: "Normal", mean, deviation: lengthOf(width) }, problem: undefined }
}

export interface UniformOptions extends NumericOptions {
  /** The distance between neighbours, for values on a lattice: `min`, `min + step`, ... `max`. */
  readonly step?: number
}

/**
 * Any number from `min` to `max`, all equally likely. Proposed values are rounded
 * to a decimal step between a hundred-thousandth and a millionth of the range;
 * the bounds themselves stay as given.
 */
export const uniform = (min: number, max: number, options: UniformOptions = {}): Dimension<number> => {
  const { step } = options
  const steps = step === undefined ? Infinity : (max - min) / step
  const size = step === undefined ? Infinity : Math.round(steps) + 1
  // A sum of decimal fractions is off in its last digits: 0.1 + 0.2 is meant to be 0.3.
  const at = (index: number): number => index === size - 1 ? max : Number((min + step! * index).toPrecision(12)) + 0
  const description = `${min} to ${max}` + (step === undefined ? "" : ` in steps of ${step}`)
  const fromUnit = (position: number): number => {
    const u = unit(position)
    if (step !== undefined) return at(Math.min(size - 1, Math.floor(u * size)))
    return u === 0 ? min : u === 1 ? max : clamp(roundLinear(min + u * (max - min), max - min), min, max)
  }
  const toUnit = (value: number): number => {
    if (!(value >= min && value <= max)) return NaN
    if (step === undefined) return (value - min) / (max - min)
    const index = Math.round((value - min) / step)
    return Math.abs(min + step * index - value) <= step * 1e-9 ? (index + 0.5) / size : NaN
  }
  const { prior, problem: priorProblem } = normalPrior(options.prior, toUnit, "linear", (width) => width / (max - min))
  const problem = interval(min, max) ?? stepProblem(min, max, step, steps) ??
    defaultWithin(options.default, toUnit, description) ?? priorProblem
  return {
    domain: { _tag: "Uniform", min, max, step },
    schema: unless(problem, () => {
      const within = Schema.Finite.check(Schema.isBetween({ minimum: min, maximum: max }))
      if (step === undefined) return within
      return within.check(
        Schema.makeFilter((n) => !Number.isNaN(toUnit(n)), { expected: `a value of ${description}` })
      )
    }),
    description,
    default: options.default ?? (problem === undefined ? fromUnit(0.5) : min),
    size,
    fromUnit,
    toUnit,
    at: step === undefined ? continuousHasNoIndex : at,
    prior,
    problem
  }
}

const stepProblem = (min: number, max: number, step: number | undefined, steps: number): Problem | undefined => {
  if (step === undefined) return undefined
  if (!(Number.isFinite(step) && step > 0)) return { found: `step ${step}`, expected: "a step above zero" }
  if (Math.abs(steps - Math.round(steps)) <= 1e-9 * steps) return undefined
  const reached = Number((min + Math.floor(steps) * step).toPrecision(12))
  return {
    found: `max ${max}, which steps of ${step} from ${min} pass over`,
    expected: `max ${reached} or ${Number((reached + step).toPrecision(12))}`
  }
}

/**
 * Any number from `min` to `max`, both above zero, with equal chances for equal
 * ratios: the scale of learning rates and weight decays. Proposed values are
 * rounded to five significant digits; the bounds themselves stay as given.
 */
export const logUniform = (min: number, max: number, options: NumericOptions = {}): Dimension<number> => {
  const description = `${min} to ${max}, log scale`
  const low = Math.log(min), high = Math.log(max)
  const fromUnit = (position: number): number => {
    const u = unit(position)
    if (u === 0) return min
    if (u === 1) return max
    return clamp(Number(Math.exp(low + u * (high - low)).toPrecision(significantDigits)), min, max)
  }
  const toUnit = (value: number): number =>
    value >= min && value <= max ? clamp((Math.log(value) - low) / (high - low), 0, 1) : NaN
  const { prior, problem: priorProblem } = normalPrior(
    options.prior,
    toUnit,
    "log",
    (width) => Math.log(width) / (high - low)
  )
  const problem = interval(min, max) ??
    (min <= 0 ? { found: `min ${min} on a log scale`, expected: "bounds above zero" } : undefined) ??
    defaultWithin(options.default, toUnit, description) ?? priorProblem
  return {
    domain: { _tag: "LogUniform", min, max },
    schema: unless(problem, () => Schema.Finite.check(Schema.isBetween({ minimum: min, maximum: max }))),
    description,
    default: options.default ?? (problem === undefined ? fromUnit(0.5) : min),
    size: Infinity,
    fromUnit,
    toUnit,
    at: continuousHasNoIndex,
    prior,
    problem
  }
}

export interface IntegerOptions extends NumericOptions {
  /** `"log"` gives equal chances to equal ratios. Default `"linear"`. */
  readonly scale?: Scale
  /** The distance between neighbours, on the linear scale. Default 1. */
  readonly step?: number
}

/**
 * The whole numbers `min`, `min + step`, ... `max`, both ends included.
 *
 * On the log scale the number v takes the share from log(v - 1/2) to
 * log(v + 1/2), so neighbours join without gaps and 1 is not favoured.
 */
export const integer = (min: number, max: number, options: IntegerOptions = {}): Dimension<number> => {
  const step = options.step ?? 1, scale = options.scale ?? "linear"
  const size = Math.floor((max - min) / step) + 1
  const low = Math.log(min - 0.5), high = Math.log(max + 0.5)
  const description = `${min} to ${max}, whole` + (step === 1 ? "" : ` in steps of ${step}`) +
    (scale === "log" ? ", log scale" : "")
  const fromUnit = (position: number): number => {
    const u = unit(position)
    if (scale === "log") return clamp(Math.round(Math.exp(low + u * (high - low))), min, max)
    return min + step * Math.min(size - 1, Math.floor(u * size))
  }
  const toUnit = (value: number): number => {
    if (!Number.isInteger(value) || value < min || value > max || (value - min) % step !== 0) return NaN
    if (scale === "log") {
      return clamp(((Math.log(value - 0.5) + Math.log(value + 0.5)) / 2 - low) / (high - low), 0, 1)
    }
    return ((value - min) / step + 0.5) / size
  }
  const { prior, problem: priorProblem } = normalPrior(
    options.prior,
    toUnit,
    scale,
    (width) => scale === "log" ? Math.log(width) / (high - low) : width / (step * size)
  )
  const problem = interval(min, max) ??
    integerProblem(min, max, step, scale) ??
    defaultWithin(options.default, toUnit, description) ?? priorProblem
  return {
    domain: { _tag: "Integer", min, max, step, scale },
    schema: unless(problem, () => {
      const within = Schema.Int.check(Schema.isBetween({ minimum: min, maximum: max }))
      if (step === 1) return within
      return within.check(Schema.makeFilter((n) => (n - min) % step === 0, { expected: `a value of ${description}` }))
    }),
    description,
    default: options.default ?? (problem === undefined ? fromUnit(0.5) : min),
    size,
    fromUnit,
    toUnit,
    at: (index) => min + step * index,
    prior,
    problem
  }
}

const integerProblem = (min: number, max: number, step: number, scale: Scale): Problem | undefined => {
  if (!Number.isSafeInteger(min) || !Number.isSafeInteger(max)) {
    return { found: `bounds ${min} and ${max}`, expected: "whole numbers (Space.uniform holds fractions)" }
  }
  if (!Number.isSafeInteger(step) || step < 1) return { found: `step ${step}`, expected: "a whole step of at least 1" }
  if (scale === "log" && min < 1) return { found: `min ${min} on a log scale`, expected: "a min of at least 1" }
  if (scale === "log" && step !== 1) {
    return { found: `step ${step} on a log scale`, expected: "step 1, or the linear scale, or Space.ordinal" }
  }
  const excess = (max - min) % step
  return excess === 0 ? undefined : {
    found: `max ${max}, which steps of ${step} from ${min} pass over`,
    expected: `max ${max - excess} or ${max - excess + step}`
  }
}

export interface ListOptions<A> extends Options<A> {
  /** How likely each value is to be the best, in the order of the values, relative to each other. */
  readonly weights?: ReadonlyArray<number>
}

const weightsPrior = (
  weights: ReadonlyArray<number> | undefined,
  size: number
): { readonly prior: Prior | undefined; readonly problem: Problem | undefined } => {
  if (weights === undefined) return { prior: undefined, problem: undefined }
  if (weights.length !== size || !weights.every((weight) => Number.isFinite(weight) && weight > 0)) {
    const found = `weights [${weights.join(", ")}]`
    return { prior: undefined, problem: { found, expected: `${size} numbers above zero, one for each value` } }
  }
  const sum = weights.reduce((total, weight) => total + weight, 0)
  return { prior: { _tag: "Weights", weights: weights.map((weight) => weight / sum) }, problem: undefined }
}

const listed = <const Values extends ReadonlyArray<Value>>(
  tag: "Choice" | "Ordinal",
  values: Values,
  fallback: number,
  options: ListOptions<Values[number]>
): Dimension<Values[number]> => {
  const size = values.length
  const description = values.map(String).join(tag === "Ordinal" ? " < " : ", ")
  const fromUnit = (position: number): Values[number] => values[Math.min(size - 1, Math.floor(unit(position) * size))]!
  const toUnit = (value: Values[number]): number => {
    const index = values.indexOf(value)
    return index < 0 ? NaN : (index + 0.5) / size
  }
  const { prior, problem: priorProblem } = weightsPrior(options.weights, size)
  const problem = listProblem(values) ?? defaultWithin(options.default, toUnit, description) ?? priorProblem
  return {
    domain: { _tag: tag, values },
    schema: unless(problem, () => Schema.Literals(values) as unknown as Schema.Codec<Values[number]>),
    description,
    default: options.default ?? values[fallback]!,
    size,
    fromUnit,
    toUnit,
    at: (index) => values[index]!,
    prior,
    problem
  }
}

const listProblem = (values: ReadonlyArray<Value>): Problem | undefined => {
  if (values.length === 0) return { found: "no values", expected: "at least one value to choose from" }
  const notFinite = values.find((value) => typeof value === "number" && !Number.isFinite(value))
  if (notFinite !== undefined) return { found: `the value ${notFinite}`, expected: "a finite number" }
  const twice = values.find((value, index) => values.indexOf(value) !== index)
  return twice === undefined
    ? undefined
    : { found: `${show(twice)} listed twice`, expected: "values that differ from each other" }
}

/** One of the listed values, which have no order. The default is the first. */
export const choice = <const Values extends ReadonlyArray<Value>>(
  values: Values,
  options: ListOptions<Values[number]> = {}
): Dimension<Values[number]> => listed("Choice", values, 0, options)

/**
 * One of the listed values, in the order in which they grow: neighbours are
 * alike, which a model-based sampler uses. The default is the middle one.
 */
export const ordinal = <const Values extends ReadonlyArray<Value>>(
  values: Values,
  options: ListOptions<Values[number]> = {}
): Dimension<Values[number]> => listed("Ordinal", values, Math.floor((values.length - 1) / 2), options)

/** A value that does not vary, so that a trial receives it like the others. */
export const fixed = <const A extends Value>(value: A): Dimension<A> => {
  const problem = listProblem([value])
  return {
    domain: { _tag: "Fixed", value },
    schema: unless(problem, () => Schema.Literal(value) as unknown as Schema.Codec<A>),
    description: `always ${value}`,
    default: value,
    size: 1,
    fromUnit: () => value,
    toUnit: (given) => given === value ? 0.5 : NaN,
    at: () => value,
    prior: undefined,
    problem
  }
}
