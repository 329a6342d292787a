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

const opening = (clock: string) => `[${clock}] toy: random; successive halving; at most 4 trials`

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
      opening("0:02"),
      "[0:12] trial 0 rung 0 (budget 1 of 3): accuracy 0.5000 · best 0.5000 (trial 0) · 1/4 trials · about 1 min 10 s left",
      "[0:32] trial 0 rung 1 (budget 3 of 3): accuracy 0.6000 · best 0.6000 (trial 0) · 1/4 trials · about 50 s left"
    ])
  })

  it("says nothing of trials that were cached", () => {
    const lines = logOf(
      [0, events.cached("", "load")],
      [0, events.study()],
      [0, events.started(0)],
      [0, events.cached("toy trial 0", "a")],
      [0, events.completed(0, 0.5)]
    )
    assert.deepStrictEqual(lines, [opening("0:00")])
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
      opening("0:00"),
      "[0:01] trial 0 rung 0 failed: the loss\\nis \\e[31mNaN",
      "[0:01] toy trial 1: train is tried again: lost a worker"
    ])
  })

  it("tells what a study starts from, and that a budget is all that limits it", () => {
    const study = events.study() as Extract<PipelineEvent, { _tag: "study.started" }>
    const reused = { study: "old", trials: 9, used: 9, leftOut: null, assumed: [], dropped: [] }
    assert.deepStrictEqual(
      logOf([0, {
        ...study,
        trials: undefined,
        expectedCost: 312,
        reused: [reused, {
          ...reused,
          study: "older",
          used: 7,
          leftOut: "rate: found 3; expected 0 to 1",
          assumed: ["warmup", "decay"],
          dropped: ["momentum"]
        }]
      }]),
      [
        "[0:00] toy: random; successive halving; a budget of 312 for all trials",
        "[0:00] toy: starts from the 9 trials of the study old",
        "[0:00] toy: starts from 7 of the 9 trials of the study older; the first of those left out: rate: found 3; "
        + "expected 0 to 1; taken as having had the default of warmup, decay, which it did not have; without momentum, "
        + "which this study does not have"
      ]
    )
  })

  it("tells that finalists are trained again, and how sure the choice between them is", () => {
    const lines = logOf(
      [0, events.study()],
      [0, events.started(0)],
      [1, events.completed(0, 0.5)],
      [1, events.started(0, 1)],
      [1, events.completed(0, 0.6, 1)],
      [2, events.again(0, 1)],
      [2, events.again(0, 2)],
      [2, events.running("toy trial 0", "c")],
      [4, events.ran("toy trial 0", "c")],
      [4, events.againCompleted(0, 1, 0.62)],
      [5, events.againCompleted(0, 2, Number.NaN)],
      [6, {
        _tag: "study.completed",
        study: "toy",
        outcome: events.outcome({
          finalists: [
            { trial: 0, trainings: 3, mean: 0.61, standardError: 0.01 },
            { trial: 1, trainings: 2, mean: 0.6, standardError: 0.0123 },
            { trial: 2, trainings: 0, mean: undefined, standardError: undefined }
          ],
          indistinguishable: [1],
          spent: 11,
          spentOnFinalists: 6,
          fullCost: 12,
          ended: "the sampler had no more points"
        })
      }]
    )
    assert.deepStrictEqual(lines.slice(1), [
      "[0:04] trial 0 again with seed 1: accuracy 0.6200 · training 1 finalist again, 1/2 done · a few seconds left",
      "[0:05] trial 0 again with seed 2 failed: accuracy is NaN",
      "[0:06] toy: best accuracy 0.6000 (trial 0) · a budget of 5 spent, 58 % less than 1 trial to the end would take; "
      + "6 more to train the finalists again",
      "[0:06] toy: finalists, mean ± standard error over 3 seeds: trial 0 0.6100 ± 0.01000, trial 1 0.6000 ± 0.01230 "
      + "(2 of them), trial 2 failed each time",
      "[0:06] toy: it is not clear, at the level of 5 %, that trial 1 is worse than trial 0",
      "[0:06] toy: no more trials were started: the sampler had no more points"
    ])
  })

  it("names the front of several objectives, and says where nothing can be chosen", () => {
    const ended = (more: Parameters<typeof events.outcome>[0]) =>
      logOf([0, events.study()], [0, { _tag: "study.completed", study: "toy", outcome: events.outcome(more) }]).slice(1)
    const goal = {
      objectives: [{ metric: "accuracy", direction: "maximize" }, { metric: "size", direction: "minimize" }],
      limits: []
    } as const
    assert.deepStrictEqual(ended({ goal }), [
      "[0:00] toy: best accuracy 0.6000 (trial 0) · a budget of 3 spent",
      "[0:00] toy: the front of accuracy and size has 1 trial: 0"
    ])
    assert.deepStrictEqual(ended({ selected: undefined }), [
      "[0:00] toy: none of its 1 trial can be chosen · a budget of 3 spent"
    ])
  })
})
