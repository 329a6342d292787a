/**
 * What is said of a study when it begins and when it has ended.
 */
import type { ReusedStudy, StudyOutcome } from "../../pipeline/Progress.ts"
import * as Text from "../Text.ts"
import type * as Board from "./Board.ts"

/** The lines of a notice about a study as a whole; none of any other. */
export const lines = (notice: Board.Notice): ReadonlyArray<string> => {
  if (notice._tag !== "studyStarted" && notice._tag !== "studyEnded") return []
  const name = Text.visible(notice.study.study)
  const said = notice._tag === "studyStarted"
    ? opening(notice.study)
    : conclusion(notice.outcome, notice.study.total)
  return said.map((line) => `${name}: ${line}`)
}

/** How it searches, and what it starts from. */
const opening = (study: Board.Study): ReadonlyArray<string> => {
  const limits = [
    ...(study.total === undefined ? [] : [`at most ${Text.count(study.total, "trial")}`]),
    ...(study.total === undefined && study.expected !== undefined
      ? [`a budget of ${Text.measure(study.expected)} for all trials`]
      : [])
  ]
  return [
    [study.sampler, study.scheduler, ...limits].map(Text.visible).join("; "),
    ...study.reused.map(reused)
  ]
}

const reused = ({ assumed, dropped, leftOut, study, trials, used }: ReusedStudy): string =>
  [
    used === trials
      ? `starts from the ${Text.count(trials, "trial")} of the study ${Text.visible(study)}`
      : `starts from ${used} of the ${Text.count(trials, "trial")} of the study ${Text.visible(study)}`,
    ...(leftOut === null ? [] : [`the first of those left out: ${Text.visible(leftOut)}`]),
    ...(assumed.length === 0 ? [] : [`taken as having had the default of ${list(assumed)}, which it did not have`]),
    ...(dropped.length === 0 ? [] : [`without ${list(dropped)}, which this study does not have`])
  ].join("; ")

const list = (names: ReadonlyArray<string>): string => names.map(Text.visible).join(", ")

/** What it came to and what that took. */
const conclusion = (outcome: StudyOutcome, total: number | undefined): ReadonlyArray<string> => {
  const { ended, goal: { objectives }, selected, trials } = outcome
  const best = trials.find(({ trial }) => trial === selected)
  const front = trials.filter(({ onFront }) => onFront).map(({ trial }) => trial)
  return [
    [
      best?.value === undefined
        ? `none of its ${Text.count(trials.length, "trial")} can be chosen`
        : `best ${Text.visible(outcome.metric)} ${Text.measure(best.value)} (trial ${best.trial})`,
      spent(outcome)
    ].join(" · "),
    ...(objectives.length > 1 && front.length > 0
      ? [
        `the front of ${objectives.map(({ metric }) => Text.visible(metric)).join(" and ")} has ${
          Text.count(front.length, "trial")
        }: ${front.join(", ")}`
      ]
      : []),
    ...finalists(outcome),
    ...(ended === undefined || trials.length === total ? [] : [`no more trials were started: ${Text.visible(ended)}`])
  ]
}

/** The budget, in the terms of what all trials would have taken to the end. */
const spent = ({ fullCost, spent, spentOnFinalists, trials }: StudyOutcome): string => {
  const search = spent - spentOnFinalists
  const saved = Math.floor((1 - search / fullCost) * 100)
  const all = `${Text.count(trials.length, "trial")} to the end`
  return [
    saved > 0
      ? `a budget of ${Text.measure(search)} spent, ${saved} % less than ${all} would take`
      : `a budget of ${Text.measure(search)} spent`,
    ...(spentOnFinalists > 0 ? [`${Text.measure(spentOnFinalists)} more to train the finalists again`] : [])
  ].join("; ")
}

const finalists = ({ finalists, indistinguishable }: StudyOutcome): ReadonlyArray<string> => {
  if (finalists.length === 0) return []
  const seeds = Math.max(...finalists.map(({ trainings }) => trainings))
  const known = finalists.map(({ mean, standardError, trainings, trial }) => {
    if (mean === undefined) return `trial ${trial} failed each time`
    const error = standardError === undefined ? "" : ` ± ${Text.measure(standardError)}`
    return `trial ${trial} ${Text.measure(mean)}${error}${trainings < seeds ? ` (${trainings} of them)` : ""}`
  })
  const unclear = indistinguishable.map((trial) => `trial ${trial}`).join(" or ")
  return [
    `finalists, mean ± standard error over ${Text.count(seeds, "seed")}: ${known.join(", ")}`,
    ...(indistinguishable.length === 0
      ? []
      : [`it is not clear, at the level of 5 %, that ${unclear} is worse than trial ${finalists[0]!.trial}`])
  ]
}
