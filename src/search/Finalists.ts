/**
 * The choice between the best trials of a study after each was trained again
 * with other seeds, and how sure it is.
 *
 * The training by which a finalist got this far does not count: of many noisy
 * values the best are better than what stands behind them, and would be again
 * for no one (the winner's curse).
 */
import * as MultipleTesting from "../statistics/MultipleTesting.ts"
import * as PairedTest from "../statistics/PairedTest.ts"
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
   * none: the paired t test over seeds, two-sided, adjusted for the number of
   * finalists (Holm 1979). `undefined` for the winner, and for a finalist that
   * shares fewer than two seeds with it.
   */
  readonly pValue: number | undefined
}

export interface Result {
  /** The best first. */
  readonly finalists: ReadonlyArray<Finalist>
  /** The finalists, besides the winner, of which it is not clear that they are worse, at the level of 5 %. */
  readonly indistinguishable: ReadonlyArray<number>
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
  const winner = ranked[0]
  const compared = ranked.slice(1).map(({ values }) => {
    const pairs = values.flatMap((value, seed) => {
      const other = winner!.values[seed]
      return value === undefined || other === undefined ? [] : [[value, other] as const]
    })
    if (pairs.length < 2) return undefined
    const { pValue } = PairedTest.tTest(pairs.map(([value]) => value), pairs.map(([, other]) => other))
    // Of trainings that gave the very same values nothing speaks for a difference.
    return Number.isNaN(pValue) ? 1 : pValue
  })
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
