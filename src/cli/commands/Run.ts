import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Flags from "../Flags.ts"

const format = Flag.Literals("format", ["table", "json", "csv"]).pipe(
  Flag.optional,
  Flag.map(Option.getOrUndefined),
  Flag.withDescription("How the pipeline's result is written; by default text as it is and all else as JSON")
)

export const run = Command.make("run", {
  pipeline: Flags.pipeline,
  store: Flags.store,
  concurrency: Flags.concurrency,
  backend: Flags.backend,
  determinism: Flags.determinism,
  devices: Flags.devices,
  perDevice: Flags.perDevice,
  settings: Flags.settings,
  format,
  exportTo: Flag.Directory("export").pipe(
    Flag.optional,
    Flag.map(Option.getOrUndefined),
    Flag.withDescription("A folder for copies of the tables and files in the pipeline's result")
  )
}, (flags) => Effect.flatMap(Effect.promise(() => import("../handlers/Run.ts")), ({ run }) => run(flags))).pipe(
  Command.withDescription("Run a pipeline; what has run before is taken from the store"),
  Command.withExamples([
    { command: "attune run pipelines/language-id.ts", description: "Run it, or go on where it was stopped" },
    { command: "attune run tune.ts --backend auto", description: "On the fastest backend that works here" },
    { command: "attune run make-data.ts --export data", description: "And copy what it makes to the folder data" },
    { command: "attune run tune.ts --set trials=32 --concurrency 4", description: "With another setting, four at once" }
  ])
)
