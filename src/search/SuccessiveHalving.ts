/**
 * Synchronous successive halving (Jamieson and Talwalkar, "Non-stochastic best
 * arm identification and hyperparameter optimization", AISTATS 2016), in the
 * form of one bracket of Hyperband (Li et al., JMLR 18, 2018, algorithm 1):
 * all trials run to the lowest budget, the best 1 / reduction of them continue
 * to the next, and so on.
 *
 * A promotion continues from the checkpoint of the rung below, so a trial costs
 * its highest budget and not the sum of its rungs.
 *
 * - A rung is decided when all its trials have finished.
 * - A trial that failed, or whose objective is not a finite number, ranks last
 *   and is never promoted, even if fewer trials than planned go on.
 * - Of two equal objectives the trial that started first ranks higher.
 * - At least one trial goes on at each rung, where the formula would round to none.
 */
import { InvalidStudy } from "./InvalidStudy.ts"
import * as Scheduler from "./Scheduler.ts"

export type Options =
  | {
    /** The budget of each rung, ascending. */
    readonly budgets: ReadonlyArray<number>
    /** One trial in how many goes on. Default 3. */
    readonly reduction?: number
  }
  | {
    /** No rung is below this budget. */
    readonly min: number
    /** The budget of the last rung. */
    readonly max: number
    /** One trial in how many goes on, and the ratio of neighbouring budgets. Default 3. */
    readonly reduction?: number
  }

/** Throws `InvalidStudy` for budgets that do not ascend from above zero, or a reduction of 1 or less. */
export const make = (options: Options): Scheduler.Scheduler => {
  const reduction = options.reduction ?? 3
  if (!(Number.isFinite(reduction) && reduction > 1)) {
    throw new InvalidStudy({ option: "reduction", found: String(reduction), expected: "a number above 1" })
  }
  const budgets = "budgets" in options ? options.budgets : geometric(options.min, options.max, reduction)
  const ascending = budgets.every((budget, rung) => Number.isFinite(budget) && budget > (budgets[rung - 1] ?? 0))
  if (budgets.length === 0 || !ascending) {
    throw new InvalidStudy({
      option: "budgets",
      found: `[${budgets.join(", ")}]`,
      expected: "numbers above zero in ascending order, one for each rung"
    })
  }
  return {
    name: "successive-halving",
    description: `successive halving at ${budgets.join(", ")}, the best 1 in ${reduction} go on`,
    budgets,
    decide: (view) => decide(view, budgets.length, reduction)
  }
}

/**
 * `max` divided by the reduction as often as it stays at or above `min`, in
 * ascending order. Whole bounds give whole budgets, since most budgets are
 * epochs or steps.
 */
const geometric = (min: number, max: number, reduction: number): ReadonlyArray<number> => {
  if (!(Number.isFinite(max) && min > 0 && min <= max)) {
    throw new InvalidStudy({
      option: "budgets",
      found: `min ${min} and max ${max}`,
      expected: "finite numbers above zero, min not above max"
    })
  }
  const whole = Number.isInteger(min) && Number.isInteger(max)
  const budgets: Array<number> = []
  for (let budget = max; budget >= min * (1 - 1e-9); budget /= reduction) {
    const rounded = whole ? Math.round(budget) : budget
    // A reduction near 1 can round two budgets to the same number.
    if (rounded !== budgets[0]) budgets.unshift(rounded)
  }
  return budgets
}

/** How many of `trials` reach a rung, if none fails. */
export const reaching = (trials: number, rung: number, reduction = 3): number =>
  Math.min(trials, Math.max(1, Math.floor(trials / reduction ** rung)))

/** The budget that `trials` trials spend in all, if none fails. */
export const cost = (trials: number, budgets: ReadonlyArray<number>, reduction = 3): number =>
  budgets.reduce(
    (sum, budget, rung) => sum + reaching(trials, rung, reduction) * (budget - (budgets[rung - 1] ?? 0)),
    0
  )

const decide = (view: Scheduler.View, rungs: number, reduction: number): Scheduler.Decision => {
  if (view.mayStart) return Scheduler.start
  for (let rung = 0; rung < rungs - 1; rung++) {
    const entrants = view.trials.filter((trial) => trial.rung >= rung)
    if (entrants.some((trial) => trial.running && trial.rung === rung)) return Scheduler.wait
    if (entrants.every((trial) => trial.stopped || trial.rung > rung)) continue
    const ranking = entrants
      .map((trial) => ({ trial, loss: view.loss(trial.index, rung) }))
      .filter(({ loss }) => loss < Infinity)
      .toSorted((a, b) => a.loss - b.loss || a.trial.index - b.trial.index)
    const places = reaching(view.trials.length, rung + 1, reduction)
    // Stops take no time, so the trials that are out say so before the others go on.
    for (const [position, { trial }] of ranking.entries()) {
      if (position < places || trial.stopped) continue
      const reason = `place ${position + 1} of ${entrants.length} at rung ${rung}, where ${places} went on`
      return { _tag: "Stop", trial: trial.index, reason }
    }
    const next = ranking.find(({ trial }) => trial.rung === rung && !trial.stopped)
    if (next !== undefined) return { _tag: "Promote", trial: next.trial.index, rung: rung + 1 }
  }
  return view.trials.some((trial) => trial.running) ? Scheduler.wait : Scheduler.done
}
