/**
 * Patience: a trial stops when it has not improved for some rungs, as in early
 * stopping of a single training (Prechelt, "Early stopping, but when?", 1998).
 *
 * The trial that leads at its rung goes on even so: only trials that reach the
 * last rung can win a study, and the best one should.
 */
import { InvalidStudy } from "../InvalidStudy.ts"
import type * as Scheduler from "../Scheduler.ts"
import * as StoppingRules from "./StoppingRules.ts"

export interface Options extends StoppingRules.Onset {
  /** How many rungs may pass without an improvement. */
  readonly rungs: number
  /** How much better, in units of the objective, counts as an improvement. By default anything does. */
  readonly delta?: number
}

/** The rule, to combine with others. Throws `InvalidStudy` for options that make no sense. */
export const rule = (options: Options): StoppingRules.Rule => {
  const { delta = 0, rungs } = options
  if (!(Number.isSafeInteger(rungs) && rungs >= 1)) {
    throw new InvalidStudy({ option: "rungs", found: String(rungs), expected: "a whole number of at least 1" })
  }
  if (!(Number.isFinite(delta) && delta >= 0)) {
    throw new InvalidStudy({ option: "delta", found: String(delta), expected: "a finite number, not below 0" })
  }
  const from = StoppingRules.onset(options)
  const span = rungs === 1 ? "one rung" : `${rungs} rungs`
  const improved = delta === 0 ? "improved" : `improved by ${delta}`
  return {
    name: "patience",
    description: `it has not ${improved} in ${span}${from === 0 ? "" : ` (from budget ${from} on)`}`,
    stops: (question) => {
      const { budgets, trial, view } = question
      if (budgets[trial.rung]! < from || trial.rung - trial.firstRung < rungs) return undefined
      const losses = StoppingRules.curve(view, trial, trial.rung)
      const before = Math.min(...losses.slice(0, -rungs))
      const since = Math.min(...losses.slice(-rungs))
      if (since < before && since <= before - delta) return undefined
      if (leads(view, trial)) return undefined
      return `not ${improved} in ${span}: ${StoppingRules.shown(view, before)} before, ` +
        `${StoppingRules.shown(view, since)} up to ${StoppingRules.place(question)}`
    }
  }
}

/** Whether no trial that has finished the rung did better there. */
const leads = (view: Scheduler.View, trial: Scheduler.Trial): boolean => {
  const { rung } = trial
  const there = view.trials.filter((other) =>
    other.firstRung <= rung && (other.rung > rung || (other.rung === rung && !other.running))
  )
  return view.ranking(there.map(({ index }) => index), rung)[0] === trial.index
}
