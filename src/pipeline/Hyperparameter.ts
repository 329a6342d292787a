/**
 * A parameter of a stage that is worth searching: what it does, on whose word, and where to look for a good value.
 *
 * The stage says it beside the parameter's schema, so that a search space can be made from the stage and the documentation
 * never speaks of a parameter that is not there.
 */
import * as Schema from "effect/Schema"

/** Where to look for a value, as plain data: between bounds, or among values (one of them, where it has no effect). */
export type Range<A> =
  | { readonly scale: "linear" | "log"; readonly min: A & number; readonly max: A & number; readonly default: A }
  | { readonly values: readonly [A, ...ReadonlyArray<A>]; readonly default: A }

/** What is being tuned: ranges depend on it. */
export interface Setup {
  /** Whether all weights are trained, or small matrices beside them. */
  readonly adapter: "none" | "lora" | "dora"
}

export interface About<A> {
  /** A sentence on what it does. */
  readonly description: string
  /** Whose definition, default or range it is. */
  readonly source: string
  /** Where to look by default, and the value to start from; `undefined` where it has no effect. */
  readonly search?: (setup: Setup) => Range<A> | undefined
}

const key = "attune/hyperparameter"

/** A schema that says where to look for a good value: always, or where an adapter is trained. */
export interface Searched<When extends "always" | "adapter" = "always" | "adapter"> {
  readonly "~attune/searched": When
}

/** Says about a parameter, with its default if it has one, what it does. */
export const document = <S extends Schema.Top>(schema: S, about: Omit<About<S["Type"]>, "search">): S =>
  schema.annotateKey({ [key]: about }) as S

/** Says about a parameter, with its default if it has one, what it does and where to look for a value. */
export const searched = <S extends Schema.Top>(
  schema: S,
  about: About<S["Type"]> & { readonly search: (setup: Setup) => Range<S["Type"]> }
): S & Searched<"always"> => schema.annotateKey({ [key]: about }) as S & Searched<"always">

/** The same of a parameter that has an effect only where an adapter is trained. */
export const searchedOfAdapter = <S extends Schema.Top>(
  schema: S,
  { rangeOf, ...about }: Omit<About<S["Type"]>, "search"> & {
    readonly rangeOf: (adapter: "lora" | "dora") => Range<S["Type"]>
  }
): S & Searched<"adapter"> => {
  const search = ({ adapter }: Setup) => adapter === "none" ? undefined : rangeOf(adapter)
  return schema.annotateKey({ [key]: { ...about, search } }) as S & Searched<"adapter">
}

/** What was said about a parameter. */
export const aboutOf = (schema: Schema.Top): About<unknown> | undefined =>
  Schema.resolveAnnotationsKey(schema)?.[key] as About<unknown> | undefined
