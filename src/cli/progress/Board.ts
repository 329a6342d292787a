/**
 * What a run has come to so far, gathered from its events: all that the progress display shows.
 */
import type { PipelineEvent, StageProgress } from "../../pipeline/Progress.ts"

export interface RunningStage {
  readonly stage: string
  readonly owner: string
  /** Milliseconds, on the clock of the events. */
  readonly since: number
  progress: StageProgress | undefined
}

export interface Trial {
  readonly trial: number
  rung: number
  /** The budget of the rung it is on. */
  budget: number
  params: Readonly<Record<string, unknown>>
  status: "running" | "waiting" | "completed" | "failed"
  /** The highest rung that gave a finite objective, and that objective. */
  valued: { readonly budget: number; readonly value: number } | undefined
  /** Whether any stage really ran for the rung it is on. */
  ran: boolean
}

export interface Study {
  readonly study: string
  /** How many trials there will be at most; `undefined` where only the budget is limited. */
  readonly total: number | undefined
  readonly metric: string
  readonly direction: "minimize" | "maximize"
  readonly horizon: number
  /** The budget that the whole study is expected to spend; `undefined` where it cannot be told beforehand. */
  readonly expected: number | undefined
  readonly trials: Map<number, Trial>
  /** Budget of the rungs that have ended, and of those among them that were not cached. */
  spent: number
  executed: number
  /** When the first stage of a trial really started, and when the last rung that really ran ended. */
  firstRun: number | undefined
  lastEnd: number
  ended: boolean
}

export interface Board {
  readonly started: number
  readonly running: Map<string, RunningStage>
  readonly studies: Map<string, Study>
  /** Stage runs by how they ended. */
  ran: number
  failed: number
  /** Keys of stage runs that the store answered without their having run in this process. */
  readonly cached: Set<string>
  readonly ranKeys: Set<string>
}

/** What an event means beyond a change of numbers: something a reader of a log wants to know. */
export type Notice =
  | { readonly _tag: "stage"; readonly stage: string; readonly owner: string; readonly millis: number }
  | { readonly _tag: "retry"; readonly stage: string; readonly owner: string; readonly message: string }
  | {
    readonly _tag: "rung"
    readonly study: Study
    readonly trial: Trial
    readonly value: number
    readonly ran: boolean
  }
  | { readonly _tag: "trialFailed"; readonly study: Study; readonly trial: Trial; readonly message: string }

export const make = (now: number): Board => ({
  started: now,
  running: new Map(),
  studies: new Map(),
  ran: 0,
  failed: 0,
  cached: new Set(),
  ranKeys: new Set()
})

/** On whose behalf the stages of a trial run, as its events say. */
const ownerOf = (study: string, trial: number) => `${study} trial ${trial}`

/** The trial for which something runs, if it is one. */
export const trialOf = (board: Board, owner: string): { readonly study: Study; readonly trial: Trial } | undefined => {
  for (const study of board.studies.values()) {
    if (!owner.startsWith(`${study.study} trial `)) continue
    const trial = study.trials.get(Number(owner.slice(ownerOf(study.study, 0).length - 1)))
    if (trial !== undefined) return { study, trial }
  }
  return undefined
}

const better = (study: Study, a: number, b: number): boolean => study.direction === "minimize" ? a < b : a > b

/**
 * The best trial so far: of those with a value at the highest budget that any has reached, since less budget is not
 * comparable.
 */
export const bestOf = (study: Study): { readonly trial: Trial; readonly value: number } | undefined => {
  let best: { readonly trial: Trial; readonly value: number; readonly budget: number } | undefined
  for (const trial of study.trials.values()) {
    if (trial.valued === undefined || trial.status === "failed") continue
    const { budget, value } = trial.valued
    const leads = best === undefined || budget > best.budget ||
      (budget === best.budget && better(study, value, best.value))
    if (leads) best = { trial, value, budget }
  }
  return best
}

/** How many trials have a result at some rung or have failed, and how many of them at the full budget. */
export const countsOf = (
  study: Study
): { readonly evaluated: number; readonly full: number; readonly failed: number } => {
  let evaluated = 0, full = 0, failed = 0
  for (const trial of study.trials.values()) {
    if (trial.status === "failed") failed++
    if (trial.valued !== undefined || trial.status === "failed") evaluated++
    if (trial.status === "completed") full++
  }
  return { evaluated, full, failed }
}

/**
 * Milliseconds until a study ends, from the budget that is left and the pace so far; `undefined` before anything can
 * be said.
 */
export const timeLeft = (study: Study, now: number): number | undefined => {
  if (study.ended || study.expected === undefined || study.firstRun === undefined || study.executed === 0) {
    return undefined
  }
  const pace = study.executed / (study.lastEnd - study.firstRun)
  const left = Math.max(0, study.expected - study.spent) / pace - (now - study.lastEnd)
  return Number.isFinite(left) ? Math.max(0, left) : undefined
}

/** The part of the expected budget that has been spent, from 0 to 1. */
export const fraction = (study: Study): number | undefined =>
  study.expected === undefined ? undefined : Math.min(1, study.spent / study.expected)

/** Takes an event in. */
export const update = (board: Board, event: PipelineEvent, now: number): Notice | undefined => {
  switch (event._tag) {
    case "stage.cached":
      if (!board.ranKeys.has(event.key)) board.cached.add(event.key)
      return undefined
    case "stage.started": {
      board.running.set(event.key, { stage: event.stage, owner: event.owner, since: now, progress: undefined })
      const of = trialOf(board, event.owner)
      if (of !== undefined) {
        of.trial.ran = true
        of.study.firstRun ??= now
      }
      return undefined
    }
    case "stage.progress": {
      const running = board.running.get(event.key)
      if (running !== undefined) running.progress = event.progress
      return undefined
    }
    case "stage.completed":
      board.running.delete(event.key)
      board.ranKeys.add(event.key)
      board.ran++
      return { _tag: "stage", stage: event.stage, owner: event.owner, millis: event.durationMillis }
    case "stage.failed":
      board.running.delete(event.key)
      board.failed++
      // What this means is told by the trial it belongs to, or by the error the run ends with.
      return undefined
    case "stage.retried":
      return { _tag: "retry", stage: event.stage, owner: event.owner, message: event.message }
    case "study.started":
      board.studies.set(event.study, {
        study: event.study,
        total: event.trials,
        metric: event.metric,
        direction: event.direction,
        horizon: event.horizon,
        expected: event.expectedCost,
        trials: new Map(),
        spent: 0,
        executed: 0,
        firstRun: undefined,
        lastEnd: now,
        ended: false
      })
      return undefined
    case "trial.started": {
      const study = board.studies.get(event.study)
      const { budget, params, repeat, rung, trial } = event
      const known = study?.trials.get(trial)
      // A finalist that is trained again stays what it is.
      if (repeat > 0 && known !== undefined) known.ran = false
      if (repeat > 0) return undefined
      const valued = known?.valued
      study?.trials.set(trial, { trial, rung, budget, params, status: "running", valued, ran: false })
      return undefined
    }
    case "trial.completed":
    case "trial.failed":
      return endRung(board, event, now)
    case "study.completed": {
      const study = board.studies.get(event.study)
      if (study !== undefined) study.ended = true
      return undefined
    }
  }
}

const endRung = (
  board: Board,
  event: Extract<PipelineEvent, { readonly _tag: "trial.completed" | "trial.failed" }>,
  now: number
): Notice | undefined => {
  const study = board.studies.get(event.study)
  const trial = study?.trials.get(event.trial)
  if (study === undefined || trial === undefined) return undefined
  study.spent += event.cost
  if (trial.ran) {
    study.executed += event.cost
    study.lastEnd = now
  }
  if (event.repeat > 0) return undefined
  if (event._tag === "trial.failed") {
    trial.status = "failed"
    return { _tag: "trialFailed", study, trial, message: event.message }
  }
  const { budget, value } = event
  if (!Number.isFinite(value)) {
    trial.status = "failed"
    return { _tag: "trialFailed", study, trial, message: `${study.metric} is ${value}` }
  }
  trial.valued = { budget, value }
  trial.status = budget >= study.horizon ? "completed" : "waiting"
  return { _tag: "rung", study, trial, value, ran: trial.ran }
}
