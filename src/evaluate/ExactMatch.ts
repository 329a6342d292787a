/**
 * Whether an answer is one of the expected ones, to the letter or as SQuAD compares them.
 *
 * Scores are 1 or 0, one an example; their mean is the exact match of a data set, as a share rather than a percentage.
 */
import * as Words from "./Words.ts"

/** The ASCII punctuation that SQuAD's evaluation removes: Python's `string.punctuation`. */
const punctuation = /[!-/:-@[-`{-~]/gu

/** An English article that is a word of its own, where letters, digits and the underscore make words. */
const article = /(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu

/**
 * An answer as SQuAD compares it: in lower case, without punctuation, without English articles, its words one space
 * apart, in this order (Rajpurkar, Zhang, Lopyrev and Liang, "SQuAD: 100,000+ questions for machine comprehension of
 * text", EMNLP 2016, and its evaluation script). Punctuation goes without leaving a space: "well-known" is "wellknown".
 */
export const normalize = (text: string): string =>
  Words.split(text.toLowerCase().replace(punctuation, "").replace(article, " ")).join(" ")

/** 1 where the prediction is one of the references, character by character, else 0. */
export const strict = (prediction: string, references: ReadonlyArray<string>): number =>
  references.includes(prediction) ? 1 : 0

/** 1 where the prediction is one of the references once both are normalized as {@link normalize} says, else 0. */
export const squad = (prediction: string, references: ReadonlyArray<string>): number => {
  const normalized = normalize(prediction)
  return references.some((reference) => normalize(reference) === normalized) ? 1 : 0
}
