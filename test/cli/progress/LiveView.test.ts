import { assert, describe, it } from "@effect/vitest"
import * as Output from "../../../src/cli/Output.ts"
import * as Board from "../../../src/cli/progress/Board.ts"
import * as LiveView from "../../../src/cli/progress/LiveView.ts"
import type { PipelineEvent } from "../../../src/pipeline/Progress.ts"
import * as events from "./events.ts"

const plain = Output.style({ colours: false })

const fed = (...all: ReadonlyArray<readonly [seconds: number, event: PipelineEvent]>): Board.Board => {
  const board = Board.make(0)
  for (const [seconds, event] of all) Board.update(board, event, seconds * 1000)
  return board
}

const underWay = () =>
  fed(
    [0, events.cached("", "load", "load")],
    [0, events.study()],
    [0, events.started(0)],
    [0, events.running("toy trial 0", "a")],
    [8, events.ran("toy trial 0", "a")],
    [8, events.completed(0, 0.4321987)],
    [8, events.started(1)],
    [8, events.running("toy trial 1", "b")],
    [8, events.started(2)],
    [8, events.running("toy trial 2", "c", "evaluate")],
    [10, events.progress("toy trial 1", "b", 12, 340, { loss: 2.3456789, accuracy: 0.25, norm: 1, fourth: 4 })]
  )

describe("LiveView", () => {
  it("has a line for each running stage, one for the study and one for the totals", () => {
    assert.deepStrictEqual(LiveView.lines(underWay(), 12_500, { columns: 120, rows: 24 }, plain), [
      "  trial 1 rung 0  train     12/340  loss 2.346  accuracy 0.2500  norm 1  4.5 s",
      "  trial 2 rung 0  evaluate          4.5 s",
      "toy: 1/4 trials · best accuracy 0.4322 (trial 0) · 12 % of the budget · about 52 s left",
      "0:12  1 stage run, 1 cached"
    ])
  })

  it("shows the budget where nothing else limits the study, and that finalists are trained again", () => {
    const study = { ...events.study(), trials: undefined, expectedCost: 20 } as PipelineEvent
    const lines = LiveView.lines(
      fed(
        [0, study],
        [0, events.started(0)],
        [4, events.completed(0, 0.4)],
        [4, events.started(0, 1)],
        [4, events.completed(0, 0.5, 1)],
        [5, events.again(0, 1)],
        [5, events.again(0, 2)],
        [5, events.running("toy trial 0", "c")],
        [6, events.againCompleted(0, 1, 0.5)]
      ),
      7_000,
      { columns: 160, rows: 24 },
      plain
    )
    assert.deepStrictEqual(lines.slice(0, 2), [
      "  trial 0 again  train  2.0 s",
      "toy: 1 trial · best accuracy 0.5000 (trial 0) · training 1 finalist again, 1/2 done · budget 6 of 20 · a few seconds left"
    ])
  })

  it("fits the terminal", () => {
    for (const columns of [20, 40, 60]) {
      for (const rows of [1, 2, 3, 4, 24]) {
        const lines = LiveView.lines(underWay(), 12_500, { columns, rows }, plain)
        assert.isAtMost(lines.length, Math.max(1, rows - 1))
        for (const line of lines) assert.isBelow(line.length, columns)
      }
    }
    const few = LiveView.lines(underWay(), 12_500, { columns: 120, rows: 4 }, plain)
    assert.strictEqual(few[0], "  … and 2 more")
    assert.strictEqual(few.length, 3)
  })

  it("uses no control characters without colours, whatever things are called", () => {
    const board = fed([0, events.running("\u001b[2Jowner\n", "a", "stage\u0007\u001b[31m")])
    const lines = LiveView.lines(board, 1_000, { columns: 120, rows: 24 }, plain)
    assert.include(lines[0], "\\e[2Jowner\\n")
    // oxlint-disable-next-line no-control-regex
    for (const line of lines) assert.notMatch(line, /[\u0000-\u001f\u007f-\u009f]/)
  })

  it("aligns names of wide characters", () => {
    const board = fed([0, events.running("", "a", "訓練")], [0, events.running("", "b", "load")])
    assert.deepStrictEqual(LiveView.lines(board, 1_000, { columns: 120, rows: 24 }, plain).slice(0, 2), [
      "  訓練  1.0 s",
      "  load  1.0 s"
    ])
  })
})
