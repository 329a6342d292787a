/**
 * The studies that a store has tables of.
 */
import * as Effect from "effect/Effect"
import * as Query from "../results/Query.ts"
import { Store } from "../store/Store.ts"
import { NothingStored } from "./NothingStored.ts"

/** Text in SQL. */
export const quote = (text: string): string => `'${text.replaceAll("'", "''")}'`

/**
 * The study that is meant: the one of this name, or the one whose stages ran last. Of a study all of whose trials
 * failed before any stage ended nothing ran: it comes after the others.
 */
export const choose = Effect.fnUntraced(function*(
  name: string | undefined
): Effect.fn.Return<string, NothingStored | Query.QueryError, Store> {
  const { root } = yield* Store
  const { rows } = yield* Query.run(
    "select study, max(started) as latest from (select distinct study from trials) "
      + "left join (select distinct study, run from metrics) using (study) left join runs on run = key "
      + "group by study order by latest desc nulls last, study"
  )
  const studies = rows.map((row) => String(row["study"]))
  if (name !== undefined && studies.includes(name)) return name
  const [latest] = studies
  if (latest === undefined) {
    return yield* new NothingStored({
      wanted: "study",
      root,
      remedy: "Run a pipeline that has one, or choose another store with --store."
    })
  }
  if (name === undefined) return latest
  return yield* new NothingStored({
    wanted: `study "${name}"`,
    root,
    remedy: `Its studies are: ${studies.join(", ")}.`
  })
})
