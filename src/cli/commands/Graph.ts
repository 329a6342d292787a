import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Flags from "../Flags.ts"

const format = Flag.Literals("format", ["mermaid", "dot"]).pipe(
  Flag.withDefault("mermaid"),
  Flag.withDescription("The drawing language: Mermaid, or DOT of Graphviz")
)

export const graph = Command.make("graph", {
  pipeline: Flags.pipeline,
  settings: Flags.settings,
  format
}, (flags) => Effect.flatMap(Effect.promise(() => import("../handlers/Graph.ts")), ({ graph }) => graph(flags))).pipe(
  Command.withDescription("Draw the graph of a pipeline"),
  Command.withExamples([
    { command: "attune graph tune.ts --format dot | dot -Tsvg > tune.svg", description: "As a picture" }
  ])
)
