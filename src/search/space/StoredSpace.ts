/**
 * A search space as plain data, as it is kept beside the trials of a study: so
 * that what they say can be worked out (importance, a later study) without the
 * pipeline that defined it.
 *
 * Constraints are code and stay behind; their names are kept.
 */
import * as Schema from "effect/Schema"
import { type Branches, branches, type Fields, isBranches } from "./Branches.ts"
import { choice, type Dimension, fixed, integer, logUniform, ordinal, uniform, type Value } from "./Dimension.ts"
import * as Space from "./Space.ts"

const Scalar = Schema.Union([Schema.String, Schema.Finite, Schema.Boolean])
const Numeric = { min: Schema.Finite, max: Schema.Finite, default: Schema.Finite }

/** One hyperparameter. Fields that are not known are left alone, so that a later version can be read in part. */
export type StoredField =
  | {
    readonly kind: "uniform"
    readonly min: number
    readonly max: number
    readonly default: number
    readonly step?: number
  }
  | { readonly kind: "log-uniform"; readonly min: number; readonly max: number; readonly default: number }
  | {
    readonly kind: "integer"
    readonly min: number
    readonly max: number
    readonly default: number
    readonly step: number
    readonly scale: "linear" | "log"
  }
  | { readonly kind: "choice" | "ordinal"; readonly values: ReadonlyArray<Value>; readonly default: Value }
  | { readonly kind: "fixed"; readonly value: Value }
  | { readonly kind: "branches"; readonly branches: Readonly<Record<string, StoredFields>>; readonly default: string }

export interface StoredFields extends Readonly<Record<string, StoredField>> {}

const StoredField: Schema.Codec<StoredField> = Schema.Union([
  Schema.Struct({ kind: Schema.Literal("uniform"), ...Numeric, step: Schema.optionalKey(Schema.Finite) }),
  Schema.Struct({ kind: Schema.Literal("log-uniform"), ...Numeric }),
  Schema.Struct({
    kind: Schema.Literal("integer"),
    ...Numeric,
    step: Schema.Int,
    scale: Schema.Literals(["linear", "log"])
  }),
  Schema.Struct({ kind: Schema.Literals(["choice", "ordinal"]), values: Schema.Array(Scalar), default: Scalar }),
  Schema.Struct({ kind: Schema.Literal("fixed"), value: Scalar }),
  Schema.Struct({
    kind: Schema.Literal("branches"),
    branches: Schema.Record(Schema.String, Schema.suspend((): Schema.Codec<StoredFields> => StoredFields)),
    default: Schema.String
  })
])

const StoredFields: Schema.Codec<StoredFields> = Schema.Record(Schema.String, StoredField)

export const StoredSpace = Schema.Struct({ fields: StoredFields, constraints: Schema.Array(Schema.String) })
export interface StoredSpace extends Schema.Schema.Type<typeof StoredSpace> {}

/** A space as data. */
export const encode = (space: Space.Space): StoredSpace => ({
  fields: encodeFields(space.fields),
  constraints: space.constraints.map(({ name }) => name)
})

const encodeFields = (fields: Fields): StoredFields =>
  Object.fromEntries(
    Object.entries(fields).map(([name, field]) => [
      name,
      isBranches(field) ? encodeBranches(field) : encodeDimension(field)
    ])
  )

const encodeBranches = (field: Branches<unknown>): StoredField => ({
  kind: "branches",
  branches: Object.fromEntries(Object.entries(field.branches).map(([tag, branch]) => [tag, encodeFields(branch)])),
  default: field.tag.default as string
})

const encodeDimension = (dimension: Dimension<unknown>): StoredField => {
  const { domain } = dimension
  const numeric = { default: dimension.default as number }
  switch (domain._tag) {
    case "Uniform": {
      const { max, min, step } = domain
      return { kind: "uniform", min, max, ...numeric, ...(step === undefined ? {} : { step }) }
    }
    case "LogUniform":
      return { kind: "log-uniform", min: domain.min, max: domain.max, ...numeric }
    case "Integer":
      return { kind: "integer", min: domain.min, max: domain.max, step: domain.step, scale: domain.scale, ...numeric }
    case "Choice":
      return { kind: "choice", values: domain.values, default: dimension.default as Value }
    case "Ordinal":
      return { kind: "ordinal", values: domain.values, default: dimension.default as Value }
    case "Fixed":
      return { kind: "fixed", value: domain.value }
  }
}

/** The space again, without constraints and priors. Throws `InvalidSpace` for data that makes no sense. */
export const decode = (stored: StoredSpace): Space.Space => Space.make(decodeFields(stored.fields))

const decodeFields = (fields: StoredFields): Fields =>
  Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, decodeField(field)]))

const decodeField = (field: StoredField): Fields[string] => {
  switch (field.kind) {
    case "uniform":
      return uniform(field.min, field.max, field)
    case "log-uniform":
      return logUniform(field.min, field.max, field)
    case "integer":
      return integer(field.min, field.max, field)
    case "choice":
      return choice(field.values, field)
    case "ordinal":
      return ordinal(field.values, field)
    case "fixed":
      return fixed(field.value)
    case "branches":
      return branches(
        Object.fromEntries(Object.entries(field.branches).map(([tag, inner]) => [tag, decodeFields(inner)])),
        { default: field.default }
      )
  }
}
