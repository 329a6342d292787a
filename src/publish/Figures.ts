/**
 * Numbers and values as a card shows them.
 */
import type * as Schema from "effect/Schema"
import * as Markdown from "./Markdown.ts"
import type { Kind } from "./Measures.ts"

/** A count: `1,260`. */
export const count = (value: number): string => value.toLocaleString("en-US")

/** `1 trial`, `2 trials`. */
export const counted = (value: number, noun: string): string => `${count(value)} ${noun}${value === 1 ? "" : "s"}`

/** A number that somebody chose, or that was measured: to four significant digits, whole numbers in full. */
export const number = (value: number): string => {
  if (Number.isInteger(value)) return Math.abs(value) < 1e15 ? String(value) : value.toExponential()
  return Number.isFinite(value) ? String(Number(value.toPrecision(4))) : String(value)
}

/** A measured value: shares as percentages. */
export const measure = ({ share }: Pick<Kind, "share">, value: number): string => {
  if (!Number.isFinite(value)) return "–"
  return share ? `${(100 * value).toFixed(1)} %` : value.toFixed(Math.abs(value) >= 100 ? 1 : 3)
}

/** A difference of measured values: of shares, in points of a hundred. */
export const difference = ({ share }: Pick<Kind, "share">, value: number): string => {
  const size = share ? (100 * Math.abs(value)).toFixed(1) : Math.abs(value).toFixed(3)
  return `${value < 0 ? "−" : "+"}${size}`
}

/** A hyperparameter's value, as Markdown. */
export const value = (data: Schema.Json | undefined): string => {
  if (data === undefined) return "–"
  if (typeof data === "number") return number(data)
  return Markdown.code(typeof data === "string" ? data : JSON.stringify(data))
}

/** Some of many texts, as Markdown, and how many more there are. */
export const some = (texts: ReadonlyArray<string>, most: number): string =>
  texts.slice(0, most).map(Markdown.text).join(", ") +
  (texts.length > most ? ` and ${count(texts.length - most)} more` : "")
