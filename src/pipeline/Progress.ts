/**
 * What a run tells about itself: one stream of events for all listeners (the
 * terminal, the result tables, a test).
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type { RunRecord } from "../store/RunRecord.ts"

export type PipelineEvent =
  | { readonly _tag: "stage.cached"; readonly stage: string; readonly key: string; readonly owner: string }
  | { readonly _tag: "stage.started"; readonly stage: string; readonly key: string; readonly owner: string }
  /** Some steps of a running stage, not each. */
  | {
    readonly _tag: "stage.progress"
    readonly stage: string
    readonly key: string
    readonly owner: string
    readonly progress: StageProgress
  }
  | {
    readonly _tag: "stage.completed"
    readonly stage: string
    readonly key: string
    readonly owner: string
    readonly durationMillis: number
  }
  | {
    readonly _tag: "stage.failed"
    readonly stage: string
    readonly key: string
    readonly owner: string
    readonly message: string
  }
  | {
    readonly _tag: "stage.retried"
    readonly stage: string
    readonly key: string
    readonly owner: string
    readonly attempt: number
    readonly message: string
  }
  | {
    readonly _tag: "study.started"
    readonly study: string
    /** How many trials there will be at most; `undefined` where only the budget is limited. */
    readonly trials: number | undefined
    /** The first objective. */
    readonly metric: string
    readonly direction: "minimize" | "maximize"
    /** All metrics that the study looks at: its objectives, then those with limits. */
    readonly metrics: ReadonlyArray<string>
    readonly goal: StudyGoal
    readonly seed: number
    /** The budget of the last rung. */
    readonly horizon: number
    /** The budget that all trials together will be given if none fails: for the time left. */
    readonly expectedCost?: number
    readonly sampler: string
    readonly scheduler: string
    /** The search space as plain data, as `StoredSpace` in the search encodes it. */
    readonly space: Schema.Json
    /** What is taken over from earlier studies. */
    readonly reused: ReadonlyArray<ReusedStudy>
  }
  | {
    readonly _tag: "trial.started"
    readonly study: string
    readonly trial: number
    readonly rung: number
    /** 0 for the trial itself, 1 and up for a finalist that is trained again. */
    readonly repeat: number
    readonly budget: number
    readonly origin: "enqueued" | "sampler"
    readonly params: Readonly<Record<string, unknown>>
  }
  | {
    readonly _tag: "trial.completed"
    readonly study: string
    readonly trial: number
    readonly rung: number
    readonly repeat: number
    readonly budget: number
    /** What this rung added, in units of budget. */
    readonly cost: number
    /** The first objective. */
    readonly value: number
    /** All metrics that the study looks at. */
    readonly values: ReadonlyArray<number>
  }
  | {
    readonly _tag: "trial.failed"
    readonly study: string
    readonly trial: number
    readonly rung: number
    readonly repeat: number
    readonly budget: number
    readonly cost: number
    readonly message: string
  }
  | { readonly _tag: "study.completed"; readonly study: string; readonly outcome: StudyOutcome }

export interface StageProgress {
  readonly step: number
  readonly steps: number | undefined
  readonly values: Readonly<Record<string, number>>
}

/** What a study takes over from an earlier one. */
export interface ReusedStudy {
  readonly study: string
  /** How many trials it had, and how many of them are in the space of this study. */
  readonly trials: number
  readonly used: number
  /** Why the first of the others is not; `null` when all are. */
  readonly leftOut: string | null
  /** Hyperparameters that it did not have: its trials count as having had the defaults. */
  readonly assumed: ReadonlyArray<string>
  /** Hyperparameters that this study does not have. */
  readonly dropped: ReadonlyArray<string>
}

interface StudyObjective {
  readonly metric: string
  readonly direction: "minimize" | "maximize"
}

/** What a study is after. */
export interface StudyGoal {
  readonly objectives: readonly [StudyObjective, ...ReadonlyArray<StudyObjective>]
  /** Metrics that must keep within bounds, both ends included. */
  readonly limits: ReadonlyArray<{ readonly metric: string; readonly min?: number; readonly max?: number }>
}

/** All that is to be kept of a study, as the result tables need it. */
export interface StudyOutcome {
  readonly study: string
  /** The first objective. */
  readonly metric: string
  readonly direction: "minimize" | "maximize"
  /** All metrics that the study looked at: its objectives, then those with limits. */
  readonly metrics: ReadonlyArray<string>
  readonly goal: StudyGoal
  readonly seed: number
  readonly sampler: string
  readonly scheduler: string
  /** The search space as plain data, as `StoredSpace` in the search encodes it. */
  readonly space: Schema.Json
  /** The trial that was chosen, `undefined` where none could be. */
  readonly selected: number | undefined
  /** The budget that all trials were given together, and what the full horizon for each would have cost. */
  readonly spent: number
  readonly fullCost: number
  /** The part of `spent` that the finalists' further trainings took. */
  readonly spentOnFinalists: number
  /** The trials that were trained again in the end, the best first, with the first objective over their seeds. */
  readonly finalists: ReadonlyArray<FinalistOutcome>
  /** Finalists besides the first of which it is not clear, at the level of 5 %, that they are worse. */
  readonly indistinguishable: ReadonlyArray<number>
  /** Why no more trials were started before their number was reached; `undefined` when it was. */
  readonly ended: string | undefined
  readonly trials: ReadonlyArray<TrialOutcome>
}

export interface FinalistOutcome {
  readonly trial: number
  /** How many of its further trainings gave a value. */
  readonly trainings: number
  readonly mean: number | undefined
  readonly standardError: number | undefined
}

export interface TrialOutcome {
  readonly trial: number
  /** Whether its hyperparameters were given or proposed by the sampler. */
  readonly origin: "enqueued" | "sampler"
  readonly status: "completed" | "stopped" | "failed"
  readonly params: Readonly<Record<string, unknown>>
  /** The budget of the highest rung that gave a value; 0 where none did. */
  readonly budget: number
  /** The objective there, `undefined` where the trial never had one. */
  readonly value: number | undefined
  /** Numeric fields of the trial's output, by dotted path. */
  readonly metrics: Readonly<Record<string, number>>
  readonly error: string | undefined
  /** Whether it keeps every limit of the study; `undefined` where it never had values. */
  readonly feasible: boolean | undefined
  /** Whether no other trial surpasses it in every objective. */
  readonly onFront: boolean
  /** The objective of a finalist's further trainings, `undefined` where one failed. */
  readonly repeats: ReadonlyArray<number | undefined>
  /** The objective at every rung, and all metrics that the study looked at, in its order. */
  readonly rungs: ReadonlyArray<
    { readonly rung: number; readonly budget: number; readonly value: number; readonly values: ReadonlyArray<number> }
  >
  /** When it started and ended on the study's virtual machine, in units of budget. */
  readonly virtualStart: number
  readonly virtualFinish: number
  /** The stage runs made for this trial, of all its rungs, upstream before downstream. */
  readonly runs: ReadonlyArray<RunRecord>
}

/** Receives every event of a run. Silent by default. */
export const Progress = Context.Reference<(event: PipelineEvent) => Effect.Effect<void>>("attune/pipeline/Progress", {
  defaultValue: () => () => Effect.void
})
