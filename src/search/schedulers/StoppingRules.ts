/**
 * Rules that stop a trial after a rung, whatever else decides which trial goes
 * on. One rule alone may stop a trial; it goes on when none does.
 *
 * Without a scheduler of their own the trials go through fine rungs, such as
 * every epoch: each continues to the next rung as long as no rule stops it, and
 * a new one starts when a worker has none to continue. With a scheduler the
 * rules are asked about the trials that it would promote.
 *
 * Rules of numbers (the median, patience, the threshold) look at the first
 * objective; a rule of places (the percentile) compares as rungs do, with several
 * objectives and limits.
 */
import { InvalidStudy } from "../InvalidStudy.ts"
import * as Scheduler from "../Scheduler.ts"
import * as Budgets from "./Budgets.ts"

/** What a rule is asked: whether a trial that has finished its rung without failing goes on from there. */
export interface Question {
  readonly view: Scheduler.View
  readonly trial: Scheduler.Trial
  readonly budgets: ReadonlyArray<number>
  readonly unit: string | undefined
}

export interface Rule {
  readonly name: string
  /** When it stops a trial, in words that follow "until" or "stops when". */
  readonly description: string
  /** Why the trial gets no more budget, or `undefined` when it goes on. Asks for results no more than it needs. */
  readonly stops: (question: Question) => string | undefined
}

export type Options =
  & { readonly rules: ReadonlyArray<Rule> }
  & (Budgets.Listed | Budgets.Even | {
    /** Decides what the rules leave open. Its trials go through every rung from their first. */
    readonly scheduler: Scheduler.Scheduler
    /** As for the scheduler. */
    readonly unit?: string
  })

/** Throws `InvalidStudy` for budgets that do not ascend from above zero, or no rules. */
export const make = (options: Options): Scheduler.Scheduler => {
  const { rules, unit } = options
  if (rules.length === 0) {
    throw new InvalidStudy({ option: "rules", found: "none", expected: "at least one rule that stops a trial" })
  }
  const scheduler = "scheduler" in options ? options.scheduler : rungByRung(Budgets.even(options), unit)
  const { affordable, budgets } = scheduler
  return {
    name: rules.length === 1 && !("scheduler" in options) ? rules[0]!.name : "stopping-rules",
    description: scheduler.description + ("scheduler" in options ? "; a trial also stops when " : ", until ") +
      rules.map(({ description }) => description).join(", or "),
    budgets,
    ...(affordable === undefined ? {} : { affordable }),
    decide: (view) => {
      const decision = scheduler.decide(view)
      if (decision._tag !== "Promote") return decision
      const trial = view.trials[decision.trial]!
      for (const rule of rules) {
        const reason = rule.stops({ view, trial, budgets, unit })
        if (reason !== undefined) return { _tag: "Stop", trial: trial.index, reason }
      }
      return decision
    }
  }
}

/**
 * Every trial to the last rung, one rung at a time. With a limited budget a
 * trial starts only if it and all that have not stopped could be completed.
 */
const rungByRung = (budgets: ReadonlyArray<number>, unit: string | undefined): Scheduler.Scheduler => {
  const last = budgets.length - 1
  return {
    name: "rung-by-rung",
    description: `every trial through ${Budgets.inWords(budgets, unit)}`,
    budgets,
    decide: (view) => {
      const unfinished = view.trials.filter((trial) => !trial.stopped && trial.rung < last)
      const next = unfinished.find((trial) => !trial.running && view.loss(trial.index, trial.rung) < Infinity)
      if (next !== undefined) return { _tag: "Promote", trial: next.index, rung: next.rung + 1 }
      const claimed = unfinished
        .filter((trial) => trial.running)
        .reduce((sum, trial) => sum + budgets[last]! - budgets[trial.rung]!, 0)
      // Sums of fractions may miss a whole budget by their last digit.
      const enough = claimed + budgets[last]! <= view.remaining * (1 + 1e-9)
      if (view.mayStart && enough) return Scheduler.start
      return view.trials.some((trial) => trial.running) ? Scheduler.wait : Scheduler.done
    }
  }
}

/** When a rule speaks at all. */
export interface Onset {
  /** No trial stops below this budget. By default the rule speaks from the first rung on. */
  readonly from?: number
}

/** The option `from`. Throws `InvalidStudy` unless it is above zero. */
export const onset = ({ from }: Onset): number => {
  if (from === undefined) return 0
  if (Number.isFinite(from) && from > 0) return from
  throw new InvalidStudy({ option: "from", found: String(from), expected: "a budget above zero" })
}

/** The option `after`: a whole number of trials. Throws `InvalidStudy` for less than 1. */
export const trialsBefore = (after = 5): number => {
  if (Number.isSafeInteger(after) && after >= 1) return after
  throw new InvalidStudy({ option: "after", found: String(after), expected: "a whole number of trials, at least 1" })
}

/** The losses of a trial at its rungs up to one that it has finished. */
export const curve = (view: Scheduler.View, trial: Scheduler.Trial, rung: number): ReadonlyArray<number> =>
  Array.from({ length: rung - trial.firstRung + 1 }, (_, index) => view.loss(trial.index, trial.firstRung + index))

/** The other trials that have been to the last rung without failing, and to this one before. */
export const completed = ({ budgets, trial, view }: Question): ReadonlyArray<Scheduler.Trial> => {
  const last = budgets.length - 1
  return view.trials.filter((other) =>
    other.index !== trial.index && other.rung === last && !other.running && other.firstRung <= trial.rung &&
    view.loss(other.index, last) < Infinity
  )
}

/** Where the question is asked, in words. */
export const place = ({ budgets, trial, unit }: Question): string => Budgets.atRung(trial.rung, budgets, unit)

/** A loss as the user sees it: the value of the objective, to four digits. */
export const shown = (view: Scheduler.View, loss: number): number =>
  Budgets.rounded(view.direction === "minimize" ? loss : -loss, 4)
