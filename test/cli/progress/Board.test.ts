import { assert, describe, it } from "@effect/vitest"
import * as Board from "../../../src/cli/progress/Board.ts"
import type { PipelineEvent } from "../../../src/pipeline/Progress.ts"
import * as events from "./events.ts"

const fed = (...all: ReadonlyArray<readonly [seconds: number, event: PipelineEvent]>): Board.Board => {
  const board = Board.make(0)
  for (const [seconds, event] of all) Board.update(board, event, seconds * 1000)
  return board
}

const toy = (board: Board.Board) => board.studies.get("toy")!

describe("Board", () => {
  it("estimates the time left from the pace of what really ran", () => {
    const board = fed(
      [0, events.study()],
      [0, events.started(0)],
      [0, events.cached("toy trial 0", "a")],
      [0, events.completed(0, 0.5)],
      [10, events.started(1)],
      [10, events.running("toy trial 1", "b")],
      [20, events.ran("toy trial 1", "b")],
      [20, events.completed(1, 0.6)]
    )
    // One unit of budget took ten seconds; six of eight are left.
    assert.strictEqual(Board.timeLeft(toy(board), 20_000), 60_000)
    assert.strictEqual(Board.timeLeft(toy(board), 35_000), 45_000)
    assert.strictEqual(Board.timeLeft(toy(board), 200_000), 0)
    assert.strictEqual(Board.fraction(toy(board)), 2 / 8)
  })

  it("estimates nothing before something ran, or where the cost of the study is not known", () => {
    const all = [[0, events.started(0)], [0, events.cached("toy trial 0", "a")], [1, events.completed(0, 0.5)]] as const
    assert.isUndefined(Board.timeLeft(toy(fed([0, events.study()], ...all)), 2_000))
    const { expectedCost: _, ...unknown } = events.study() as Extract<PipelineEvent, { _tag: "study.started" }>
    const board = fed([0, unknown], [0, events.started(0)], [0, events.running("toy trial 0", "a")], [
      5,
      events.completed(0, 0.5)
    ])
    assert.isUndefined(Board.timeLeft(toy(board), 6_000))
    assert.isUndefined(Board.fraction(toy(board)))
  })

  it("takes the best of those with the highest budget, whatever the others had at less", () => {
    const board = fed(
      [0, events.study()],
      [0, events.started(0)],
      [1, events.completed(0, 0.9)],
      [1, events.started(1)],
      [2, events.completed(1, 0.7)],
      [2, events.started(1, 1)],
      [3, events.completed(1, 0.8, 1)],
      [3, events.started(2)],
      [4, events.failed(2, "no")]
    )
    assert.strictEqual(Board.bestOf(toy(board))?.trial.trial, 1)
    assert.deepStrictEqual(Board.countsOf(toy(board)), { evaluated: 3, full: 1, failed: 1 })
  })

  it("keeps a value while the trial runs its next rung, and drops one that then fails", () => {
    const before = [[0, events.study()], [0, events.started(0)], [1, events.completed(0, 0.9)]] as const
    const promoted = fed(...before, [2, events.started(0, 1)])
    assert.strictEqual(Board.bestOf(toy(promoted))?.value, 0.9)
    assert.isUndefined(Board.bestOf(toy(fed(...before, [2, events.started(0, 1)], [3, events.failed(0, "no")]))))
    assert.isUndefined(Board.bestOf(toy(fed(...before.slice(0, 2), [1, events.completed(0, NaN)]))))
  })

  it("takes no trial for the best that breaks a limit of the study", () => {
    const study = events.study() as Extract<PipelineEvent, { _tag: "study.started" }>
    const limited = {
      ...study,
      metrics: ["accuracy", "size"],
      goal: { ...study.goal, limits: [{ metric: "size", max: 10 }] }
    }
    const with_ = (trial: number, value: number, size: number) =>
      ({ ...events.completed(trial, value), values: [value, size] }) as PipelineEvent
    const board = fed(
      [0, limited],
      [0, events.started(0)],
      [1, with_(0, 0.9, 11)],
      [1, events.started(1)]
    )
    assert.isUndefined(Board.bestOf(toy(board)))
    Board.update(board, with_(1, 0.7, 10), 2)
    assert.strictEqual(Board.bestOf(toy(board))?.trial.trial, 1)
  })

  it("counts a stage as cached only where this run did not make it, and once", () => {
    const board = fed(
      [0, events.running("", "a")],
      [1, events.ran("", "a")],
      [1, events.cached("toy trial 1", "a")],
      [1, events.cached("", "b")],
      [1, events.cached("toy trial 2", "b")]
    )
    assert.strictEqual(board.ran, 1)
    assert.strictEqual(board.cached.size, 1)
  })

  it("finds the trial of a stage, also where the name of one study begins another", () => {
    const board = fed([0, events.study("toy")], [0, events.study("toy trial 1")], [0, events.started(1)], [
      0,
      events.started(12, 0, "toy trial 1")
    ])
    assert.strictEqual(Board.trialOf(board, "toy trial 1")?.trial.trial, 1)
    assert.strictEqual(Board.trialOf(board, "toy trial 1 trial 12")?.study.study, "toy trial 1")
    assert.isUndefined(Board.trialOf(board, "toy trial 3"))
    assert.isUndefined(Board.trialOf(board, ""))
  })
})
