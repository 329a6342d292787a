import * as Effect from "effect/Effect"
import * as Importances from "../../results/Importances.ts"
import type * as Query from "../../results/Query.ts"
import { Store } from "../../store/Store.ts"
import * as Data from "../Data.ts"
import type { Format } from "../Flags.ts"
import type { NothingStored } from "../NothingStored.ts"
import * as Output from "../Output.ts"
import * as StoreLocation from "../StoreLocation.ts"
import * as Studies from "../Studies.ts"
import * as Text from "../Text.ts"

/** Prints how important each hyperparameter of a study was, the most important first. */
export const importance = Effect.fnUntraced(
  function*(flags: {
    readonly study: string | undefined
    readonly method: "ped-anova" | "fanova"
    readonly metric: string | undefined
    readonly seed: number
    readonly store: string | undefined
    readonly format: Format
  }): Effect.fn.Return<void, NothingStored | Query.QueryError | Importances.Error, Store> {
    const study = yield* Studies.choose(flags.study)
    const { method, metric, seed } = flags
    const found = yield* Importances.of(study, { method, seed, ...(metric === undefined ? {} : { metric }) })
    Data.print(flags.format, rows(found, flags.format === "table"))
    for (const line of explain(found)) Output.say(line)
  },
  (effect, flags) => Effect.provide(effect, Store.layer(StoreLocation.resolve(flags)))
)

/** For people shares to three digits after the point, and a pair in one cell. */
const rows = (found: Importances.Importances, forPeople: boolean): Data.Rows => {
  const shown = (value: number) => forPeople ? Number(value.toFixed(3)) : value
  if (found.method === "ped-anova") {
    return Data.table(
      ["hyperparameter", "importance", "divergence"],
      found.importances.map(({ divergence, importance, name }) => ({
        hyperparameter: name,
        importance: shown(importance),
        divergence: shown(divergence)
      }))
    )
  }
  const of = (name: string, other: string | null, { deviation, importance }: {
    readonly importance: number
    readonly deviation: number
  }) => ({
    hyperparameter: forPeople && other !== null ? `${name} × ${other}` : name,
    with: other,
    importance: shown(importance),
    deviation: shown(deviation)
  })
  return Data.table(
    ["hyperparameter", ...(forPeople ? [] : ["with"]), "importance", "deviation"],
    [
      ...found.importances.map((each) => of(each.name, null, each)),
      ...found.interactions.filter(({ importance }) => importance > 0).map((each) => of(...each.names, each))
    ]
  )
}

const percent = (share: number): string => `${Number((share * 100).toPrecision(2))} %`

const explain = (found: Importances.Importances): ReadonlyArray<string> => {
  const { direction, expected, failed, metric, study, trials } = found
  const about = `${Text.visible(metric)} (to ${direction}) in ${Text.count(trials, "trial")} of the study ${
    Text.visible(study)
  }`
  const worst = failed === 0 ? "" : `; ${failed} that failed ${failed === 1 ? "counts" : "count"} as the worst`
  return [
    found.method === "ped-anova"
      ? `What it took to be among the best ${found.best}, by ${about} (PED-ANOVA).`
      : `The share that each explains of how ${about} varies over the space (fANOVA); ${
        percent(found.rest)
      } is left to other pairs and to three and more together.`,
    expected === 0
      ? `All trials with a value had the same budget${worst}.`
      : `${expected} that had less budget ${expected === 1 ? "counts" : "count"} with what is expected of ${
        expected === 1 ? "it" : "them"
      } at the most that any had${worst}.`
  ]
}
