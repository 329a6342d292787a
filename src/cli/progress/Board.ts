/**
 * What a run has come to so far, gathered from its events: all that the progress display shows.
 */
import type { PipelineEvent, ReusedStudy, StageProgress, StudyGoal, StudyOutcome } from "../../pipeline/Progress.ts"
import * as Goal from "../../search/Goal.ts"

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
  /** The highest rung that gave a finite objective, that objective, and whether the limits of the study are kept there. */
  valued: { readonly budget: number; readonly value: number; readonly feasible: boolean } | undefined
  /** Whether any stage really ran for the rung it is on, or since it is trained again as a finalist. */
  ran: boolean
  /** How many of its trainings as a finalist have started. */
  repeats: number
}

export interface Study {
  readonly study: string
  /** How many trials there will be at most; `undefined` where only the budget is limited. */
  readonly total: number | undefined
  readonly metric: string
  readonly direction: "minimize" | "maximize"
  readonly goal: StudyGoal
  readonly seed: number
  readonly sampler: string
  readonly scheduler: string
  readonly reused: ReadonlyArray<ReusedStudy>
  readonly horizon: number
  /** The budget that the whole study is expected to spend; `undefined` where it cannot be told beforehand. */
  readonly expected: number | undefined
  readonly trials: Map<number, Trial>
  /** How many trainings of finalists have started and ended. */
  readonly finalists: { started: number; ended: number }
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
  /** A finalist has been trained again; with a message where that failed. */
  | {
    readonly _tag: "repeat"
    readonly study: Study
    readonly trial: Trial
    readonly repeat: number
    readonly value: number | undefined
    readonly message: string | undefined
    readonly ran: boolean
  }
  | { readonly _tag: "studyStarted"; readonly study: Study }
  | { readonly _tag: "studyEnded"; readonly study: Study; readonly outcome: StudyOutcome }

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
 * The best trial so far: of those that keep the limits, with a value at the highest budget that any of them has
 * reached, since less budget is not comparable.
 */
export const bestOf = (study: Study): { readonly trial: Trial; readonly value: number } | undefined => {
  let best: { readonly trial: Trial; readonly value: number; readonly budget: number } | undefined
  for (const trial of study.trials.values()) {
    if (trial.valued === undefined || trial.status === "failed") continue
    const { budget, feasible, value } = trial.valued
    if (!feasible) continue
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
    case "study.started": {
      const study: Study = {
        study: event.study,
        total: event.trials,
        metric: event.metric,
        direction: event.direction,
        goal: event.goal,
        seed: event.seed,
        sampler: event.sampler,
        scheduler: event.scheduler,
        reused: event.reused,
        horizon: event.horizon,
        expected: event.expectedCost,
        trials: new Map(),
        finalists: { started: 0, ended: 0 },
        spent: 0,
        executed: 0,
        firstRun: undefined,
        lastEnd: now,
        ended: false
      }
      board.studies.set(event.study, study)
      return { _tag: "studyStarted", study }
    }
    case "trial.started": {
      const study = board.studies.get(event.study)
      const { budget, params, repeat, rung, trial } = event
      const known = study?.trials.get(trial)
      if (study === undefined) return undefined
      if (repeat > 0) {
        // A finalist that is trained again stays what it is.
        if (known?.repeats === 0) known.ran = false
        if (known !== undefined) known.repeats++
        study.finalists.started++
        return undefined
      }
      const valued = known?.valued
      study.trials.set(trial, { trial, rung, budget, params, status: "running", valued, ran: false, repeats: 0 })
      return undefined
    }
    case "trial.completed":
    case "trial.failed":
      return endRung(board, event, now)
    case "study.completed": {
      const study = board.studies.get(event.study)
      if (study === undefined) return undefined
      study.ended = true
      return { _tag: "studyEnded", study, outcome: event.outcome }
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
  const message = event._tag === "trial.failed" ? event.message : notFinite(study, event.values)
  if (event.repeat > 0) {
    study.finalists.ended++
    const value = event._tag === "trial.completed" && message === undefined ? event.value : undefined
    return { _tag: "repeat", study, trial, repeat: event.repeat, value, message, ran: trial.ran }
  }
  if (event._tag === "trial.failed" || message !== undefined) {
    trial.status = "failed"
    return { _tag: "trialFailed", study, trial, message: message! }
  }
  const { budget, value, values } = event
  trial.valued = { budget, value, feasible: Goal.isFeasible(study.goal, values) }
  trial.status = budget >= study.horizon ? "completed" : "waiting"
  return { _tag: "rung", study, trial, value, ran: trial.ran }
}

/** What a study takes for a failure too. */
const notFinite = ({ goal }: Study, values: ReadonlyArray<number>): string | undefined => {
  const index = values.findIndex((value) => !Number.isFinite(value))
  return index < 0 ? undefined : `${Goal.metrics(goal)[index]} is ${values[index]}`
}
