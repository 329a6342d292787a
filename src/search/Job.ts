/** A job is one rung of one trial: the unit that a study runs and waits for. */
import type * as Space from "./Space.ts"

/** One trial to train from its previous rung to the next. */
export interface Job<out P extends Space.Params = Space.Params> {
  /** The position among all jobs of the study, in the order of the decisions. */
  readonly index: number
  readonly trial: number
  readonly params: P
  /** Whether the hyperparameters were given or proposed. */
  readonly origin: "enqueued" | "sampler"
  readonly rung: number
  /** The budget of every rung of this trial up to and with this one: the checkpoints to pass. */
  readonly budgets: ReadonlyArray<number>
  /** The budget of the last rung, whichever this job's is. */
  readonly horizon: number
  /** Virtual times. Their difference is the budget this job adds. */
  readonly start: number
  readonly finish: number
}

/** What became of a job. A value that is not finite counts as a failure. */
export type Outcome =
  | { readonly _tag: "Completed"; readonly value: number }
  | { readonly _tag: "Failed"; readonly reason: string }

/** The value of a job that gave one which can be compared, `undefined` for a failure. */
export const finiteValue = (outcome: Outcome): number | undefined =>
  outcome._tag === "Completed" && Number.isFinite(outcome.value) ? outcome.value : undefined
