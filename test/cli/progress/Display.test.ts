import { assert, describe, it } from "@effect/vitest"
import type { Output } from "../../../src/cli/Output.ts"
import * as Display from "../../../src/cli/progress/Display.ts"
import type { PipelineEvent } from "../../../src/pipeline/Progress.ts"
import * as events from "./events.ts"

/** What is written to something that is no terminal. */
const logOf = (...all: ReadonlyArray<readonly [seconds: number, event: PipelineEvent]>): ReadonlyArray<string> => {
  let written = ""
  let now = 0
  const output: Output = {
    write: (text) => {
      written += text
    },
    columns: () => 80,
    rows: () => 24,
    repaints: false,
    colours: false,
    onResize: () => () => {}
  }
  const display = Display.make(output, () => now)
  for (const [seconds, event] of all) {
    now = seconds * 1000
    display.onEvent(event)
  }
  display.close()
  return written === "" ? [] : written.trimEnd().split("\n")
}

describe("Display without a terminal", () => {
  it("writes a line for each rung that ended and for each stage outside of trials", () => {
    const lines = logOf(
      [0, events.running("", "load", "load")],
      [2, events.ran("", "load", 2_000, "load")],
      [2, events.study()],
      [2, events.started(0)],
      [2, events.running("toy trial 0", "a")],
      [12, events.ran("toy trial 0", "a")],
      [12, events.completed(0, 0.5)],
      [12, events.started(0, 1)],
      [12, events.running("toy trial 0", "b")],
      [32, events.ran("toy trial 0", "b")],
      [32, events.completed(0, 0.6, 1)]
    )
    assert.deepStrictEqual(lines, [
      "[0:02] load done in 2.0 s",
      "[0:12] trial 0 rung 0 (budget 1 of 3): accuracy 0.5000 · best 0.5000 (trial 0) · 1/4 trials · about 1 min 10 s left",
      "[0:32] trial 0 rung 1 (budget 3 of 3): accuracy 0.6000 · best 0.6000 (trial 0) · 1/4 trials · about 50 s left"
    ])
  })

  it("says nothing of what was cached", () => {
    const lines = logOf(
      [0, events.cached("", "load")],
      [0, events.study()],
      [0, events.started(0)],
      [0, events.cached("toy trial 0", "a")],
      [0, events.completed(0, 0.5)]
    )
    assert.deepStrictEqual(lines, [])
  })

  it("tells failures on one line each", () => {
    const lines = logOf(
      [0, events.study()],
      [0, events.started(0)],
      [1, events.failed(0, "the loss\nis \u001b[31mNaN")],
      [1, {
        _tag: "stage.retried",
        stage: "train",
        key: "b",
        owner: "toy trial 1",
        attempt: 1,
        message: "lost a worker"
      }]
    )
    assert.deepStrictEqual(lines, [
      "[0:01] trial 0 rung 0 failed: the loss\\nis \\e[31mNaN",
      "[0:01] toy trial 1: train is tried again: lost a worker"
    ])
  })
})
