/**
 * Dates in words of many languages, as Node's Intl writes them, and the same in ISO 8601: data made from facts, shared by the
 * pipeline that pre-trains a small model on them and by the one that instructs it.
 */
import { Artifact, Conversation, Random, Stage, Text } from "attune"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** What the model has read before it is instructed. */
export const read = ["en", "de", "fr", "es", "it", "pt", "nl", "sv", "da", "pl", "cs", "id"]

/** What it has not: the names of months are other ones, and partly the order. */
export const unread = ["fi", "ro", "hr"]

const first = Date.UTC(1900, 0, 1), days = 73_000

/** So many different days between 1900 and 2100, the same for a seed. */
const drawDays = (count: number, seed: number): ReadonlyArray<Date> =>
  Array.from(
    Random.make(seed, "days").permutation(days).subarray(0, count),
    (day) => new Date(first + day * 86_400_000)
  )

const inWords = (language: string, style: "full" | "long"): (day: Date) => string => {
  const format = new Intl.DateTimeFormat(language, { dateStyle: style, timeZone: "UTC" })
  return (day) => format.format(day)
}

const iso = (day: Date): string => day.toISOString().slice(0, 10)

/** The version of the Unicode data that Intl reads: other versions may write a date otherwise. */
export const icu = process.versions["icu"] ?? "unknown"

/** Lines such as "3 novembre 1987 = 1987-11-03". */
export const DateLines = Stage.make("date-lines", {
  inputs: {},
  params: { count: Schema.Int, seed: Schema.Int, icu: Schema.String },
  output: Artifact.table(Text),
  run: Effect.fn("DateLines")(function*(_, { count, seed }) {
    const formats = read.flatMap((language) => [inWords(language, "full"), inWords(language, "long")])
    const lines = drawDays(count, seed).map((day, index) => ({
      text: `${formats[index % formats.length]!(day)} = ${iso(day)}`
    }))
    return yield* Artifact.writeTable("texts", Text, lines)
  })
})

/** Instructions such as "Date: tiistai 3. marraskuuta 1987\nISO 8601:", each with its answer. */
export const DateInstructions = Stage.make("date-instructions", {
  inputs: {},
  params: { count: Schema.Int, seed: Schema.Int, icu: Schema.String },
  output: Conversation.Table,
  run: Effect.fn("DateInstructions")(function*(_, { count, seed }) {
    const formats = unread.map((language) => inWords(language, "full"))
    const rows = drawDays(count, seed).map((day, index) =>
      Conversation.completion(`Date: ${formats[index % formats.length]!(day)}\nISO 8601:`, ` ${iso(day)}`)
    )
    return yield* Artifact.writeTable("examples", Conversation.Conversation, rows)
  })
})
