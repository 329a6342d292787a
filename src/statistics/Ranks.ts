/**
 * Ranks, as rank statistics need them.
 */

export interface Ranks {
  /** The place of each number among them all, from 1; numbers that are equal share the mean of their places. */
  readonly ranks: Float64Array
  /** How many numbers each set of equal ones has, in ascending order of the numbers; 1 for a number of its own. */
  readonly ties: ReadonlyArray<number>
}

/** Ranks numbers in ascending order. None may be NaN. */
export const average = (values: ArrayLike<number>): Ranks => {
  const order = Uint32Array.from({ length: values.length }, (_, index) => index)
  order.sort((a, b) => values[a]! < values[b]! ? -1 : values[a]! > values[b]! ? 1 : 0)
  const ranks = new Float64Array(values.length)
  const ties: Array<number> = []
  for (let start = 0; start < order.length;) {
    let end = start + 1
    while (end < order.length && values[order[end]!] === values[order[start]!]) end++
    for (let i = start; i < end; i++) ranks[order[i]!] = (start + 1 + end) / 2
    ties.push(end - start)
    start = end
  }
  return { ranks, ties }
}
