/**
 * Words between spaces, as the published scorers of text see them.
 *
 * They are written in Python, whose idea of white space is Unicode's with the four information separators (U+001C to
 * U+001F) and without the byte order mark: not that of `\s`.
 */
const whitespace = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000"
const gap = new RegExp(`[${whitespace}]+`, "u")
const trailing = new RegExp(`[${whitespace}]+$`, "u")

/** The words of a text; none in an empty one. */
export const split = (text: string): ReadonlyArray<string> => text.split(gap).filter((word) => word !== "")

/** The text without the white space at its end. */
export const trimEnd = (text: string): string => text.replace(trailing, "")
