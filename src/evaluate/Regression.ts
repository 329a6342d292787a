/**
 * Scores of predicted numbers against the numbers they should be.
 *
 * Definitions and conventions are scikit-learn's for the errors and R², and scipy's for the correlations, which the
 * tests hold them to. With `examples`, only those indices count, each as often as it is listed, which is how a bootstrap
 * resamples without copying.
 */
import * as Ranks from "../statistics/Ranks.ts"

export interface Scores {
  readonly examples: number
  readonly meanSquaredError: number
  /** In the unit of the targets. */
  readonly rootMeanSquaredError: number
  /** In the unit of the targets. */
  readonly meanAbsoluteError: number
  /** The coefficient of determination, R²: see {@link r2}. */
  readonly r2: number
  /** Pearson's correlation coefficient. */
  readonly pearson: number
  /** Spearman's rank correlation coefficient. */
  readonly spearman: number
}

/** The numbers that count, checked to be finite. */
const select = (
  targets: ArrayLike<number>,
  predictions: ArrayLike<number>,
  examples: ArrayLike<number> | undefined
): { readonly targets: Float64Array; readonly predictions: Float64Array } => {
  if (targets.length !== predictions.length) {
    throw new RangeError(`${targets.length} targets cannot be compared with ${predictions.length} predictions`)
  }
  const length = examples === undefined ? targets.length : examples.length
  const selected = { targets: new Float64Array(length), predictions: new Float64Array(length) }
  for (let i = 0; i < length; i++) {
    const index = examples === undefined ? i : examples[i]!
    const target = targets[index]!, prediction = predictions[index]!
    if (!(Number.isFinite(target) && Number.isFinite(prediction))) {
      throw new RangeError(`Example ${index} has target ${target} and prediction ${prediction}, not two finite numbers`)
    }
    selected.targets[i] = target
    selected.predictions[i] = prediction
  }
  return selected
}

const mean = (values: Float64Array): number => values.reduce((sum, value) => sum + value, 0) / values.length

const squaredError = (targets: Float64Array, predictions: Float64Array): number =>
  targets.reduce((sum, target, i) => sum + (target - predictions[i]!) ** 2, 0)

/** A rounded mean would leave a constant a variance of some 1e-32, and a score or a correlation of noise. */
const isConstant = (values: Float64Array): boolean => values.every((value) => value === values[0])

const determination = (targets: Float64Array, predictions: Float64Array): number => {
  if (targets.length < 2) return NaN
  const residual = squaredError(targets, predictions)
  if (isConstant(targets)) return residual === 0 ? 1 : 0
  const center = mean(targets)
  return 1 - residual / targets.reduce((sum, target) => sum + (target - center) ** 2, 0)
}

const correlation = (first: Float64Array, second: Float64Array): number => {
  if (isConstant(first) || isConstant(second)) return NaN
  const firstMean = mean(first), secondMean = mean(second)
  let both = 0, firstSquares = 0, secondSquares = 0
  for (let i = 0; i < first.length; i++) {
    const a = first[i]! - firstMean, b = second[i]! - secondMean
    both += a * b
    firstSquares += a * a
    secondSquares += b * b
  }
  return Math.max(-1, Math.min(1, both / (Math.sqrt(firstSquares) * Math.sqrt(secondSquares))))
}

/** The mean of the squared errors; NaN without examples. */
export const meanSquaredError = (
  targets: ArrayLike<number>,
  predictions: ArrayLike<number>,
  examples?: ArrayLike<number>
): number => {
  const selected = select(targets, predictions, examples)
  return squaredError(selected.targets, selected.predictions) / selected.targets.length
}

/** The root of the mean of the squared errors; NaN without examples. */
export const rootMeanSquaredError = (
  targets: ArrayLike<number>,
  predictions: ArrayLike<number>,
  examples?: ArrayLike<number>
): number => Math.sqrt(meanSquaredError(targets, predictions, examples))

/** The mean of the absolute errors; NaN without examples. */
export const meanAbsoluteError = (
  targets: ArrayLike<number>,
  predictions: ArrayLike<number>,
  examples?: ArrayLike<number>
): number => {
  const selected = select(targets, predictions, examples)
  const sum = selected.targets.reduce((sum, target, i) => sum + Math.abs(target - selected.predictions[i]!), 0)
  return sum / selected.targets.length
}

/**
 * The coefficient of determination: the share of the targets' variance that the predictions explain. Negative when they
 * are worse than the targets' mean. Where the targets are all equal it is 1 for perfect predictions and 0 for others;
 * NaN for fewer than two examples.
 */
export const r2 = (
  targets: ArrayLike<number>,
  predictions: ArrayLike<number>,
  examples?: ArrayLike<number>
): number => {
  const selected = select(targets, predictions, examples)
  return determination(selected.targets, selected.predictions)
}

/** Pearson's correlation coefficient; NaN where either side is constant. */
export const pearson = (
  targets: ArrayLike<number>,
  predictions: ArrayLike<number>,
  examples?: ArrayLike<number>
): number => {
  const selected = select(targets, predictions, examples)
  return correlation(selected.targets, selected.predictions)
}

/**
 * Spearman's rank correlation coefficient: Pearson's of the ranks, equal numbers sharing the mean of their ranks; NaN
 * where either side is constant.
 */
export const spearman = (
  targets: ArrayLike<number>,
  predictions: ArrayLike<number>,
  examples?: ArrayLike<number>
): number => {
  const selected = select(targets, predictions, examples)
  return correlation(Ranks.average(selected.targets).ranks, Ranks.average(selected.predictions).ranks)
}

/** All scores of these predictions. A target or prediction that is not finite is a programming error and throws. */
export const evaluate = (
  targets: ArrayLike<number>,
  predictions: ArrayLike<number>,
  examples?: ArrayLike<number>
): Scores => {
  const selected = select(targets, predictions, examples)
  const squared = meanSquaredError(selected.targets, selected.predictions)
  return {
    examples: selected.targets.length,
    meanSquaredError: squared,
    rootMeanSquaredError: Math.sqrt(squared),
    meanAbsoluteError: meanAbsoluteError(selected.targets, selected.predictions),
    r2: determination(selected.targets, selected.predictions),
    pearson: correlation(selected.targets, selected.predictions),
    spearman: spearman(selected.targets, selected.predictions)
  }
}
