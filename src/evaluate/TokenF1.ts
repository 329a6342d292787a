/**
 * How far an answer's words overlap with the expected ones': the F1 of SQuAD.
 *
 * Rajpurkar, Zhang, Lopyrev and Liang, "SQuAD: 100,000+ questions for machine comprehension of text" (EMNLP 2016), with
 * the rule of SQuAD 2.0 for answers without words (Rajpurkar, Jia and Liang, "Know what you don't know", ACL 2018).
 * Scores are shares, one an example; a data set's is their mean.
 */
import * as ExactMatch from "./ExactMatch.ts"
import * as NGrams from "./NGrams.ts"
import * as Words from "./Words.ts"

const against = (prediction: ReadonlyArray<string>, reference: ReadonlyArray<string>): number => {
  // No answer is right only where none is expected.
  if (prediction.length === 0 || reference.length === 0) return prediction.length === reference.length ? 1 : 0
  const shared = NGrams.overlap(NGrams.count(prediction, 1), NGrams.count(reference, 1))
  return 2 * shared / (prediction.length + reference.length)
}

/**
 * The F1 of the prediction's words against those of the reference that suits it best, both normalized by
 * {@link ExactMatch.normalize}; 0 without references.
 */
export const score = (prediction: string, references: ReadonlyArray<string>): number => {
  const words = Words.split(ExactMatch.normalize(prediction))
  return references.reduce(
    (best, reference) => Math.max(best, against(words, Words.split(ExactMatch.normalize(reference)))),
    0
  )
}
