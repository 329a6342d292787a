/**
 * The progress of a run as a block of lines that is painted in place: one for each running stage, one for each study,
 * and the totals.
 */
import type { Style } from "../Output.ts"
import * as Text from "../Text.ts"
import * as Board from "./Board.ts"
import * as Wording from "./Wording.ts"

export interface Size {
  readonly columns: number
  readonly rows: number
}

/** How many of a stage's metrics its line shows. */
const shownMetrics = 3

/** The lines of the block: none is wider than the terminal, and together they leave a row free. */
export const lines = (board: Board.Board, now: number, size: Size, style: Style): ReadonlyArray<string> => {
  const studies = [...board.studies.values()].flatMap((study) => studyLines(study, now))
  const foot = [...studies, { text: totals(board, now), tone: style.faint }]
  const room = Math.max(0, size.rows - 1 - foot.length)
  const running = runningLines(board, now)
  const shown = running.length <= room ? running : [
    ...running.slice(0, Math.max(0, room - 1)),
    ...(room === 0 ? [] : [`  … and ${running.length - room + 1} more`])
  ]
  const plain = (text: string) => text
  return [...shown.map((text) => ({ text, tone: plain })), ...foot.slice(Math.max(0, foot.length - (size.rows - 1)))]
    // The last column stays empty: some terminals move on to the next row when it is written.
    .map(({ text, tone }) => tone(Text.fit(text, size.columns - 1)))
}

const runningLines = (board: Board.Board, now: number): ReadonlyArray<string> => {
  const rows = [...board.running.values()]
    .map((running) => ({ running, order: Board.trialOf(board, running.owner)?.trial.trial ?? -1 }))
    .toSorted((a, b) => a.order - b.order)
    .map(({ running }) => ({
      who: Wording.owner(board, running.owner),
      stage: Text.visible(running.stage),
      step: step(running),
      rest: [...metrics(running), Text.duration(now - running.since)].join("  ")
    }))
  const widest = (column: "who" | "stage" | "step") => Math.max(0, ...rows.map((row) => Text.width(row[column])))
  const who = widest("who"), stage = widest("stage"), steps = widest("step")
  return rows.map((row) =>
    [
      ...(who === 0 ? [] : [Text.pad(row.who, who)]),
      Text.pad(row.stage, stage),
      ...(steps === 0 ? [] : [Text.padLeft(row.step, steps)]),
      row.rest
    ].map((part) => `  ${part}`).join("")
  )
}

const step = ({ progress }: Board.RunningStage): string => {
  if (progress === undefined) return ""
  return progress.steps === undefined ? `step ${progress.step}` : `${progress.step}/${progress.steps}`
}

const metrics = ({ progress }: Board.RunningStage): ReadonlyArray<string> =>
  Object.entries(progress?.values ?? {}).slice(0, shownMetrics)
    .map(([name, value]) => `${Text.visible(name)} ${Text.measure(value)}`)

const studyLines = (study: Board.Study, now: number) => {
  const best = Board.bestOf(study)
  const left = Board.timeLeft(study, now)
  const parts = [
    Wording.trials(study),
    ...(best === undefined
      ? noneKeepsTheLimits(study)
      : [`best ${Wording.metric(study, best.value)} (trial ${best.trial.trial})`]),
    ...(study.ended ? ["done"] : [
      Wording.finalists(study),
      Wording.spent(study),
      left === undefined ? undefined : Wording.left(left)
    ].filter((part) => part !== undefined))
  ]
  return [{ text: `${Text.visible(study.study)}: ${parts.join(" · ")}`, tone: (text: string) => text }]
}

const noneKeepsTheLimits = (study: Board.Study): ReadonlyArray<string> =>
  [...study.trials.values()].some(({ status, valued }) => status !== "failed" && valued !== undefined)
    ? ["none keeps the limits yet"]
    : []

const totals = (board: Board.Board, now: number): string =>
  `${Text.clock(now - board.started)}  ${Wording.stages(board)}`
