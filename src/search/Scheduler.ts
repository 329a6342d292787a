/**
 * A scheduler decides which trial gets more budget. It is a pure function of
 * what it sees of the study at a moment of virtual time, and it is asked again
 * after each of its decisions.
 *
 * Budgets are compared at rungs: rung r of a study trains to `budgets[r]`, and a
 * promotion continues from the checkpoint of the trial's previous rung.
 */

import type { Direction } from "./Goal.ts"

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
  /** Which way of the first objective is better, for options that are in its units. */
  readonly direction: Direction
  /** How many trials the study starts at most; `Infinity` when only its budget is limited. */
  readonly planned: number
  /** The budget that is left to spend; `Infinity` when it is not limited. A decision that costs more is not carried out. */
  readonly remaining: number
  /** The virtual time: the budget spent so far by each worker that never waited. */
  readonly now: number
  /** Every trial started so far; a trial's position is its index. */
  readonly trials: ReadonlyArray<Trial>
  /** Whether another trial can be started: the study's number is not reached and the sampler has points left. */
  readonly mayStart: boolean
  /**
   * The objective that a trial reached at a rung it has finished, turned so that
   * lower is better; the first one where the study has several. `Infinity` when
   * the trial failed there or an objective is not a finite number: such a trial
   * cannot be promoted.
   *
   * Asking makes the decision wait until this result is known; decisions that do
   * not depend on results should not ask, so that more trials run at once.
   */
  readonly loss: (trial: number, rung: number) => number
  /**
   * These trials in the order in which they did at a rung that each has
   * finished, the best first. Failed ones are left out. With several objectives
   * or with limits on metrics this is not the order of `loss`: trials that keep
   * the limits come first, then those that no other surpasses in everything. Of
   * equal ones the trial that started first ranks higher.
   *
   * Asking makes the decision wait, as `loss` does.
   */
  readonly ranking: (trials: ReadonlyArray<number>, rung: number) => ReadonlyArray<number>
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
  /** How many trials a budget is enough for, if none fails. Without it, as many as turn out to be. */
  readonly affordable?: (budget: number) => number
}

export const start: Decision = { _tag: "Start" }
export const wait: Decision = { _tag: "Wait" }
export const done: Decision = { _tag: "Done" }
