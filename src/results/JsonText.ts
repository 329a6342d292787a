/**
 * Any value as JSON text with one spelling, for the columns that hold JSON.
 *
 * What JSON has no way to say is written as text: `NaN` and the infinities,
 * bigints as digits, dates in ISO 8601; a missing value is `null`.
 */
import * as Digest from "../store/Digest.ts"

/** Texts in tables are UTF-8, which has no lone surrogates: each becomes U+FFFD. */
export const wellFormed = (text: string): string => text.toWellFormed()

export const of = (value: unknown): string => {
  try {
    return Digest.canonicalJson(value)
  } catch {
    return Digest.canonicalJson(plain(value))
  }
}

const plain = (value: unknown): unknown => {
  switch (typeof value) {
    case "string":
      return wellFormed(value)
    case "number":
      return Number.isFinite(value) ? value : String(value)
    case "boolean":
      return value
    case "undefined":
      return null
    case "object":
      break
    default:
      return String(value)
  }
  if (value === null) return null
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString()
  if (Array.isArray(value)) return value.map(plain)
  if (ArrayBuffer.isView(value)) return plain([...value as Uint8Array])
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [wellFormed(key), plain(item)]))
}
