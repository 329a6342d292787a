/**
 * A choice that brings hyperparameters of its own: an optimizer with its
 * momentum, an adapter with its rank. A trial receives a tagged union, so that
 * the compiler knows which of them there are.
 */
import type { Dimension, Value } from "./Dimension.ts"
import { choice } from "./Dimension.ts"

/** A hyperparameter, or a choice that brings hyperparameters. */
export type Field<A = unknown> = Dimension<A> | Branches<A>

export type Fields = Readonly<Record<string, Field>>

/** The hyperparameters of a record of fields, as a trial receives them. */
export type TypeOf<F extends Fields> = {
  readonly [K in keyof F]: F[K] extends { readonly default: infer A } ? A : never
}

export interface Branches<out A> {
  readonly branches: Readonly<Record<string, Fields>>
  /** Which branch it is: a choice among their names. */
  readonly tag: Dimension<Value>
  /** The default of the tag, with the defaults of that branch. */
  readonly default: A
}

/** One branch as a trial receives it. */
type Branch<Tag, F extends Fields> = {
  readonly [K in keyof F | "_tag"]: K extends "_tag" ? Tag
    : K extends keyof F ? (F[K] extends { readonly default: infer A } ? A : never)
    : never
}

type AnyBranch<B extends Readonly<Record<string, Fields>>> = {
  readonly [Tag in keyof B]: Branch<Tag, B[Tag]>
}[keyof B]

export interface Options<Tag extends string> {
  /** The branch to start from. The first by default. */
  readonly default?: Tag
  /** How likely each branch is to be the best, relative to each other. */
  readonly weights?: Readonly<Record<Tag, number>>
}

/**
 * One of several records of hyperparameters, by name, as in
 * `Space.branches({ adamw: { weightDecay: … }, sgd: { momentum: … } })`. A trial
 * receives `{ _tag: "adamw", weightDecay }` or `{ _tag: "sgd", momentum }`. A
 * branch may be empty, and may hold branches itself.
 */
export const branches = <const B extends Readonly<Record<string, Fields>>>(
  branches: B,
  options: Options<keyof B & string> = {}
): Branches<AnyBranch<B>> => {
  const names = Object.keys(branches)
  const tag = choice(names, {
    ...(options.default === undefined ? {} : { default: options.default }),
    ...(options.weights === undefined
      ? {}
      : { weights: names.map((name) => (options.weights as Readonly<Record<string, number>>)[name] ?? 0) })
  })
  return { branches, tag, default: { _tag: tag.default, ...defaultsOf(branches[tag.default] ?? {}) } as AnyBranch<B> }
}

export const isBranches = (field: Field): field is Branches<unknown> => "branches" in field

/** What is to be run without a search. */
export const defaultsOf = <F extends Fields>(fields: F): TypeOf<F> =>
  Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, field.default])) as TypeOf<F>
