import * as Command from "effect/cli/Command"
import { doctor } from "./Doctor.ts"
import { graph } from "./Graph.ts"
import { importance } from "./Importance.ts"
import { plan } from "./Plan.ts"
import { query } from "./Query.ts"
import { run } from "./Run.ts"
import { show } from "./Show.ts"
import { trials } from "./Trials.ts"

/** The command tree. A command is a file here and a line in this list. */
export const attune = Command.make("attune").pipe(
  Command.withDescription("Hyperparameter tuning of fine-tuning runs, as typed pipelines"),
  Command.withSubcommands([run, plan, graph, trials, show, importance, query, doctor])
)
