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
 * - With a limited budget no more trials start than can be halved to the end.
 */
import * as Scheduler from "../Scheduler.ts"
import * as Budgets from "./Budgets.ts"

export type Options = (Budgets.Listed | Budgets.Geometric) & {
  /** One trial in how many goes on, and the ratio of neighbouring budgets between `min` and `max`. Default 3. */
  readonly reduction?: number
}

/** Throws `InvalidStudy` for budgets that do not ascend from above zero, or a reduction of 1 or less. */
export const make = (options: Options): Scheduler.Scheduler => {
  const reduction = Budgets.reduction(options.reduction)
  const budgets = Budgets.geometric(options, reduction)
  const rungs: Rungs = { budgets, reduction, unit: options.unit }
  return {
    name: "successive-halving",
    description: `successive halving at ${Budgets.inWords(budgets, options.unit)}, the best 1 in ${reduction} go on`,
    budgets,
    affordable: (budget) => affordable(budget, budgets, reduction),
    decide: (view) => {
      const places = affordable(view.remaining + Budgets.spent(view, budgets), budgets, reduction)
      if (view.mayStart && view.trials.length < places) return Scheduler.start
      return halve(view, view.trials, 0, rungs)
    }
  }
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

/** The most trials whose halving costs no more than a budget. */
export const affordable = (budget: number, budgets: ReadonlyArray<number>, reduction = 3): number => {
  if (budget === Infinity) return Infinity
  // Sums of fractions may miss a whole budget by their last digit.
  const limit = budget * (1 + 1e-9)
  let enough = 0, tooMany = Math.floor(limit / budgets[0]!) + 1
  while (tooMany - enough > 1) {
    const middle = Math.floor((enough + tooMany) / 2)
    if (cost(middle, budgets, reduction) <= limit) enough = middle
    else tooMany = middle
  }
  return enough
}

export interface Rungs {
  readonly budgets: ReadonlyArray<number>
  readonly reduction: number
  readonly unit: string | undefined
}

/**
 * The next decision about trials that started on rung `first` together and are
 * compared with each other only: `Wait` while a rung has not finished, `Done`
 * when there is nothing left to decide.
 */
export const halve = (
  view: Scheduler.View,
  trials: ReadonlyArray<Scheduler.Trial>,
  first: number,
  { budgets, reduction, unit }: Rungs
): Scheduler.Decision => {
  for (let rung = first; rung < budgets.length - 1; rung++) {
    const entrants = trials.filter((trial) => trial.rung >= rung)
    if (entrants.some((trial) => trial.running && trial.rung === rung)) return Scheduler.wait
    if (entrants.every((trial) => trial.stopped || trial.rung > rung)) continue
    const ranking = view.ranking(entrants.map(({ index }) => index), rung).map((index) => view.trials[index]!)
    const places = reaching(trials.length, rung - first + 1, reduction)
    // Stops take no time, so the trials that are out say so before the others go on.
    for (const [position, trial] of ranking.entries()) {
      if (position < places || trial.stopped) continue
      const where = Budgets.atRung(rung, budgets, unit)
      const others = places === 1 ? "the best one went on" : `the best ${places} went on`
      const reason = `place ${position + 1} of ${entrants.length} at ${where}; ${others}`
      return { _tag: "Stop", trial: trial.index, reason }
    }
    const next = ranking.find((trial) => trial.rung === rung && !trial.stopped)
    if (next !== undefined) return { _tag: "Promote", trial: next.index, rung: rung + 1 }
  }
  return trials.some((trial) => trial.running) ? Scheduler.wait : Scheduler.done
}
