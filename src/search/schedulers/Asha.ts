/**
 * Asynchronous successive halving by promotion (Li, Jamieson, Rostamizadeh,
 * Gonina, Ben-tzur, Hardt, Recht and Talwalkar, "A system for massively parallel
 * hyperparameter tuning", MLSys 2020, algorithm 2). No rung waits for all its
 * trials: a worker that is free promotes a trial that is among the best
 * 1 / reduction of those that have finished its rung so far, on the highest rung
 * that has one, and starts a new trial where none has.
 *
 * A promotion continues from the checkpoint of the rung below, so a trial costs
 * its highest budget and not the sum of its rungs.
 *
 * - A trial that failed counts among those that finished, ranks last and is never
 *   promoted.
 * - Trials that wait for a promotion stop when nothing more can start or finish.
 *   If none has been to the last rung by then, because there were too few trials
 *   or those that went on failed, the best of the highest rung goes on first.
 * - With a limited budget enough is put aside for one trial to reach the last
 *   rung.
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
  return {
    name: "asha",
    description: `asynchronous successive halving at ${Budgets.inWords(budgets, options.unit)}, ` +
      `the best 1 in ${reduction} so far go on`,
    budgets,
    decide: (view) => decide(view, budgets, reduction, options.unit)
  }
}

const decide = (
  view: Scheduler.View,
  budgets: ReadonlyArray<number>,
  reduction: number,
  unit: string | undefined
): Scheduler.Decision => {
  const last = budgets.length - 1
  const affords = affordability(view, budgets)
  for (let rung = last - 1; rung >= 0; rung--) {
    const finished = finishers(view, rung)
    const places = Math.floor(finished.length / reduction)
    // Without a candidate there is nothing to ask for, and so nothing to wait for.
    if (places === 0 || !finished.some((index) => waitsAt(view, index, rung)) || !affords(rung, rung + 1)) continue
    const next = view.ranking(finished, rung).slice(0, places).find((index) => waitsAt(view, index, rung))
    if (next !== undefined) return { _tag: "Promote", trial: next, rung: rung + 1 }
  }
  if (view.mayStart && affords(undefined, 0)) return Scheduler.start
  if (view.trials.some((trial) => trial.running)) return Scheduler.wait
  const completed = view.trials.some((trial) => trial.rung === last && view.loss(trial.index, last) < Infinity)
  for (let rung = last - 1; rung >= 0; rung--) {
    const finished = finishers(view, rung)
    const ranking = view.ranking(finished, rung)
    const position = ranking.findIndex((index) => waitsAt(view, index, rung))
    if (position < 0) continue
    const trial = ranking[position]!
    if (!completed) return { _tag: "Promote", trial, rung: rung + 1 }
    const places = Math.floor(finished.length / reduction)
    const where = `place ${position + 1} of ${finished.length} at ${Budgets.atRung(rung, budgets, unit)}`
    const why = position < places ?
      "the budget is not enough for the next rung"
      : places === 0 ?
      `of fewer than ${Budgets.rounded(reduction, 6)} none goes on`
      : places === 1 ?
      "only the best one goes on"
      : `only the best ${places} go on`
    return { _tag: "Stop", trial, reason: `${where}; ${why}` }
  }
  return Scheduler.done
}

/** The trials that have finished a rung, in order of index. */
const finishers = (view: Scheduler.View, rung: number): ReadonlyArray<number> =>
  view.trials.flatMap((trial) =>
    trial.firstRung <= rung && (trial.rung > rung || (trial.rung === rung && !trial.running)) ? [trial.index] : []
  )

/** Whether a trial that has finished a rung could go on from it, unless it failed there. */
const waitsAt = (view: Scheduler.View, index: number, rung: number): boolean => {
  const trial = view.trials[index]!
  return trial.rung === rung && !trial.stopped
}

/**
 * Whether the budget is enough to take a trial from one rung to another, or a
 * new one there, and still to take one trial to the last rung if none has been
 * there.
 */
const affordability = (
  view: Scheduler.View,
  budgets: ReadonlyArray<number>
): (from: number | undefined, to: number) => boolean => {
  if (view.remaining === Infinity) return () => true
  const last = budgets.length - 1
  const going = view.trials.filter((trial) => !trial.stopped)
  let highest = -1
  for (let rung = last; rung >= 0 && highest < 0; rung--) {
    const there = going.filter((trial) => trial.rung === rung)
    // From the top and those that run first, so that no result is asked for that does not matter.
    if (there.some((trial) => trial.running)) highest = rung
    else if (there.some((trial) => view.loss(trial.index, rung) < Infinity)) highest = rung
  }
  return (from, to) => {
    const cost = budgets[to]! - (from === undefined ? 0 : budgets[from]!)
    const aside = budgets[last]! - budgets[Math.max(highest, to)]!
    // Sums of fractions may miss a whole budget by their last digit.
    return cost + aside <= view.remaining * (1 + 1e-9)
  }
}
