/**
 * A sampler proposes the hyperparameters of the next trial. It is a pure
 * function of what it is given: it keeps nothing between proposals, so a study
 * that resumes proposes what an unbroken one would have proposed.
 */
import * as Random from "../random/Random.ts"
import * as Space from "./Space.ts"

export type Direction = "minimize" | "maximize"

/** What is known of a trial at the moment of a proposal. */
export interface Observation {
  readonly trial: number
  readonly params: Space.Params
  readonly status: "running" | "waiting" | "completed" | "stopped" | "failed"
  /** The finite objective values so far, one a rung, in the order of the rungs. */
  readonly values: ReadonlyArray<{ readonly rung: number; readonly budget: number; readonly value: number }>
}

export interface Context {
  readonly space: Space.Space
  readonly seed: number
  readonly direction: Direction
  /** How many proposals were made before this one. */
  readonly index: number
  /** `space.key` of every point that a trial already has, whether proposed or enqueued. */
  readonly proposed: ReadonlySet<string>
  /**
   * Every trial so far in order of index, with the results that precede this
   * proposal in virtual time. Running trials are there too.
   *
   * Asking for it makes the proposal wait until those results are known; a
   * sampler that does not ask lets more trials run at the same moment.
   */
  readonly history: () => ReadonlyArray<Observation>
}

export interface Sampler {
  readonly name: string
  /** The sampler and its options in words. */
  readonly description: string
  /** How many proposals there can be for a space, at most. */
  readonly size: (space: Space.Space) => number
  /** Why this sampler cannot be used on a space, if so. */
  readonly check?: (space: Space.Space) => { readonly found: string; readonly expected: string } | undefined
  /** The next point, or `undefined` when there is none left. */
  readonly propose: (context: Context) => Space.Params | undefined
}

/** Repeats of points already proposed before the remaining ones are listed. */
const attempts = 64

/** The largest space whose remaining points are listed. */
const listable = 1 << 20

/**
 * The first of `candidate(0)`, `candidate(1)`, ... that no trial has yet.
 *
 * A space of finite size is used up without repeats: when the candidates keep
 * repeating, one of the remaining points is drawn, all equally likely, and when
 * none remains the answer is `undefined`. A repeat is accepted only after 64 of
 * them in a row in a space too large to list (above a million points).
 */
export const distinct = (
  context: Context,
  candidate: (attempt: number) => Space.Params
): Space.Params | undefined => {
  const { space, proposed } = context
  if (proposed.size >= space.size) return undefined
  for (let attempt = 0; attempt < attempts; attempt++) {
    const params = candidate(attempt)
    if (!proposed.has(space.key(params))) return params
  }
  if (space.size > listable) return candidate(attempts)
  const remaining: Array<Space.Params> = []
  for (let index = 0; index < space.size; index++) {
    const params = Space.at(space, index)
    if (!proposed.has(space.key(params))) remaining.push(params)
  }
  return remaining[Random.make(context.seed, "remaining-points", context.index).integer(remaining.length)]
}
