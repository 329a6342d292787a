/**
 * Median stopping (Golovin, Solnik, Moitra, Kochanski, Karro and Sculley,
 * "Google Vizier: a service for black-box optimization", KDD 2017, section
 * 3.2.2): a trial stops at a rung when its best value so far is worse than the
 * median of the running averages of the completed trials, each over its rungs up
 * to this one.
 */
import type * as Scheduler from "../Scheduler.ts"
import type * as Budgets from "./Budgets.ts"
import * as StoppingRules from "./StoppingRules.ts"

export interface Options extends StoppingRules.Onset {
  /** How many trials must be completed before the rule speaks. Default 5. */
  readonly after?: number
}

/** The rule, to combine with others. Throws `InvalidStudy` for options that make no sense. */
export const rule = (options: Options = {}): StoppingRules.Rule => {
  const after = StoppingRules.trialsBefore(options.after)
  const from = StoppingRules.onset(options)
  return {
    name: "median-stopping",
    description: "its best value is worse than the median of the running averages of the completed trials" +
      ` (from ${after} of them${from === 0 ? "" : ` and budget ${from}`} on)`,
    stops: (question) => {
      const { budgets, trial, view } = question
      if (budgets[trial.rung]! < from) return undefined
      const others = StoppingRules.completed(question)
      if (others.length < after) return undefined
      const best = Math.min(...StoppingRules.curve(view, trial, trial.rung))
      const middle = median(others.map((other) => average(StoppingRules.curve(view, other, trial.rung))))
      if (best <= middle) return undefined
      return `its best value, ${StoppingRules.shown(view, best)}, is worse than ${
        StoppingRules.shown(view, middle)
      }, the median of the averages of ${others.length} completed trials at ${StoppingRules.place(question)}`
    }
  }
}

/** Trials that go through fine rungs under this rule alone. Throws `InvalidStudy` for options that make no sense. */
export const make = (options: (Budgets.Listed | Budgets.Even) & Options): Scheduler.Scheduler =>
  StoppingRules.make({ ...options, rules: [rule(options)] })

const average = (values: ReadonlyArray<number>): number => values.reduce((sum, value) => sum + value, 0) / values.length

const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const half = (sorted.length - 1) / 2
  return (sorted[Math.floor(half)]! + sorted[Math.ceil(half)]!) / 2
}
