/**
 * A scheduler decides which trial gets more budget. It is a pure function of
 * what it sees of the study at a moment of virtual time, and it is asked again
 * after each of its decisions.
 *
 * Budgets are compared at rungs: rung r of a study trains to `budgets[r]`, and a
 * promotion continues from the checkpoint of the trial's previous rung.
 */

/** A trial as the scheduler sees it. */
export interface Trial {
  readonly index: number
  /** The rung that the trial started on: 0 unless the scheduler said otherwise. */
  readonly firstRung: number
  /** The highest rung that the trial was started on or promoted to. */
  readonly rung: number
  /** Whether the trial is still busy with `rung` at this virtual moment. */
  readonly running: boolean
  /** Whether the scheduler stopped the trial. */
  readonly stopped: boolean
}

export interface View {
  /** The virtual time: the budget spent so far by each worker that never waited. */
  readonly now: number
  /** Every trial started so far; a trial's position is its index. */
  readonly trials: ReadonlyArray<Trial>
  /** Whether another trial can be started: the study's number is not reached and the sampler has points left. */
  readonly mayStart: boolean
  /**
   * The objective that a trial reached at a rung it has finished, turned so that
   * lower is better. `Infinity` when the trial failed there or the objective is
   * not a finite number: such a trial cannot be promoted.
   *
   * Asking makes the decision wait until this result is known; decisions that do
   * not depend on results should not ask, so that more trials run at once.
   */
  readonly loss: (trial: number, rung: number) => number
}

export type Decision =
  /** Start a new trial on a rung, by default the lowest. Occupies a worker. */
  | { readonly _tag: "Start"; readonly rung?: number }
  /** Continue a trial to a higher rung. Occupies a worker. */
  | { readonly _tag: "Promote"; readonly trial: number; readonly rung: number }
  /** Give a trial no more budget. Takes no time. */
  | { readonly _tag: "Stop"; readonly trial: number; readonly reason: string }
  /** Nothing to do before some running trial finishes. */
  | { readonly _tag: "Wait" }
  /** The study is over; trials that are not at the last rung count as stopped. */
  | { readonly _tag: "Done" }

export interface Scheduler {
  readonly name: string
  /** The scheduler and its options in words. */
  readonly description: string
  /** The budget of each rung, ascending. The last is the full horizon. */
  readonly budgets: ReadonlyArray<number>
  readonly decide: (view: View) => Decision
}

export const start: Decision = { _tag: "Start" }
export const wait: Decision = { _tag: "Wait" }
export const done: Decision = { _tag: "Done" }
