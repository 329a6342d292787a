/**
 * The table `predictions`: what the trials of a study predicted, example by
 * example: the rows of every table named "predictions" that a stage of a trial
 * put out.
 */
import * as Schema from "effect/Schema"
import type { TrialOutcome } from "../pipeline/Progress.ts"
import type { ObjectReference, RunRecord } from "../store/RunRecord.ts"
import type { Part } from "./Gather.ts"
import * as Lineage from "./Lineage.ts"
import * as Metrics from "./Metrics.ts"
import * as ResultTable from "./ResultTable.ts"

const { column, Int32 } = ResultTable

export const Row = Schema.Struct({
  study: column(Schema.String, "Name of the study."),
  trial: column(Int32, "Number of the trial within its study."),
  stage: column(Schema.String, "Name of the stage that made the predictions."),
  run: column(Schema.String, "Key of the stage run, as in `runs.key`.")
})
export type Row = typeof Row.Type

export const table = ResultTable.make({
  name: "predictions",
  format: 1,
  row: Row,
  open: "the columns of the tables named `predictions` in the trials' outputs, as their stages declare them. A name "
    + "that is taken gets `_2`. A column that a part lacks is null there; one of several types is widened to int64, "
    + "float64 or text."
})

export const front = ["study", "trial", "stage", "run"]

/** The tables called `name` in the output of a stage run. */
export const tablesOf = (run: RunRecord, name: string): ReadonlyArray<ObjectReference> =>
  run.artifacts.filter((artifact) => artifact.kind === "table" && artifact.name === name)

/**
 * Leaves out the predictions of lower rungs, where a later rung of the same
 * trial has predictions of the same stage. Runs of a stage are told to be rungs
 * of each other by where they come from: the higher one comes from all that the
 * lower one comes from, and from further runs of the same stages. Runs that
 * stand side by side, as the folds of a cross-validation do, are all kept.
 */
const highest = (runs: ReadonlyArray<RunRecord>, all: ReadonlyArray<RunRecord>): ReadonlyArray<RunRecord> => {
  if (new Set(runs.map(({ stage }) => stage)).size === runs.length) return runs
  const sources = Lineage.among(all)
  const origins = new Map(runs.map((run) => [run, sources(run)]))
  const stagesOf = (found: ReadonlySet<RunRecord>) => [...new Set([...found].map(({ stage }) => stage))].toSorted()
  const exceeds = (high: RunRecord, low: RunRecord): boolean => {
    const above = origins.get(high)!
    const below = origins.get(low)!
    if (high === low || high.stage !== low.stage) return false
    if (above.has(low)) return true
    return above.size > below.size && [...below].every((run) => above.has(run))
      && JSON.stringify(stagesOf(above)) === JSON.stringify(stagesOf(below))
  }
  return runs.filter((run) => !runs.some((other) => exceeds(other, run)))
}

/** The predictions of a study: by trial, each with its stage runs upstream before downstream. */
export const parts = (study: string, trials: ReadonlyArray<TrialOutcome>): ReadonlyArray<Part> =>
  trials.toSorted((a, b) => a.trial - b.trial).flatMap((trial) => {
    const all = Metrics.runsOf(trial)
    const runs = highest(all.filter((run) => tablesOf(run, "predictions").length > 0), all)
    return runs.flatMap((run) =>
      tablesOf(run, "predictions").map((reference) => ({
        front: Metrics.frontOf(study, trial.trial, run),
        reference
      }))
    )
  })
