/** Hyperparameters that were stored under an earlier version of a space. */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { type Fields, isBranches } from "./Branches.ts"
import type { Params, Space } from "./Space.ts"

/** Hyperparameters that were stored and are not in a space. */
export class NotInSpace extends Schema.TaggedError<NotInSpace>()("NotInSpace", {
  /** The path of the hyperparameter, or the name of the constraint. */
  name: Schema.String,
  found: Schema.String,
  expected: Schema.String
}) {
  override get message(): string {
    return `${this.name}: found ${this.found}; expected ${this.expected}`
  }
}

/** Stored hyperparameters as a space has them. */
export interface Read<out P extends Params> {
  readonly params: P
  /** The hyperparameters that were not stored, and have their defaults. */
  readonly assumed: ReadonlyArray<string>
  /** What was stored and is no hyperparameter of the space. */
  readonly dropped: ReadonlyArray<string>
}

/**
 * Hyperparameters that were stored under an earlier version of the space. One
 * that it did not have takes its default, one that is gone is dropped; a value
 * that is no longer in its dimension, or a constraint that does not hold, is a
 * `NotInSpace` that says so.
 */
export const read = <P extends Params>(space: Space<P>, stored: unknown): Result.Result<Read<P>, NotInSpace> => {
  const assumed: Array<string> = [], dropped: Array<string> = []
  const show = (value: unknown) => JSON.stringify(value) ?? String(value)
  const visit = (fields: Fields, value: unknown, path: string): Params => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new NotInSpace({ name: path === "" ? "hyperparameters" : path, found: show(value), expected: "a record" })
    }
    const record = value as Params
    const at = (name: string) => path === "" ? name : `${path}.${name}`
    for (const name of Object.keys(record)) {
      if (!Object.hasOwn(fields, name) && !(name === "_tag" && path !== "")) dropped.push(at(name))
    }
    return Object.fromEntries(
      Object.entries(fields).map(([name, field]) => {
        const inner = Object.hasOwn(record, name) ? record[name] : undefined
        if (inner === undefined) {
          assumed.push(at(name))
          return [name, field.default]
        }
        if (!isBranches(field)) {
          if (Schema.is(field.schema)(inner)) return [name, inner]
          throw new NotInSpace({ name: at(name), found: show(inner), expected: field.description })
        }
        const tag = (inner as { readonly _tag?: unknown } | null)?._tag
        const branch = typeof tag === "string" && Object.hasOwn(field.branches, tag) ? field.branches[tag] : undefined
        if (branch === undefined) {
          const expected = `a record whose _tag is one of ${Object.keys(field.branches).join(", ")}`
          throw new NotInSpace({ name: at(name), found: show(inner), expected })
        }
        return [name, { _tag: tag, ...visit(branch, inner, at(name)) }]
      })
    )
  }
  try {
    const params = visit(space.fields, stored, "") as P
    const broken = space.constraints.find(({ holds }) => !holds(params))
    if (broken === undefined) return Result.succeed({ params, assumed, dropped })
    const expected = "hyperparameters that keep this constraint"
    return Result.fail(new NotInSpace({ name: `constraint "${broken.name}"`, found: show(params), expected }))
  } catch (error) {
    if (error instanceof NotInSpace) return Result.fail(error)
    throw error
  }
}
