/**
 * The choice between the best trials of a study after each was trained again
 * with other seeds, and how sure it is.
 *
 * The training by which a finalist got this far does not count: of many noisy
 * values the best are better than what stands behind them, and would be again
 * for no one (the winner's curse).
 */
import * as Beta from "../statistics/Beta.ts"
import * as MultipleTesting from "../statistics/MultipleTesting.ts"
import type { Direction } from "./Goal.ts"

/** One finalist with the objective that each further training gave, `undefined` where it failed. Seeds are in the same order for all. */
export interface Entrant {
  readonly trial: number
  readonly values: ReadonlyArray<number | undefined>
}

export interface Finalist extends Entrant {
  /** The mean over the trainings that did not fail; `undefined` when all did. */
  readonly mean: number | undefined
  /** The standard error of the mean, from the spread within all finalists together. */
  readonly standardError: number | undefined
  /** The mean, worse by one standard error: what the choice goes by. */
  readonly bound: number | undefined
  /**
   * How likely a difference to the winner such as this would be if there were
   * none: a t test over the seeds that both have, two-sided, adjusted for the
   * number of finalists (Holm 1979). `undefined` for the winner, and for a
   * finalist that shares fewer than two seeds with it.
   */
  readonly pValue: number | undefined
}

export interface Result {
  /** The best first. */
  readonly finalists: ReadonlyArray<Finalist>
  /** The finalists, besides the winner, of which it is not clear that they are worse, at the level of 5 %. */
  readonly indistinguishable: ReadonlyArray<number>
}

/** Two-sided p-values of the differences of all but the first to the first. */
const compare = (all: ReadonlyArray<Entrant["values"]>): ReadonlyArray<number | undefined> => {
  const [first = [], ...others] = all
  const seeds = Array.from(first.keys()).filter((seed) => all.every((values) => values[seed] !== undefined))
  // Where some failed, each is compared on the seeds that it shares with the first.
  if (seeds.length < 2) return others.map((values) => differenceOf([first, values], 1))
  return others.map((_, index) => differenceOf(all.map((values) => seeds.map((seed) => values[seed])), index + 1))
}

/**
 * The p-value of the difference between the first and another one of several
 * that were trained with the same seeds: a t test whose error is what is left
 * when each has its mean and each seed its own (a randomised block design: Fisher,
 * "The design of experiments", 1935). With two of them it is the paired t test;
 * with more, all of them tell how large the noise is, which a few seeds of two
 * would not.
 */
const differenceOf = (all: ReadonlyArray<Entrant["values"]>, index: number): number | undefined => {
  const seeds = Array.from(all[0]!.keys()).filter((seed) => all.every((values) => values[seed] !== undefined))
  if (seeds.length < 2) return undefined
  const rows = all.map((values) => seeds.map((seed) => values[seed]!))
  const meanOf = (values: ReadonlyArray<number>) => values.reduce((sum, value) => sum + value, 0) / values.length
  const rowMeans = rows.map(meanOf), seedMeans = seeds.map((_, seed) => meanOf(rows.map((row) => row[seed]!)))
  const mean = meanOf(rowMeans)
  let squares = 0
  for (const [row, values] of rows.entries()) {
    for (const [seed, value] of values.entries()) squares += (value - rowMeans[row]! - seedMeans[seed]! + mean) ** 2
  }
  const freedom = (rows.length - 1) * (seeds.length - 1)
  const difference = rowMeans[index]! - rowMeans[0]!
  // Equal to within rounding: nothing speaks for a difference, or nothing against it.
  if (Math.abs(difference) <= 1e-12 * Math.abs(mean)) return 1
  return Beta.studentTwoSided(difference / Math.sqrt(2 * squares / freedom / seeds.length), freedom)
}

const finite = (values: Entrant["values"]): ReadonlyArray<number> => values.filter((value) => value !== undefined)

/** Chooses by the bound; a finalist that failed with any seed comes after those that never did. */
export const choose = (entrants: ReadonlyArray<Entrant>, direction: Direction): Result => {
  const sign = direction === "minimize" ? 1 : -1
  // All finalists are trained alike and seldom often: the spread of one alone is too uncertain to punish it for.
  let squares = 0, freedom = 0
  for (const { values } of entrants) {
    const known = finite(values)
    const mean = known.reduce((sum, value) => sum + value, 0) / known.length
    for (const value of known) squares += (value - mean) ** 2
    freedom += Math.max(0, known.length - 1)
  }
  const deviation = freedom === 0 ? undefined : Math.sqrt(squares / freedom)
  const scored = entrants.map((entrant) => {
    const known = finite(entrant.values)
    const mean = known.length === 0 ? undefined : known.reduce((sum, value) => sum + value, 0) / known.length
    const standardError = mean === undefined || deviation === undefined
      ? undefined
      : deviation / Math.sqrt(known.length)
    const bound = mean === undefined ? undefined : mean + sign * (standardError ?? 0)
    return { ...entrant, mean, standardError, bound, failures: entrant.values.length - known.length }
  })
  const ranked = scored.toSorted((a, b) =>
    a.failures - b.failures ||
    sign * ((a.bound ?? sign * Infinity) - (b.bound ?? sign * Infinity)) || a.trial - b.trial
  )
  const compared = compare(ranked.map(({ values }) => values))
  const known = compared.filter((pValue) => pValue !== undefined)
  const adjusted = MultipleTesting.holm(known)
  let next = 0
  const pValues = [undefined, ...compared.map((pValue) => pValue === undefined ? undefined : adjusted[next++])]
  const finalists = ranked.map(({ failures: _, ...finalist }, place) => ({ ...finalist, pValue: pValues[place] }))
  return {
    finalists,
    indistinguishable: finalists.slice(1)
      .filter(({ pValue, values }) => finite(values).length > 0 && !(pValue !== undefined && pValue < 0.05))
      .map(({ trial }) => trial)
  }
}
