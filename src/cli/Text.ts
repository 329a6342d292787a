/**
 * Text for a terminal: what comes from data is made harmless, cut to a width, and numbers are made short.
 */

const named: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" }

/** C0 and C1 controls, the line separators, and the marks that reorder the text around them. */
// oxlint-disable-next-line no-control-regex
const invisible = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g

/** Text from data, with every character that could act on the terminal written out. */
export const visible = (text: string): string =>
  text.replaceAll(
    invisible,
    (character) => named[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`
  )

/** As `visible`, for messages that may have several lines. */
export const visibleLines = (text: string): ReadonlyArray<string> =>
  text.split("\n").map((line) => visible(line.trimEnd())).filter((line) => line !== "")

const segmenter = new Intl.Segmenter(undefined, { granularity: "grapheme" })

/** Scripts whose characters fill two columns (Unicode Standard Annex 11, classes W and F), and emoji. */
const wide =
  /^(?:[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}|[\u{20000}-\u{3fffd}])/u

const isAscii = (text: string): boolean => {
  for (let index = 0; index < text.length; index++) {
    if (text.charCodeAt(index) > 0x7e) return false
  }
  return true
}

const graphemeWidth = (grapheme: string): number => wide.test(grapheme) ? 2 : 1

/** How many columns a text fills. It must have no control characters. */
export const width = (text: string): number => {
  if (isAscii(text)) return text.length
  let columns = 0
  for (const { segment } of segmenter.segment(text)) columns += graphemeWidth(segment)
  return columns
}

/** The text, cut to fit so many columns. */
export const fit = (text: string, columns: number): string => {
  if (width(text) <= columns) return text
  if (columns <= 0) return ""
  let cut = ""
  let used = 0
  for (const { segment } of segmenter.segment(text)) {
    used += graphemeWidth(segment)
    if (used > columns - 1) break
    cut += segment
  }
  return `${cut}…`
}

/** The text, filled up with spaces to so many columns. */
export const pad = (text: string, columns: number): string => text + " ".repeat(Math.max(0, columns - width(text)))

export const padLeft = (text: string, columns: number): string =>
  " ".repeat(Math.max(0, columns - width(text))) + text

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
  if (typeof data === "number") return measure(data)
  if (typeof data === "string") return visible(data)
  return visible(JSON.stringify(data, (_, item: unknown) => typeof item === "bigint" ? String(item) : item) ?? "")
}
