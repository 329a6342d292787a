import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Flags from "../Flags.ts"

const sql = Argument.String("sql").pipe(Argument.withDescription("A query in the SQL of DuckDB"))

export const query = Command.make("query", {
  sql,
  store: Flags.store,
  format: Flags.format
}, (flags) => Effect.flatMap(Effect.promise(() => import("../handlers/Query.ts")), ({ query }) => query(flags))).pipe(
  Command.withDescription("Ask the result tables a question in SQL"),
  Command.withExamples([{
    command: "attune query \"select status, count(*) from trials group by 1\" --format json",
    description: "How many trials ended how"
  }])
)
