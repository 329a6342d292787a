/**
 * What the trials of a study say about its space, in numbers: where they lie in
 * the unit cube, and a loss for each that can be compared with the others'
 * though some had less budget.
 */
import type * as Sampler from "../Sampler.ts"

export interface Evidence {
  /** Of the trials with a measurement, one point each: coordinates in [0, 1], NaN on inactive axes. */
  readonly points: ReadonlyArray<ReadonlyArray<number>>
  /**
   * For each objective the loss of each of `points` at the highest rung that any
   * trial has reached: measured where the trial got there, expected from its
   * highest rung where it did not.
   */
  readonly losses: ReadonlyArray<Float64Array>
  /** For each limit how far each of `points` is beyond it, at its highest rung. */
  readonly violations: ReadonlyArray<Float64Array>
  /** The share of that highest rung's budget that each of `points` was measured at: 1 where its loss is measured. */
  readonly fidelities: Float64Array
  /** Where trials failed, even if an earlier rung of theirs gave a measurement. */
  readonly failures: ReadonlyArray<ReadonlyArray<number>>
  /** Where trials run that have no measurement yet. */
  readonly pending: ReadonlyArray<ReadonlyArray<number>>
}

/** The evidence of the trials of this study, or of an earlier one. */
export const of = (
  problem: Pick<Sampler.Problem, "space" | "objectives" | "limits">,
  observations: ReadonlyArray<Sampler.Observation>
): Evidence => {
  const { limits, objectives, space } = problem
  const at = (observation: Sampler.Observation) => space.toUnit(observation.params)
  const failed = observations.filter(({ status }) => status === "failed")
  const alive = observations.filter(({ status }) => status !== "failed")
  const measured = alive.filter(({ measurements }) => measurements.length > 0)
  const last = measured.map(({ measurements }) => measurements.at(-1)!)
  const top = last.reduce((highest, { budget }) => Math.max(highest, budget), 0)
  return {
    points: measured.map(at),
    losses: Array.from({ length: objectives }, (_, objective) => atTop(measured, objective)),
    violations: Array.from(
      { length: limits },
      (_, limit) => Float64Array.from(last, ({ violations }) => violations[limit]!)
    ),
    fidelities: Float64Array.from(last, ({ budget }) => budget / top),
    failures: failed.map(at),
    pending: alive.filter(({ measurements, status }) => measurements.length === 0 && status === "running").map(at)
  }
}

/** How many trials' worth of belief there is, before any, that a loss changes by the same amount for all from rung to rung. */
const priorTrials = 3

/**
 * The losses at the highest budget. From each budget to the next that any trial
 * has, a line is fitted to the trials that have both, drawn towards a slope of
 * 1; a trial's expected loss is carried along these lines.
 *
 * The trials that went on were the better ones, which a line through them takes
 * into account and a comparison of means would not.
 */
const atTop = (observations: ReadonlyArray<Sampler.Observation>, objective: number): Float64Array => {
  const curves = observations.map(({ measurements }) =>
    new Map(measurements.map(({ budget, losses }) => [budget, losses[objective]!]))
  )
  const budgets = [...new Set(curves.flatMap((curve) => [...curve.keys()]))].toSorted((a, b) => a - b)
  const expected = curves.map((curve) => curve.get(budgets[0]!) ?? Number.NaN)
  for (let next = 1; next < budgets.length; next++) {
    const before = budgets[next - 1]!, budget = budgets[next]!
    const both = curves.flatMap((curve) => {
      const from = curve.get(before), to = curve.get(budget)
      return from === undefined || to === undefined ? [] : [[from, to] as const]
    })
    const carry = line(both)
    for (const [index, curve] of curves.entries()) expected[index] = curve.get(budget) ?? carry(expected[index]!)
  }
  return Float64Array.from(expected)
}

const line = (pairs: ReadonlyArray<readonly [number, number]>): (x: number) => number => {
  if (pairs.length === 0) return (x) => x
  const meanX = pairs.reduce((sum, [x]) => sum + x, 0) / pairs.length
  const meanY = pairs.reduce((sum, [, y]) => sum + y, 0) / pairs.length
  let sxx = 0, sxy = 0
  for (const [x, y] of pairs) {
    sxx += (x - meanX) ** 2
    sxy += (x - meanX) * (y - meanY)
  }
  const belief = priorTrials * sxx / pairs.length
  const slope = sxx === 0 ? 1 : Math.max(0, (sxy + belief) / (sxx + belief))
  return (x) => meanY + slope * (x - meanX)
}
