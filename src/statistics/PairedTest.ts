/**
 * Tests of whether two systems differ, from their scores on the same examples.
 *
 * All are two-sided, and all come with the size of the effect, since with enough examples any difference is significant.
 * Which to take: {@link mcnemarExact} for right or wrong, {@link permutation} for anything else, as it assumes nothing of
 * the distribution; {@link tTest} assumes differences whose mean is normal, {@link wilcoxon} that they are symmetric. The
 * paired bootstrap, which gives an interval too, is `Bootstrap.pairedMeanDifference`. Each speaks of other examples for
 * these very systems; for other seeds of their training see `TwoWayBootstrap`.
 */
import * as Random from "../random/Random.ts"
import * as Beta from "./Beta.ts"
import * as Normal from "./Normal.ts"
import * as Ranks from "./Ranks.ts"

const differencesOf = (first: ArrayLike<number>, second: ArrayLike<number>): Float64Array => {
  if (first.length !== second.length) {
    throw new RangeError(`${first.length} values cannot be paired with ${second.length}`)
  }
  return Float64Array.from({ length: first.length }, (_, index) => {
    const difference = first[index]! - second[index]!
    if (Number.isNaN(difference)) {
      throw new RangeError(
        `Example ${index} has the values ${first[index]} and ${second[index]}, which have no difference`
      )
    }
    return difference
  })
}

/** On which examples just one of two systems is right. */
export interface Discordance {
  readonly examples: number
  readonly onlyFirst: number
  readonly onlySecond: number
}

/** Counts the examples on which just one system is right; `first[i]` and `second[i]` are of the same example. */
export const discordance = (first: ArrayLike<boolean | number>, second: ArrayLike<boolean | number>): Discordance => {
  if (first.length !== second.length) {
    throw new RangeError(`${first.length} answers cannot be paired with ${second.length}`)
  }
  let onlyFirst = 0, onlySecond = 0
  for (let i = 0; i < first.length; i++) {
    const one = Boolean(first[i]), other = Boolean(second[i])
    if (one && !other) onlyFirst++
    if (other && !one) onlySecond++
  }
  return { examples: first.length, onlyFirst, onlySecond }
}

export interface McNemar {
  readonly pValue: number
  /** The accuracy of the first system less that of the second. */
  readonly difference: number
  /** `onlyFirst / onlySecond`: infinite when the second is never right alone, NaN when neither is. */
  readonly oddsRatio: number
}

const effectOf = ({ examples, onlyFirst, onlySecond }: Discordance) => ({
  difference: (onlyFirst - onlySecond) / examples,
  oddsRatio: onlyFirst / onlySecond
})

/**
 * McNemar's test, exact: were the systems equal, either would be the one that is right with the toss of a coin (McNemar,
 * "Note on the sampling error of the difference between correlated proportions or percentages", Psychometrika 12, 1947;
 * the binomial form is in Fagerland, Lydersen and Laake, BMC Medical Research Methodology 13:91, 2013).
 */
export const mcnemarExact = (counts: Discordance): McNemar => ({
  pValue: Math.min(
    1,
    2 * Beta.fairCoinAtMost(Math.min(counts.onlyFirst, counts.onlySecond), counts.onlyFirst + counts.onlySecond)
  ),
  ...effectOf(counts)
})

/**
 * McNemar's test by the chi-squared distribution of one degree of freedom, with the correction for continuity of Edwards
 * (Psychometrika 13, 1948): for some 25 discordant examples and more. The correction is at most the difference itself, so
 * that two systems that are right alone as often as one another have the p-value 1.
 */
export const mcnemarCorrected = (counts: Discordance): McNemar & { readonly statistic: number } => {
  const { onlyFirst, onlySecond } = counts
  const distance = Math.max(0, Math.abs(onlyFirst - onlySecond) - 1)
  const statistic = distance === 0 ? 0 : distance ** 2 / (onlyFirst + onlySecond)
  return { statistic, pValue: Normal.twoSided(Math.sqrt(statistic)), ...effectOf(counts) }
}

export interface TTest {
  /** The mean of `first - second`. */
  readonly estimate: number
  readonly standardError: number
  /** Student's t. */
  readonly statistic: number
  readonly degreesOfFreedom: number
  readonly pValue: number
  /**
   * Cohen's d for pairs, d_z: the mean difference in standard deviations of the differences (Cohen, "Statistical Power
   * Analysis for the Behavioral Sciences", 2nd edition, 1988, page 48).
   */
  readonly cohensDz: number
}

/**
 * The paired t-test (Student, "The probable error of a mean", Biometrika 6, 1908). Needs two pairs. Where all differences
 * are equal, the p-value is 0, or NaN when they are all zero.
 */
export const tTest = (first: ArrayLike<number>, second: ArrayLike<number>): TTest => {
  const differences = differencesOf(first, second)
  const pairs = differences.length
  if (pairs < 2) throw new RangeError(`A t-test needs at least two pairs, not ${pairs}`)
  // Of equal differences the mean is themselves, which a rounded sum would miss by enough to invent a deviation.
  const constant = differences.every((difference) => difference === differences[0])
  const estimate = constant ? differences[0]! : differences.reduce((sum, value) => sum + value, 0) / pairs
  const squares = differences.reduce((sum, value) => sum + (value - estimate) ** 2, 0)
  const deviation = Math.sqrt(squares / (pairs - 1))
  const standardError = deviation / Math.sqrt(pairs)
  const statistic = estimate / standardError
  return {
    estimate,
    standardError,
    statistic,
    degreesOfFreedom: pairs - 1,
    pValue: Beta.studentTwoSided(statistic, pairs - 1),
    cohensDz: estimate / deviation
  }
}

export interface Wilcoxon {
  /** The smaller of the two rank sums. */
  readonly statistic: number
  /** The sum of the ranks of pairs in which the first is larger. */
  readonly positiveRanks: number
  /** The sum of the ranks of pairs in which the second is larger. */
  readonly negativeRanks: number
  /** How many pairs differ. */
  readonly pairs: number
  readonly pValue: number
  /** Whether the p-value is exact or the normal approximation's. */
  readonly method: "exact" | "approximate"
  /**
   * The rank-biserial correlation of matched pairs, from -1 to 1: the share of the rank sum that favours the first less
   * the share that favours the second (Kerby, "The simple difference formula", Comprehensive Psychology 3, 2014); 0 when
   * no pair differs.
   */
  readonly rankBiserial: number
}

/** The probability that ranks, each counted by the toss of a coin, sum to at most `bound`. */
const rankSumAtMost = (ranks: Float64Array, bound: number): number => {
  // Twice the ranks are integers, shared ones too.
  const largest = Math.round(ranks.reduce((sum, rank) => sum + 2 * rank, 0))
  const probabilities = new Float64Array(largest + 1)
  probabilities[0] = 1
  let reached = 0
  for (const rank of ranks) {
    const step = Math.round(2 * rank)
    reached += step
    for (let sum = reached; sum >= 0; sum--) {
      probabilities[sum] = (probabilities[sum]! + (sum >= step ? probabilities[sum - step]! : 0)) / 2
    }
  }
  let total = 0
  for (let sum = 0; sum <= Math.round(2 * bound); sum++) total += probabilities[sum]!
  return total
}

/**
 * Wilcoxon's signed-rank test ("Individual comparisons by ranking methods", Biometrics Bulletin 1, 1945). Pairs that do
 * not differ are left out, and differences of equal size share their ranks.
 *
 * `"exact"` is the distribution over all signs of the ranks at hand, also where some are shared. `"approximate"` is
 * normal, its variance corrected for shared ranks, without a correction for continuity. Unless given it is exact for up
 * to 50 pairs, if all differ and by different amounts, or up to 13 otherwise, and approximate beyond: scipy's rule.
 */
export const wilcoxon = (
  first: ArrayLike<number>,
  second: ArrayLike<number>,
  options: { readonly method?: "exact" | "approximate" } = {}
): Wilcoxon => {
  const all = differencesOf(first, second)
  const differences = all.filter((difference) => difference !== 0)
  const pairs = differences.length
  const { ranks, ties } = Ranks.average(differences.map(Math.abs))
  let positiveRanks = 0, negativeRanks = 0
  for (const [index, difference] of differences.entries()) {
    if (difference > 0) positiveRanks += ranks[index]!
    else negativeRanks += ranks[index]!
  }
  const statistic = Math.min(positiveRanks, negativeRanks)
  const distinct = pairs === all.length && ties.length === pairs
  const method = options.method ?? (all.length <= (distinct ? 50 : 13) ? "exact" : "approximate")
  const shared = ties.reduce((sum, size) => sum + size ** 3 - size, 0)
  const variance = (pairs * (pairs + 1) * (2 * pairs + 1) - shared / 2) / 24
  const pValue = pairs === 0
    ? 1
    : method === "exact"
    ? Math.min(1, 2 * rankSumAtMost(ranks, statistic))
    : Normal.twoSided((positiveRanks - pairs * (pairs + 1) / 4) / Math.sqrt(variance))
  return {
    statistic,
    positiveRanks,
    negativeRanks,
    pairs,
    pValue,
    method,
    rankBiserial: pairs === 0 ? 0 : (positiveRanks - negativeRanks) / (positiveRanks + negativeRanks)
  }
}

export interface PermutationOptions {
  readonly seed: number
  /** How many exchanges are drawn (9,999 unless given). Where all there are is no more than that, all are taken. */
  readonly permutations?: number
}

export interface Permutation {
  /** The difference as it is. */
  readonly estimate: number
  readonly pValue: number
  /** How many exchanges the p-value rests on. */
  readonly permutations: number
  /** Whether these are all that there are, and the p-value then no estimate. */
  readonly exact: boolean
}

/**
 * The paired permutation test, or approximate randomization: were the systems equal, their outputs on an example could
 * change hands, and the difference would be as large as it is as often as chance has it (Fisher, "The Design of
 * Experiments", 1935, section 21; Noreen, "Computer-Intensive Methods for Testing Hypotheses", 1989). The
 * p-value is the share of exchanges after which the difference is at least as large, either way; where exchanges are
 * drawn, with the actual one counted in (Phipson and Smyth, Statistical Applications in Genetics and Molecular Biology
 * 9:39, 2010).
 *
 * For any score, such as a corpus's BLEU or F1: `difference` is handed an array that is 1 for each example whose outputs
 * change hands and gives the first system's score less the second's. It must not keep the array, and changing all hands
 * must turn the sign of the difference.
 */
export const permutation = (
  examples: number,
  difference: (exchanged: Uint8Array) => number,
  options: PermutationOptions
): Permutation => {
  const { permutations = 9999, seed } = options
  if (examples < 1) throw new RangeError("A permutation test needs at least one example")
  if (!(Number.isInteger(permutations) && permutations > 0)) {
    throw new RangeError(`${permutations} permutations cannot be drawn`)
  }
  const exchanged = new Uint8Array(examples)
  const estimate = difference(exchanged)
  // The same sum in another order may be a rounding less.
  const least = Math.abs(estimate) * (1 - 1e-12)
  const exact = 2 ** examples <= permutations
  const count = exact ? 2 ** examples : permutations
  let asLarge = 0
  for (let i = 0; i < count; i++) {
    if (exact) {
      for (let j = 0; j < examples; j++) exchanged[j] = i >>> j & 1
    } else {
      const random = Random.make(seed, "permutation", i)
      let bits = 0
      for (let j = 0; j < examples; j++) {
        if (j % 32 === 0) bits = random.uint32()
        exchanged[j] = bits >>> (j % 32) & 1
      }
    }
    if (Math.abs(difference(exchanged)) >= least) asLarge++
  }
  return { estimate, pValue: exact ? asLarge / count : (asLarge + 1) / (count + 1), permutations: count, exact }
}

/** The {@link permutation} test of the difference of two means: `first[i]` and `second[i]` belong together. */
export const permutationOfMeans = (
  first: ArrayLike<number>,
  second: ArrayLike<number>,
  options: PermutationOptions
): Permutation => {
  const differences = differencesOf(first, second)
  return permutation(
    differences.length,
    (exchanged) => {
      let sum = 0
      for (let i = 0; i < differences.length; i++) sum += exchanged[i] === 1 ? -differences[i]! : differences[i]!
      return sum / differences.length
    },
    options
  )
}
