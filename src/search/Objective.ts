/**
 * The number a study optimises: a metric of the trial's output, named by its
 * path, and which way is better.
 */
import type * as Schema from "effect/Schema"

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

export type Objective<A> =
  | { readonly minimize: MetricPath<A>; readonly maximize?: never }
  | { readonly maximize: MetricPath<A>; readonly minimize?: never }

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
