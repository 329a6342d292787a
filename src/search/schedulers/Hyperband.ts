/**
 * Hyperband (Li, Jamieson, DeSalvo, Rostamizadeh and Talwalkar, "Hyperband: a
 * novel bandit-based approach to hyperparameter optimization", JMLR 18, 2018,
 * algorithm 1): brackets of successive halving, from many trials that start on
 * the lowest rung to a few that go to the full budget at once. So it needs no
 * guess of how early a bad trial shows.
 *
 * With rungs 0 to s_max, bracket s (s_max first, 0 last) starts
 * ceil((s_max + 1) / (s + 1) * reduction^s) trials on rung s_max - s, and halves
 * them as successive halving does. Brackets compare only within themselves.
 *
 * - A study of more trials goes through the brackets again. Trials that make no
 *   full round are shared out to the brackets in the same proportions, so that a
 *   study of a few trials has few in each bracket, not all in the first.
 * - Brackets start one after the other. A worker with nothing to do in the
 *   earlier ones starts on the next.
 * - With a limited budget no more trials start than can be halved to the end.
 */
import * as Scheduler from "../Scheduler.ts"
import * as Budgets from "./Budgets.ts"
import * as SuccessiveHalving from "./SuccessiveHalving.ts"

export type Options = (Budgets.Listed | Budgets.Geometric) & {
  /** One trial in how many goes on, and the ratio of neighbouring budgets between `min` and `max`. Default 3. */
  readonly reduction?: number
}

/** Throws `InvalidStudy` for budgets that do not ascend from above zero, or a reduction of 1 or less. */
export const make = (options: Options): Scheduler.Scheduler => {
  const reduction = Budgets.reduction(options.reduction)
  const budgets = Budgets.geometric(options, reduction)
  const rungs: SuccessiveHalving.Rungs = { budgets, reduction, unit: options.unit }
  const round = sizes(budgets.length, reduction)
  return {
    name: "hyperband",
    description: `Hyperband at ${Budgets.inWords(budgets, options.unit)}, the best 1 in ${reduction} go on, ` +
      `brackets of ${round.join(", ")} trials from the lowest rung to the last`,
    budgets,
    affordable: (budget) => affordable(budget, budgets, reduction),
    decide: (view) => {
      const enough = affordable(view.remaining + Budgets.spent(view, budgets), budgets, reduction)
      const planned = Math.min(view.planned, enough)
      let start = 0
      let waits = false
      for (let bracket = 0; start < planned; bracket++) {
        const first = bracket % round.length
        const size = sizeOf(bracket, planned, round)
        const members = view.trials.slice(start, start + size)
        if (members.length < size && view.mayStart) return { _tag: "Start", rung: first }
        const decision = SuccessiveHalving.halve(view, members, first, rungs)
        if (decision._tag === "Wait") waits = true
        else if (decision._tag !== "Done") return decision
        start += size
        if (start >= view.trials.length && !view.mayStart) break
      }
      return waits ? Scheduler.wait : Scheduler.done
    }
  }
}

/** How many trials each bracket of a full round starts; bracket i starts on rung i. */
export const sizes = (rungs: number, reduction = 3): ReadonlyArray<number> =>
  Array.from({ length: rungs }, (_, bracket) => {
    const s = rungs - 1 - bracket
    // A ratio like 1.1 to a power may miss a whole number by its last digit.
    return Math.ceil(rungs / (s + 1) * reduction ** s * (1 - 1e-12))
  })

/** How many trials a bracket has in a study of `planned` trials, counting brackets through all rounds. */
const sizeOf = (bracket: number, planned: number, round: ReadonlyArray<number>): number => {
  const total = round.reduce((sum, size) => sum + size, 0)
  const left = planned - Math.floor(bracket / round.length) * total
  const first = bracket % round.length
  return left >= total ? round[first]! : share(left, round, total)[first]!
}

/** Shares `trials` out in proportion to `round`: whole parts first, then one each to the largest remainders. */
const share = (trials: number, round: ReadonlyArray<number>, total: number): ReadonlyArray<number> => {
  const parts = round.map((size) => Math.floor(size * trials / total))
  const over = trials - parts.reduce((sum, part) => sum + part, 0)
  const remainders = round.map((size, bracket) => ({ bracket, remainder: size * trials % total }))
  for (const { bracket } of remainders.toSorted((a, b) => b.remainder - a.remainder).slice(0, over)) parts[bracket]!++
  return parts
}

/** The budget that `trials` trials spend in all, if none fails. */
export const cost = (trials: number, budgets: ReadonlyArray<number>, reduction = 3): number => {
  const round = sizes(budgets.length, reduction)
  let sum = 0
  for (let bracket = 0, start = 0; start < trials; bracket++) {
    const size = sizeOf(bracket, trials, round)
    if (size > 0) sum += SuccessiveHalving.cost(size, budgets.slice(bracket % round.length), reduction)
    start += size
  }
  return sum
}

/** The most trials whose brackets cost no more than a budget. */
export const affordable = (budget: number, budgets: ReadonlyArray<number>, reduction = 3): number => {
  if (budget === Infinity) return Infinity
  const limit = budget * (1 + 1e-9)
  const round = sizes(budgets.length, reduction).reduce((sum, size) => sum + size, 0)
  const full = Math.floor(limit / cost(round, budgets, reduction))
  const left = limit - full * cost(round, budgets, reduction)
  let trials = round
  // More trials may cost less, when they move one from a costly bracket to a cheap one.
  while (trials > 0 && cost(trials, budgets, reduction) > left) trials--
  return full * round + trials
}
