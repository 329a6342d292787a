/**
 * chrF: how many runs of characters a generated text shares with its reference.
 *
 * Popović, "chrF: character n-gram F-score for automatic MT evaluation" (WMT 2015), as sacrebleu computes it by default:
 * runs of 1 to 6 characters without white space, recall counting twice as much as precision (chrF2). With runs of 1 and 2
 * words beside them it is chrF++ (Popović, "chrF++: words helping character n-grams", WMT 2017). Characters are Unicode
 * code points. Scores are from 0 to 100.
 */
import * as NGrams from "./NGrams.ts"
import * as Words from "./Words.ts"

export interface Options {
  /** The longest run of characters (6 unless given). */
  readonly characterOrder?: number
  /** The longest run of words (0 unless given; 2 for chrF++). */
  readonly wordOrder?: number
  /** How many times as much as precision recall counts (2 unless given). */
  readonly beta?: number
  /** Whether upper and lower case count the same (no unless given). */
  readonly lowercase?: boolean
}

/** What one sentence adds to the score of a corpus: a number for each length of run, characters first. */
export interface Counts {
  /** How many runs the hypothesis has, or 0 where the reference is too short to have any. */
  readonly hypothesis: ReadonlyArray<number>
  readonly reference: ReadonlyArray<number>
  readonly matches: ReadonlyArray<number>
}

const punctuation = /^[!-/:-@[-`{-~]$/u

/** Words with a punctuation mark of ASCII at their end, or else at their start, split off. */
const wordsOf = (text: string): ReadonlyArray<string> =>
  Words.split(text).flatMap((word) => {
    const characters = Array.from(word)
    if (characters.length === 1) return [word]
    if (punctuation.test(characters.at(-1)!)) return [word.slice(0, -1), word.slice(-1)]
    return punctuation.test(characters[0]!) ? [word.slice(0, 1), word.slice(1)] : [word]
  })

interface Runs {
  readonly counts: ReadonlyArray<NGrams.Counts>
  readonly totals: ReadonlyArray<number>
}

const runsOf = (text: string, { characterOrder = 6, lowercase = false, wordOrder = 0 }: Options): Runs => {
  const cased = lowercase ? text.toLowerCase() : text
  const characters = Array.from(Words.split(cased).join(""))
  const words = wordOrder > 0 ? wordsOf(cased) : []
  const counts: Array<NGrams.Counts> = [], totals: Array<number> = []
  for (let order = 1; order <= characterOrder; order++) {
    counts.push(NGrams.count(characters, order))
    totals.push(NGrams.total(characters.length, order))
  }
  for (let order = 1; order <= wordOrder; order++) {
    counts.push(NGrams.count(words, order))
    totals.push(NGrams.total(words.length, order))
  }
  return { counts, totals }
}

const compare = (hypothesis: Runs, reference: Runs): Counts => ({
  hypothesis: hypothesis.totals.map((total, order) => reference.totals[order] === 0 ? 0 : total),
  reference: reference.totals,
  matches: hypothesis.counts.map((counts, order) => NGrams.overlap(counts, reference.counts[order]!))
})

/** The F-score of the mean precision and the mean recall over the lengths that both sides have. */
const fromCounts = ({ hypothesis, matches, reference }: Counts, beta: number): number => {
  let precision = 0, recall = 0, orders = 0
  for (let order = 0; order < matches.length; order++) {
    if (hypothesis[order] === 0 || reference[order] === 0) continue
    orders++
    precision += matches[order]! / hypothesis[order]!
    recall += matches[order]! / reference[order]!
  }
  if (precision + recall === 0) return 0
  precision /= orders
  recall /= orders
  return 100 * (1 + beta ** 2) * precision * recall / (beta ** 2 * precision + recall)
}

/** What a sentence adds to the score of a corpus: its counts against the reference that gives it the best score. */
export const counts = (hypothesis: string, references: ReadonlyArray<string>, options: Options = {}): Counts => {
  const runs = runsOf(hypothesis, options)
  let best: Counts | undefined, bestScore = -1
  for (const reference of references) {
    const compared = compare(runs, runsOf(reference, options))
    const score = fromCounts(compared, options.beta ?? 2)
    if (score > bestScore) {
      best = compared
      bestScore = score
    }
  }
  if (best === undefined) throw new RangeError(`The hypothesis "${hypothesis}" has no reference`)
  return best
}

/**
 * The chrF of the sentences that these counts are of, from 0 to 100. With `examples`, only those indices count, each as
 * often as it is listed. `beta` must be that of the counts.
 */
export const score = (sentences: ReadonlyArray<Counts>, examples?: ArrayLike<number>, beta = 2): number => {
  const orders = sentences[0]?.matches.length ?? 0
  const zeros = () => Array.from({ length: orders }, () => 0)
  const hypothesis = zeros()
  const reference = zeros()
  const matches = zeros()
  const length = examples === undefined ? sentences.length : examples.length
  for (let i = 0; i < length; i++) {
    const sentence = sentences[examples === undefined ? i : examples[i]!]!
    for (let order = 0; order < orders; order++) {
      hypothesis[order]! += sentence.hypothesis[order]!
      reference[order]! += sentence.reference[order]!
      matches[order]! += sentence.matches[order]!
    }
  }
  return fromCounts({ hypothesis, reference, matches }, beta)
}

/** The chrF of a corpus, from 0 to 100: `references[i]` are the references of `hypotheses[i]`, as many as there are. */
export const evaluate = (
  hypotheses: ReadonlyArray<string>,
  references: ReadonlyArray<ReadonlyArray<string>>,
  options: Options = {}
): number => {
  if (hypotheses.length !== references.length) {
    throw new RangeError(`${hypotheses.length} hypotheses cannot be compared with ${references.length} references`)
  }
  return score(hypotheses.map((hypothesis, i) => counts(hypothesis, references[i]!, options)), undefined, options.beta)
}

/** The chrF of one sentence, from 0 to 100. */
export const sentence = (hypothesis: string, references: ReadonlyArray<string>, options: Options = {}): number =>
  fromCounts(counts(hypothesis, references, options), options.beta ?? 2)
