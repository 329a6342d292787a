/**
 * Scores of a classifier, from its confusion matrix.
 *
 * Definitions and conventions are scikit-learn's, which the tests hold them to: a ratio with a zero denominator is 0
 * (scikit-learn's kappa alone is NaN there), and macro averages run over the classes that occur among the labels or the
 * predictions.
 */

/** `counts[label * classes + prediction]` is how many examples of class `label` were predicted as `prediction`. */
export interface Confusion {
  readonly classes: number
  readonly counts: Uint32Array
}

/** Scores of one class against the rest. */
export interface ClassScores {
  readonly class: number
  readonly precision: number
  readonly recall: number
  readonly f1: number
  /** How many examples have this label. */
  readonly support: number
}

export interface Scores {
  readonly examples: number
  readonly accuracy: number
  /** The mean recall of the classes that have an example. */
  readonly balancedAccuracy: number
  readonly precisionMacro: number
  readonly recallMacro: number
  readonly f1Macro: number
  readonly precisionMicro: number
  readonly recallMicro: number
  readonly f1Micro: number
  /** The weighted scores are means over the classes, each counting as often as it is the label of an example. */
  readonly precisionWeighted: number
  readonly recallWeighted: number
  readonly f1Weighted: number
  /** Cohen's kappa. */
  readonly kappa: number
  /** Matthews's correlation coefficient, in its form for many classes. */
  readonly matthews: number
  readonly perClass: ReadonlyArray<ClassScores>
  /** A row a label, a column a prediction. */
  readonly confusion: ReadonlyArray<ReadonlyArray<number>>
}

/**
 * Counts predictions by label. With `examples`, only those indices count, each as often as it is listed, which is how
 * a bootstrap resamples without copying.
 *
 * A label or prediction that is not an integer in [0, `classes`) is a programming error and throws.
 */
export const confusion = (
  labels: ArrayLike<number>,
  predictions: ArrayLike<number>,
  classes: number,
  examples?: ArrayLike<number>
): Confusion => {
  if (labels.length !== predictions.length) {
    throw new RangeError(`${labels.length} labels cannot be compared with ${predictions.length} predictions`)
  }
  const counts = new Uint32Array(classes * classes)
  const total = examples === undefined ? labels.length : examples.length
  for (let i = 0; i < total; i++) {
    const index = examples === undefined ? i : examples[i]!
    const label = labels[index]!, prediction = predictions[index]!
    if (!(label >= 0 && label < classes && prediction >= 0 && prediction < classes)) {
      throw new RangeError(
        `Example ${index} has label ${label} and prediction ${prediction}, outside the ${classes} classes`
      )
    }
    counts[label * classes + prediction]!++
  }
  return { classes, counts }
}

const ratio = (numerator: number, denominator: number) => denominator === 0 ? 0 : numerator / denominator

/** Labels, predictions and hits of each class. */
const margins = ({ classes, counts }: Confusion) => {
  const labelled = new Float64Array(classes), predicted = new Float64Array(classes)
  let hits = 0, total = 0
  for (let label = 0; label < classes; label++) {
    for (let prediction = 0; prediction < classes; prediction++) {
      const count = counts[label * classes + prediction]!
      labelled[label]! += count
      predicted[prediction]! += count
      total += count
      if (label === prediction) hits += count
    }
  }
  return { labelled, predicted, hits, total }
}

/** The share of examples whose prediction is their label. */
export const accuracy = (matrix: Confusion): number => {
  const { hits, total } = margins(matrix)
  return ratio(hits, total)
}

/** Precision, recall and F1 of each class. */
export const perClass = (matrix: Confusion): ReadonlyArray<ClassScores> => {
  const { labelled, predicted } = margins(matrix)
  return Array.from({ length: matrix.classes }, (_, index) => {
    const hits = matrix.counts[index * matrix.classes + index]!
    return {
      class: index,
      precision: ratio(hits, predicted[index]!),
      recall: ratio(hits, labelled[index]!),
      f1: ratio(2 * hits, predicted[index]! + labelled[index]!),
      support: labelled[index]!
    }
  })
}

/** The mean of the classes' F1, each class counting the same. */
export const f1Macro = (matrix: Confusion): number => {
  const { labelled, predicted } = margins(matrix)
  let sum = 0, present = 0
  for (let index = 0; index < matrix.classes; index++) {
    const occurrences = labelled[index]! + predicted[index]!
    if (occurrences === 0) continue
    present++
    sum += 2 * matrix.counts[index * matrix.classes + index]! / occurrences
  }
  return ratio(sum, present)
}

/** The mean of the classes' F1, each class counting as often as it is a label: one that is only predicted, not at all. */
export const f1Weighted = (matrix: Confusion): number => {
  const { labelled, predicted, total } = margins(matrix)
  let sum = 0
  for (let index = 0; index < matrix.classes; index++) {
    const hits = matrix.counts[index * matrix.classes + index]!
    sum += labelled[index]! * ratio(2 * hits, labelled[index]! + predicted[index]!)
  }
  return ratio(sum, total)
}

/**
 * The mean recall of the classes that have an example: the accuracy, had each of them as many (Brodersen, Ong, Stephan
 * and Buhmann, "The balanced accuracy and its posterior distribution", ICPR 2010). Unlike the macro recall it leaves
 * out a class that is only predicted.
 */
export const balancedAccuracy = (matrix: Confusion): number => {
  const { labelled } = margins(matrix)
  let sum = 0, present = 0
  for (let index = 0; index < matrix.classes; index++) {
    const support = labelled[index]!
    if (support === 0) continue
    present++
    sum += matrix.counts[index * matrix.classes + index]! / support
  }
  return ratio(sum, present)
}

/**
 * How much more often predictions agree with labels than they would by chance, with the same shares of classes (Cohen,
 * "A coefficient of agreement for nominal scales", Educational and Psychological Measurement 20, 1960).
 */
export const kappa = (matrix: Confusion): number => {
  const { hits, labelled, predicted, total } = margins(matrix)
  let both = 0
  for (let index = 0; index < matrix.classes; index++) both += labelled[index]! * predicted[index]!
  return ratio(hits * total - both, total ** 2 - both)
}

/** Matthews's correlation coefficient for many classes (Gorodkin, Computational Biology and Chemistry 28, 2004). */
export const matthews = (matrix: Confusion): number => {
  const { hits, labelled, predicted, total } = margins(matrix)
  let both = 0, labelSquares = 0, predictionSquares = 0
  for (let index = 0; index < matrix.classes; index++) {
    both += labelled[index]! * predicted[index]!
    labelSquares += labelled[index]! ** 2
    predictionSquares += predicted[index]! ** 2
  }
  return ratio(
    hits * total - both,
    Math.sqrt(total ** 2 - predictionSquares) * Math.sqrt(total ** 2 - labelSquares)
  )
}

/** All scores of one confusion matrix. */
export const score = (matrix: Confusion): Scores => {
  const { hits, predicted, total } = margins(matrix)
  const all = perClass(matrix)
  const present = all.filter((scores) => scores.support > 0 || predicted[scores.class]! > 0)
  const mean = (key: "precision" | "recall" | "f1") =>
    ratio(present.reduce((sum, scores) => sum + scores[key], 0), present.length)
  const weighted = (key: "precision" | "recall") =>
    ratio(all.reduce((sum, scores) => sum + scores.support * scores[key], 0), total)
  // With one label and one prediction an example, every miss is one false positive and one false negative, so the
  // micro averages all equal the accuracy.
  const micro = ratio(hits, total)
  return {
    examples: total,
    accuracy: micro,
    balancedAccuracy: balancedAccuracy(matrix),
    precisionMacro: mean("precision"),
    recallMacro: mean("recall"),
    f1Macro: mean("f1"),
    precisionMicro: micro,
    recallMicro: micro,
    f1Micro: micro,
    precisionWeighted: weighted("precision"),
    recallWeighted: weighted("recall"),
    f1Weighted: f1Weighted(matrix),
    kappa: kappa(matrix),
    matthews: matthews(matrix),
    perClass: all,
    confusion: Array.from(
      { length: matrix.classes },
      (_, row) => Array.from(matrix.counts.subarray(row * matrix.classes, (row + 1) * matrix.classes))
    )
  }
}

/** The scores of these predictions: see {@link confusion} for what is accepted. */
export const evaluate = (labels: ArrayLike<number>, predictions: ArrayLike<number>, classes: number): Scores =>
  score(confusion(labels, predictions, classes))
