/**
 * What a run tells about itself: one stream of events for all listeners (the
 * terminal, the result tables, a test).
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
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
    readonly trials: number
    readonly metric: string
    readonly direction: "minimize" | "maximize"
    readonly seed: number
    /** The budget of the last rung. */
    readonly horizon: number
    /** The budget that all trials together will be given if none fails: for the time left. */
    readonly expectedCost?: number
    readonly sampler: string
    readonly scheduler: string
  }
  | {
    readonly _tag: "trial.started"
    readonly study: string
    readonly trial: number
    readonly rung: number
    readonly budget: number
    readonly origin: "enqueued" | "sampler"
    readonly params: Readonly<Record<string, unknown>>
  }
  | {
    readonly _tag: "trial.completed"
    readonly study: string
    readonly trial: number
    readonly rung: number
    readonly budget: number
    /** What this rung added, in units of budget. */
    readonly cost: number
    readonly value: number
  }
  | {
    readonly _tag: "trial.failed"
    readonly study: string
    readonly trial: number
    readonly rung: number
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

/** All that is to be kept of a study, as the result tables need it. */
export interface StudyOutcome {
  readonly study: string
  readonly metric: string
  readonly direction: "minimize" | "maximize"
  readonly seed: number
  readonly sampler: string
  readonly scheduler: string
  /** The budget that all trials were given together, and what the full horizon for each would have cost. */
  readonly spent: number
  readonly fullCost: number
  readonly trials: ReadonlyArray<TrialOutcome>
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
  /** The objective at every rung. */
  readonly rungs: ReadonlyArray<{ readonly rung: number; readonly budget: number; readonly value: number }>
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
