/**
 * What a study is after: metrics to make small or large, and metrics that must
 * keep a limit. Turned into numbers for samplers and schedulers, lower is
 * always better.
 */
export type Direction = "minimize" | "maximize"

/** A metric to optimise, by its path in a trial's output. */
export interface Objective {
  readonly metric: string
  readonly direction: Direction
}

/** Bounds that a metric must keep for a trial to count. */
export interface Limit {
  readonly metric: string
  readonly min?: number
  readonly max?: number
}

export interface Goal {
  /** At least one. */
  readonly objectives: readonly [Objective, ...ReadonlyArray<Objective>]
  readonly limits: ReadonlyArray<Limit>
}

/** A goal of one objective. */
export const single = (direction: Direction, metric = "value"): Goal => ({
  objectives: [{ metric, direction }],
  limits: []
})

/** The metrics that a trial must give, in the order in which values are passed on. */
export const metrics = ({ limits, objectives }: Goal): ReadonlyArray<string> =>
  [...objectives, ...limits].map(({ metric }) => metric)

/** The objectives, turned so that lower is better. `values` as in {@link metrics}. */
export const losses = ({ objectives }: Goal, values: ReadonlyArray<number>): ReadonlyArray<number> =>
  objectives.map(({ direction }, index) => direction === "minimize" ? values[index]! : -values[index]!)

/** By how much each limit is broken: above 0 where it is, at most 0 where it is kept. */
export const violations = ({ limits, objectives }: Goal, values: ReadonlyArray<number>): ReadonlyArray<number> =>
  limits.map(({ max, min }, index) => {
    const value = values[objectives.length + index]!
    return Math.max(min === undefined ? -Infinity : min - value, max === undefined ? -Infinity : value - max)
  })

/** Whether values keep every limit. */
export const isFeasible = (goal: Goal, values: ReadonlyArray<number>): boolean =>
  violations(goal, values).every((violation) => violation <= 0)
