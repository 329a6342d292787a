import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Flags from "../Flags.ts"

const method = Flag.Literals("method", ["ped-anova", "fanova"]).pipe(
  Flag.withDefault("ped-anova"),
  Flag.withDescription(
    "ped-anova: what it took to be among the best trials; fanova: what the metric varies with, also in pairs"
  )
)

export const importance = Command.make(
  "importance",
  {
    study: Flags.study,
    method,
    metric: Flags.metric,
    seed: Flags.seed,
    store: Flags.store,
    format: Flags.format
  },
  (flags) =>
    Effect.flatMap(Effect.promise(() => import("../handlers/Importance.ts")), ({ importance }) => importance(flags))
)
  .pipe(
    Command.withDescription("Which hyperparameters mattered in a study"),
    Command.withExamples([{
      command: "attune importance --method fanova",
      description: "How much of what the objective varies each explains, alone and in pairs"
    }])
  )
