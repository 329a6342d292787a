/**
 * YAML for the block that stands at the head of a model card. Texts are always quoted, so that none is taken for a number,
 * a date, a comment or a key, by readers of YAML 1.1 as by those of 1.2.
 */

export type Value = string | number | boolean | ReadonlyArray<Value> | Mapping
export interface Mapping {
  readonly [key: string]: Value
}

/** Characters that YAML does not take as they are within quotes, and those that cannot be seen. */
const escaped =
  /["\\\p{Control}\u2028\u2029\u200b\u200e\u200f\u2060\u061c\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]/gu

const hexadecimal = (character: string): string => {
  const point = character.codePointAt(0)!
  return point > 0xffff ? `\\U${point.toString(16).padStart(8, "0")}` : `\\u${point.toString(16).padStart(4, "0")}`
}

/** A text in double quotes. */
const quoted = (text: string): string => {
  const inside = text.toWellFormed().replaceAll(
    escaped,
    (character) => character === "\"" || character === "\\" ? `\\${character}` : hexadecimal(character)
  )
  return `"${inside}"`
}

/** A number. YAML 1.1 knows `1.0e-7` for one, and takes `1e-7` for a text. */
const numeral = (value: number): string => {
  if (Number.isNaN(value)) return ".nan"
  if (!Number.isFinite(value)) return value > 0 ? ".inf" : "-.inf"
  const [digits = "", exponent] = String(value).split("e")
  return exponent === undefined ? digits : `${digits.includes(".") ? digits : `${digits}.0`}e${exponent}`
}

const isMapping = (value: Value): value is Mapping => typeof value === "object" && !Array.isArray(value)

const lines = (value: Value): ReadonlyArray<string> => {
  if (typeof value === "string") return [quoted(value)]
  if (typeof value === "number") return [numeral(value)]
  if (typeof value === "boolean") return [String(value)]
  if (Array.isArray(value)) {
    const items = value as ReadonlyArray<Value>
    if (items.length === 0) return ["[]"]
    return items.flatMap((item) => lines(item).map((line, index) => `${index === 0 ? "- " : "  "}${line}`))
  }
  const entries = Object.entries(value as Mapping)
  if (entries.length === 0) return ["{}"]
  return entries.flatMap(([key, item]) => {
    const name = /^[A-Za-z_][\w-]*$/.test(key) ? key : quoted(key)
    const below = lines(item)
    const isBlock = (Array.isArray(item) && item.length > 0) || (isMapping(item) && Object.keys(item).length > 0)
    return isBlock ? [`${name}:`, ...below.map((line) => `  ${line}`)] : [`${name}: ${below[0]}`]
  })
}

/** A mapping as a block, in the order of its keys. */
export const block = (value: Mapping): string => lines(value).join("\n")
