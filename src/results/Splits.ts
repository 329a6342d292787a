/**
 * The table `splits`: which example is on which side, in the data that a study
 * was given: the rows of every table named "splits" that a stage put out.
 */
import * as Schema from "effect/Schema"
import type { TrialOutcome } from "../pipeline/Progress.ts"
import type { RunRecord } from "../store/RunRecord.ts"
import type { Part } from "./Gather.ts"
import * as JsonText from "./JsonText.ts"
import * as Lineage from "./Lineage.ts"
import { tablesOf } from "./Predictions.ts"
import * as ResultTable from "./ResultTable.ts"

const { column } = ResultTable

export const Row = Schema.Struct({
  study: column(Schema.String, "Name of the study."),
  stage: column(Schema.String, "Name of the stage that made the split."),
  run: column(Schema.String, "Key of the stage run, as in `runs.key`.")
})
export type Row = typeof Row.Type

export const table = ResultTable.make({
  name: "splits",
  format: 1,
  row: Row,
  open: "the columns of the tables named `splits` in the outputs of the stages that the study's trials come from, as "
    + "those stages declare them; names and types are treated as in `predictions`."
})

export const front = ["study", "stage", "run"]

const hasSplits = (run: RunRecord): boolean => tablesOf(run, "splits").length > 0

/**
 * The splits that a study's trials come from, by stage and key. `others` are
 * the further records of the same pipeline run, among which upstream is looked
 * for. Where nothing leads to a split, because what the trials take was put
 * together from several outputs, all of these count.
 */
export const parts = (
  study: string,
  trials: ReadonlyArray<TrialOutcome>,
  others: ReadonlyArray<RunRecord>
): ReadonlyArray<Part> => {
  const own = [...new Map(trials.flatMap(({ runs }) => runs.map((run) => [run.key, run] as const))).values()]
  const candidates = others.filter(hasSplits)
  const found = new Set(own.filter(hasSplits))
  if (candidates.length > 0) {
    const sources = Lineage.among(others)
    const upstream = new Set(own.flatMap((run) => [...sources(run)]))
    const wired = candidates.filter((run) => upstream.has(run))
    for (const run of wired.length > 0 || found.size > 0 ? wired : candidates) found.add(run)
  }
  return [...found]
    .toSorted((a, b) => compare(a.stage, b.stage) || compare(a.key, b.key))
    .flatMap((run) =>
      tablesOf(run, "splits").map((reference) => ({
        front: { study: JsonText.wellFormed(study), stage: JsonText.wellFormed(run.stage), run: run.key },
        reference
      }))
    )
}

const compare = (a: string, b: string): number => a < b ? -1 : a > b ? 1 : 0
