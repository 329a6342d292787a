/**
 * Which of several trials did best, with any number of objectives and of limits
 * on metrics: the order in which trials are promoted at a rung.
 */
import * as Pareto from "./Pareto.ts"

/** What one trial gave. */
export interface Entry {
  /** One for each objective, lower is better. Finite. */
  readonly losses: ReadonlyArray<number>
  /** By how much it is beyond each limit: above 0 where it breaks one. Finite. */
  readonly violations: ReadonlyArray<number>
}

/**
 * The indices of the entries, the best first.
 *
 * - Those that keep every limit come before those that break any, and of these
 *   the one that breaks them less comes first, whatever its losses (Deb, "An
 *   efficient constraint handling method for genetic algorithms", Computer
 *   Methods in Applied Mechanics and Engineering 186, 2000). How much is the sum
 *   over the limits, each in units of the worst violation among the entries.
 * - Then by the loss; with several objectives by front, those that no other
 *   surpasses first (Deb et al. 2002).
 * - Within a front by an epsilon net, as promotions in MO-ASHA are (Schmucker,
 *   Donini, Zafar, Salinas and Archambeau, "Multi-objective asynchronous
 *   successive halving", 2021, section 3): the first is the one nearest to the
 *   best of every objective, each next one the farthest from all before it. So
 *   however many go on, they are spread over the front.
 * - Of equal entries the one with the lower index comes first.
 *
 * Quadratic in the number of entries, but with one objective no more than a sort.
 */
export const order = (entries: ReadonlyArray<Entry>): ReadonlyArray<number> => {
  const broken = excess(entries)
  const sorted = Array.from(entries, (_, index) => index).toSorted((a, b) =>
    broken[a]! - broken[b]! || entries[a]!.losses[0]! - entries[b]!.losses[0]! || a - b
  )
  if ((entries[0]?.losses.length ?? 1) === 1) return sorted
  const result: Array<number> = []
  for (let start = 0, end = 0; start < sorted.length; start = end) {
    while (end < sorted.length && broken[sorted[end]!] === broken[sorted[start]!]) end++
    const group = sorted.slice(start, end).toSorted((a, b) => a - b)
    const losses = group.map((index) => entries[index]!.losses)
    for (const front of Pareto.fronts(losses)) {
      for (const position of net(losses, front)) result.push(group[position]!)
    }
  }
  return result
}

/** By how much each entry breaks the limits altogether: 0 for one that keeps them all. */
const excess = (entries: ReadonlyArray<Entry>): Float64Array => {
  const sums = new Float64Array(entries.length)
  const limits = entries[0]?.violations.length ?? 0
  for (let limit = 0; limit < limits; limit++) {
    const worst = entries.reduce((most, { violations }) => Math.max(most, violations[limit]!), 0)
    if (worst === 0) continue
    for (const [index, { violations }] of entries.entries()) sums[index]! += Math.max(0, violations[limit]!) / worst
  }
  return sums
}

/** The points of a front in the order of an epsilon net, distances in units of the front's range of each loss. */
const net = (points: ReadonlyArray<ReadonlyArray<number>>, front: ReadonlyArray<number>): ReadonlyArray<number> => {
  const losses = points[front[0]!]!.length
  const low = new Float64Array(losses).fill(Infinity), high = new Float64Array(losses).fill(-Infinity)
  for (const index of front) {
    for (const [loss, value] of points[index]!.entries()) {
      low[loss] = Math.min(low[loss]!, value)
      high[loss] = Math.max(high[loss]!, value)
    }
  }
  const scaled = front.map((index) =>
    Float64Array.from(points[index]!, (value, loss) => {
      const range = high[loss]! - low[loss]!
      return range === 0 ? 0 : (value - low[loss]!) / range
    })
  )
  const distance = (a: Float64Array, b: Float64Array): number => {
    let sum = 0
    for (let loss = 0; loss < losses; loss++) sum += (a[loss]! - b[loss]!) ** 2
    return sum
  }
  const ideal = new Float64Array(losses)
  const result: Array<number> = []
  const nearest = new Float64Array(front.length).fill(Infinity)
  let next = 0
  for (let i = 1; i < front.length; i++) if (distance(scaled[i]!, ideal) < distance(scaled[next]!, ideal)) next = i
  while (result.length < front.length) {
    result.push(front[next]!)
    const chosen = scaled[next]!
    nearest[next] = -1
    for (let i = 0; i < front.length; i++) {
      if (nearest[i]! >= 0) nearest[i] = Math.min(nearest[i]!, distance(scaled[i]!, chosen))
    }
    for (let i = 0; i < front.length; i++) if (nearest[i]! > nearest[next]!) next = i
  }
  return result
}
