/**
 * BLEU: how many of a translation's runs of words its references have.
 *
 * Papineni, Roukos, Ward and Zhu, "BLEU: a method for automatic evaluation of machine translation" (ACL 2002), as
 * sacrebleu computes it by default (Post, "A call for clarity in reporting BLEU scores", WMT 2018): the tokenization of
 * mteval-v13a, runs of up to four words, exponential smoothing, case kept. Scores are from 0 to 100.
 *
 * The BLEU of a corpus comes from counts that are summed over its sentences; it is not the mean of theirs. A bootstrap
 * takes the {@link counts} of every sentence once and then sums those drawn.
 */
import * as NGrams from "./NGrams.ts"
import * as Words from "./Words.ts"

/** The longest run of words that counts. */
const orders = 4

export interface Options {
  /** Whether upper and lower case count the same (no unless given). */
  readonly lowercase?: boolean
}

/** What one sentence adds to the score of a corpus. */
export interface Counts {
  readonly hypothesisLength: number
  /** The length of the reference that is closest to the hypothesis in length, the shorter of two that are as close. */
  readonly referenceLength: number
  /** How many runs of 1, 2, 3 and 4 words a reference has too, each as often as in the reference that has it most. */
  readonly matches: ReadonlyArray<number>
  /** How many runs of 1, 2, 3 and 4 words there are. */
  readonly totals: ReadonlyArray<number>
}

export interface Score extends Counts {
  /** From 0 to 100. */
  readonly bleu: number
  /** The precision for runs of 1, 2, 3 and 4 words, after smoothing, from 0 to 100. */
  readonly precisions: ReadonlyArray<number>
  /** What the score is multiplied by when hypotheses are shorter than references: at most 1. */
  readonly brevityPenalty: number
}

/**
 * The words of a sentence, as mteval-v13a.pl of NIST finds them: punctuation and symbols of ASCII stand alone, but a
 * period or a comma stays within a number, and a hyphen only breaks off after a digit. Four HTML entities are resolved.
 */
export const tokenize = (text: string): ReadonlyArray<string> => {
  const plain = text.replaceAll("<skipped>", "").replaceAll("-\n", "").replaceAll("\n", " ")
    .replaceAll("&quot;", "\"").replaceAll("&amp;", "&").replaceAll("&lt;", "<").replaceAll("&gt;", ">")
  const spaced = ` ${plain} `
    .replace(/([{-~[-` -&(-+:-@/])/gu, " $1 ")
    .replace(/([^0-9])([.,])/gu, "$1 $2 ")
    .replace(/([.,])([^0-9])/gu, " $1 $2")
    .replace(/([0-9])(-)/gu, "$1 $2 ")
  return Words.split(spaced)
}

/** What a sentence adds to the score of a corpus. There must be a reference. */
export const counts = (hypothesis: string, references: ReadonlyArray<string>, options: Options = {}): Counts => {
  if (references.length === 0) throw new RangeError(`The hypothesis "${hypothesis}" has no reference`)
  const wordsOf = (text: string) => tokenize(Words.trimEnd(options.lowercase === true ? text.toLowerCase() : text))
  const words = wordsOf(hypothesis)
  const expected = references.map(wordsOf)
  const matches: Array<number> = [], totals: Array<number> = []
  for (let order = 1; order <= orders; order++) {
    const most = new Map<string, number>()
    for (const reference of expected) {
      for (const [run, count] of NGrams.count(reference, order)) most.set(run, Math.max(most.get(run) ?? 0, count))
    }
    matches.push(NGrams.overlap(NGrams.count(words, order), most))
    totals.push(NGrams.total(words.length, order))
  }
  const referenceLength = expected.reduce((closest, { length }) => {
    const nearer = Math.abs(length - words.length) - Math.abs(closest - words.length)
    return nearer < 0 || (nearer === 0 && length < closest) ? length : closest
  }, expected[0]!.length)
  return { hypothesisLength: words.length, referenceLength, matches, totals }
}

/**
 * The score from counts. An order without any match is given half of a match, the next a quarter and so on (Chen and
 * Cherry, "A systematic comparison of smoothing techniques for sentence-level BLEU", WMT 2014, method 3); without a
 * single match the score is 0.
 */
const fromCounts = (counts: Counts, effectiveOrder: boolean): Score => {
  const { hypothesisLength, matches, referenceLength, totals } = counts
  const brevityPenalty = hypothesisLength >= referenceLength
    ? 1
    : hypothesisLength === 0
    ? 0
    : Math.exp(1 - referenceLength / hypothesisLength)
  const precisions = totals.map(() => 0)
  if (matches.every((count) => count === 0)) return { ...counts, bleu: 0, precisions, brevityPenalty }
  let smoothing = 1, order = 0
  for (; order < orders && totals[order]! > 0; order++) {
    if (matches[order] === 0) smoothing *= 2
    precisions[order] = 100 * (matches[order] === 0 ? 1 / smoothing : matches[order]!) / totals[order]!
  }
  const counted = effectiveOrder ? order : orders
  const logarithms = precisions.slice(0, counted).reduce((sum, precision) => sum + Math.log(precision), 0)
  return { ...counts, bleu: brevityPenalty * Math.exp(logarithms / counted), precisions, brevityPenalty }
}

/**
 * The BLEU of the sentences that these counts are of. With `examples`, only those indices count, each as often as it is
 * listed. 0 where no sentence is as long as four words.
 */
export const score = (sentences: ReadonlyArray<Counts>, examples?: ArrayLike<number>): Score => {
  const matches = [0, 0, 0, 0], totals = [0, 0, 0, 0]
  let hypothesisLength = 0, referenceLength = 0
  const length = examples === undefined ? sentences.length : examples.length
  for (let i = 0; i < length; i++) {
    const sentence = sentences[examples === undefined ? i : examples[i]!]!
    hypothesisLength += sentence.hypothesisLength
    referenceLength += sentence.referenceLength
    for (let order = 0; order < orders; order++) {
      matches[order]! += sentence.matches[order]!
      totals[order]! += sentence.totals[order]!
    }
  }
  return fromCounts({ hypothesisLength, referenceLength, matches, totals }, false)
}

/** The BLEU of a corpus: `references[i]` are the references of `hypotheses[i]`, as many as there are. */
export const evaluate = (
  hypotheses: ReadonlyArray<string>,
  references: ReadonlyArray<ReadonlyArray<string>>,
  options: Options = {}
): Score => {
  if (hypotheses.length !== references.length) {
    throw new RangeError(`${hypotheses.length} hypotheses cannot be compared with ${references.length} references`)
  }
  return score(hypotheses.map((hypothesis, i) => counts(hypothesis, references[i]!, options)))
}

/**
 * The BLEU of one sentence, by its effective order: runs longer than the sentence do not count, so that a short but
 * right one is not worth 0.
 */
export const sentence = (hypothesis: string, references: ReadonlyArray<string>, options: Options = {}): Score =>
  fromCounts(counts(hypothesis, references, options), true)
