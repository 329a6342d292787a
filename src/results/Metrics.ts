/**
 * The table `metrics`: every value that a trial's stages logged while they ran,
 * one a row.
 */
import * as Schema from "effect/Schema"
import type { TrialOutcome } from "../pipeline/Progress.ts"
import type { RunRecord } from "../store/RunRecord.ts"
import type { Part } from "./Gather.ts"
import * as JsonText from "./JsonText.ts"
import * as ResultTable from "./ResultTable.ts"

const { column, Int32 } = ResultTable

export const Row = Schema.Struct({
  study: column(Schema.String, "Name of the study."),
  trial: column(Int32, "Number of the trial within its study."),
  stage: column(Schema.String, "Name of the stage that logged the value."),
  run: column(
    Schema.String,
    "Key of the stage run, as in `runs.key`. A rung that continues from a checkpoint is a run of its own and logs its own steps only, so no value of a trial is there twice. A run that several trials share is there once for each of them."
  ),
  step: column(Schema.Int, "Optimizer step, from 1, counted on over the rungs.", "steps"),
  split: column(Schema.String, "Which data it was measured on, such as `train` or `validation`."),
  name: column(Schema.String, "Name of the metric, such as `loss`."),
  // @effect-diagnostics-next-line schemaNumber:off
  value: column(Schema.Number, "The value, in the unit of the metric; NaN and infinities as they were logged."),
  seconds: column(Schema.Finite, "Time since the start of the stage run.", "seconds")
})
export type Row = typeof Row.Type

export const table = ResultTable.make({ name: "metrics", format: 1, row: Row, varying: ["seconds"] })

/** The columns that do not come out of the sealed logs. */
export const front = ["study", "trial", "stage", "run"]

/** The stage runs of a trial, each once: two nodes that agree on everything are one run. */
export const runsOf = (trial: Pick<TrialOutcome, "runs">): ReadonlyArray<RunRecord> => [
  ...new Map(trial.runs.map((run) => [run.key, run])).values()
]

/** Where a row of a trial's stage run comes from. */
export const frontOf = (study: string, trial: number, run: RunRecord): Part["front"] => ({
  study: JsonText.wellFormed(study),
  trial,
  stage: JsonText.wellFormed(run.stage),
  run: run.key
})

/** The sealed logs of a study: by trial, each with its stage runs upstream before downstream. */
export const parts = (study: string, trials: ReadonlyArray<TrialOutcome>): ReadonlyArray<Part> =>
  trials.toSorted((a, b) => a.trial - b.trial).flatMap((trial) =>
    runsOf(trial).flatMap((run) =>
      run.metrics === null ? [] : [{ front: frontOf(study, trial.trial, run), reference: run.metrics }]
    )
  )
