/**
 * The kinds of fields that config.json has, whatever the family. transformers and PEFT write `null` for what is not set.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as RowProblem from "../store/RowProblem.ts"
import { type Config, InvalidConfig } from "./Architecture.ts"

/** A field that may be left out or `null`. */
export const field = <S extends Schema.Top>(schema: S) => Schema.optional(Schema.NullOr(schema))

export const Count = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 2 ** 31 - 1 }))

/** Each layer has a dozen named parameters: more layers than any model has are an attack on memory. */
export const Layers = Count.check(Schema.isLessThanOrEqualTo(1000))

/** A rate of dropout. */
export const Rate = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1, exclusiveMaximum: true }))

export const Positive = Schema.Finite.check(Schema.isGreaterThan(0))

/** What every family says of its head and of padding. */
export const ofEveryFamily = {
  pad_token_id: field(Schema.Int),
  num_labels: field(Count),
  id2label: field(Schema.Record(Schema.String, Schema.String))
}

/** Reads a config; one of the wrong kind names the field. */
export const decode = <S extends Schema.Codec<unknown, unknown>>(
  modelType: string,
  fields: S,
  config: Config
): Effect.Effect<S["Type"], InvalidConfig> =>
  Schema.decodeEffect(fields)(config).pipe(
    Effect.mapError(({ issue }) => {
      const { expected, field, found } = RowProblem.ofIssue(issue, config)
      return new InvalidConfig({ modelType, field, reason: `is ${found}; expected ${expected}` })
    })
  )
