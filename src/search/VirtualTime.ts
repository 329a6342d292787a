/**
 * The decisions of a study, in virtual time.
 *
 * A study has `parallelism` virtual workers. A job (one trial, one rung) costs
 * its budget in virtual time, whatever it takes in reality and whether it fails.
 * Whenever a virtual worker is free the scheduler decides what it does next, and
 * for a new trial the sampler proposes the hyperparameters; both see exactly the
 * results that precede the moment in virtual time, where events are ordered by
 * (virtual finish, trial). So the order in which results really arrive, and how
 * many jobs really run at once, change nothing but the wall clock.
 *
 * Since costs are known beforehand, virtual time runs ahead of reality: it stops
 * only where a decision asks for a result that is not known yet. Decisions that
 * ask for none (the first rung of random search, say) are all made at once, and
 * their jobs may overlap as far as the machine allows.
 *
 * This is a state machine of pure functions: `make`, then `next` and `tell` in
 * turn until `isDone`. It knows nothing of effects or of real time.
 */
import * as Schema from "effect/Schema"
import * as Goal from "./Goal.ts"
import { finiteValues, type Job, type Outcome } from "./Job.ts"
import * as Ranking from "./Ranking.ts"
import type * as Sampler from "./Sampler.ts"
import type * as Space from "./space/Space.ts"
import type { State, TrialState } from "./StudyState.ts"

export type { Job, Outcome } from "./Job.ts"
export { make } from "./StudyState.ts"
export type { Logged, Options, State, TrialState } from "./StudyState.ts"

type Draft<P extends Space.Params> = {
  -readonly [K in keyof State<P>]: State<P>[K] extends ReadonlyArray<infer A> ? Array<A>
    : State<P>[K] extends ReadonlySet<string> ? Set<string>
    : State<P>[K]
}

/** A decision asked for a result that is not known yet. Never leaves this module. */
class Untold extends Error {
  readonly job: Job
  constructor(job: Job) {
    super("a result that is not known yet")
    this.job = job
  }
}

/**
 * Makes every decision that the known results allow. Returns the jobs that may
 * start now, in the order in which they should: when fewer can really run, the
 * first ones are those that virtual time needs first.
 */
export const next = <P extends Space.Params>(
  state: State<P>
): { readonly state: State<P>; readonly jobs: ReadonlyArray<Job<P>> } => {
  // A decision that waits for a result would ask for the same one again.
  if (state.ended || isBlocked(state)) return { state, jobs: [] }
  const draft: Draft<P> = {
    ...state,
    trials: [...state.trials],
    jobs: [...state.jobs],
    running: [...state.running],
    outcomes: [...state.outcomes],
    proposed: new Set(state.proposed),
    blockedOn: undefined,
    log: [...state.log]
  }
  try {
    while (!draft.ended) {
      // A decision that waits leaves its worker free until something finishes.
      const free = draft.running.length < draft.options.parallelism
      if (!free || !(draft.searched ? repeat(draft) : step(draft))) advance(draft)
    }
  } catch (error) {
    if (!(error instanceof Untold)) throw error
    draft.blockedOn = error.job as Job<P>
  }
  return { state: draft, jobs: draft.jobs.slice(state.jobs.length) }
}

const isBlocked = <P extends Space.Params>(state: State<P>): boolean =>
  state.blockedOn !== undefined && state.outcomes[state.blockedOn.index] === undefined

/** Sums of fractional budgets are off in their last digits. */
const rounding = 1e-9

/** Moves virtual time to the next finish. Every job that finishes then is over. */
const advance = <P extends Space.Params>(draft: Draft<P>): void => {
  if (draft.running.length === 0) {
    throw new Error(`the scheduler ${draft.options.scheduler.name} waits though no trial is running`)
  }
  draft.now = draft.running.reduce((earliest, job) => Math.min(earliest, job.finish), Infinity)
  for (const job of draft.running) {
    if (job.finish <= draft.now && job.repeat === 0) {
      draft.trials[job.trial] = { ...draft.trials[job.trial]!, running: false }
    }
  }
  draft.running = draft.running.filter((job) => job.finish > draft.now)
}

/** Makes and applies one decision. False when there is none before the next finish. */
const step = <P extends Space.Params>(draft: Draft<P>): boolean => {
  const { enqueued, goal, scheduler, trials } = draft.options
  const cheapest = scheduler.budgets[0]!
  const decision = scheduler.decide({
    now: draft.now,
    direction: goal.objectives[0].direction,
    planned: trials,
    remaining: draft.remaining,
    trials: draft.trials,
    mayStart: draft.trials.length < trials && cheapest <= draft.remaining * (1 + rounding) &&
      (draft.trials.length < enqueued.length || draft.exhausted === undefined),
    loss: (trial, rung) => {
      const values = finished(draft, trial, rung)
      return values === undefined ? Infinity : Goal.losses(goal, values)[0]!
    },
    ranking: (trials, rung) => rank(draft, trials, (trial) => finished(draft, trial, rung))
  })
  switch (decision._tag) {
    case "Wait":
      return false
    case "Done":
      draft.searched = true
      if (draft.options.finalists === undefined) draft.ended = true
      draft.log.push({ ...decision, at: draft.now })
      return true
    case "Start":
      start(draft, decision.rung ?? 0)
      return true
    case "Promote": {
      const trial = draft.trials[decision.trial]
      if (trial === undefined || trial.running || trial.stopped || !(decision.rung > trial.rung)) {
        throw new Error(`the scheduler ${scheduler.name} cannot promote trial ${decision.trial} to ${decision.rung}`)
      }
      // A promotion continues from a checkpoint, so the rung below must be known to have one.
      if (finiteValues(outcome(draft, trial.jobs.at(-1)!)) === undefined) {
        throw new Error(`the scheduler ${scheduler.name} promotes trial ${decision.trial}, which failed`)
      }
      const cost = scheduler.budgets[decision.rung]! - trial.jobs.at(-1)!.budgets.at(-1)!
      if (cost > draft.remaining * (1 + rounding)) {
        stop(draft, trial.index, `of the budget ${draft.remaining} was left, and its next rung takes ${cost}`)
        return true
      }
      draft.log.push({ ...decision, at: draft.now })
      launch(draft, trial, decision.rung)
      return true
    }
    case "Stop": {
      const trial = draft.trials[decision.trial]
      if (trial === undefined || trial.running || trial.stopped) {
        throw new Error(`the scheduler ${scheduler.name} cannot stop trial ${decision.trial}`)
      }
      stop(draft, decision.trial, decision.reason)
      return true
    }
  }
}

const stop = <P extends Space.Params>(draft: Draft<P>, trial: number, reason: string): void => {
  draft.trials[trial] = { ...draft.trials[trial]!, stopped: true, stop: { at: draft.now, reason } }
  draft.log.push({ _tag: "Stop", trial, reason, at: draft.now })
}

const start = <P extends Space.Params>(draft: Draft<P>, rung: number): void => {
  const { enqueued, sampler, scheduler, space } = draft.options
  const index = draft.trials.length
  const cost = scheduler.budgets[rung]
  if (cost !== undefined && cost > draft.remaining * (1 + rounding)) {
    draft.exhausted = `of the budget ${draft.remaining} was left, and a new trial takes ${cost}`
    return
  }
  let params = enqueued[index]
  const origin = params === undefined ? "sampler" : "enqueued"
  if (params === undefined) {
    const proposal = propose(draft)
    if (proposal === undefined) {
      // The scheduler is asked again, knowing that no more trials can start.
      draft.exhausted = "the sampler had no more points"
      return
    }
    const { until } = draft.options
    if (until !== undefined && proposal.expectedImprovement !== undefined) {
      const promising = proposal.expectedImprovement >= until.expectedImprovementBelow
      draft.unpromising = promising ? 0 : draft.unpromising + 1
      if (draft.unpromising >= until.proposals) {
        draft.exhausted = `the expected improvement was ${
          proposal.expectedImprovement.toPrecision(3)
        }, below ${until.expectedImprovementBelow} for ${
          until.proposals === 1 ? "the first time" : `${until.proposals} proposals in a row`
        }`
        return
      }
    }
    if (!Schema.is(space.schema)(proposal.params)) {
      throw new Error(
        `the sampler ${sampler.name} proposed ${JSON.stringify(proposal.params)}, which is not in the space`
      )
    }
    params = proposal.params as P
    draft.proposals++
  }
  draft.proposed.add(space.key(params))
  draft.log.push({ _tag: "Start", trial: index, rung, at: draft.now })
  const stopped = { stopped: false, stop: undefined, jobs: [], repeats: [] } as const
  const trial = { index, params, origin, firstRung: rung, rung, ...stopped } as const
  launch(draft, { ...trial, running: true }, rung)
}

/** Occupies a virtual worker with a trial's next rung. */
const launch = <P extends Space.Params>(draft: Draft<P>, trial: TrialState<P>, rung: number): void => {
  const { budgets } = draft.options.scheduler
  const budget = budgets[rung]
  if (budget === undefined) throw new Error(`the scheduler ${draft.options.scheduler.name} has no rung ${rung}`)
  const before = trial.jobs.at(-1)?.budgets ?? []
  const job = occupy(draft, trial, {
    rung,
    repeat: 0,
    budgets: [...before, budget],
    cost: budget - (before.at(-1) ?? 0)
  })
  draft.remaining = Math.max(0, draft.remaining - job.cost)
  draft.trials[trial.index] = { ...trial, rung, running: true, jobs: [...trial.jobs, job] }
}

const occupy = <P extends Space.Params>(
  draft: Draft<P>,
  trial: TrialState<P>,
  what: Pick<Job<P>, "rung" | "repeat" | "budgets" | "cost">
): Job<P> => {
  const job: Job<P> = {
    ...what,
    index: draft.jobs.length,
    trial: trial.index,
    params: trial.params,
    origin: trial.origin,
    horizon: draft.options.scheduler.budgets.at(-1)!,
    start: draft.now,
    finish: draft.now + what.cost
  }
  draft.jobs.push(job)
  draft.outcomes.push(undefined)
  draft.running.push(job)
  return job
}

/**
 * Trains the next finalist with another seed, once all trials have finished.
 * False when it must wait for one.
 */
const repeat = <P extends Space.Params>(draft: Draft<P>): boolean => {
  const { repeats, trials } = draft.options.finalists!
  if (draft.finalists === undefined) {
    if (draft.running.length > 0) return false
    const reached = draft.trials.flatMap((trial) => {
      const last = trial.jobs.findLast((job) => finiteValues(outcome(draft, job)) !== undefined)
      return last === undefined || last !== trial.jobs.at(-1) ? [] : [{ trial: trial.index, rung: last.rung }]
    })
    const highest = reached.reduce((rung, trial) => Math.max(rung, trial.rung), -1)
    const there = reached.filter(({ rung }) => rung === highest).map(({ trial }) => trial)
    draft.finalists = rank(draft, there, (trial) => finished(draft, trial, highest)).slice(0, trials)
  }
  // One seed for all before the next for any, so that they can be compared whenever it ends.
  for (let repeat = 1; repeat <= repeats; repeat++) {
    const next = draft.finalists.find((trial) => draft.trials[trial]!.repeats.length < repeat)
    if (next === undefined) continue
    const trial = draft.trials[next]!
    const { budgets, rung } = trial.jobs.at(-1)!
    draft.log.push({ _tag: "Repeat", trial: next, repeat, at: draft.now })
    const job = occupy(draft, trial, { rung, repeat, budgets, cost: budgets.at(-1)! })
    draft.trials[next] = { ...trial, repeats: [...trial.repeats, job] }
    return true
  }
  draft.ended = true
  return true
}

const propose = <P extends Space.Params>(draft: Draft<P>): Sampler.Proposal | undefined => {
  const { earlier, goal, sampler, scheduler, seed, space, trials } = draft.options
  return sampler.propose({
    space,
    seed,
    trials,
    earlier,
    objectives: goal.objectives.length,
    limits: goal.limits.length,
    budgets: scheduler.budgets,
    index: draft.proposals,
    proposed: draft.proposed,
    history: () => draft.trials.map((trial) => observe(draft, trial))
  })
}

const observe = <P extends Space.Params>(draft: Draft<P>, trial: TrialState<P>): Sampler.Observation => {
  const { goal, scheduler } = draft.options
  const measurements: Array<Sampler.Measurement> = []
  let failed = false
  for (const job of trial.jobs) {
    if (job.finish > draft.now) continue
    const became = outcome(draft, job)
    const values = finiteValues(became)
    if (values === undefined) failed ||= became._tag !== "Cancelled"
    else {
      measurements.push({
        rung: job.rung,
        budget: job.budgets.at(-1)!,
        losses: Goal.losses(goal, values),
        violations: Goal.violations(goal, values)
      })
    }
  }
  const status = failed ?
    "failed"
    : trial.running ?
    "running"
    : trial.stopped ?
    "stopped"
    : trial.rung === scheduler.budgets.length - 1 ?
    "completed"
    : "waiting"
  return { trial: trial.index, params: trial.params, status, measurements }
}

/** The metrics of a trial at a rung that it has finished, `undefined` where it failed. */
const finished = <P extends Space.Params>(
  draft: Draft<P>,
  trial: number,
  rung: number
): ReadonlyArray<number> | undefined => {
  const job = draft.trials[trial]?.jobs.find((job) => job.rung === rung)
  if (job === undefined || job.finish > draft.now) {
    throw new Error(
      `the scheduler ${draft.options.scheduler.name} asks for trial ${trial} at rung ${rung}, not finished yet`
    )
  }
  return finiteValues(outcome(draft, job))
}

/** Trials by how they did, the best first, without those that failed. */
const rank = <P extends Space.Params>(
  draft: Draft<P>,
  trials: ReadonlyArray<number>,
  valuesOf: (trial: number) => ReadonlyArray<number> | undefined
): ReadonlyArray<number> => {
  const { goal } = draft.options
  const entries = trials.toSorted((a, b) => a - b).flatMap((trial) => {
    const values = valuesOf(trial)
    if (values === undefined) return []
    return [{ trial, losses: Goal.losses(goal, values), violations: Goal.violations(goal, values) }]
  })
  return Ranking.order(entries).map((position) => entries[position]!.trial)
}

const outcome = <P extends Space.Params>(draft: Draft<P>, job: Job<P>): Outcome => {
  const known = draft.outcomes[job.index]
  if (known === undefined) throw new Untold(job)
  return known
}

/**
 * Records what became of a job, in whatever order results really arrive. Call
 * `next` afterwards. Throws for a job that was not started or was told before.
 */
export const tell = <P extends Space.Params>(
  state: State<P>,
  job: JobName,
  outcome: Outcome
): State<P> => {
  const started = find(state, job)
  if (started === undefined) throw new Error(`trial ${job.trial} was not started at rung ${job.rung}`)
  if (state.outcomes[started.index] !== undefined) {
    throw new Error(`the result of trial ${job.trial} at rung ${job.rung} is known already`)
  }
  return { ...state, outcomes: state.outcomes.with(started.index, outcome), told: state.told + 1 }
}

/** What tells a job from the others of a study. `repeat` is 0 by default. */
export type JobName = Pick<Job, "trial" | "rung"> & Partial<Pick<Job, "repeat">>

const find = <P extends Space.Params>(state: State<P>, { repeat = 0, rung, trial }: JobName): Job<P> | undefined => {
  const started = state.trials[trial]
  return (repeat === 0 ? started?.jobs : started?.repeats)?.find((job) => job.rung === rung && job.repeat === repeat)
}

/** The outcome of a job, once told. */
export const outcomeOf = <P extends Space.Params>(
  state: State<P>,
  job: JobName
): Outcome | undefined => {
  const started = find(state, job)
  return started === undefined ? undefined : state.outcomes[started.index]
}

/**
 * The started job whose result is needed first: the one that the next decision
 * asks for, or else the earliest in virtual time of those not known. `undefined`
 * when nothing is outstanding.
 */
export const awaiting = <P extends Space.Params>(state: State<P>): Job<P> | undefined => {
  if (isBlocked(state)) return state.blockedOn
  let first: Job<P> | undefined
  for (const job of state.jobs) {
    if (state.outcomes[job.index] !== undefined) continue
    if (first === undefined || job.finish < first.finish || (job.finish === first.finish && job.trial < first.trial)) {
      first = job
    }
  }
  return first
}

/**
 * Ends the study where it is, for a reason that is not in its own order of
 * events, such as the time being up. What runs is to be told as cancelled.
 */
export const close = <P extends Space.Params>(state: State<P>, reason: string): State<P> => ({
  ...state,
  searched: true,
  ended: true,
  blockedOn: undefined,
  cut: reason
})

/** Whether every decision is made and every result known. */
export const isDone = <P extends Space.Params>(state: State<P>): boolean =>
  state.ended && state.told === state.jobs.length
