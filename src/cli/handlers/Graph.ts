import * as Effect from "effect/Effect"
import * as Pipeline from "../../pipeline/Pipeline.ts"
import * as Output from "../Output.ts"
import * as Session from "../Session.ts"

export const graph = Effect.fnUntraced(function*(flags: {
  readonly pipeline: string
  readonly settings: ReadonlyArray<string>
  readonly format: "mermaid" | "dot"
}) {
  const node = yield* Session.graphOf(flags)
  Output.print(flags.format === "dot" ? Pipeline.toDot(node) : Pipeline.toMermaid(node))
})
