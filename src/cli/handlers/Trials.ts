import * as Effect from "effect/Effect"
import * as Query from "../../results/Query.ts"
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
  }): Effect.fn.Return<void, NothingStored | Query.QueryError, Store> {
    const study = yield* Studies.choose(flags.study)
    const { columns, rows } = yield* Query.run(leaderboard(study))
    // The tables of all studies are one view: a hyperparameter of another study is a column without values here.
    const shown = columns.filter(({ name }) => !name.startsWith("param_") || rows.some((row) => row[name] !== null))
    const isTable = flags.format === "table"
    const [first] = rows
    Data.print(
      flags.format,
      isTable ? compact({ columns: shown, rows }, String(first?.["objective"])) : { columns: shown, rows }
    )
    Output.say(`${Text.count(rows.length, "trial")} of the study ${Text.visible(study)}, best first.`)
  },
  (effect, flags) => Effect.provide(effect, Store.layer(StoreLocation.resolve(flags)))
)

const leaderboard = (study: string): string =>
  `select trial, status, selected, value, objective, direction, budget, columns('^param_'), duration_seconds, error
   from trials where study = ${Studies.quote(study)}
   order by case status when 'failed' then 1 else 0 end, budget desc,
     case direction when 'minimize' then value else -value end nulls last, trial`

/** For people: hyperparameters by their own names, the value under the name of the objective, no empty columns. */
const compact = ({ columns, rows }: Data.Rows, objective: string): Data.Rows => {
  const left = new Set(["objective", "direction", "selected"])
  const nameOf = (name: string) =>
    name === "value" ? objective : name === "duration_seconds" ? "seconds" : name.replace(/^param_/, "")
  const kept = columns.filter(({ name }) =>
    !left.has(name) && (name !== "error" || rows.some((row) => row[name] !== null))
  )
  return Data.table(
    ["", ...kept.map(({ name }) => nameOf(name))],
    rows.map((row) => ({
      "": row["selected"] === true ? "*" : "",
      ...Object.fromEntries(kept.map(({ name }) => [nameOf(name), row[name] ?? null]))
    }))
  )
}
