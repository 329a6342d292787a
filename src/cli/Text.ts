/**
 * Text for a terminal: what comes from data is made harmless, cut to a width, and numbers are made short.
 */
import * as DisplayWidth from "../results/DisplayWidth.ts"
import * as Format from "../results/Format.ts"

/** Text from data, with every character that could act on the terminal written out. */
export { visible } from "../results/Format.ts"
/** The text, cut to fit so many columns. */
export { truncate as fit } from "../results/DisplayWidth.ts"

/** The lines of a message that may have several, each made harmless. */
export const visibleLines = (text: string): ReadonlyArray<string> =>
  text.split("\n").map((line) => Format.visible(line.trimEnd())).filter((line) => line !== "")

/** How many columns a text fills. It must have no control characters. */
export const width = DisplayWidth.of

/** The text, filled up with spaces to so many columns. */
export const pad = (text: string, columns: number): string => text + " ".repeat(Math.max(0, columns - width(text)))

export const padLeft = (text: string, columns: number): string => " ".repeat(Math.max(0, columns - width(text))) + text

/** The text in lines of at most so many columns, broken between words; a word that is longer has a line of its own. */
export const wrap = (text: string, columns: number): ReadonlyArray<string> => {
  const lines: Array<string> = []
  for (const word of text.split(" ")) {
    const last = lines.at(-1)
    if (last !== undefined && width(last) + 1 + width(word) <= columns) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}

/** A length of time in words: `0.4 s`, `12 s`, `2 min 13 s`, `1 h 05 min`. */
export const duration = (millis: number): string => {
  if (!Number.isFinite(millis)) return "unknown"
  if (millis < 9_950) return `${(Math.max(0, millis) / 1000).toFixed(1)} s`
  const seconds = Math.round(millis / 1000)
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, "0")} s`
  const minutes = Math.round(seconds / 60)
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`
}

/** A time since a start as on a clock: `0:07`, `12:30`, `1:02:03`. */
export const clock = (millis: number): string => {
  const seconds = Math.max(0, Math.floor(millis / 1000))
  const two = (part: number) => String(part).padStart(2, "0")
  const hours = Math.floor(seconds / 3600)
  const minutes = Math.floor(seconds / 60) % 60
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`
}

/** A measured number, to four significant digits. */
export const measure = (value: number): string => {
  if (!Number.isFinite(value)) return String(value)
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return String(value)
  const size = Math.abs(value)
  return size !== 0 && (size < 1e-3 || size >= 1e6) ? value.toExponential(2) : value.toPrecision(4)
}

/** A measured rate, to three significant digits, with commas: `52.1`, `6,310`. */
export const rate = (value: number): string => Number(value.toPrecision(3)).toLocaleString("en-US")

/** A number that somebody chose: as short as four significant digits allow. */
const size = (value: number): string => Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)))

/** Bytes with a binary unit. */
export const bytes = (count: number): string => {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"]
  const power = count < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(count) / 10))
  return power === 0 ? `${count} B` : `${(count / 1024 ** power).toFixed(1)} ${units[power]}`
}

/** `1 stage`, `2 stages`. */
export const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? "" : "s"}`

/** A value that came from data, on one line. */
export const value = (data: unknown): string => {
  if (data === null || data === undefined) return ""
  if (typeof data === "number") return size(data)
  if (typeof data === "string") return Format.visible(data)
  return Format.visible(
    JSON.stringify(data, (_, item: unknown) => typeof item === "bigint" ? String(item) : item) ?? ""
  )
}
