/**
 * A sampler proposes the hyperparameters of the next trial. It is a pure
 * function of what it is given: it keeps nothing between proposals, so a study
 * that resumes proposes what an unbroken one would have proposed.
 *
 * Every objective is turned so that lower is better: samplers speak of losses.
 */
import * as Random from "../random/Random.ts"
import * as Space from "./space/Space.ts"

/** What a study is about, as far as a sampler may depend on it before the first trial. */
export interface Problem {
  readonly space: Space.Space
  /** How many trials there will be at most; `Infinity` where only the budget is limited. */
  readonly trials: number
  /** How many objectives there are. */
  readonly objectives: number
  /** How many metrics have a limit that a trial must keep. */
  readonly limits: number
  /** The budget of every rung, ascending. */
  readonly budgets: ReadonlyArray<number>
}

/** What a trial gave at a rung. */
export interface Measurement {
  readonly rung: number
  readonly budget: number
  /** One for each objective, lower is better. Finite. */
  readonly losses: ReadonlyArray<number>
  /** By how much it is beyond each limit: above 0 where it breaks one, at most 0 where it keeps it. Finite. */
  readonly violations: ReadonlyArray<number>
}

/** What is known of a trial at the moment of a proposal. */
export interface Observation {
  readonly trial: number
  readonly params: Space.Params
  /** `failed`: its last rung failed or gave something that is not a finite number; earlier rungs may have measurements. */
  readonly status: "running" | "waiting" | "completed" | "stopped" | "failed"
  /** One a finished rung, in the order of the rungs. */
  readonly measurements: ReadonlyArray<Measurement>
}

/** Trials of an earlier study, as the present space has them. Their losses may be on another scale. */
export interface Earlier {
  readonly study: string
  readonly observations: ReadonlyArray<Observation>
}

export interface Context extends Problem {
  readonly seed: number
  /** How many proposals were made before this one. */
  readonly index: number
  /** `space.key` of every point that a trial already has, whether proposed or enqueued. */
  readonly proposed: ReadonlySet<string>
  /** Studies that this one starts from. */
  readonly earlier: ReadonlyArray<Earlier>
  /**
   * Every trial so far in order of index, with the results that precede this
   * proposal in virtual time. Running trials are there too.
   *
   * Asking for it makes the proposal wait until those results are known; a
   * sampler that does not ask lets more trials run at the same moment.
   */
  readonly history: () => ReadonlyArray<Observation>
}

export interface Proposal {
  readonly params: Space.Params
  /**
   * By how much the sampler expects this trial to improve on the best loss at
   * the full budget, in units of the objective. Only from samplers with a model
   * that tells, and only with one objective.
   */
  readonly expectedImprovement?: number
}

export interface Sampler {
  readonly name: string
  /** The sampler and its options in words. */
  readonly description: string
  /** How many proposals there can be for a space, at most. */
  readonly size: (space: Space.Space) => number
  /** Why this sampler cannot be used for a study, if so. */
  readonly check?: (problem: Problem) => { readonly found: string; readonly expected: string } | undefined
  /** Whether its proposals say how much improvement it expects. */
  readonly expectsImprovement?: boolean
  /** Whether it learns from the trials of earlier studies. */
  readonly usesEarlier?: boolean
  /** The sampler that it stands for in a study; itself by default. */
  readonly resolve?: (problem: Problem) => Sampler
  /** The next point, or `undefined` when there is none left. */
  readonly propose: (context: Context) => Proposal | undefined
}

/** Repeats of points already proposed before the remaining ones are listed. */
const attempts = 64

/**
 * How many candidates are looked at before a space too large to list counts as
 * used up: constraints may refuse most of them.
 */
const patience = 1 << 14

/** Whether a trial may have these hyperparameters: nothing forbids them, and no other trial has them. */
export const isNew = (context: Pick<Context, "space" | "proposed">, params: Space.Params): boolean =>
  context.space.allows(params) && !context.proposed.has(context.space.key(params))

/**
 * The first of `candidate(0)`, `candidate(1)`, ... that keeps the constraints
 * and that no trial has yet.
 *
 * A space of finite size is used up without repeats: when the candidates keep
 * repeating, one of the remaining points is drawn, all equally likely, and when
 * none remains the answer is `undefined`. In a space too large to list (above a
 * million points) that is so after 2^14 candidates in vain.
 */
export const distinct = (
  context: Pick<Context, "space" | "proposed" | "seed" | "index">,
  candidate: (attempt: number) => Space.Params
): Space.Params | undefined => {
  const { proposed, space } = context
  if (proposed.size >= space.size) return undefined
  const listable = space.size <= Space.listable
  for (let attempt = 0; attempt < (listable ? attempts : patience); attempt++) {
    const params = candidate(attempt)
    if (isNew(context, params)) return params
  }
  if (!listable) return undefined
  const remaining: Array<Space.Params> = []
  for (let index = 0; index < space.size; index++) {
    const params = Space.at(space, index)
    if (isNew(context, params)) remaining.push(params)
  }
  return remaining[Random.make(context.seed, "remaining-points", context.index).integer(Math.max(1, remaining.length))]
}

/** A proposal of the first new candidate, or none. */
export const proposeDistinct = (
  context: Pick<Context, "space" | "proposed" | "seed" | "index">,
  candidate: (attempt: number) => Space.Params
): Proposal | undefined => {
  const params = distinct(context, candidate)
  return params === undefined ? undefined : { params }
}
