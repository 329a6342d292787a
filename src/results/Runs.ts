/** The table `runs`: every stage run in the store, whatever pipeline it belongs to. */
import * as Schema from "effect/Schema"
import type * as Columns from "../store/Columns.ts"
import type { RunRecord } from "../store/RunRecord.ts"
import * as JsonText from "./JsonText.ts"
import * as ResultTable from "./ResultTable.ts"

const { column, Int32, optional } = ResultTable

export const Row = Schema.Struct({
  key: column(Schema.String, "Key of the run: digest of stage, fingerprint, params, inputs and runtime."),
  stage: column(Schema.String, "Name of the stage."),
  fingerprint: column(Schema.String, "Digest of the code that the stage reaches."),
  params: column(Schema.String, "The parameters it was given, as canonical JSON."),
  inputs: column(
    Schema.Array(Schema.Struct({ name: Schema.String, digest: Schema.String })),
    "The digest of each input's content, by name."
  ),
  outcome: column(Schema.Literals(["success", "failure"]), "A failure is kept only where the stage says so."),
  output_digest: optional(Schema.String, "Digest of the output's content. Null for a failure."),
  error: optional(Schema.String, "The failure as canonical JSON. Null for a success."),
  backend: optional(Schema.String, "What tensors were computed with. Null for a stage that computes none."),
  backend_version: optional(Schema.String, "Version of the backend."),
  determinism: optional(Schema.String, "Determinism mode of the backend."),
  attempts: column(Int32, "How many times it was tried, the successful one included."),
  worker: column(Schema.String, "Which process ran it."),
  host: column(Schema.String, "Name of the machine."),
  platform: column(Schema.String, "Operating system and processor architecture."),
  cpu: column(Schema.String, "Model of the processor."),
  cores: column(Int32, "Processor cores available to the process."),
  memory_bytes: column(Schema.Int, "Memory of the machine.", "bytes"),
  versions: column(Schema.String, "Versions of Attune, Effect and Node, as canonical JSON."),
  started: column(Schema.Date, "When it started.", "UTC"),
  duration_seconds: column(Schema.Finite, "How long it took, retries included.", "seconds")
})
export type Row = typeof Row.Type

export const table = ResultTable.make({
  name: "runs",
  format: 1,
  row: Row,
  varying: [
    "attempts",
    "worker",
    "host",
    "platform",
    "cpu",
    "cores",
    "memory_bytes",
    "versions",
    "started",
    "duration_seconds"
  ]
})

/** The table of all records, by key. */
export const columns = (records: ReadonlyArray<RunRecord>): Columns.Columns =>
  ResultTable.fromRecords(table.schema.fields, sorted(records).map(recordOf))

export const sorted = (records: ReadonlyArray<RunRecord>): ReadonlyArray<RunRecord> =>
  records.toSorted((a, b) => a.key < b.key ? -1 : a.key > b.key ? 1 : 0)

const recordOf = (run: RunRecord): Readonly<Record<string, unknown>> => ({
  key: run.key,
  stage: JsonText.wellFormed(run.stage),
  fingerprint: run.fingerprint,
  params: JsonText.of(run.params),
  inputs: Object.entries(run.inputs)
    .map(([name, digest]) => ({ name: JsonText.wellFormed(name), digest }))
    .toSorted((a, b) => a.name < b.name ? -1 : 1),
  outcome: run.outcome._tag,
  output_digest: run.outcome._tag === "success" ? run.outcome.digest : null,
  error: run.outcome._tag === "failure" ? JsonText.of(run.outcome.error) : null,
  backend: run.runtime?.backend ?? null,
  backend_version: run.runtime?.version ?? null,
  determinism: run.runtime?.determinism ?? null,
  attempts: run.attempts,
  worker: JsonText.wellFormed(run.worker),
  host: JsonText.wellFormed(run.host.name),
  platform: run.host.platform,
  cpu: run.host.cpu,
  cores: run.host.cores,
  memory_bytes: BigInt(run.host.memory),
  versions: JsonText.of(run.versions),
  started: BigInt(Date.parse(run.started)) * 1000n,
  duration_seconds: run.durationMillis / 1000
})
