/**
 * Metrics are numbers in a trial's output, named by their path. A study
 * optimises one or several, and may set limits to others.
 */
import type * as Schema from "effect/Schema"
import type { Direction } from "./Goal.ts"

/**
 * The numeric fields of a trial's output, nested ones by dotted path, as in
 * `"loss"` or `"validation.accuracy"`.
 */
export type MetricPath<A, Depth extends ReadonlyArray<unknown> = []> = {
  [K in keyof A & string]: A[K] extends number ? K
    : A[K] extends ReadonlyArray<unknown> | { readonly $artifact: unknown } ? never
    : A[K] extends object ? (Depth["length"] extends 4 ? never : `${K}.${MetricPath<A[K], [...Depth, unknown]>}`)
    : never
}[keyof A & string]

/** Bounds that a metric must keep, both ends included. */
export interface Bounds {
  readonly min?: number
  readonly max?: number
}

/** What a study is after, in the metrics of its trials' output. */
export type Aim<A> =
  & (
    | { readonly minimize: MetricPath<A>; readonly maximize?: never; readonly objectives?: never }
    | { readonly maximize: MetricPath<A>; readonly minimize?: never; readonly objectives?: never }
    /** Several at once: the study looks for the trials that no other surpasses in all of them. The first decides what is `best`. */
    | {
      readonly objectives: { readonly [K in MetricPath<A>]?: Direction }
      readonly minimize?: never
      readonly maximize?: never
    }
  )
  /** Metrics that a trial must keep within bounds to be chosen. */
  & { readonly limits?: { readonly [K in MetricPath<A>]?: Bounds } }

interface WithFields {
  readonly fields?: Readonly<Record<string, Schema.Top>>
}

/** The numbers in an output of this schema, by dotted path; those in lists, and in what has no fixed fields, are left out. */
export const pathsOf = (schema: Schema.Top): ReadonlyArray<string> => {
  const visit = (schema: Schema.Top, path: ReadonlyArray<string>): ReadonlyArray<string> => {
    const { fields } = schema as WithFields
    if (fields !== undefined) return Object.entries(fields).flatMap(([key, field]) => visit(field, [...path, key]))
    return schema.ast._tag === "Number" ? [path.join(".")] : []
  }
  return visit(schema, [])
}

const isText = ({ ast }: Schema.Top): boolean =>
  ast._tag === "String" || (ast._tag === "Literal" && typeof ast.literal === "string")

/** Whether an output of this schema may have something at a path, as far as its fields are known. */
export const mayHave = (schema: Schema.Top, path: string): boolean => {
  let here = schema
  for (const key of path.split(".")) {
    const { fields } = here as WithFields
    if (fields === undefined) return here.ast._tag !== "Number" && !isText(here)
    const next = fields[key]
    if (next === undefined) return false
    here = next
  }
  return (here as WithFields).fields === undefined && !isText(here)
}

/** The value at a path, `NaN` where the path leads to no number. */
export const read = (output: unknown, path: string): number => {
  let value = output
  for (const key of path.split(".")) value = (value as Readonly<Record<string, unknown>> | null | undefined)?.[key]
  return typeof value === "number" ? value : Number.NaN
}

/** Every number in an encoded output, by dotted path; artifacts and lists are left out. */
export const metricsOf = (output: Schema.Json): Readonly<Record<string, number>> => {
  const found: Record<string, number> = {}
  const visit = (value: Schema.Json | undefined, path: string) => {
    if (typeof value === "number") found[path] = value
    // A number that JSON cannot hold is encoded as text.
    else if (value === "NaN" || value === "Infinity" || value === "-Infinity") found[path] = Number(value)
    else if (typeof value === "object" && value !== null && !Array.isArray(value) && !("$artifact" in value)) {
      for (const [key, inner] of Object.entries(value)) visit(inner, path === "" ? key : `${path}.${key}`)
    }
  }
  visit(output, "")
  return found
}
