/** The table `artifacts`: every object that a stage run in the store refers to, one a row. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Columns from "../store/Columns.ts"
import type { RunRecord } from "../store/RunRecord.ts"
import { Store } from "../store/Store.ts"
import * as JsonText from "./JsonText.ts"
import * as ResultTable from "./ResultTable.ts"
import { sorted } from "./Runs.ts"

const { column, optional } = ResultTable

export const Row = Schema.Struct({
  run: column(Schema.String, "Key of the stage run, as in `runs.key`."),
  stage: column(Schema.String, "Name of the stage."),
  field: column(
    Schema.String,
    "Dotted path of the field of the output it stands in; empty for the metrics that the stage logged."
  ),
  name: column(Schema.String, "Its role, such as `predictions`, or its file name."),
  kind: column(Schema.String, "`table` or `file`."),
  digest: column(Schema.String, "Digest of the content, equal for equal content however it is stored."),
  sha256: column(Schema.String, "SHA-256 of the bytes as stored."),
  bytes: column(Schema.Int, "Size as stored.", "bytes"),
  rows: optional(Schema.Int, "Number of rows of a table. Null for a file.", "rows"),
  path: column(Schema.String, "Its file, relative to the folder of the store.")
})
export type Row = typeof Row.Type

/** The sealed metrics of a run hold times, so what is stored of them varies. */
export const table = ResultTable.make({
  name: "artifacts",
  format: 1,
  row: Row,
  varying: ["digest", "sha256", "bytes", "path"]
})

/** The table of all records, by key of the run; within a run in the order of its output, the metrics last. */
export const columns = Effect.fnUntraced(function*(
  records: ReadonlyArray<RunRecord>
): Effect.fn.Return<Columns.Columns, never, Store> {
  const store = yield* Store
  const rows = sorted(records).flatMap((run) =>
    (run.metrics === null ? run.artifacts : [...run.artifacts, run.metrics]).map((reference) => ({
      run: run.key,
      stage: JsonText.wellFormed(run.stage),
      field: JsonText.wellFormed(reference.field),
      name: JsonText.wellFormed(reference.name),
      kind: reference.kind,
      digest: reference.digest,
      sha256: reference.sha256,
      bytes: BigInt(reference.bytes),
      rows: reference.rows === null ? null : BigInt(reference.rows),
      path: store.objectPath(reference).slice(store.root.length + 1)
    }))
  )
  return ResultTable.fromRecords(table.schema.fields, rows)
})
