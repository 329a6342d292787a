/**
 * Shows the progress of a run: on a terminal as a block that is painted in place, elsewhere as plain lines.
 */
import type { PipelineEvent } from "../../pipeline/Progress.ts"
import { type Output, style } from "../Output.ts"
import * as Text from "../Text.ts"
import * as Board from "./Board.ts"
import * as LiveView from "./LiveView.ts"
import * as Painter from "./Painter.ts"
import * as StudyWording from "./StudyWording.ts"
import * as Wording from "./Wording.ts"

export interface Display {
  readonly board: Board.Board
  readonly onEvent: (event: PipelineEvent) => void
  /** Lines for the person, without disturbing what is painted. */
  readonly log: (lines: ReadonlyArray<string>) => void
  /** Stops painting and leaves the terminal as it was. */
  readonly close: () => void
}

/** Milliseconds between two repaints. */
const repaintEvery = 100

export const make = (output: Output, now: () => number): Display =>
  output.repaints ? live(output, now) : plain(output, now)

const plain = (output: Output, now: () => number): Display => {
  const board = Board.make(now())
  return {
    board,
    onEvent: (event) => {
      const notice = Board.update(board, event, now())
      if (notice === undefined) return
      for (const line of [...StudyWording.lines(notice), Wording.notice(board, notice, now())]) {
        if (line !== undefined) output.write(`[${Text.clock(now() - board.started)}] ${line}\n`)
      }
    },
    log: (lines) => lines.forEach((line) => output.write(`${line}\n`)),
    close: () => {}
  }
}

/** Above the block stays what is worth a line: how a study begins and ends, trouble, and a trial that takes the lead. */
const live = (output: Output, now: () => number): Display => {
  const board = Board.make(now())
  const painter = Painter.make(output)
  const tones = style(output)
  const repaint = () =>
    painter.paint(LiveView.lines(board, now(), { columns: output.columns(), rows: output.rows() }, tones))
  const timer = setInterval(repaint, repaintEvery)
  timer.unref()
  const stopListening = output.onResize(repaint)
  // Whatever ends the process, the cursor comes back.
  process.once("exit", painter.clear)
  return {
    board,
    onEvent: (event) => {
      const notice = Board.update(board, event, now())
      if (notice === undefined || notice._tag === "stage") return
      if (notice._tag === "studyStarted" || notice._tag === "studyEnded") {
        painter.log(StudyWording.lines(notice))
      } else if (notice._tag === "repeat") {
        const line = Wording.notice(board, notice, now())
        if (line !== undefined) painter.log([notice.message === undefined ? line : tones.bad(line)])
      } else if (notice._tag !== "rung") {
        const line = Wording.notice(board, notice, now())
        if (line !== undefined) painter.log([tones.bad(line)])
      } else if (notice.ran && Board.bestOf(notice.study)?.trial === notice.trial) {
        painter.log([tones.good(Wording.lead(board, notice))])
      }
    },
    log: painter.log,
    close: () => {
      clearInterval(timer)
      stopListening()
      process.removeListener("exit", painter.clear)
      painter.clear()
    }
  }
}
