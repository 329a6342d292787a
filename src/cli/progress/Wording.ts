/**
 * The phrases that both displays of progress use.
 */
import * as Text from "../Text.ts"
import * as Board from "./Board.ts"

/** On whose behalf: the trial, with its study where there are several and its rung where there are several. */
export const owner = (board: Board.Board, name: string): string => {
  const of = Board.trialOf(board, name)
  if (of === undefined) return Text.visible(name)
  return trial(of.study, of.trial, board.studies.size > 1)
}

export const trial = (study: Board.Study, { budget, repeats, rung, trial }: Board.Trial, withStudy = false): string => {
  const name = withStudy ? `${Text.visible(study.study)} trial ${trial}` : `trial ${trial}`
  if (repeats > 0) return `${name} again`
  return rung > 0 || budget < study.horizon ? `${name} rung ${rung}` : name
}

export const metric = (study: Board.Study, value: number): string =>
  `${Text.visible(study.metric)} ${Text.measure(value)}`

export const trials = (study: Board.Study): string => {
  const { evaluated, failed, full } = Board.countsOf(study)
  const parts = [
    study.total === undefined ? Text.count(evaluated, "trial") : `${evaluated}/${study.total} trials`,
    ...(full > 0 && full < evaluated - failed ? [`${full} at full budget`] : []),
    ...(failed === 0 ? [] : [`${failed} failed`])
  ]
  return parts.join(", ")
}

/** How far a study is: the part of its budget, and the budget itself where nothing else limits it. */
export const spent = (study: Board.Study): string | undefined => {
  const fraction = Board.fraction(study)
  if (fraction === undefined) return undefined
  return study.total === undefined
    ? `budget ${Text.measure(study.spent)} of ${Text.measure(study.expected!)}`
    : `${Math.floor(fraction * 100)} % of the budget`
}

/** That finalists are being trained again. */
export const finalists = ({ finalists: { ended, started }, trials }: Board.Study): string | undefined => {
  if (started === 0) return undefined
  const count = [...trials.values()].filter(({ repeats }) => repeats > 0).length
  return `training ${Text.count(count, "finalist")} again, ${ended}/${started} done`
}

export const left = (millis: number): string =>
  millis < 5_000 ? "a few seconds left" : `about ${Text.duration(Math.max(10_000, millis))} left`

export const stages = (board: Board.Board): string => {
  const parts = [
    `${Text.count(board.ran, "stage")} run`,
    `${board.cached.size} cached`,
    ...(board.failed === 0 ? [] : [`${board.failed} failed`])
  ]
  return parts.join(", ")
}

/** That a trial has the best value so far, and what it was given. */
export const lead = (board: Board.Board, notice: Extract<Board.Notice, { readonly _tag: "rung" }>): string => {
  const { study, value } = notice
  const params = Object.entries(notice.trial.params).map(([name, given]) =>
    `${Text.visible(name)} ${Text.value(given)}`
  )
  return `${trial(study, notice.trial, board.studies.size > 1)} takes the lead: ${metric(study, value)} (${
    params.join(", ")
  })`
}

/** A notice as a line of a log; nothing for what a log need not say. */
export const notice = (board: Board.Board, notice: Board.Notice, now: number): string | undefined => {
  switch (notice._tag) {
    case "stage":
      return notice.owner === "" ? `${Text.visible(notice.stage)} done in ${Text.duration(notice.millis)}` : undefined
    case "retry": {
      const who = notice.owner === "" ? "" : `${owner(board, notice.owner)}: `
      return `${who}${Text.visible(notice.stage)} is tried again: ${Text.visible(notice.message)}`
    }
    case "studyStarted":
    case "studyEnded":
      // They have lines of their own, see `StudyWording`.
      return undefined
    case "repeat": {
      const { message, ran, repeat, study, value } = notice
      const who = `${trial(study, notice.trial, board.studies.size > 1)} with seed ${study.seed + repeat}`
      if (value === undefined) return `${who} failed: ${Text.visible(message ?? "")}`
      const remaining = Board.timeLeft(study, now)
      return ran
        ? [`${who}: ${metric(study, value)}`, finalists(study), ...(remaining === undefined ? [] : [left(remaining)])]
          .join(" · ")
        : undefined
    }
    case "trialFailed":
      return `${trial(notice.study, notice.trial, board.studies.size > 1)} failed: ${Text.visible(notice.message)}`
    case "rung": {
      if (!notice.ran) return undefined
      const { study } = notice
      const best = Board.bestOf(study)
      const remaining = Board.timeLeft(study, now)
      const budget = notice.trial.budget < study.horizon || notice.trial.rung > 0
        ? ` (budget ${Text.measure(notice.trial.budget)} of ${Text.measure(study.horizon)})`
        : ""
      return [
        `${trial(study, notice.trial, board.studies.size > 1)}${budget}: ${metric(study, notice.value)}`,
        ...(best === undefined ? [] : [`best ${Text.measure(best.value)} (trial ${best.trial.trial})`]),
        trials(study),
        ...(study.total === undefined ? [spent(study)].filter((part) => part !== undefined) : []),
        ...(remaining === undefined ? [] : [left(remaining)])
      ].join(" · ")
    }
  }
}
