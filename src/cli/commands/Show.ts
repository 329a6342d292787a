import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Flags from "../Flags.ts"

const trial = Argument.Int("trial").pipe(Argument.withDescription("The number of the trial"))

const format = Flag.Literals("format", ["table", "json"]).pipe(
  Flag.withDefault("table"),
  Flag.withDescription("How the data on standard output is written")
)

export const show = Command.make("show", {
  trial,
  study: Flags.study,
  store: Flags.store,
  format
}, (flags) => Effect.flatMap(Effect.promise(() => import("../handlers/Show.ts")), ({ show }) => show(flags))).pipe(
  Command.withDescription("Show everything about one trial"),
  Command.withExamples([{ command: "attune show 7", description: "Trial 7 of the latest study" }])
)
