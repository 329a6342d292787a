/**
 * A search space is a record of dimensions, one a hyperparameter. Its type is
 * the record that a trial receives; its schema stores and reads trials back.
 *
 * Some hyperparameters only exist beside a certain choice (see `branches`), and
 * constraints may forbid combinations. Samplers see none of that: to them a
 * space is a list of axes, each a unit interval, some of which are inactive at
 * some points.
 */
import * as Schema from "effect/Schema"
import * as Hyperparameter from "../../pipeline/Hyperparameter.ts"
import * as Random from "../../random/Random.ts"
import { defaultsOf, type Field, type Fields, isBranches, type TypeOf } from "./Branches.ts"
import { choice, type Dimension, fixed, indexAt, logUniform, uniform, type Value } from "./Dimension.ts"
import * as Prior from "./Prior.ts"

export { branches } from "./Branches.ts"
export { choice, fixed, integer, logUniform, ordinal, uniform } from "./Dimension.ts"

/** The hyperparameters of one trial, when their names are not known to the compiler. */
export type Params = Readonly<Record<string, unknown>>

/** A hyperparameter of the space, also one that does not vary or belongs to a branch. */
export interface Leaf {
  /** Its path, with the branch in it, as in `optimizer.sgd.momentum`; a choice of branches has the path of the choice. */
  readonly name: string
  readonly dimension: Dimension<unknown>
  /** The branches that it belongs to, outermost first; it is there where all of these hold. */
  readonly when: ReadonlyArray<Condition>
}

/** That a choice of branches, an axis of the space, is at its value number `index`. */
export interface Condition {
  readonly axis: number
  readonly index: number
}

/** A hyperparameter that varies. */
export interface Axis extends Leaf {}

/** A rule between hyperparameters that every trial keeps. */
export interface Constraint {
  readonly name: string
  readonly holds: (params: Params) => boolean
}

export interface Space<out P extends Params = Params> {
  readonly fields: Fields
  /** The fields of a trial, in the order of the definition. */
  readonly names: ReadonlyArray<string>
  /** Every hyperparameter, those of branches after the choice that brings them. */
  readonly leaves: ReadonlyArray<Leaf>
  /** The hyperparameters that vary, in the same order: the axes of the unit cube. */
  readonly axes: ReadonlyArray<Axis>
  readonly constraints: ReadonlyArray<Constraint>
  /** How many different points there are, constraints aside: `Infinity` when any dimension is continuous. */
  readonly size: number
  /** A struct of the fields' schemas, with the constraints. */
  readonly schema: Schema.Codec<P>
  /** The hyperparameters at a point of the unit cube, one number for each of `axes`; those of inactive axes do not matter. */
  readonly fromUnit: (point: ArrayLike<number>) => P
  /** The point of the unit cube; NaN on an inactive axis, and where a value is none of its dimension's. */
  toUnit(params: P): ReadonlyArray<number>
  /** A text that two points share exactly when they are equal. */
  key(params: P): string
  /** Whether every constraint holds. */
  allows(params: P): boolean
}

/** The hyperparameters of a space, as a trial receives them. */
export type Type<S> = S extends Space<infer P> ? P : never

/** A dimension whose definition makes no sense, or constraints that leave nothing, found when the space is made. */
export class InvalidSpace extends Schema.TaggedError<InvalidSpace>()("InvalidSpace", {
  dimension: Schema.String,
  found: Schema.String,
  expected: Schema.String
}) {
  override get message(): string {
    return `search space, ${this.dimension}: found ${this.found}; expected ${this.expected}`
  }
}

export interface Options<in P> {
  /** Rules between hyperparameters, each with a name for messages. Points that break one are never proposed. */
  readonly constraints?: Readonly<Record<string, (params: P) => boolean>>
}

/**
 * A space from its dimensions by name. Throws `InvalidSpace` at once when a
 * dimension makes no sense (bounds the wrong way round, an empty choice, ...),
 * when the defaults break a constraint, or when hardly any point keeps them all.
 */
export const make = <const F extends Fields>(fields: F, options: Options<TypeOf<F>> = {}): Space<TypeOf<F>> => {
  type P = TypeOf<F>
  const names = Object.keys(fields)
  if (names.length === 0) {
    throw new InvalidSpace({ dimension: "(none)", found: "no dimensions", expected: "at least one hyperparameter" })
  }
  const { axes, leaves } = listLeaves(fields)
  const constraints = Object.entries(options.constraints ?? {}).map(([name, holds]) => ({ name, holds }))
  const allows = (params: P) => constraints.every(({ holds }) => holds(params))
  const struct = structOf(fields) as unknown as Schema.Codec<P>
  const space: Space<P> = {
    fields,
    names,
    leaves,
    axes,
    constraints: constraints as ReadonlyArray<Constraint>,
    size: sizeOf(fields),
    schema: constraints.reduce(
      (schema, { holds, name }) =>
        schema.check(Schema.makeFilter((params) => holds(params), { expected: `hyperparameters with: ${name}` })),
      struct
    ),
    fromUnit: (point) => {
      if (point.length !== axes.length) {
        throw new RangeError(`a point of this space has ${axes.length} coordinates, not ${point.length}`)
      }
      return walk(fields, point, { axis: 0 }, true) as P
    },
    toUnit: (params) => {
      const point = Array.from(axes, () => Number.NaN)
      place(fields, params, { axis: 0 }, (axis, u) => {
        point[axis] = u
      })
      return point
    },
    key: (params) => JSON.stringify(listValues(fields, params)),
    allows
  }
  if (constraints.length > 0) checkConstraints(space)
  return space
}

const varies = (dimension: Dimension<unknown>): boolean => dimension.size > 1

/** Finds the leaves and axes, and reports the first field that makes no sense. */
const listLeaves = (fields: Fields): { readonly leaves: ReadonlyArray<Leaf>; readonly axes: ReadonlyArray<Axis> } => {
  const leaves: Array<Leaf> = [], axes: Array<Axis> = []
  const add = (leaf: Leaf): void => {
    const { problem } = leaf.dimension
    if (problem !== undefined) throw new InvalidSpace({ dimension: leaf.name, ...problem })
    leaves.push(leaf)
    if (varies(leaf.dimension)) axes.push(leaf)
  }
  const visit = (fields: Fields, path: string, when: ReadonlyArray<Condition>): void => {
    for (const [key, field] of Object.entries(fields)) {
      const name = path + key
      if (!isBranches(field)) {
        add({ name, dimension: field, when })
        continue
      }
      const axis = axes.length
      add({ name, dimension: field.tag, when })
      for (const [index, [tag, branch]] of Object.entries(field.branches).entries()) {
        if ("_tag" in branch) {
          const expected = "another name, since `_tag` says which branch it is"
          throw new InvalidSpace({ dimension: `${name}.${tag}._tag`, found: "a hyperparameter named `_tag`", expected })
        }
        visit(branch, `${name}.${tag}.`, varies(field.tag) ? [...when, { axis, index }] : when)
      }
    }
  }
  visit(fields, "", [])
  return { leaves, axes }
}

const structOf = (fields: Fields): Schema.Top =>
  Schema.Struct(Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, schemaOf(field)])))

const schemaOf = (field: Field): Schema.Top =>
  isBranches(field)
    ? Schema.Union(
      Object.entries(field.branches).map(([tag, branch]) =>
        Schema.Struct({ _tag: Schema.tag(tag), ...(structOf(branch) as Schema.Struct<Schema.Struct.Fields>).fields })
      )
    )
    : field.schema

const sizeOf = (fields: Fields): number =>
  Object.values(fields).reduce((size, field) =>
    size * (isBranches(field)
      ? Object.values(field.branches).reduce((sum, branch) => sum + sizeOf(branch), 0)
      : field.size), 1)

/** The value of every field at a point, counting axes on the way, those of the branches not taken too. */
const walk = (fields: Fields, point: ArrayLike<number>, next: { axis: number }, active: boolean): Params => {
  const params: Record<string, unknown> = {}
  for (const [name, field] of Object.entries(fields)) {
    const dimension = isBranches(field) ? field.tag : field
    const u = varies(dimension) ? point[next.axis++]! : 0.5
    const value = active ? dimension.fromUnit(u) : undefined
    if (isBranches(field)) {
      for (const [tag, branch] of Object.entries(field.branches)) {
        const inner = walk(branch, point, next, active && tag === value)
        if (tag === value) params[name] = { _tag: tag, ...inner }
      }
    } else params[name] = value
  }
  return params
}

/** Where each value lies, for the axes that are active. */
const place = (
  fields: Fields,
  params: Params | undefined,
  next: { axis: number },
  put: (axis: number, u: number) => void
): void => {
  for (const [name, field] of Object.entries(fields)) {
    const value = params?.[name]
    const branches = isBranches(field)
    const dimension = branches ? field.tag : field
    const inner = branches ? value as (Params & { readonly _tag: string }) | undefined : undefined
    if (varies(dimension)) {
      const axis = next.axis++
      if (params !== undefined) put(axis, dimension.toUnit(branches ? inner?._tag : value))
    }
    if (branches) {
      for (const [tag, branch] of Object.entries(field.branches)) {
        place(branch, inner?._tag === tag ? inner : undefined, next, put)
      }
    }
  }
}

/** The values in the order of the definition. */
const listValues = (fields: Fields, params: Params): ReadonlyArray<unknown> =>
  Object.entries(fields).flatMap(([name, field]) => {
    if (!isBranches(field)) return [params[name]]
    const value = params[name] as Params & { readonly _tag: string }
    return [[value._tag, ...listValues(field.branches[value._tag] ?? {}, value)]]
  })

/** How many points are tried before constraints count as contradictory. */
const tries = 1 << 14

/** The largest space whose points are listed one by one. */
export const listable = 1 << 20

const checkConstraints = (space: Space): void => {
  const broken = space.constraints.filter(({ holds }) => !holds(defaults(space)))
  if (broken.length > 0) {
    throw new InvalidSpace({
      dimension: "defaults",
      found: `${JSON.stringify(defaults(space))}, which breaks the constraint "${broken[0]!.name}"`,
      expected: "defaults that keep every constraint, since the first trial has them"
    })
  }
  const listed = space.size <= tries
  const count = listed ? space.size : tries
  const kept = new Map(space.constraints.map(({ name }) => [name, 0]))
  for (let index = 0; index < count; index++) {
    const stream = listed ? undefined : Random.make(0, "constraints", index)
    const params = stream === undefined ? at(space, index) : space.fromUnit(space.axes.map(() => stream.uniform()))
    let all = true
    for (const { holds, name } of space.constraints) {
      if (holds(params)) kept.set(name, kept.get(name)! + 1)
      else all = false
    }
    // The defaults keep them too, but a search needs more than them.
    if (all && space.key(params) !== space.key(defaults(space))) return
  }
  throw new InvalidSpace({
    dimension: "constraints",
    found: `no point besides the defaults that keeps them all, among ${listed ? "all" : "random"} ${count}: ${
      [...kept].map(([name, times]) => `"${name}" holds at ${times}`).join(", ")
    }`,
    expected:
      "constraints that leave some of the space; a rule that nearly everything breaks is better written as the space itself"
  })
}

/** Whether an axis is active at a point: whether its hyperparameter is there. */
export const isActive = (space: Pick<Space, "axes">, point: ArrayLike<number>, axis: number): boolean =>
  space.axes[axis]!.when.every((condition) =>
    indexAt(space.axes[condition.axis]!.dimension, point[condition.axis]!) === condition.index
  )

/** Even numbers in the unit cube, moved to where the priors of the dimensions are dense. */
export const spread = (space: Pick<Space, "axes">, point: ArrayLike<number>): ReadonlyArray<number> =>
  space.axes.map(({ dimension }, axis) => Prior.quantile(dimension.prior, point[axis]!))

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
    ? Changes[K] extends { readonly default: infer A } ? A : never
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
  StageFields extends Schema.Struct.Fields,
  const Setup extends Partial<Hyperparameter.Setup> = {},
  const Changes extends Fields = {}
>(
  stage: { readonly params: Schema.Struct<StageFields> },
  setup: Setup = {} as Setup,
  changes: Changes = {} as Changes
): Space<Proposed<StageFields, Setup, Changes>> => {
  const full: Hyperparameter.Setup = { adapter: "none", ...setup }
  const proposed = Object.entries(stage.params.fields).flatMap(([name, schema]) => {
    const range = Hyperparameter.aboutOf(schema as Schema.Top)?.search?.(full)
    return range === undefined ? [] : [[name, dimensionOf(range)] as const]
  })
  return make<Fields>({ ...Object.fromEntries(proposed), ...changes }) as never
}

/** The point of defaults: what a person would run without a search. */
export const defaults = <P extends Params>(space: Space<P>): P => defaultsOf(space.fields) as unknown as P

/**
 * Point number `index` of a space of finite size, constraints aside, counted
 * like an odometer: the last dimension turns fastest.
 */
export const at = <P extends Params>(space: Space<P>, index: number): P => pointAt(space.fields, index) as P

const pointAt = (fields: Fields, index: number): Params => {
  let rest = index
  const entries = Object.entries(fields).toReversed().map(([name, field]) => {
    const size = isBranches(field)
      ? Object.values(field.branches).reduce((sum, branch) => sum + sizeOf(branch), 0)
      : field.size
    let digit = rest % size
    rest = Math.floor(rest / size)
    if (!isBranches(field)) return [name, field.at(digit)] as const
    for (const [tag, branch] of Object.entries(field.branches)) {
      const inside = sizeOf(branch)
      if (digit < inside) return [name, { _tag: tag, ...pointAt(branch, digit) }] as const
      digit -= inside
    }
    throw new RangeError(`the space has no point ${index}`)
  })
  return Object.fromEntries(entries.toReversed())
}

/** A row for each hyperparameter, for documents and tables. */
export const describe = (
  space: Space
): ReadonlyArray<{ readonly name: string; readonly values: string; readonly default: string }> =>
  space.leaves.map(({ dimension, name }) => ({
    name,
    values: dimension.description,
    default: String(dimension.default)
  }))
