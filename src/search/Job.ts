/** A job is one rung of one trial: the unit that a study runs and waits for. */
import type * as Space from "./space/Space.ts"

/** One trial to train from its previous rung to the next. */
export interface Job<out P extends Space.Params = Space.Params> {
  /** The position among all jobs of the study, in the order of the decisions. */
  readonly index: number
  readonly trial: number
  readonly params: P
  /** Whether the hyperparameters were given or proposed. */
  readonly origin: "enqueued" | "sampler"
  readonly rung: number
  /**
   * Which training of these hyperparameters it is: 0 for the trial itself, 1 and
   * up for a finalist that is trained again, from the beginning, with another seed.
   */
  readonly repeat: number
  /** The budget of every rung of this trial up to and with this one: the checkpoints to pass. */
  readonly budgets: ReadonlyArray<number>
  /** The budget of the last rung, whichever this job's is. */
  readonly horizon: number
  /** The budget that this job adds. */
  readonly cost: number
  /** Virtual times. Their difference is the cost. */
  readonly start: number
  readonly finish: number
}

/** What became of a job. */
export type Outcome =
  /** The metrics that the study looks at, in the order of its goal. Unless all are finite it counts as a failure. */
  | { readonly _tag: "Completed"; readonly values: ReadonlyArray<number> }
  | { readonly _tag: "Failed"; readonly reason: string }
  /** It was not run to its end, for a reason that says nothing of its hyperparameters: the time was up. */
  | { readonly _tag: "Cancelled"; readonly reason: string }

/** The metrics of a job that gave ones which can be compared, `undefined` otherwise. */
export const finiteValues = (outcome: Outcome): ReadonlyArray<number> | undefined =>
  outcome._tag === "Completed" && outcome.values.every(Number.isFinite) ? outcome.values : undefined
