/**
 * What settings are made of.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

export const NonNegative = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))
export const Positive = Schema.Finite.check(Schema.isGreaterThan(0))
export const Share = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
export const BelowOne = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1, exclusiveMaximum: true }))

/** A field that may be left out, both of a record that is decoded and of one that is made. */
export const withDefault = <S extends Schema.Constraint & Schema.WithoutConstructorDefault>(
  schema: S,
  value: S["Encoded"] & S["~type.make.in"]
): Schema.withDecodingDefaultKey<Schema.withConstructorDefault<S>> =>
  Schema.withDecodingDefaultKey<Schema.withConstructorDefault<S>>(Effect.succeed(value))(
    Schema.withConstructorDefault<S>(Effect.succeed(value))(schema)
  )
