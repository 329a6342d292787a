/** What became of a study: each trial with its rungs, and the best one. */
import * as Finalists from "./Finalists.ts"
import * as Goal from "./Goal.ts"
import { finiteValues } from "./Job.ts"
import * as Pareto from "./Pareto.ts"
import type * as Space from "./space/Space.ts"
import * as VirtualTime from "./VirtualTime.ts"

/** What a trial gave at a rung. Finite. */
export interface Reached {
  readonly rung: number
  readonly budget: number
  /** The first objective. */
  readonly value: number
  /** All metrics of the goal, in its order: the objectives, then those with limits. */
  readonly values: ReadonlyArray<number>
}

export interface Trial<out P extends Space.Params = Space.Params> {
  readonly trial: number
  readonly params: P
  readonly origin: "enqueued" | "sampler"
  /**
   * - `completed`: reached the last rung
   * - `stopped`: got no more budget, because others were better or the study ended
   * - `failed`: a job failed, or a metric of the goal was not a finite number
   * - `running`: none of these yet
   */
  readonly status: "running" | "completed" | "stopped" | "failed"
  /** The highest rung with values. `undefined` when there is none. */
  readonly rung: number | undefined
  /** The budget of that rung; 0 when there is none. */
  readonly budget: number
  /** The first objective at that rung. */
  readonly value: number | undefined
  /** The metrics at every rung that gave them, in order. */
  readonly values: ReadonlyArray<Reached>
  /** Whether it kept every limit at that rung. `undefined` when there is none. */
  readonly feasible: boolean | undefined
  readonly failure: { readonly rung: number; readonly reason: string } | undefined
  readonly stop: { readonly at: number; readonly reason: string } | undefined
  /** The first objective of each further training of a finalist, `undefined` where it failed. */
  readonly repeats: ReadonlyArray<number | undefined>
  /** Virtual times of the first start and the last finish. */
  readonly start: number
  readonly finish: number
}

export interface Summary<out P extends Space.Params = Space.Params> {
  readonly trials: ReadonlyArray<Trial<P>>
  /**
   * Of the trials that did not fail and that keep the limits, the best first
   * objective at the highest rung that any of them reached; of equal ones the
   * trial that started first. Values at lower rungs do not count against it,
   * since less budget is not comparable. Among finalists, the one that they were
   * trained again to find. `undefined` when no trial has values, or none keeps
   * the limits.
   */
  readonly best: Trial<P> | undefined
  /**
   * The trials at that rung that no other surpasses in every objective, by the
   * first objective: the best alone where there is one objective.
   */
  readonly front: ReadonlyArray<Trial<P>>
  /**
   * With several objectives, the volume that the front dominates, bounded by
   * the worst values of the trials at that rung: comparable between samplers on
   * the same trials only.
   */
  readonly hypervolume: number | undefined
  /** How the choice between finalists went. */
  readonly finalists: Finalists.Result | undefined
  readonly completed: number
  readonly stopped: number
  readonly failed: number
  readonly running: number
  /** The budget of all jobs whose result is known, failed ones at their declared cost. */
  readonly spent: number
  /** The part of it that the finalists' further trainings took. */
  readonly spentOnFinalists: number
  /** What the same trials would have cost at the full horizon each. */
  readonly fullCost: number
  /** Why the study ended before its trials did, or before their number was reached. */
  readonly ended: string | undefined
}

/** The summary at any moment: during a study of the results known so far. */
export const make = <P extends Space.Params>(state: VirtualTime.State<P>): Summary<P> => {
  const { goal, scheduler } = state.options
  const trials = state.trials.map((trial) => summarize(state, trial))
  const top = atTop(trials.filter(({ feasible, status }) => status !== "failed" && feasible === true))
  const lossesOf = (trial: Trial<P>) => Goal.losses(goal, trial.values.at(-1)!.values)
  const byFirst = top.toSorted((a, b) => lossesOf(a)[0]! - lossesOf(b)[0]! || a.trial - b.trial)
  const finalists = state.finalists === undefined ? undefined : Finalists.choose(
    state.finalists.map((trial) => ({ trial, values: trials[trial]!.repeats })),
    goal.objectives[0].direction
  )
  const chosen = finalists?.finalists.find(({ mean }) => mean !== undefined)
  // With one objective and no limits the finalists are the best of `top`; otherwise they are to be feasible too.
  const best = byFirst.find(({ trial }) => trial === chosen?.trial) ?? byFirst[0]
  const several = goal.objectives.length > 1
  const losses = byFirst.map(lossesOf)
  const count = (status: Trial["status"]): number => trials.filter((trial) => trial.status === status).length
  const known = state.jobs.filter((job) => VirtualTime.outcomeOf(state, job) !== undefined)
  const cost = (jobs: typeof known) => jobs.reduce((sum, job) => sum + job.cost, 0)
  return {
    trials,
    best,
    front: several
      ? (Pareto.fronts(losses)[0] ?? []).toSorted((a, b) => a - b).map((position) => byFirst[position]!)
      : best === undefined
      ? []
      : [best],
    hypervolume: several && losses.length > 0
      ? Pareto.hypervolume(
        losses,
        losses[0]!.map((_, objective) => Math.max(...losses.map((loss) => loss[objective]!)))
      )
      : undefined,
    finalists,
    completed: count("completed"),
    stopped: count("stopped"),
    failed: count("failed"),
    running: count("running"),
    spent: cost(known),
    spentOnFinalists: cost(known.filter(({ repeat }) => repeat > 0)),
    fullCost: trials.length * scheduler.budgets.at(-1)!,
    ended: state.cut ?? state.exhausted
  }
}

/** The trials at the highest rung that any of them has values for. */
const atTop = <P extends Space.Params>(trials: ReadonlyArray<Trial<P>>): ReadonlyArray<Trial<P>> => {
  const highest = trials.reduce((rung, trial) => Math.max(rung, trial.rung ?? -1), -1)
  return trials.filter(({ rung }) => rung === highest)
}

const summarize = <P extends Space.Params>(state: VirtualTime.State<P>, trial: VirtualTime.TrialState<P>): Trial<P> => {
  const { goal } = state.options
  const values: Array<Reached> = []
  let failure: Trial["failure"], cancelled: string | undefined
  let outstanding = false
  for (const job of trial.jobs) {
    const outcome = VirtualTime.outcomeOf(state, job)
    if (outcome === undefined) {
      outstanding = true
      continue
    }
    if (outcome._tag === "Cancelled") {
      cancelled = outcome.reason
      continue
    }
    const finite = finiteValues(outcome)
    if (finite !== undefined) {
      values.push({ rung: job.rung, budget: job.budgets.at(-1)!, value: finite[0]!, values: finite })
    } else {failure = {
        rung: job.rung,
        reason: outcome._tag === "Failed" ? outcome.reason : notFinite(goal, outcome.values)
      }}
  }
  const last = values.at(-1)
  const status = failure !== undefined ?
    "failed"
    : outstanding ?
    "running"
    : last?.rung === state.options.scheduler.budgets.length - 1 ?
    "completed"
    : trial.stopped || state.ended ?
    "stopped"
    : "running"
  const stop = trial.stop ??
    (status === "stopped" ? { at: state.now, reason: cancelled ?? "the study ended" } : undefined)
  return {
    trial: trial.index,
    params: trial.params,
    origin: trial.origin,
    status,
    rung: last?.rung,
    budget: last?.budget ?? 0,
    value: last?.value,
    values,
    feasible: last === undefined ? undefined : Goal.isFeasible(goal, last.values),
    failure,
    stop,
    repeats: trial.repeats.flatMap((job) => {
      const outcome = VirtualTime.outcomeOf(state, job)
      return outcome === undefined || outcome._tag === "Cancelled" ? [] : [finiteValues(outcome)?.[0]]
    }),
    start: trial.jobs[0]!.start,
    finish: (trial.repeats.at(-1) ?? trial.jobs.at(-1)!).finish
  }
}

const notFinite = (goal: Goal.Goal, values: ReadonlyArray<number>): string => {
  const index = values.findIndex((value) => !Number.isFinite(value))
  return index === 0
    ? `the objective was ${values[0]}`
    : `the metric ${Goal.metrics(goal)[index]} was ${values[index]}`
}
