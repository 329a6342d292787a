import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Flags from "../Flags.ts"

export const plan = Command.make("plan", {
  pipeline: Flags.pipeline,
  store: Flags.store,
  backend: Flags.backend,
  determinism: Flags.determinism,
  devices: Flags.devices,
  settings: Flags.settings,
  format: Flags.format
}, (flags) => Effect.flatMap(Effect.promise(() => import("../handlers/Plan.ts")), ({ plan }) => plan(flags))).pipe(
  Command.withDescription("Show what a run would do: which stages are cached, which would run and why"),
  Command.withExamples([{ command: "attune plan pipelines/language-id.ts", description: "What would run now" }])
)
