/**
 * P-values adjusted for having made several tests: of twenty true hypotheses one has a p-value below 0.05 by chance.
 *
 * An adjusted p-value is compared with the same threshold as a single one would be. They are given in the order of the
 * p-values they are made of.
 */

/** The places of the p-values, smallest first. */
const ascending = (pValues: ArrayLike<number>): Uint32Array => {
  for (let i = 0; i < pValues.length; i++) {
    const p = pValues[i]!
    if (!(p >= 0 && p <= 1)) throw new RangeError(`The p-value ${p} of test ${i} is not between 0 and 1`)
  }
  return Uint32Array.from({ length: pValues.length }, (_, index) => index).toSorted((a, b) => pValues[a]! - pValues[b]!)
}

/**
 * Holm's correction ("A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6,
 * 1979): below the threshold, the probability of a single false discovery among all tests is at most the threshold,
 * whatever the tests have to do with one another. Never weaker than Bonferroni's.
 */
export const holm = (pValues: ArrayLike<number>): Float64Array => {
  const adjusted = new Float64Array(pValues.length)
  let largest = 0
  for (const [place, index] of ascending(pValues).entries()) {
    largest = Math.max(largest, Math.min(1, (pValues.length - place) * pValues[index]!))
    adjusted[index] = largest
  }
  return adjusted
}

/**
 * The correction of Benjamini and Hochberg ("Controlling the false discovery rate", Journal of the Royal Statistical
 * Society B 57, 1995): below the threshold, the share of false discoveries among all discoveries is at most the
 * threshold on average, for tests that are independent or positively dependent. Finds more than {@link holm} does.
 */
export const benjaminiHochberg = (pValues: ArrayLike<number>): Float64Array => {
  const adjusted = new Float64Array(pValues.length)
  const order = ascending(pValues)
  let smallest = 1
  for (let place = order.length; place > 0; place--) {
    const index = order[place - 1]!
    smallest = Math.min(smallest, pValues[index]! * pValues.length / place)
    adjusted[index] = smallest
  }
  return adjusted
}
