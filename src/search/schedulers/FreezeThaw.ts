/**
 * Budget goes where the predicted final loss pays most: each rung either starts a
 * new trial or continues a paused one from its checkpoint. The idea is that of
 * Swersky, Snoek and Adams ("Freeze-thaw Bayesian optimization", 2014); the
 * curves are predicted by {@link LearningCurve} and the decision is an index of
 * improvement per budget, {@link OptimalStopping}.
 *
 * - Until a trial has been to the last rung it is asynchronous successive
 *   halving: without an end there is nothing to learn what curves lead to.
 * - Then the price of budget is what a new trial promises per budget, judged by
 *   all trials so far at the lowest rung, if it is stopped at the right moments.
 *   The trial goes on whose expected improvement on the best final loss exceeds
 *   that price for its cost by the most per budget left to its end; when there is
 *   none, a new one starts.
 * - One trial in so many goes on from each rung in any case, so that a wrong
 *   model is found out: the one with the lowest expected final loss.
 * - A trial that failed never goes on, and its losses before teach nothing of
 *   failures. Losses far above are cut at the upper quartile of the lowest rung.
 * - When the number of trials is reached, what promises less than another new
 *   trial would is stopped. Under a limited budget only trials start or go on
 *   that it is enough to take to the end, and what is left when no more can start
 *   is spent on those.
 * - Several objectives: the first one is what is predicted.
 */
import { InvalidStudy } from "../InvalidStudy.ts"
import * as Scheduler from "../Scheduler.ts"
import * as Asha from "./Asha.ts"
import * as Budgets from "./Budgets.ts"
import * as LearningCurve from "./LearningCurve.ts"
import * as OptimalStopping from "./OptimalStopping.ts"

/**
 * Of listed budgets that are less than a factor of the square root of 2 apart
 * some are left out: more decisions were no better in comparisons, and halving
 * over many close rungs takes too long to the first end.
 */
export type Options = (Budgets.Listed | Budgets.Geometric) & {
  /**
   * The ratio of neighbouring budgets between `min` and `max`, and one trial in how many goes on before the first final
   * loss; of listed budgets it is the mean ratio. Default 2.
   */
  readonly ratio?: number
  /** One trial in how many goes on from each rung whatever the model says. Default 3. */
  readonly atLeastOneIn?: number
}

/** Throws `InvalidStudy` for budgets that do not ascend from above zero, or numbers of 1 or less. */
export const make = (options: Options): Scheduler.Scheduler => {
  const ratio = aboveOne("ratio", options.ratio ?? 2)
  const share = aboveOne("atLeastOneIn", options.atLeastOneIn ?? 3)
  const budgets = apart(Budgets.geometric(options, ratio))
  const unit = options.unit === undefined ? {} : { unit: options.unit }
  const opening = Asha.make({ budgets, reduction: "budgets" in options ? meanRatio(budgets) : ratio, ...unit })
  return {
    name: "freeze-thaw",
    description: `freeze-thaw at ${Budgets.inWords(budgets, options.unit)}: ` +
      `the next rung where the predicted final loss pays most, at least 1 in ${Budgets.rounded(share, 6)} go on`,
    budgets,
    decide: (view) => hasEnded(view, budgets.length - 1) ? decide(view, budgets, share) : opening.decide(view)
  }
}

const aboveOne = (option: string, value: number): number => {
  if (Number.isFinite(value) && value > 1) return value
  throw new InvalidStudy({ option, found: String(value), expected: "a number above 1" })
}

/** From the last one down. */
const apart = (budgets: ReadonlyArray<number>): ReadonlyArray<number> => {
  const kept: Array<number> = []
  for (const budget of budgets.toReversed()) {
    if (kept.length === 0 || kept[0]! >= budget * Math.SQRT2 * (1 - 1e-9)) kept.unshift(budget)
  }
  return kept
}

/** As many trials go on as keeps the cost of each rung about the same. */
const meanRatio = (budgets: ReadonlyArray<number>): number =>
  budgets.length === 1 ? 2 : (budgets.at(-1)! / budgets[0]!) ** (1 / (budgets.length - 1))

const hasEnded = (view: Scheduler.View, last: number): boolean =>
  view.trials.some((trial) => trial.rung === last && !trial.running && view.loss(trial.index, last) < Infinity)

const decide = (view: Scheduler.View, budgets: ReadonlyArray<number>, share: number): Scheduler.Decision => {
  const last = budgets.length - 1, full = budgets[last]!
  const affords = (cost: number) => cost <= view.remaining * (1 + 1e-9)
  const mayStart = view.mayStart && affords(full)
  const known = curvesOf(view, budgets.length)
  const { curves, failed } = known
  const waiting = view.trials.filter((trial) =>
    !trial.running && !trial.stopped && trial.rung < last && failed[trial.index] === 0
  )
  const candidates = waiting.filter((trial) => affords(full - budgets[trial.rung]!))
  if (candidates.length === 0 && mayStart) return Scheduler.start

  const model = LearningCurve.fit(curves)
  const ends = predictions(known, model)
  const problem = stoppingProblem(curves, model, ends, budgets)
  // A budget that is not enough for another new trial has no other use than to go on.
  const free = !mayStart && view.trials.length < view.planned && view.remaining < Infinity
  const plan = free ? OptimalStopping.plan(problem, 0) : OptimalStopping.atIndexOfNew(problem, ends.fresh)
  let best: Scheduler.Trial | undefined, most = 0
  for (const trial of candidates) {
    const { cost, improvement } = plan.after(trial.rung, ends.mean[trial.index]!, ends.variance[trial.index]!)
    const surplus = (improvement - plan.price * cost) / (full - budgets[trial.rung]!)
    if (surplus > most) {
      most = surplus
      best = trial
    }
  }
  best ??= overdue(view, candidates, ends.mean, last, share)
  if (best !== undefined) return { _tag: "Promote", trial: best.index, rung: best.rung + 1 }
  if (mayStart) return Scheduler.start
  if (view.trials.some((trial) => trial.running)) return Scheduler.wait
  const over = waiting[0]
  if (over === undefined) return Scheduler.done
  const inWords = (value: number) => String(Budgets.rounded(known.toLoss(value), 4))
  const reason = affords(full - budgets[over.rung]!)
    ? `a final loss of ${inWords(ends.mean[over.index]!)} is expected, which promises too little against ` +
      `the best, ${inWords(problem.incumbent)}`
    : "the budget is not enough to take it to the end"
  return { _tag: "Stop", trial: over.index, reason }
}

interface Known {
  readonly curves: LearningCurve.Curves
  /** 1 for each trial that failed at its highest rung. */
  readonly failed: Uint8Array
  /** From the scale of the curves to that of the study. */
  readonly toLoss: (value: number) => number
}

/**
 * The losses of all finished rungs, cut above and on a scale from 0 for the
 * lowest to 1 for the cut.
 */
const curvesOf = (view: Scheduler.View, rungs: number): Known => {
  const trials = view.trials.length
  const losses = new Float64Array(trials * rungs)
  const reached = new Int32Array(trials).fill(-1)
  const failed = new Uint8Array(trials)
  const first: Array<number> = []
  let low = Infinity
  for (const [index, trial] of view.trials.entries()) {
    const finished = trial.running ? trial.rung - 1 : trial.rung
    for (let rung = 0; rung <= finished; rung++) {
      const loss = view.loss(index, rung)
      if (!(loss < Infinity)) {
        failed[index] = 1
        break
      }
      losses[index * rungs + rung] = loss
      reached[index] = rung
      if (rung === 0) first.push(loss)
      if (loss < low) low = loss
    }
  }
  first.sort((a, b) => a - b)
  const cut = first[Math.floor((first.length - 1) * 0.75)]!
  const scale = cut > low ? cut - low : 1
  for (let i = 0; i < losses.length; i++) losses[i] = (Math.min(losses[i]!, cut) - low) / scale
  return { curves: { rungs, losses, reached }, failed, toLoss: (value) => low + scale * value }
}

interface Ends {
  /** Of each trial from its highest finished rung; 1 where there is none. */
  readonly mean: Float64Array
  readonly variance: Float64Array
  /** What was to be expected of each trial once its lowest rung was over, 1 if it failed there. */
  readonly fresh: Float64Array
}

const predictions = ({ curves, failed }: Known, model: LearningCurve.LearningCurve): Ends => {
  const { losses, reached, rungs } = curves
  const trials = reached.length
  const mean = new Float64Array(trials).fill(1), variance = new Float64Array(trials)
  const fresh: Array<number> = []
  for (let trial = 0; trial < trials; trial++) {
    const rung = reached[trial]!
    if (rung < 0) {
      if (failed[trial] === 1) fresh.push(1)
      continue
    }
    const end = model.final(rung, losses[trial * rungs + rung]!, LearningCurve.change(curves, trial, rung))
    mean[trial] = end.mean
    variance[trial] = end.variance
    fresh.push(Math.min(1, model.final(0, losses[trial * rungs]!, 0).mean))
  }
  return { mean, variance, fresh: Float64Array.from(fresh) }
}

/** With the uncertainty at each rung of the trial that promises most, on to where it is expected to go. */
const stoppingProblem = (
  curves: LearningCurve.Curves,
  model: LearningCurve.LearningCurve,
  { fresh, mean }: Ends,
  budgets: ReadonlyArray<number>
): OptimalStopping.Problem => {
  const { losses, reached, rungs } = curves
  const last = rungs - 1
  let incumbent = Infinity, promising = -1
  for (let trial = 0; trial < reached.length; trial++) {
    if (reached[trial]! < 0) continue
    if (promising < 0 || mean[trial]! < mean[promising]!) promising = trial
    if (reached[trial] === last) incumbent = Math.min(incumbent, losses[trial * rungs + last]!)
  }
  const variances = new Float64Array(rungs)
  let loss = 0, change = 0
  for (let rung = 0; rung < last; rung++) {
    if (rung <= reached[promising]!) {
      loss = losses[promising * rungs + rung]!
      change = LearningCurve.change(curves, promising, rung)
    }
    variances[rung] = model.final(rung, loss, change).variance
    const next = model.next(rung, loss)
    change = next - loss
    loss = next
  }
  for (let rung = last - 1; rung >= 0; rung--) variances[rung] = Math.max(variances[rung]!, variances[rung + 1]!)
  const lowest = fresh.reduce((least, end) => Math.min(least, end), mean[promising]!)
  return { budgets, variances, incumbent, lowest }
}

/** The most promising candidate of the highest rung from which too few have gone on. */
const overdue = (
  view: Scheduler.View,
  candidates: ReadonlyArray<Scheduler.Trial>,
  mean: Float64Array,
  last: number,
  share: number
): Scheduler.Trial | undefined => {
  for (let rung = last - 1; rung >= 0; rung--) {
    const there = candidates.filter((trial) => trial.rung === rung)
    if (there.length === 0) continue
    const finished = view.trials.filter((trial) => trial.rung > rung || (trial.rung === rung && !trial.running)).length
    const gone = view.trials.filter((trial) => trial.rung > rung).length
    if (gone >= Math.floor(finished / share)) continue
    return there.reduce((best, trial) => mean[trial.index]! < mean[best.index]! ? trial : best)
  }
  return undefined
}
