import * as Effect from "effect/Effect"
import * as Format from "../../results/Format.ts"
import * as Query from "../../results/Query.ts"
import { Store } from "../../store/Store.ts"
import * as Data from "../Data.ts"
import { NothingStored } from "../NothingStored.ts"
import * as Output from "../Output.ts"
import * as StoreLocation from "../StoreLocation.ts"
import * as Studies from "../Studies.ts"
import * as Text from "../Text.ts"

/** Prints everything that the tables say of one trial. */
export const show = Effect.fnUntraced(
  function*(flags: {
    readonly trial: number
    readonly study: string | undefined
    readonly store: string | undefined
    readonly format: "table" | "json"
  }): Effect.fn.Return<void, NothingStored | Query.QueryError, Store> {
    const study = yield* Studies.choose(flags.study)
    const of = `study = ${Studies.quote(study)} and trial = ${flags.trial}`
    const { columns, rows: [trial] } = yield* Query.run(`select * from trials where ${of}`)
    if (trial === undefined) {
      const { root } = yield* Store
      return yield* new NothingStored({
        wanted: `trial ${flags.trial} of the study "${study}"`,
        root,
        remedy: "`attune trials` lists those there are."
      })
    }
    const metrics = yield* Query.run(lastMetrics(of))
    const runs = yield* Query.run(stageRuns(of))
    const artifacts = yield* Query.run(artifactsOf(of))
    if (flags.format === "json") {
      const fields = columns.filter(({ name }) => !(name.startsWith("param_") && trial[name] === null))
      const nested = { metrics: metrics.rows, runs: runs.rows, artifacts: artifacts.rows }
      const [text] = Format.json({
        columns: [...fields, ...Object.keys(nested).map((name) => ({ name }))],
        rows: [{ ...trial, params: parse(trial["params"]), ...nested }]
      }).split("\n").slice(1)
      return Output.print(JSON.stringify(JSON.parse(text!), null, 2))
    }
    for (const line of report(study, trial, { metrics, runs, artifacts })) Output.print(line)
  },
  (effect, flags) => Effect.provide(effect, Store.layer(StoreLocation.resolve(flags)))
)

/** The keys of the stage runs made for a trial. */
const runsOf = (of: string) => `(select unnest(runs) from trials where ${of})`

const lastMetrics = (of: string) =>
  `select stage, split, name, max(step) as step, arg_max(value, step) as value
   from metrics where ${of} group by stage, run, split, name order by max(step), stage, split, name`

const stageRuns = (of: string) =>
  `select stage, outcome, duration_seconds as seconds, started, attempts, backend, worker, host, key
   from runs where key in ${runsOf(of)} order by started, key`

const artifactsOf = (of: string) =>
  `select stage, name, kind, rows, bytes, path from artifacts where run in ${
    runsOf(of)
  } order by stage, run, name, path`

const parse = (json: unknown): Query.Value => typeof json === "string" ? JSON.parse(json) as Query.Value : null

const isRecord = (value: Query.Value): value is { readonly [name: string]: Query.Value } =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const rowsOf = (value: Query.Value | undefined): ReadonlyArray<Query.Row> =>
  Array.isArray(value) ? value as ReadonlyArray<Query.Row> : []

/** The metrics of a study at a rung, by name. */
const valuesOf = ({ value, values }: Query.Row, metrics: ReadonlyArray<string>): Query.Row =>
  Object.fromEntries(
    metrics.map((name, index) => [name, (Array.isArray(values) ? values[index] : undefined) ?? value!])
  )

const report = (
  study: string,
  trial: Query.Row,
  tables: { readonly metrics: Data.Rows; readonly runs: Data.Rows; readonly artifacts: Data.Rows }
): ReadonlyArray<string> => {
  const { bold } = Output.style(Output.stdout)
  const objective = String(trial["objective"])
  const section = (title: string, data: Data.Rows, none: string): ReadonlyArray<string> => [
    "",
    bold(title),
    ...(data.rows.length === 0 ? [none] : Format.table(data, Data.width()).trimEnd().split("\n"))
  ]
  const params = parse(trial["params"])
  const rungs = rowsOf(trial["rungs"])
  // Written by an earlier version, it has one metric and does not say so.
  const metrics = Array.isArray(trial["metrics"]) ? trial["metrics"].map(String) : [objective]
  const repeats = Array.isArray(trial["repeats"]) ? trial["repeats"] : []
  const numbers = Object.keys(trial).filter((name) => name.startsWith("metric_") && trial[name] !== null)
  return [
    bold(`Trial ${Text.value(trial["trial"])} of ${Text.visible(study)}: ${Text.value(trial["status"])}`)
    + (trial["selected"] === true ? ", the best" : "")
    + (trial["on_front"] === true && trial["selected"] !== true ? ", on the front" : "")
    + (trial["feasible"] === false ? ", breaks a limit" : ""),
    `${Text.visible(objective)} ${trial["value"] === null ? "unknown" : Text.value(trial["value"])} at budget ${
      Text.value(trial["budget"])
    } (to ${Text.value(trial["direction"])}); ${Text.value(trial["sampler"])}; ${Text.value(trial["scheduler"])}`,
    ...(trial["error"] === null ? [] : [`Error: ${Text.value(trial["error"])}`]),
    ...section(
      "Hyperparameters",
      Data.table(
        ["name", "value"],
        isRecord(params) ? Object.entries(params).map(([name, value]) => ({ name, value })) : []
      ),
      "none"
    ),
    ...section(
      "Rungs",
      Data.table(
        ["rung", "budget", ...new Set(metrics)],
        rungs.map((rung) => ({ ...rung, ...valuesOf(rung, metrics) }))
      ),
      "none gave a value"
    ),
    ...(repeats.length === 0 ? [] : section(
      "Trained again as a finalist",
      Data.table(
        ["seed", objective],
        repeats.map((value, index) => ({ seed: Number(trial["seed"]) + index + 1, [objective]: value }))
      ),
      "none"
    )),
    ...(numbers.length === 0 ? [] : section(
      "Numbers in its output",
      Data.table(
        ["name", "value"],
        numbers.map((name) => ({ name: name.slice("metric_".length), value: trial[name]! }))
      ),
      "none"
    )),
    ...section("Last values of what its stages logged", tables.metrics, "nothing was logged"),
    ...section("Stage runs", tables.runs, "none"),
    ...section("Their artifacts", tables.artifacts, "none")
  ]
}
