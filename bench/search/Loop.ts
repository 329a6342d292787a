/**
 * A sampler on a problem, one trial at a time: ask, evaluate, tell.
 */
import type * as Sampler from "../../src/search/Sampler.ts"
import * as Branches from "../../src/search/space/Branches.ts"
import * as Dimension from "../../src/search/space/Dimension.ts"
import * as Space from "../../src/search/space/Space.ts"
import type { Hyperparameter, Problem } from "./Problem.ts"
import type { Pool } from "./Tables.ts"

const fieldOf = (hyperparameter: Hyperparameter): Branches.Field => {
  switch (hyperparameter.kind) {
    case "uniform":
      return Dimension.uniform(hyperparameter.min, hyperparameter.max)
    case "log":
      return Dimension.logUniform(hyperparameter.min, hyperparameter.max)
    case "integer":
      return Dimension.integer(hyperparameter.min, hyperparameter.max)
    case "log-integer":
      return Dimension.integer(hyperparameter.min, hyperparameter.max, { scale: "log" })
    case "choice":
      return Dimension.choice(hyperparameter.values)
    case "ordinal":
      return Dimension.ordinal(hyperparameter.values)
    case "branches":
      return Branches.branches(
        Object.fromEntries(Object.entries(hyperparameter.branches).map(([tag, inner]) => [tag, fieldsOf(inner)]))
      )
  }
}

const fieldsOf = (hyperparameters: ReadonlyArray<Hyperparameter>): Branches.Fields =>
  Object.fromEntries(hyperparameters.map((hyperparameter) => [hyperparameter.name, fieldOf(hyperparameter)]))

/** The space that a problem is searched in. */
export const spaceOf = (problem: { readonly hyperparameters: ReadonlyArray<Hyperparameter> }): Space.Space =>
  Space.make(fieldsOf(problem.hyperparameters))

/** What a proposal led to: the hyperparameters that were really evaluated, and by what the proposal is judged. */
export interface Evaluated {
  readonly params: Space.Params
  /** What the sampler is told; NaN for a failure. */
  readonly value: number
  /** The value without noise. */
  readonly judged: number
}

/** Where proposals of one run are evaluated. It may remember what it has evaluated. */
export interface Subject {
  readonly name: string
  readonly space: Space.Space
  readonly minimum: number
  readonly reference: number
  readonly start: () => (params: Space.Params) => Evaluated
}

export const ofProblem = (problem: Problem): Subject => ({
  name: problem.name,
  space: spaceOf(problem),
  minimum: problem.minimum,
  reference: problem.reference,
  start: () => (params) => ({ params, value: problem.evaluate(params), judged: problem.noiseless(params) })
})

/** A proposal stands for the nearest configuration of the pool that was not evaluated yet. */
export const ofPool = (pool: Pool): Subject => ({
  name: pool.name,
  space: spaceOf(pool),
  minimum: pool.minimum,
  reference: pool.reference,
  start: () => {
    const free = new Uint8Array(pool.size).fill(1)
    return (params) => {
      const index = pool.nearest(params, (index) => free[index] === 1)
      free[index] = 0
      const value = pool.losses[index]!
      return { params: pool.params[index]!, value, judged: value }
    }
  }
})

export interface Played {
  /** The normalised regret of the best trial so far, after each trial. */
  readonly regrets: Float64Array
  /** The milliseconds that each proposal took. */
  readonly asks: Float64Array
}

/** `trials` proposals, or as many as the sampler has. */
export const play = (sampler: Sampler.Sampler, subject: Subject, seed: number, trials: number): Played => {
  const { minimum, reference, space } = subject
  const problem: Sampler.Problem = { space, trials, objectives: 1, limits: 0, budgets: [1] }
  const resolved = sampler.resolve?.(problem) ?? sampler
  const evaluate = subject.start()
  const observations: Array<Sampler.Observation> = []
  const proposed = new Set<string>()
  const regrets = new Float64Array(trials), asks = new Float64Array(trials)
  let best = Infinity
  for (let index = 0; index < trials; index++) {
    const before = performance.now()
    const proposal = resolved.propose({ ...problem, seed, index, proposed, earlier: [], history: () => observations })
    asks[index] = performance.now() - before
    if (proposal !== undefined) {
      const { judged, params, value } = evaluate(proposal.params)
      proposed.add(space.key(params))
      const failed = !Number.isFinite(value)
      observations.push({
        trial: index,
        params,
        status: failed ? "failed" : "completed",
        measurements: failed ? [] : [{ rung: 0, budget: 1, losses: [value], violations: [] }]
      })
      if (judged < best) best = judged
    }
    regrets[index] = (best - minimum) / (reference - minimum)
  }
  return { regrets, asks }
}
