/**
 * Texts without what a reader would not call a difference: letter case, runs of
 * white space, the Unicode form, characters that are not seen, and punctuation
 * where it is not to count.
 */

export interface Options {
  /** Whether punctuation counts (`keep`) or is like white space (`ignore`). */
  readonly punctuation: "keep" | "ignore"
}

/**
 * Letters without their case. ECMAScript has no case folding of its own. Lower,
 * upper and lower again make two letters equal where Unicode's full case folding
 * does (Unicode Standard, section 3.13), the final sigma apart, which lower case
 * writes by its place in the word. The dotless i becomes an i, which folding
 * would not do.
 */
const foldCase = (text: string): string => text.toLowerCase().toUpperCase().toLowerCase().replaceAll("ς", "σ")

/** All but tab to carriage return, space and the printing characters of ASCII. */
const beyondAscii = /[^\t-\r -~]/

/**
 * The normal form of a text: as in Unicode's NFKC_Casefold (section 3.13), with
 * white space trimmed and each run of it one space.
 *
 * A text of punctuation alone keeps it: `?!` and `...` are two texts. A surrogate
 * without its other half counts as U+FFFD.
 */
export const normalize = (text: string, options: Options): string => {
  const folded = beyondAscii.test(text)
    ? foldCase(text.toWellFormed().normalize("NFKC").replaceAll(/\p{Default_Ignorable_Code_Point}/gu, ""))
      .normalize("NFKC")
    : text.toLowerCase()
  const spaced = folded.replaceAll(/\s+/gu, " ").trim()
  if (options.punctuation === "keep") return spaced
  const bare = spaced.replaceAll(/[\s\p{Punctuation}]+/gu, " ").trim()
  return bare === "" ? spaced : bare
}
