import * as Effect from "effect/Effect"
import * as Query from "../../results/Query.ts"
import { Store } from "../../store/Store.ts"
import * as Data from "../Data.ts"
import type { Format } from "../Flags.ts"
import { NothingStored } from "../NothingStored.ts"
import * as StoreLocation from "../StoreLocation.ts"

export const query = Effect.fnUntraced(function*(flags: {
  readonly sql: string
  readonly store: string | undefined
  readonly format: Format
}) {
  const { root, tables } = yield* Store
  if ((yield* tables).length === 0) {
    return yield* new NothingStored({
      wanted: "table",
      root,
      remedy: "Run a pipeline first, or choose another store with --store."
    })
  }
  Data.print(flags.format, yield* Query.run(flags.sql))
}, (effect, flags) => Effect.provide(effect, Store.layer(StoreLocation.resolve(flags))))
