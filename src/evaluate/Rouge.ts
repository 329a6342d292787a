/**
 * ROUGE: how much of a reference text a generated one covers.
 *
 * ROUGE-N and sentence-level and summary-level ROUGE-L of Lin, "ROUGE: A package for automatic evaluation of summaries"
 * (ACL workshop on text summarization, 2004, sections 2, 3.1 and 3.2), with beta 1: recall and precision count the
 * same. Scores are shares, one an example; a data set's is their mean. Nothing is stemmed.
 */
import * as NGrams from "./NGrams.ts"

export interface Score {
  readonly precision: number
  readonly recall: number
  readonly f1: number
}

export interface Scores {
  /** Single words. */
  readonly rouge1: Score
  /** Pairs of adjacent words. */
  readonly rouge2: Score
  /** The longest common subsequence of words. */
  readonly rougeL: Score
  /** The same line by line, as for summaries of several sentences: see {@link summary}. */
  readonly rougeLsum: Score
}

/** How a text becomes words. */
export type Tokenize = (text: string) => ReadonlyArray<string>

/**
 * Runs of the letters a to z and the digits 0 to 9, in lower case; all else separates words.
 *
 * That is how published scores are made (Lin's script, and the Python package rouge-score), and it tears other alphabets
 * apart: "naïve" is two words, and a Russian text has none. Use {@link unicodeWords} there.
 */
export const asciiWords: Tokenize = (text) => text.toLowerCase().match(/[a-z0-9]+/g) ?? []

/** Runs of letters, marks and digits of any alphabet, in lower case and composed (NFC); all else separates words. */
export const unicodeWords: Tokenize = (text) => text.normalize("NFC").toLowerCase().match(/[\p{L}\p{M}\p{N}]+/gu) ?? []

const scoreOf = (shared: number, predicted: number, expected: number): Score => ({
  precision: predicted === 0 ? 0 : shared / predicted,
  recall: expected === 0 ? 0 : shared / expected,
  f1: predicted + expected === 0 ? 0 : 2 * shared / (predicted + expected)
})

/** The score of the reference whose F1 is highest, the first of several. */
const bestOf = (references: ReadonlyArray<string>, score: (reference: string) => Score): Score => {
  let best = scoreOf(0, 0, 0)
  for (const [index, reference] of references.entries()) {
    const one = score(reference)
    if (index === 0 || one.f1 > best.f1) best = one
  }
  return best
}

const grams = (prediction: ReadonlyArray<string>, reference: ReadonlyArray<string>, order: number): Score =>
  scoreOf(
    NGrams.overlap(NGrams.count(prediction, order), NGrams.count(reference, order)),
    NGrams.total(prediction.length, order),
    NGrams.total(reference.length, order)
  )

/**
 * ROUGE-N: the runs of `order` words that prediction and reference share. Against several references, the score of the
 * one whose F1 is highest. A text too short for such a run scores 0.
 */
export const ngrams = (
  prediction: string,
  references: ReadonlyArray<string>,
  order: number,
  tokenize: Tokenize = asciiWords
): Score => {
  if (!(Number.isInteger(order) && order > 0)) throw new RangeError(`ROUGE-${order} is not defined: N counts words`)
  const words = tokenize(prediction)
  return bestOf(references, (reference) => grams(words, tokenize(reference), order))
}

/**
 * The lengths of the longest common subsequences of the first `i` tokens of one side and the first `j` of the other, at
 * `i * (second.length + 1) + j`.
 */
const subsequenceLengths = (first: ReadonlyArray<string>, second: ReadonlyArray<string>): Uint32Array => {
  const width = second.length + 1
  const lengths = new Uint32Array((first.length + 1) * width)
  for (let i = 1; i <= first.length; i++) {
    for (let j = 1; j <= second.length; j++) {
      lengths[i * width + j] = first[i - 1] === second[j - 1]
        ? lengths[(i - 1) * width + j - 1]! + 1
        : Math.max(lengths[(i - 1) * width + j]!, lengths[i * width + j - 1]!)
    }
  }
  return lengths
}

const sentences = (prediction: ReadonlyArray<string>, reference: ReadonlyArray<string>): Score =>
  scoreOf(subsequenceLengths(reference, prediction).at(-1)!, prediction.length, reference.length)

/**
 * ROUGE-L: the longest common subsequence of words, all of a text being one sentence. Against several references, the
 * score of the one whose F1 is highest.
 */
export const sentence = (
  prediction: string,
  references: ReadonlyArray<string>,
  tokenize: Tokenize = asciiWords
): Score => {
  const words = tokenize(prediction)
  return bestOf(references, (reference) => sentences(words, tokenize(reference)))
}

/** Marks the places in `reference` of one longest common subsequence with `prediction`. */
const markSubsequence = (
  reference: ReadonlyArray<string>,
  prediction: ReadonlyArray<string>,
  marked: Uint8Array
): void => {
  const width = prediction.length + 1
  const lengths = subsequenceLengths(reference, prediction)
  let i = reference.length, j = prediction.length
  while (i > 0 && j > 0) {
    if (reference[i - 1] === prediction[j - 1]) {
      i--
      j--
      marked[i] = 1
    } else if (lengths[i * width + j - 1]! > lengths[(i - 1) * width + j]!) {
      // Where two subsequences are as long, the reference gives way: that is which of them the published scorers find.
      j--
    } else {
      i--
    }
  }
}

const tally = (lines: ReadonlyArray<ReadonlyArray<string>>): Map<string, number> => {
  const counts = new Map<string, number>()
  for (const line of lines) for (const word of line) counts.set(word, (counts.get(word) ?? 0) + 1)
  return counts
}

const summaries = (
  prediction: ReadonlyArray<ReadonlyArray<string>>,
  reference: ReadonlyArray<ReadonlyArray<string>>
): Score => {
  const predicted = tally(prediction), expected = tally(reference)
  let shared = 0
  for (const line of reference) {
    const marked = new Uint8Array(line.length)
    for (const other of prediction) markSubsequence(line, other, marked)
    for (const [place, word] of line.entries()) {
      // A word counts no more often than either side has it, as in Lin's script; the paper does not say.
      const left = Math.min(predicted.get(word) ?? 0, expected.get(word) ?? 0)
      if (marked[place] === 0 || left === 0) continue
      shared++
      predicted.set(word, predicted.get(word)! - 1)
      expected.set(word, expected.get(word)! - 1)
    }
  }
  const words = (lines: ReadonlyArray<ReadonlyArray<string>>) => lines.reduce((sum, line) => sum + line.length, 0)
  return scoreOf(shared, words(prediction), words(reference))
}

/**
 * Summary-level ROUGE-L (ROUGE-Lsum): each line of the reference against all lines of the prediction, its words counting
 * where any of the longest common subsequences has them. Sentences must be on lines of their own. Against several
 * references, the score of the one whose F1 is highest.
 */
export const summary = (
  prediction: string,
  references: ReadonlyArray<string>,
  tokenize: Tokenize = asciiWords
): Score => {
  const linesOf = (text: string) => text.split("\n").map(tokenize)
  const lines = linesOf(prediction)
  return bestOf(references, (reference) => summaries(lines, linesOf(reference)))
}

/** ROUGE-1, ROUGE-2, ROUGE-L and ROUGE-Lsum of one generated text. */
export const evaluate = (
  prediction: string,
  references: ReadonlyArray<string>,
  tokenize: Tokenize = asciiWords
): Scores => ({
  rouge1: ngrams(prediction, references, 1, tokenize),
  rouge2: ngrams(prediction, references, 2, tokenize),
  rougeL: sentence(prediction, references, tokenize),
  rougeLsum: summary(prediction, references, tokenize)
})
