/**
 * What it is worth to go on with a trial whose final loss is uncertain, when it
 * may be given up at every rung and budget has a price.
 *
 * A trial is a box to be opened in stages: a rung costs its budget and makes the
 * expected final loss move, and only the last one pays, namely by how much the
 * loss falls below that of the incumbent. The price at which it is just not worth
 * to begin is the index of Gittins ("Bandit processes and dynamic allocation
 * indices", JRSS B 41, 1979) and Weitzman ("Optimal search for the best
 * alternative", Econometrica 47, 1979) for it: improvement per budget when
 * stopped at the right moments.
 *
 * The expected final loss is a martingale with normal steps, whose variance is
 * what the rung takes off the uncertainty.
 */

import * as Normal from "../../statistics/Normal.ts"

export interface Problem {
  /** The budget of each rung, ascending. */
  readonly budgets: ReadonlyArray<number>
  /** The variance of the final loss once a rung is finished; falls from rung to rung to 0 at the last. */
  readonly variances: ArrayLike<number>
  /** The loss to improve on. */
  readonly incumbent: number
  /** The lowest expected final loss of any trial. */
  readonly lowest: number
}

/** What is to be expected of a trial that stops at the right moments. */
export interface Prospect {
  readonly improvement: number
  /** The budget that it takes. */
  readonly cost: number
}

export interface Plan {
  readonly price: number
  /** Of a trial that has finished `rung` with an expected final loss: nothing where it had better stop. */
  readonly at: (rung: number, mean: number) => Prospect
  /** Of a trial with this prediction that takes the rung after `rung`, worth it or not. */
  readonly after: (rung: number, mean: number, variance: number) => Prospect
}

const points = 64

/** How many standard deviations lie beyond the lowest expectation and the incumbent. */
const margin = 3

/** Gauss and Hermite's five points for the standard normal distribution. */
const outer = Math.sqrt(5 + Math.sqrt(10)), inner = Math.sqrt(5 - Math.sqrt(10))
const nodes = [-outer, -inner, 0, inner, outer]
const weights = [(7 - 2 * Math.sqrt(10)) / 60, (7 + 2 * Math.sqrt(10)) / 60, 8 / 15].flatMap((weight, i, all) =>
  i < 2 ? [weight] : [weight, all[1]!, all[0]!]
)

/** Of a normal draw this much below the incumbent on average (Jones, Schonlau and Welch, 1998, equation 15). */
const expectedImprovement = (below: number, deviation: number): number => {
  if (!(deviation > 0)) return Math.max(0, below)
  const u = below / deviation
  return below * Normal.cumulative(u) + deviation * Math.exp(-u * u / 2) / Math.sqrt(2 * Math.PI)
}

/** By backward induction from the last rung, on a grid of expected final losses. */
export const plan = (problem: Problem, price: number): Plan => {
  const { budgets, incumbent, variances } = problem
  const last = budgets.length - 1
  const beyond = margin * Math.sqrt(variances[0]!)
  const low = Math.min(problem.lowest, incumbent) - beyond
  const width = (incumbent + beyond - low) / (points - 1)
  const improvements = Array.from({ length: last }, () => new Float64Array(points))
  const costs = Array.from({ length: last }, () => new Float64Array(points))
  // Below the grid the improvement grows as the loss falls; above it there is none.
  const improvementAt = (grid: Float64Array, mean: number): number => {
    const position = (mean - low) / width
    if (!(position > 0)) return grid[0]! + Math.max(0, low - mean)
    const left = Math.floor(position)
    return left >= points - 1 ? 0 : grid[left]! + (position - left) * (grid[left + 1]! - grid[left]!)
  }
  const costAt = (grid: Float64Array, mean: number): number => {
    const position = (mean - low) / width
    if (!(position > 0)) return grid[0]!
    const left = Math.floor(position)
    return left >= points - 1 ? 0 : grid[left]! + (position - left) * (grid[left + 1]! - grid[left]!)
  }
  const after = (rung: number, mean: number, variance: number): Prospect => {
    let improvement = 0, cost = budgets[rung + 1]! - budgets[rung]!
    if (rung === last - 1) return { improvement: expectedImprovement(incumbent - mean, Math.sqrt(variance)), cost }
    const deviation = Math.sqrt(Math.max(0, variance - variances[rung + 1]!))
    for (let k = 0; k < nodes.length; k++) {
      const moved = mean + deviation * nodes[k]!
      improvement += weights[k]! * improvementAt(improvements[rung + 1]!, moved)
      cost += weights[k]! * costAt(costs[rung + 1]!, moved)
    }
    return { improvement, cost }
  }
  for (let rung = last - 1; rung >= 0; rung--) {
    for (let i = 0; i < points; i++) {
      const { cost, improvement } = after(rung, low + i * width, variances[rung]!)
      if (improvement <= price * cost) continue
      improvements[rung]![i] = improvement
      costs[rung]![i] = cost
    }
  }
  return {
    price,
    after,
    at: (rung, mean) =>
      rung === last ? { improvement: Math.max(0, incumbent - mean), cost: 0 } : {
        improvement: improvementAt(improvements[rung]!, mean),
        cost: costAt(costs[rung]!, mean)
      }
  }
}

/**
 * The plan at the price that makes a new trial just worth its cost, if one is
 * like those whose expected final losses after the lowest rung are given. Found
 * by Dinkelbach's iteration for ratios ("On nonlinear fractional programming",
 * Management Science 13, 1967), which climbs to it from below.
 */
export const atIndexOfNew = (problem: Problem, means: ArrayLike<number>): Plan => {
  let price = 0
  for (let iteration = 0;; iteration++) {
    const planned = plan(problem, price)
    let improvement = 0, cost = problem.budgets[0]! * means.length
    for (let i = 0; i < means.length; i++) {
      const prospect = planned.at(0, means[i]!)
      improvement += prospect.improvement
      cost += prospect.cost
    }
    const next = improvement / cost
    if (!(next > price * 1.001) || iteration === 12) return planned
    price = next
  }
}
