/**
 * The settings of a pipeline from the `name=value` texts of `--set`.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Text from "./Text.ts"
import { UsageError } from "./UsageError.ts"

type Fields = Readonly<Record<string, Schema.Codec<any, any>>>
export type SettingsSchema = Schema.Struct<any>

const fieldsOf = (schema: SettingsSchema): Fields => schema.fields as Fields

/** Decodes the given texts and fills in the defaults of the others. Of a name given twice the last counts. */
export const decode = Effect.fnUntraced(function*(
  schema: SettingsSchema,
  texts: ReadonlyArray<string>
): Effect.fn.Return<Readonly<Record<string, unknown>>, UsageError> {
  const fields = fieldsOf(schema)
  const given: Record<string, unknown> = {}
  for (const text of texts) {
    const separator = text.indexOf("=")
    if (separator <= 0) {
      return yield* new UsageError({
        detail: `--set ${Text.visible(text)}: expected name=value`,
        remedy: listing(fields)
      })
    }
    const name = text.slice(0, separator)
    const field = Object.hasOwn(fields, name) ? fields[name] : undefined
    if (field === undefined) {
      return yield* new UsageError({
        detail: `--set ${Text.visible(text)}: this pipeline has no setting "${Text.visible(name)}"`,
        remedy: listing(fields)
      })
    }
    given[name] = yield* decodeOne(name, field, text.slice(separator + 1))
  }
  const missing = Object.keys(fields).filter((name) => !(name in given) && defaultOf(fields[name]!) === undefined)
  if (missing.length > 0) {
    return yield* new UsageError({
      detail: `This pipeline needs ${missing.map((name) => `--set ${name}=…`).join(" ")}`,
      remedy: listing(fields)
    })
  }
  return yield* schema.makeEffect(given as never).pipe(
    Effect.mapError((issue) =>
      new UsageError({
        detail: `The settings of this pipeline do not fit: ${oneLine(new Schema.SchemaError(issue).message)}`,
        remedy: listing(fields)
      })
    )
  )
})

const oneLine = (message: string) => message.replaceAll(/\s*\n\s*/g, " ")

/** A value as people type it (`16`, `0.1`, `true`, `adamw`), or as JSON for what is neither number nor word. */
const decodeOne = (name: string, field: Schema.Codec<any, any>, text: string): Effect.Effect<unknown, UsageError> => {
  const asText = Schema.decodeEffect(Schema.toCodecStringTree(field) as Schema.Codec<unknown, unknown>)(text)
  const asJson = Schema.decodeEffect(
    Schema.fromJsonString(Schema.toCodecJson(field)) as unknown as Schema.Codec<unknown, string>
  )(text)
  return asText.pipe(
    Effect.catch((error) => Effect.mapError(asJson, () => error)),
    Effect.mapError((error) =>
      new UsageError({
        detail: `--set ${name}=${Text.visible(text)}: ${oneLine(error.message)}`,
        remedy: `"${name}" is ${describe(field)}.`
      })
    )
  )
}

const describe = (field: Schema.Codec<any, any>): string => {
  const fallback = defaultOf(field)
  return `${typeOf(field)} (${fallback === undefined ? "required" : `default ${fallback}`})`
}

const listing = (fields: Fields): string => {
  const lines = Object.entries(fields).map(([name, field]) => `  ${name}: ${describe(field)}`)
  return lines.length === 0 ? "It has no settings." : ["Its settings:", ...lines].join("\n")
}

const defaultOf = (field: Schema.Codec<any, any>): string | undefined => {
  const made = Effect.runSyncExit(Schema.Struct({ value: field }).makeEffect({} as never))
  if (Exit.isFailure(made)) return undefined
  const { value } = made.value as { readonly value?: unknown }
  return value === undefined ? "none" : JSON.stringify(value)
}

interface JsonSchema {
  readonly type?: string
  readonly enum?: ReadonlyArray<unknown>
  readonly anyOf?: ReadonlyArray<JsonSchema>
  readonly allOf?: ReadonlyArray<JsonSchema>
  readonly items?: JsonSchema
  readonly minimum?: number
  readonly maximum?: number
  readonly exclusiveMinimum?: number
  readonly exclusiveMaximum?: number
}

const typeOf = (field: Schema.Codec<any, any>): string =>
  Option.match(Option.liftThrowable(() => Schema.toJsonSchemaDocument(field).schema as JsonSchema)(), {
    onNone: () => "a value",
    onSome: words
  })

const words = (schema: JsonSchema): string => {
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(" or ")
  if (schema.anyOf !== undefined) return schema.anyOf.map(words).join(" or ")
  switch (schema.type) {
    case "integer":
      return `a whole number${bounds(schema)}`
    case "number":
      return `a number${bounds(schema)}`
    case "boolean":
      return "true or false"
    case "string":
      return "text"
    case "null":
      return "null"
    case "array":
      return schema.items === undefined ? "a JSON array" : `a JSON array, each item ${words(schema.items)}`
    default:
      return "a JSON value"
  }
}

/** The limits of a number, unless they are those of every exact integer. */
const bounds = (schema: JsonSchema): string => {
  const all = [schema, ...schema.allOf ?? []]
  const limit = (key: "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum", phrase: string) =>
    all.flatMap((part) => {
      const value = part[key]
      return value === undefined || Math.abs(value) === Number.MAX_SAFE_INTEGER ? [] : [`${phrase} ${value}`]
    })
  const found = [
    ...limit("minimum", "at least"),
    ...limit("exclusiveMinimum", "above"),
    ...limit("maximum", "at most"),
    ...limit("exclusiveMaximum", "below")
  ]
  return found.length === 0 ? "" : `, ${found.join(" and ")}`
}
