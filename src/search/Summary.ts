/** What became of a study: each trial with its rungs, and the best one. */
import { finiteValue } from "./Job.ts"
import type * as Space from "./Space.ts"
import * as VirtualTime from "./VirtualTime.ts"

export interface Trial<out P extends Space.Params = Space.Params> {
  readonly trial: number
  readonly params: P
  readonly origin: "enqueued" | "sampler"
  /**
   * - `completed`: reached the last rung
   * - `stopped`: got no more budget, because others were better or the study ended
   * - `failed`: a job failed, or its objective was not a finite number
   * - `running`: none of these yet
   */
  readonly status: "running" | "completed" | "stopped" | "failed"
  /** The highest rung with a value. `undefined` when there is none. */
  readonly rung: number | undefined
  /** The budget of that rung; 0 when there is none. */
  readonly budget: number
  /** The objective at that rung. */
  readonly value: number | undefined
  /** The objective at every rung, in order. Finite values only. */
  readonly values: ReadonlyArray<{ readonly rung: number; readonly budget: number; readonly value: number }>
  readonly failure: { readonly rung: number; readonly reason: string } | undefined
  readonly stop: { readonly at: number; readonly reason: string } | undefined
  /** Virtual times of the first start and the last finish. */
  readonly start: number
  readonly finish: number
}

export interface Summary<out P extends Space.Params = Space.Params> {
  readonly trials: ReadonlyArray<Trial<P>>
  /**
   * Of the trials that did not fail, the best value at the highest rung that any
   * of them has a value for; of equal ones the trial that started first. Values
   * at lower rungs do not count against it, since less budget is not comparable.
   * `undefined` when no trial has a value: none started, or all failed.
   */
  readonly best: Trial<P> | undefined
  readonly completed: number
  readonly stopped: number
  readonly failed: number
  readonly running: number
  /** The budget of all jobs whose result is known, failed ones at their declared cost. */
  readonly spent: number
  /** What the same trials would have cost at the full horizon each. */
  readonly fullCost: number
}

/** The summary at any moment: during a study of the results known so far. */
export const make = <P extends Space.Params>(state: VirtualTime.State<P>): Summary<P> => {
  const { direction, scheduler } = state.options
  const trials = state.trials.map((trial) => summarize(state, trial))
  const eligible = trials.filter((trial) => trial.status !== "failed" && trial.value !== undefined)
  const highest = eligible.reduce((rung, trial) => Math.max(rung, trial.rung!), -1)
  const best = eligible
    .filter((trial) => trial.rung === highest)
    .reduce<Trial<P> | undefined>((best, trial) => {
      if (best === undefined) return trial
      const better = direction === "minimize" ? trial.value! < best.value! : trial.value! > best.value!
      return better ? trial : best
    }, undefined)
  const count = (status: Trial["status"]): number => trials.filter((trial) => trial.status === status).length
  return {
    trials,
    best,
    completed: count("completed"),
    stopped: count("stopped"),
    failed: count("failed"),
    running: count("running"),
    spent: state.jobs.reduce(
      (sum, job) =>
        VirtualTime.outcomeOf(state, job) === undefined
          ? sum
          : sum + job.budgets.at(-1)! - (job.budgets.at(-2) ?? 0),
      0
    ),
    fullCost: trials.length * scheduler.budgets.at(-1)!
  }
}

const summarize = <P extends Space.Params>(state: VirtualTime.State<P>, trial: VirtualTime.TrialState<P>): Trial<P> => {
  const values: Array<Trial["values"][number]> = []
  let failure: Trial["failure"]
  let outstanding = false
  for (const job of trial.jobs) {
    const outcome = VirtualTime.outcomeOf(state, job)
    if (outcome === undefined) {
      outstanding = true
      continue
    }
    const value = finiteValue(outcome)
    if (value !== undefined) values.push({ rung: job.rung, budget: job.budgets.at(-1)!, value })
    else {
      const reason = outcome._tag === "Failed" ? outcome.reason : `the objective was ${outcome.value}`
      failure = { rung: job.rung, reason }
    }
  }
  const last = values.at(-1)
  const status = failure !== undefined ?
    "failed"
    : outstanding ?
    "running"
    : trial.rung === state.options.scheduler.budgets.length - 1 ?
    "completed"
    : trial.stopped || state.ended ?
    "stopped"
    : "running"
  const reason = status === "stopped" && trial.stop === undefined ? "the study ended" : undefined
  return {
    trial: trial.index,
    params: trial.params,
    origin: trial.origin,
    status,
    rung: last?.rung,
    budget: last?.budget ?? 0,
    value: last?.value,
    values,
    failure,
    stop: reason === undefined ? trial.stop : { at: state.now, reason },
    start: trial.jobs[0]!.start,
    finish: trial.jobs.at(-1)!.finish
  }
}
