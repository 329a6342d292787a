import * as Effect from "effect/Effect"
import * as Query from "../../results/Query.ts"
import { Store } from "../../store/Store.ts"
import * as Data from "../Data.ts"
import type { Format } from "../Flags.ts"
import * as StoreLocation from "../StoreLocation.ts"

export const query = Effect.fnUntraced(function*(flags: {
  readonly sql: string
  readonly store: string | undefined
  readonly format: Format
}) {
  const root = StoreLocation.resolve(flags)
  Data.print(flags.format, yield* Query.run(flags.sql).pipe(Effect.provide(Store.layer(root))))
})
