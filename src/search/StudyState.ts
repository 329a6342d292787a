/**
 * What the decisions of a study start from: its options, checked, and all that
 * has been decided and told so far, as plain data.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Goal from "./Goal.ts"
import { InvalidStudy } from "./InvalidStudy.ts"
import type { Job, Outcome } from "./Job.ts"
import type * as Sampler from "./Sampler.ts"
import type * as Scheduler from "./Scheduler.ts"
import type * as Space from "./space/Space.ts"

export interface Options<P extends Space.Params> {
  readonly space: Space.Space<P>
  readonly sampler: Sampler.Sampler
  readonly scheduler: Scheduler.Scheduler
  readonly goal: Goal.Goal
  /** A whole number in [0, 2^53). */
  readonly seed: number
  /**
   * How many trials to start at most, enqueued ones included; fewer when the
   * sampler has no more points. Without it as many as the budget allows.
   */
  readonly trials?: number
  /** The budget of all jobs together, repeats of finalists included. Unlimited by default. */
  readonly budget?: number
  /** How many trials the virtual machine runs at once. Default 4. */
  readonly parallelism?: number
  /** The hyperparameters of the first trials, before the sampler is asked. Repeats are dropped. */
  readonly enqueued?: ReadonlyArray<P>
  /** Trials of earlier studies, for samplers that learn from them. */
  readonly earlier?: ReadonlyArray<Sampler.Earlier>
  /** How many of the best are trained again in the end, and how often, each time with another seed. */
  readonly finalists?: { readonly trials: number; readonly repeats: number }
  /**
   * No more trials start once the sampler has expected less than this
   * improvement so many times in a row.
   */
  readonly until?: { readonly expectedImprovementBelow: number; readonly proposals: number }
}

/** A decision and the virtual time at which it was made. */
export type Logged =
  | Exclude<Scheduler.Decision, { readonly _tag: "Wait" | "Start" }> & { readonly at: number }
  | { readonly _tag: "Start"; readonly trial: number; readonly rung: number; readonly at: number }
  | { readonly _tag: "Repeat"; readonly trial: number; readonly repeat: number; readonly at: number }

export interface TrialState<out P extends Space.Params> extends Scheduler.Trial {
  readonly params: P
  readonly origin: "enqueued" | "sampler"
  /** Its rungs, in order. */
  readonly jobs: ReadonlyArray<Job<P>>
  /** Its trainings with other seeds, if it is a finalist. */
  readonly repeats: ReadonlyArray<Job<P>>
  readonly stop: { readonly at: number; readonly reason: string } | undefined
}

export interface State<P extends Space.Params> {
  readonly options:
    & Options<P>
    & {
      readonly parallelism: number
      readonly enqueued: ReadonlyArray<P>
      readonly trials: number
      readonly earlier: ReadonlyArray<Sampler.Earlier>
    }
  /** What is left of the budget for the search itself, the finalists' share put aside: `Infinity` without a limit. */
  readonly remaining: number
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
  /** How many proposals in a row expected less improvement than `until` asks for. */
  readonly unpromising: number
  /** Why no more trials start, before their number is reached. */
  readonly exhausted: string | undefined
  /** Why the study was ended from outside, if it was. */
  readonly cut: string | undefined
  /** Whether the scheduler has said that nothing more will start. */
  readonly searched: boolean
  /** The finalists, once they are chosen, the best first. */
  readonly finalists: ReadonlyArray<number> | undefined
  /** Whether every decision is made. */
  readonly ended: boolean
  /** The job whose result the next decision asks for. */
  readonly blockedOn: Job<P> | undefined
  /** Every decision so far. */
  readonly log: ReadonlyArray<Logged>
}

/**
 * A study before its first decision. Throws `InvalidStudy` for options that
 * cannot be used, such as enqueued hyperparameters outside the space.
 */
export const make = <P extends Space.Params>(options: Options<P>): State<P> => {
  const { budget, finalists, scheduler, space } = options
  const parallelism = options.parallelism ?? 4
  positive("parallelism", parallelism)
  if (!(Number.isSafeInteger(options.seed) && options.seed >= 0)) {
    throw new InvalidStudy({ option: "seed", found: String(options.seed), expected: "a whole number in [0, 2^53)" })
  }
  if (finalists !== undefined) {
    positive("finalists.trials", finalists.trials)
    if (!(Number.isSafeInteger(finalists.repeats) && finalists.repeats >= 2)) {
      const expected = "a whole number of at least 2: from one training nothing is known of the noise"
      throw new InvalidStudy({ option: "finalists.repeats", found: String(finalists.repeats), expected })
    }
  }
  const reserved = finalists === undefined ? 0 : finalists.trials * finalists.repeats * scheduler.budgets.at(-1)!
  if (budget !== undefined && !(budget - reserved >= scheduler.budgets.at(-1)!)) {
    throw new InvalidStudy({
      option: "budget",
      found: String(budget),
      expected: `at least ${scheduler.budgets.at(-1)! + reserved}, so that a trial reaches the last rung` +
        (reserved === 0 ? "" : " and the finalists are trained again")
    })
  }
  const remaining = budget === undefined ? Infinity : budget - reserved
  if (options.trials === undefined && budget === undefined) {
    throw new InvalidStudy({ option: "trials", found: "neither `trials` nor `budget`", expected: "one of them" })
  }
  const trials = options.trials ?? scheduler.affordable?.(remaining) ?? Infinity
  if (options.trials !== undefined) positive("trials", options.trials)
  const problem: Sampler.Problem = {
    space,
    trials,
    objectives: options.goal.objectives.length,
    limits: options.goal.limits.length,
    budgets: scheduler.budgets
  }
  const sampler = options.sampler.resolve?.(problem) ?? options.sampler
  const refused = sampler.check?.(problem)
  if (refused !== undefined) throw new InvalidStudy({ option: "sampler", ...refused })
  if (options.until !== undefined) {
    const { expectedImprovementBelow, proposals } = options.until
    positive("until.proposals", proposals)
    if (!(expectedImprovementBelow > 0)) {
      const expected = "a number above zero, in units of the objective"
      throw new InvalidStudy({
        option: "until.expectedImprovementBelow",
        found: String(expectedImprovementBelow),
        expected
      })
    }
    if (sampler.expectsImprovement !== true) {
      throw new InvalidStudy({
        option: "until",
        found: `the sampler ${sampler.name}, which expects no improvement`,
        expected: "a sampler with a model that does, such as the Gaussian process"
      })
    }
  }
  if ((options.earlier ?? []).length > 0 && sampler.usesEarlier !== true) {
    throw new InvalidStudy({
      option: "earlier",
      found: `the sampler ${sampler.name}, which learns nothing from earlier studies`,
      expected: "a sampler that does, such as the Gaussian process, or none, so that one is chosen"
    })
  }
  const enqueued = new Map<string, P>()
  for (const [index, params] of (options.enqueued ?? []).entries()) {
    const decoded = Schema.decodeUnknownResult(space.schema)(params, { onExcessProperty: "error" })
    if (Result.isFailure(decoded)) {
      throw new InvalidStudy({
        option: `enqueued[${index}]`,
        found: JSON.stringify(params),
        expected: `hyperparameters of the space: ${decoded.failure.message}`
      })
    }
    const key = space.key(params)
    if (!enqueued.has(key)) enqueued.set(key, params)
  }
  if (enqueued.size > trials) {
    throw new InvalidStudy({
      option: "trials",
      found: `${trials} trials for ${enqueued.size} enqueued points`,
      expected: "at least as many trials as enqueued points"
    })
  }
  return {
    options: {
      ...options,
      sampler,
      trials,
      parallelism,
      enqueued: [...enqueued.values()],
      earlier: options.earlier ?? []
    },
    remaining,
    now: 0,
    trials: [],
    jobs: [],
    running: [],
    outcomes: [],
    told: 0,
    proposed: new Set(),
    proposals: 0,
    unpromising: 0,
    exhausted: undefined,
    cut: undefined,
    searched: false,
    finalists: undefined,
    ended: false,
    blockedOn: undefined,
    log: []
  }
}

const positive = (option: string, value: number): void => {
  if (Number.isSafeInteger(value) && value >= 1) return
  throw new InvalidStudy({ option, found: String(value), expected: "a whole number of at least 1" })
}
