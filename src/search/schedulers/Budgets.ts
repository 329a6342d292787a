/**
 * The budgets of a scheduler's rungs. They are numbers in a unit of the study's
 * own: epochs, steps, examples, or a fraction of the data.
 */
import { InvalidStudy } from "../InvalidStudy.ts"
import type * as Scheduler from "../Scheduler.ts"

interface Counted {
  /** What budgets are counted in, in the plural: "epochs", "steps", "percent of the data". For descriptions only. */
  readonly unit?: string
}

export interface Listed extends Counted {
  /** The budget of each rung, ascending. */
  readonly budgets: ReadonlyArray<number>
}

export interface Geometric extends Counted {
  /** No rung is below this budget. */
  readonly min: number
  /** The budget of the last rung. */
  readonly max: number
}

export interface Even extends Counted {
  /** The distance from rung to rung, and the budget of the first. */
  readonly every: number
  /** The budget of the last rung. */
  readonly max: number
}

/** Far more rungs than a trial can be asked about. */
const most = 10_000

/**
 * Budgets in a constant ratio: `max` divided by the ratio as often as it stays
 * at or above `min`. Whole bounds give whole budgets, since most budgets are
 * epochs or steps. Throws `InvalidStudy` for ones that do not ascend from above
 * zero.
 */
export const geometric = (options: Listed | Geometric, ratio: number): ReadonlyArray<number> => {
  if ("budgets" in options) return listed(options.budgets)
  const { max, min } = options
  finite("max", max)
  notAbove("min", min, max)
  if (Math.log(max / min) / Math.log(ratio) > most) tooMany("min", min)
  const whole = Number.isInteger(min) && Number.isInteger(max)
  const budgets: Array<number> = []
  for (let budget = max; budget >= min * (1 - 1e-9); budget /= ratio) {
    const rounded = whole ? Math.round(budget) : budget
    // A ratio near 1 can round two budgets to the same number.
    if (rounded !== budgets[0]) budgets.unshift(rounded)
  }
  return budgets
}

/** Budgets in steps of `every` up to `max`, the last step shorter where it must be. Throws `InvalidStudy` like {@link geometric}. */
export const even = (options: Listed | Even): ReadonlyArray<number> => {
  if ("budgets" in options) return listed(options.budgets)
  const { every, max } = options
  finite("max", max)
  notAbove("every", every, max)
  if (max / every > most) tooMany("every", every)
  // Rounding must not make a rung of what is left when three times 0.1 is taken from 0.3.
  const rungs = Math.ceil(max / every - 1e-9)
  return Array.from({ length: rungs }, (_, rung) => rung === rungs - 1 ? max : rounded((rung + 1) * every, 12))
}

const listed = (budgets: ReadonlyArray<number>): ReadonlyArray<number> => {
  const ascending = budgets.every((budget, rung) => Number.isFinite(budget) && budget > (budgets[rung - 1] ?? 0))
  if (budgets.length > 0 && ascending) return budgets
  throw new InvalidStudy({
    option: "budgets",
    found: `[${budgets.join(", ")}]`,
    expected: "numbers above zero in ascending order, one for each rung"
  })
}

const finite = (option: string, value: number): void => {
  if (Number.isFinite(value) && value > 0) return
  throw new InvalidStudy({ option, found: String(value), expected: "a finite number above zero" })
}

const notAbove = (option: string, value: number, max: number): void => {
  if (value > 0 && value <= max) return
  throw new InvalidStudy({ option, found: String(value), expected: `a number above zero and not above max, ${max}` })
}

const tooMany = (option: string, value: number): never => {
  throw new InvalidStudy({ option, found: String(value), expected: `a number that gives no more than ${most} rungs` })
}

/** One trial in how many goes on: 3 by default. Throws `InvalidStudy` for 1 or less. */
export const reduction = (value = 3): number => {
  if (Number.isFinite(value) && value > 1) return value
  throw new InvalidStudy({ option: "reduction", found: String(value), expected: "a number above 1" })
}

/** What the trials of a study have spent so far, rungs that still run included. */
export const spent = (view: Pick<Scheduler.View, "trials">, budgets: ReadonlyArray<number>): number =>
  view.trials.reduce((sum, trial) => sum + budgets[trial.rung]!, 0)

/** All budgets in words; of a long list the ends. */
export const inWords = (budgets: ReadonlyArray<number>, unit: string | undefined): string => {
  const shown = budgets.map((budget) => String(rounded(budget, 6)))
  const listed = shown.length > 8 ? [shown[0], shown[1], "...", shown.at(-1)] : shown
  return listed.join(", ") + (unit === undefined ? "" : ` ${unit}`)
}

/** One rung and its budget in words. */
export const atRung = (rung: number, budgets: ReadonlyArray<number>, unit: string | undefined): string => {
  const budget = rounded(budgets[rung]!, 6)
  return `rung ${rung} (${
    unit === undefined ? `budget ${budget}` : `${budget} of ${rounded(budgets.at(-1)!, 6)} ${unit}`
  })`
}

/** A number to so many significant digits. */
export const rounded = (value: number, digits: number): number => Number(value.toPrecision(digits))
