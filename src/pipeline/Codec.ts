/**
 * Values to JSON and back, by their schema. Deriving the JSON form of a schema
 * costs far more than using it, so each is derived once.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** Stages are stored without their types: what a codec needs to run is then unknown, and always nothing. */
type Any = Schema.Top

interface Derived {
  readonly encode: (value: unknown) => Effect.Effect<Schema.Json, Schema.SchemaError>
  readonly decode: (json: unknown) => Effect.Effect<any, Schema.SchemaError>
}

const derived = new WeakMap<object, Derived>()

const of = (schema: Any): Derived => {
  const known = derived.get(schema)
  if (known !== undefined) return known
  const codec = Schema.toCodecJson(schema as Schema.Codec<any, any>)
  const made: Derived = {
    encode: Schema.encodeUnknownEffect(codec) as Derived["encode"],
    decode: Schema.decodeUnknownEffect(codec) as Derived["decode"]
  }
  derived.set(schema, made)
  return made
}

export const encode = (schema: Any, value: unknown): Effect.Effect<Schema.Json, Schema.SchemaError> =>
  of(schema).encode(value)

export const decode = (schema: Any, json: unknown): Effect.Effect<any, Schema.SchemaError> => of(schema).decode(json)

/** A value checked by its schema, with defaults filled in. */
export const construct = (schema: Any, value: unknown): Effect.Effect<any, Schema.SchemaError> =>
  schema.makeEffect(value as never).pipe(Effect.mapError((issue) => new Schema.SchemaError(issue)))
