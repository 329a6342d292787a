import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Flags from "../Flags.ts"

export const trials = Command.make("trials", {
  study: Flags.study,
  store: Flags.store,
  format: Flags.format
}, (flags) => Effect.flatMap(Effect.promise(() => import("../handlers/Trials.ts")), ({ trials }) => trials(flags)))
  .pipe(
    Command.withDescription("List the trials of a study, best first"),
    Command.withExamples([{ command: "attune trials --format csv > trials.csv", description: "For a spreadsheet" }])
  )
