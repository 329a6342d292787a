/**
 * A search space is a record of dimensions, one a hyperparameter. Its type is
 * the record that a trial receives; its schema stores and reads trials back.
 */
import * as Schema from "effect/Schema"
import * as Hyperparameter from "../pipeline/Hyperparameter.ts"
import { choice, type Dimension, fixed, logUniform, uniform, type Value } from "./Dimension.ts"

export { choice, fixed, integer, logUniform, ordinal, uniform } from "./Dimension.ts"

/** The hyperparameters of one trial, when their names are not known to the compiler. */
export type Params = Readonly<Record<string, unknown>>

export interface Space<out P extends Params = Params> {
  readonly dimensions: Readonly<Record<string, Dimension<unknown>>>
  /** Every hyperparameter, in the order of the definition. */
  readonly names: ReadonlyArray<string>
  /** The hyperparameters that vary: the axes of the unit cube, in order. */
  readonly coordinates: ReadonlyArray<string>
  /** How many different points there are: `Infinity` when any dimension is continuous. */
  readonly size: number
  /** A struct of the dimensions' schemas. */
  readonly schema: Schema.Codec<P>
  /** The hyperparameters at a point of the unit cube, one number for each of `coordinates`. */
  readonly fromUnit: (point: ReadonlyArray<number>) => P
  /** The point of the unit cube; NaN where a value is none of its dimension's. */
  toUnit(params: P): ReadonlyArray<number>
  /** A text that two points share exactly when they are equal. */
  key(params: P): string
}

/** The hyperparameters of a space, as a trial receives them. */
export type Type<S> = S extends Space<infer P> ? P : never

/** A dimension whose definition makes no sense, found when the space is made. */
export class InvalidSpace extends Schema.TaggedError<InvalidSpace>()("InvalidSpace", {
  dimension: Schema.String,
  found: Schema.String,
  expected: Schema.String
}) {
  override get message(): string {
    return `search space, ${this.dimension}: found ${this.found}; expected ${this.expected}`
  }
}

/**
 * A space from its dimensions by name. Throws `InvalidSpace` at once when a
 * dimension makes no sense (bounds the wrong way round, an empty choice, ...).
 */
export const make = <const D extends Readonly<Record<string, Dimension<unknown>>>>(
  dimensions: D
): Space<{ readonly [K in keyof D]: D[K] extends Dimension<infer A> ? A : never }> => {
  type P = { readonly [K in keyof D]: D[K] extends Dimension<infer A> ? A : never }
  const names = Object.keys(dimensions)
  if (names.length === 0) {
    throw new InvalidSpace({ dimension: "(none)", found: "no dimensions", expected: "at least one hyperparameter" })
  }
  for (const name of names) {
    const problem = dimensions[name]!.problem
    if (problem !== undefined) throw new InvalidSpace({ dimension: name, ...problem })
  }
  const coordinates = names.filter((name) => dimensions[name]!.size > 1)
  const fields = Object.fromEntries(names.map((name) => [name, dimensions[name]!.schema]))
  return {
    dimensions,
    names,
    coordinates,
    size: names.reduce((size, name) => size * dimensions[name]!.size, 1),
    schema: Schema.Struct(fields) as unknown as Schema.Codec<P>,
    fromUnit: (point) => {
      if (point.length !== coordinates.length) {
        throw new RangeError(`a point of this space has ${coordinates.length} coordinates, not ${point.length}`)
      }
      let next = 0
      return Object.fromEntries(names.map((name) => {
        const dimension = dimensions[name]!
        return [name, dimension.size > 1 ? dimension.fromUnit(point[next++]!) : dimension.default]
      })) as P
    },
    toUnit: (params) => coordinates.map((name) => dimensions[name]!.toUnit(params[name])),
    key: (params) => JSON.stringify(names.map((name) => params[name]))
  }
}

/** The names of the parameters of a stage that say where to look for them, for what is tuned. */
type SearchedIn<Fields, Setup> = keyof {
  [
    K in keyof Fields as Fields[K] extends
      Hyperparameter.Searched<Setup extends { readonly adapter: "lora" | "dora" } ? "always" | "adapter" : "always"> ? K
      : never
  ]: K
}

/** The hyperparameters of a space that a stage proposes, with changes. */
type Proposed<Fields, Setup, Changes> = {
  readonly [K in SearchedIn<Fields, Setup> | keyof Changes]: K extends keyof Changes
    ? Changes[K] extends Dimension<infer A> ? A : never
    : K extends keyof Fields ? Fields[K] extends Schema.Top ? Fields[K]["Type"] : never
    : never
}

const dimensionOf = (range: Hyperparameter.Range<unknown>): Dimension<unknown> => {
  if ("values" in range) {
    const values = range.values as ReadonlyArray<Value>
    return values.length === 1 ? fixed(values[0]!) : choice(values, { default: range.default as Value })
  }
  const options = { default: range.default as number }
  return range.scale === "log" ? logUniform(range.min, range.max, options) : uniform(range.min, range.max, options)
}

/**
 * The space that a stage proposes for its hyperparameters, as in `Space.from(FineTune, { adapter: "lora" })`: those worth
 * searching, each with its usual range and with the value that one would begin with. `changes` puts other dimensions in
 * place of some, or beside them; `Space.fixed` takes one out of the search.
 */
export const from = <
  Fields extends Schema.Struct.Fields,
  const Setup extends Partial<Hyperparameter.Setup> = {},
  const Changes extends Readonly<Record<string, Dimension<unknown>>> = {}
>(
  stage: { readonly params: Schema.Struct<Fields> },
  setup: Setup = {} as Setup,
  changes: Changes = {} as Changes
): Space<Proposed<Fields, Setup, Changes>> => {
  const full: Hyperparameter.Setup = { adapter: "none", ...setup }
  const proposed = Object.entries(stage.params.fields).flatMap(([name, schema]) => {
    const range = Hyperparameter.aboutOf(schema as Schema.Top)?.search?.(full)
    return range === undefined ? [] : [[name, dimensionOf(range)] as const]
  })
  return make({ ...Object.fromEntries(proposed), ...changes }) as never
}

/** The point of defaults: what a person would run without a search. */
export const defaults = <P extends Params>(space: Space<P>): P =>
  Object.fromEntries(space.names.map((name) => [name, space.dimensions[name]!.default])) as P

/**
 * Point number `index` of a space of finite size, counted like an odometer: the
 * last dimension turns fastest.
 */
export const at = <P extends Params>(space: Space<P>, index: number): P => {
  let rest = index
  const entries = space.names.toReversed().map((name) => {
    const dimension = space.dimensions[name]!
    const digit = rest % dimension.size
    rest = Math.floor(rest / dimension.size)
    return [name, dimension.at(digit)] as const
  })
  return Object.fromEntries(entries.toReversed()) as P
}

/** A row for each hyperparameter, for documents and tables. */
export const describe = (
  space: Space
): ReadonlyArray<{ readonly name: string; readonly values: string; readonly default: string }> =>
  space.names.map((name) => ({
    name,
    values: space.dimensions[name]!.description,
    default: String(space.dimensions[name]!.default)
  }))
