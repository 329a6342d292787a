/**
 * Scores of a classifier from its probabilities, rather than from the classes it settles on.
 *
 * Probabilities are row-major `[examples, classes]`, each row summing to 1. Definitions are scikit-learn's, which the
 * tests hold them to. With `examples`, only those indices count, each as often as it is listed, which is how a bootstrap
 * resamples without copying.
 */
import * as Ranks from "../statistics/Ranks.ts"

/** How many classes there are, after checking that there is a row for every label. */
const classesOf = (labels: ArrayLike<number>, probabilities: ArrayLike<number>): number => {
  const classes = probabilities.length / labels.length
  if (labels.length === 0 || !Number.isInteger(classes) || classes < 2) {
    throw new RangeError(
      `${probabilities.length} probabilities are not a row of two or more for each of ${labels.length} labels`
    )
  }
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i]!
    if (!(Number.isInteger(label) && label >= 0 && label < classes)) {
      throw new RangeError(`Example ${i} has label ${label}, outside the ${classes} classes`)
    }
  }
  return classes
}

const meanOver = (length: number, examples: ArrayLike<number> | undefined, valueOf: (example: number) => number) => {
  const total = examples === undefined ? length : examples.length
  let sum = 0
  for (let i = 0; i < total; i++) sum += valueOf(examples === undefined ? i : examples[i]!)
  return sum / total
}

/**
 * The log loss: the mean of minus the logarithm of the label's probability, in nats.
 *
 * A probability is taken to be no closer to 0 or 1 than 2.2e-16, so that one certain mistake costs 36 nats and not the
 * whole score.
 */
export const logLoss = (
  labels: ArrayLike<number>,
  probabilities: ArrayLike<number>,
  examples?: ArrayLike<number>
): number => {
  const classes = classesOf(labels, probabilities)
  return meanOver(labels.length, examples, (example) => {
    const probability = probabilities[example * classes + labels[example]!]!
    return -Math.log(Math.min(1 - Number.EPSILON, Math.max(Number.EPSILON, probability)))
  })
}

/**
 * The share of examples whose label is among the `count` most probable classes. Of classes that are equally probable the
 * first is taken first, so that with a `count` of 1 this is the accuracy of the first most probable class.
 */
export const topAccuracy = (
  labels: ArrayLike<number>,
  probabilities: ArrayLike<number>,
  count: number,
  examples?: ArrayLike<number>
): number => {
  const classes = classesOf(labels, probabilities)
  return meanOver(labels.length, examples, (example) => {
    const label = labels[example]!, probability = probabilities[example * classes + label]!
    let before = 0
    for (let other = 0; other < classes; other++) {
      const its = probabilities[example * classes + other]!
      if (its > probability || (its === probability && other < label)) before++
    }
    return before < count ? 1 : 0
  })
}

/**
 * The area under the receiver operating characteristic of each class against the rest: the probability that an example
 * of the class is given a higher probability of it than one of another class, a tie counting half (Hanley and McNeil,
 * "The meaning and use of the area under a receiver operating characteristic (ROC) curve", Radiology 143, 1982).
 *
 * NaN for a class that no example has, or all have, since there is nothing to compare.
 */
export const rocAucPerClass = (
  labels: ArrayLike<number>,
  probabilities: ArrayLike<number>,
  examples?: ArrayLike<number>
): ReadonlyArray<number> => {
  const classes = classesOf(labels, probabilities)
  const total = examples === undefined ? labels.length : examples.length
  const scores = new Float64Array(total)
  return Array.from({ length: classes }, (_, index) => {
    for (let i = 0; i < total; i++) {
      scores[i] = probabilities[(examples === undefined ? i : examples[i]!) * classes + index]!
    }
    const { ranks } = Ranks.average(scores)
    let positives = 0, rankSum = 0
    for (let i = 0; i < total; i++) {
      if (labels[examples === undefined ? i : examples[i]!] !== index) continue
      positives++
      rankSum += ranks[i]!
    }
    return (rankSum - positives * (positives + 1) / 2) / (positives * (total - positives))
  })
}

/** The mean of {@link rocAucPerClass} over the classes, each counting the same; NaN when one of them has none. */
export const rocAucMacro = (
  labels: ArrayLike<number>,
  probabilities: ArrayLike<number>,
  examples?: ArrayLike<number>
): number => {
  const areas = rocAucPerClass(labels, probabilities, examples)
  return areas.reduce((sum, area) => sum + area, 0) / areas.length
}
