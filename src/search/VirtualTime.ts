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
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { InvalidStudy } from "./InvalidStudy.ts"
import { finiteValue, type Job, type Outcome } from "./Job.ts"
import type * as Sampler from "./Sampler.ts"
import type * as Scheduler from "./Scheduler.ts"
import type * as Space from "./Space.ts"

export type { Job, Outcome } from "./Job.ts"

export interface Options<P extends Space.Params> {
  readonly space: Space.Space<P>
  readonly sampler: Sampler.Sampler
  readonly scheduler: Scheduler.Scheduler
  readonly direction: Sampler.Direction
  /** A whole number in [0, 2^53). */
  readonly seed: number
  /** How many trials to start, enqueued ones included; fewer when the sampler has no more points. */
  readonly trials: number
  /** How many trials the virtual machine runs at once. Default 4. */
  readonly parallelism?: number
  /** The hyperparameters of the first trials, before the sampler is asked. Repeats are dropped. */
  readonly enqueued?: ReadonlyArray<P>
}

/** A decision and the virtual time at which it was made. */
export type Logged = Exclude<Scheduler.Decision, { readonly _tag: "Wait" | "Start" }> & { readonly at: number } | {
  readonly _tag: "Start"
  readonly trial: number
  readonly rung: number
  readonly at: number
}

export interface TrialState<out P extends Space.Params> extends Scheduler.Trial {
  readonly params: P
  readonly origin: "enqueued" | "sampler"
  readonly jobs: ReadonlyArray<Job<P>>
  readonly stop: { readonly at: number; readonly reason: string } | undefined
}

export interface State<P extends Space.Params> {
  readonly options: Options<P> & { readonly parallelism: number; readonly enqueued: ReadonlyArray<P> }
  readonly now: number
  readonly trials: ReadonlyArray<TrialState<P>>
  /** Every job so far, in the order of the decisions. */
  readonly jobs: ReadonlyArray<Job<P>>
  /** The jobs that have not finished at `now`. */
  readonly running: ReadonlyArray<Job<P>>
  /** What is known of each of `jobs`, whether or not its virtual turn has come. */
  readonly outcomes: ReadonlyArray<Outcome | undefined>
  /** How many outcomes are known. */
  readonly told: number
  /** `space.key` of every trial's hyperparameters. */
  readonly proposed: ReadonlySet<string>
  readonly proposals: number
  readonly exhausted: boolean
  /** Whether the scheduler has said that nothing more will start. */
  readonly ended: boolean
  /** The job whose result the next decision asks for. */
  readonly blockedOn: Job<P> | undefined
  /** Every decision so far. */
  readonly log: ReadonlyArray<Logged>
}

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
 * A study before its first decision. Throws `InvalidStudy` for options that
 * cannot be used, such as enqueued hyperparameters outside the space.
 */
export const make = <P extends Space.Params>(options: Options<P>): State<P> => {
  const parallelism = options.parallelism ?? 4
  positive("trials", options.trials)
  positive("parallelism", parallelism)
  if (!(Number.isSafeInteger(options.seed) && options.seed >= 0)) {
    throw new InvalidStudy({ option: "seed", found: String(options.seed), expected: "a whole number in [0, 2^53)" })
  }
  const refused = options.sampler.check?.(options.space)
  if (refused !== undefined) throw new InvalidStudy({ option: "sampler", ...refused })
  const enqueued = new Map<string, P>()
  for (const [index, params] of (options.enqueued ?? []).entries()) {
    const decoded = Schema.decodeUnknownResult(options.space.schema)(params, { onExcessProperty: "error" })
    if (Result.isFailure(decoded)) {
      throw new InvalidStudy({
        option: `enqueued[${index}]`,
        found: JSON.stringify(params),
        expected: `hyperparameters of the space: ${decoded.failure.message}`
      })
    }
    const key = options.space.key(params)
    if (!enqueued.has(key)) enqueued.set(key, params)
  }
  if (enqueued.size > options.trials) {
    throw new InvalidStudy({
      option: "trials",
      found: `${options.trials} trials for ${enqueued.size} enqueued points`,
      expected: "at least as many trials as enqueued points"
    })
  }
  return {
    options: { ...options, parallelism, enqueued: [...enqueued.values()] },
    now: 0,
    trials: [],
    jobs: [],
    running: [],
    outcomes: [],
    told: 0,
    proposed: new Set(),
    proposals: 0,
    exhausted: false,
    ended: false,
    blockedOn: undefined,
    log: []
  }
}

const positive = (option: string, value: number): void => {
  if (Number.isSafeInteger(value) && value >= 1) return
  throw new InvalidStudy({ option, found: String(value), expected: "a whole number of at least 1" })
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
      if (draft.running.length >= draft.options.parallelism || !step(draft)) advance(draft)
    }
  } catch (error) {
    if (!(error instanceof Untold)) throw error
    draft.blockedOn = error.job as Job<P>
  }
  return { state: draft, jobs: draft.jobs.slice(state.jobs.length) }
}

const isBlocked = <P extends Space.Params>(state: State<P>): boolean =>
  state.blockedOn !== undefined && state.outcomes[state.blockedOn.index] === undefined

/** Moves virtual time to the next finish. Every job that finishes then is over. */
const advance = <P extends Space.Params>(draft: Draft<P>): void => {
  if (draft.running.length === 0) {
    throw new Error(`the scheduler ${draft.options.scheduler.name} waits though no trial is running`)
  }
  draft.now = draft.running.reduce((earliest, job) => Math.min(earliest, job.finish), Infinity)
  for (const job of draft.running) {
    if (job.finish <= draft.now) draft.trials[job.trial] = { ...draft.trials[job.trial]!, running: false }
  }
  draft.running = draft.running.filter((job) => job.finish > draft.now)
}

/** Makes and applies one decision. False when there is none before the next finish. */
const step = <P extends Space.Params>(draft: Draft<P>): boolean => {
  const { enqueued, scheduler, trials } = draft.options
  const decision = scheduler.decide({
    now: draft.now,
    trials: draft.trials,
    mayStart: draft.trials.length < trials && (draft.trials.length < enqueued.length || !draft.exhausted),
    loss: (trial, rung) => loss(draft, trial, rung)
  })
  switch (decision._tag) {
    case "Wait":
      return false
    case "Done":
      draft.ended = true
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
      if (finiteValue(outcome(draft, trial.jobs.at(-1)!)) === undefined) {
        throw new Error(`the scheduler ${scheduler.name} promotes trial ${decision.trial}, which failed`)
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
      const stop = { at: draft.now, reason: decision.reason }
      draft.trials[trial.index] = { ...trial, stopped: true, stop }
      draft.log.push({ ...decision, at: draft.now })
      return true
    }
  }
}

const start = <P extends Space.Params>(draft: Draft<P>, rung: number): void => {
  const { enqueued, sampler, space } = draft.options
  const index = draft.trials.length
  let params = enqueued[index]
  const origin = params === undefined ? "sampler" : "enqueued"
  if (params === undefined) {
    const proposal = propose(draft)
    if (proposal === undefined) {
      // The scheduler is asked again, knowing that no more trials can start.
      draft.exhausted = true
      return
    }
    if (!Schema.is(space.schema)(proposal)) {
      throw new Error(`the sampler ${sampler.name} proposed ${JSON.stringify(proposal)}, which is not in the space`)
    }
    params = proposal
    draft.proposals++
  }
  draft.proposed.add(space.key(params))
  draft.log.push({ _tag: "Start", trial: index, rung, at: draft.now })
  const trial = { index, params, origin, firstRung: rung, rung, stopped: false, stop: undefined, jobs: [] } as const
  launch(draft, { ...trial, running: true }, rung)
}

/** Occupies a virtual worker with a trial's next rung. */
const launch = <P extends Space.Params>(draft: Draft<P>, trial: TrialState<P>, rung: number): void => {
  const { budgets } = draft.options.scheduler
  const budget = budgets[rung]
  if (budget === undefined) throw new Error(`the scheduler ${draft.options.scheduler.name} has no rung ${rung}`)
  const before = trial.jobs.at(-1)
  const job: Job<P> = {
    index: draft.jobs.length,
    trial: trial.index,
    params: trial.params,
    origin: trial.origin,
    rung,
    budgets: [...(before?.budgets ?? []), budget],
    horizon: budgets.at(-1)!,
    start: draft.now,
    finish: draft.now + budget - (before?.budgets.at(-1) ?? 0)
  }
  draft.trials[trial.index] = { ...trial, rung, running: true, jobs: [...trial.jobs, job] }
  draft.jobs.push(job)
  draft.outcomes.push(undefined)
  draft.running.push(job)
}

const propose = <P extends Space.Params>(draft: Draft<P>): Space.Params | undefined => {
  const { direction, sampler, seed, space } = draft.options
  return sampler.propose({
    space,
    seed,
    direction,
    index: draft.proposals,
    proposed: draft.proposed,
    history: () => draft.trials.map((trial) => observe(draft, trial))
  })
}

const observe = <P extends Space.Params>(draft: Draft<P>, trial: TrialState<P>): Sampler.Observation => {
  const values: Array<Sampler.Observation["values"][number]> = []
  let failed = false
  for (const job of trial.jobs) {
    if (job.finish > draft.now) continue
    const value = finiteValue(outcome(draft, job))
    if (value === undefined) failed = true
    else values.push({ rung: job.rung, budget: job.budgets.at(-1)!, value })
  }
  const status = failed ?
    "failed"
    : trial.running ?
    "running"
    : trial.stopped ?
    "stopped"
    : trial.rung === draft.options.scheduler.budgets.length - 1 ?
    "completed"
    : "waiting"
  return { trial: trial.index, params: trial.params, status, values }
}

const loss = <P extends Space.Params>(draft: Draft<P>, trial: number, rung: number): number => {
  const job = draft.trials[trial]?.jobs.find((job) => job.rung === rung)
  if (job === undefined || job.finish > draft.now) {
    throw new Error(
      `the scheduler ${draft.options.scheduler.name} asks for trial ${trial} at rung ${rung}, not finished yet`
    )
  }
  const value = finiteValue(outcome(draft, job))
  if (value === undefined) return Infinity
  return draft.options.direction === "minimize" ? value : -value
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
  job: { readonly trial: number; readonly rung: number },
  outcome: Outcome
): State<P> => {
  const started = find(state, job)
  if (started === undefined) throw new Error(`trial ${job.trial} was not started at rung ${job.rung}`)
  if (state.outcomes[started.index] !== undefined) {
    throw new Error(`the result of trial ${job.trial} at rung ${job.rung} is known already`)
  }
  return { ...state, outcomes: state.outcomes.with(started.index, outcome), told: state.told + 1 }
}

const find = <P extends Space.Params>(
  state: State<P>,
  job: { readonly trial: number; readonly rung: number }
): Job<P> | undefined => state.trials[job.trial]?.jobs.find((started) => started.rung === job.rung)

/** The outcome of a job, once told. */
export const outcomeOf = <P extends Space.Params>(
  state: State<P>,
  job: { readonly trial: number; readonly rung: number }
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

/** Whether every decision is made and every result known. */
export const isDone = <P extends Space.Params>(state: State<P>): boolean =>
  state.ended && state.told === state.jobs.length
