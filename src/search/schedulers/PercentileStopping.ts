/**
 * Percentile stopping: a trial stops at a rung when more than so many percent of
 * the completed trials were better there. It is the median rule of Golovin et
 * al. ("Google Vizier: a service for black-box optimization", KDD 2017, section
 * 3.2.2) with any percentile for the median and places at the rung for averages,
 * so it works with several objectives and with limits on metrics.
 *
 * Only trials that pass are completed and compared with, so the bar rises as the
 * study goes on.
 */
import { InvalidStudy } from "../InvalidStudy.ts"
import type * as Scheduler from "../Scheduler.ts"
import type * as Budgets from "./Budgets.ts"
import * as StoppingRules from "./StoppingRules.ts"

export interface Options extends StoppingRules.Onset {
  /** In [0, 100): how many percent of the completed trials may be better. 0 lets only a new best one go on. */
  readonly percentile: number
  /** How many trials must be completed before the rule speaks. Default 5. */
  readonly after?: number
}

/** The rule, to combine with others. Throws `InvalidStudy` for options that make no sense. */
export const rule = (options: Options): StoppingRules.Rule => {
  const { percentile } = options
  if (!(percentile >= 0 && percentile < 100)) {
    const expected = "a number of at least 0 and below 100"
    throw new InvalidStudy({ option: "percentile", found: String(percentile), expected })
  }
  const after = StoppingRules.trialsBefore(options.after)
  const from = StoppingRules.onset(options)
  return {
    name: "percentile-stopping",
    description: `more than ${percentile} percent of the completed trials were better` +
      ` (from ${after} of them${from === 0 ? "" : ` and budget ${from}`} on)`,
    stops: (question) => {
      const { budgets, trial, view } = question
      if (budgets[trial.rung]! < from) return undefined
      const others = StoppingRules.completed(question)
      if (others.length < after) return undefined
      const better = view.ranking([...others.map(({ index }) => index), trial.index], trial.rung).indexOf(trial.index)
      if (better <= others.length * percentile / 100) return undefined
      return `${better} of ${others.length} completed trials were better at ${StoppingRules.place(question)}`
    }
  }
}

/** Trials that go through fine rungs under this rule alone. Throws `InvalidStudy` for options that make no sense. */
export const make = (options: (Budgets.Listed | Budgets.Even) & Options): Scheduler.Scheduler =>
  StoppingRules.make({ ...options, rules: [rule(options)] })
