/** How wide a text is on a terminal, and how to make it narrower. */

const segments = new Intl.Segmenter("en", { granularity: "grapheme" })

/**
 * Characters of two columns: those of width Wide or Fullwidth in Unicode
 * Standard Annex 11, by block, and emoji.
 */
const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{17000}-\u{18cff}\u{1b000}-\u{1b2ff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}|\ufe0f/u

const zero = /^[\p{Mark}\p{Format}]*$/u

const ofGrapheme = (grapheme: string): number => zero.test(grapheme) ? 0 : wide.test(grapheme) ? 2 : 1

/** Columns that a text takes. Control characters count as one: make them visible first. */
export const of = (text: string): number => {
  // oxlint-disable-next-line no-control-regex
  if (/^[\u0000-\u007e]*$/.test(text)) return text.length
  let width = 0
  for (const { segment } of segments.segment(text)) width += ofGrapheme(segment)
  return width
}

/** The text where it fits in `width` columns, else as much of its beginning as does with an ellipsis after it. */
export const truncate = (text: string, width: number): string => {
  if (of(text) <= width) return text
  let used = 0
  let end = 0
  for (const { index, segment } of segments.segment(text)) {
    used += ofGrapheme(segment)
    if (used > width - 1) break
    end = index + segment.length
  }
  return `${text.slice(0, end)}…`
}
