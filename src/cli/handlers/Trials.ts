import * as Effect from "effect/Effect"
import * as Query from "../../results/Query.ts"
import * as ResultTable from "../../results/ResultTable.ts"
import * as StoredStudy from "../../results/StoredStudy.ts"
import { Store } from "../../store/Store.ts"
import * as Data from "../Data.ts"
import type { Format } from "../Flags.ts"
import type { NothingStored } from "../NothingStored.ts"
import * as Output from "../Output.ts"
import * as StoreLocation from "../StoreLocation.ts"
import * as Studies from "../Studies.ts"
import * as Text from "../Text.ts"

/** Prints the leaderboard of a study: completed before stopped before failed, each from the best down. */
export const trials = Effect.fnUntraced(
  function*(flags: {
    readonly study: string | undefined
    readonly store: string | undefined
    readonly format: Format
  }): Effect.fn.Return<void, NothingStored | Query.QueryError | StoredStudy.NoStoredStudy, Store> {
    const study = yield* Studies.choose(flags.study)
    const found = yield* Query.run(leaderboard(study))
    const rows = found.rows.toSorted((a, b) => breaksLimits(a) - breaksLimits(b))
    // The tables of all studies are one view: a hyperparameter of another study is a column without values here.
    const columns = found.columns.filter(({ name }) =>
      !/^(?:param|metric)_/.test(name) || rows.some((row) => row[name] !== null)
    )
    if (flags.format === "table") Data.print("table", compact({ columns, rows }, yield* StoredStudy.read(study)))
    else Data.print(flags.format, { columns, rows })
    Output.say(`${Text.count(rows.length, "trial")} of the study ${Text.visible(study)}, best first.`)
  },
  (effect, flags) => Effect.provide(effect, Store.layer(StoreLocation.resolve(flags)))
)

// Columns that earlier versions did not write are found by a pattern, which misses none.
const leaderboard = (study: string): string =>
  `select trial, status, selected, value, objective, direction, budget,
     columns('^(param_.*|metric_.*|feasible|on_front|repeats)$'), duration_seconds, error
   from trials where study = ${Studies.quote(study)}
   order by selected desc, case status when 'failed' then 1 else 0 end, budget desc,
     case direction when 'minimize' then value else -value end nulls last, trial`

/** It comes after those that keep the limits, and before those that failed. */
const breaksLimits = (row: Data.Row): number => row["status"] === "failed" ? 2 : row["feasible"] === false ? 1 : 0

/**
 * For people: hyperparameters by their own names, the value under the name of the objective, the other metrics of the
 * study beside it, and no column that says nothing of this study.
 */
const compact = (
  { columns, rows }: Data.Rows,
  { goal, metric, metrics, trials }: StoredStudy.StoredStudy
): Data.Rows => {
  const params = columns.map(({ name }) => name).filter((name) => name.startsWith("param_"))
  const isSaid = (name: string) => rows.some((row) => row[name] !== null && row[name] !== undefined)
  const valuesOf = new Map(trials.map(({ rungs, trial }) => [trial, rungs.at(-1)?.values ?? []]))
  const several = goal !== undefined && goal.objectives.length > 1
  const limited = goal !== undefined && goal.limits.length > 0
  const finalists = rows.some((row) => repeatsOf(row).length > 0)
  const cells: ReadonlyArray<readonly [name: string, cell: (row: Data.Row) => Query.Value]> = [
    ["", (row) => row["selected"] === true ? "*" : ""],
    ["trial", (row) => row["trial"]!],
    ["status", (row) => row["status"]!],
    [metric, (row) => row["value"]!],
    ...metrics.flatMap((name, index) =>
      index === 0 || metrics.indexOf(name) < index
        ? []
        : [[name, (row: Data.Row) => valuesOf.get(Number(row["trial"]))?.[index] ?? null] as const]
    ),
    ...(several ? [["front", (row: Data.Row) => row["on_front"] === true ? "yes" : ""] as const] : []),
    ...(limited ? [["limits", (row: Data.Row) => limits[String(row["feasible"])] ?? null] as const] : []),
    ...(finalists
      ? [
        [
          "again",
          (row: Data.Row) =>
            repeatsOf(row).map((value) => value === null ? "failed" : Text.measure(Number(value))).join(" ")
        ] as const
      ]
      : []),
    ["budget", (row) => row["budget"]!],
    ...params.map((name) => [name.replace(/^param_/, ""), (row: Data.Row) => row[name]!] as const),
    ["seconds", (row) => row["duration_seconds"]!],
    ...(isSaid("error") ? [["error", (row: Data.Row) => row["error"]!] as const] : [])
  ]
  // A hyperparameter may have the name of a metric.
  const free = ResultTable.freeNames([])
  const named = cells.map(([name, cell]) => [free(name), cell] as const)
  return Data.table(
    named.map(([name]) => name),
    rows.map((row) => Object.fromEntries(named.map(([name, cell]) => [name, cell(row)])))
  )
}

const limits: Readonly<Record<string, string>> = { true: "kept", false: "broken" }

const repeatsOf = (row: Data.Row): ReadonlyArray<Query.Value> => {
  const repeats = row["repeats"]
  return Array.isArray(repeats) ? repeats : []
}
