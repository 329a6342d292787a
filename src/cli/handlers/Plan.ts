import * as Effect from "effect/Effect"
import * as Pipeline from "../../pipeline/Pipeline.ts"
import type * as Plan from "../../pipeline/Plan.ts"
import type { Determinism } from "../../tensor/Backend.ts"
import * as Data from "../Data.ts"
import type { Format } from "../Flags.ts"
import * as Output from "../Output.ts"
import * as Session from "../Session.ts"
import * as Text from "../Text.ts"

export const plan = Effect.fnUntraced(function*(flags: {
  readonly pipeline: string
  readonly store: string | undefined
  readonly backend: string
  readonly determinism: Determinism
  readonly devices: ReadonlyArray<number> | undefined
  readonly settings: ReadonlyArray<string>
  readonly format: Format
}) {
  const session = yield* Session.open({ ...flags, concurrency: undefined, perDevice: 1 })
  session.notes.forEach(Output.say)
  const steps = yield* Pipeline.plan(session.node).pipe(Effect.provide(session.layer))
  const rows = steps.map(rowOf)
  // A person needs a key only to tell two apart; twelve digits do that.
  const shown = flags.format === "table" ? rows.map((row) => ({ ...row, key: shortKey(row["key"]) })) : rows
  Data.print(flags.format, Data.table(["stage", "for", "status", "because", "key"], shown))
  const count = (tag: Plan.Status["_tag"]) => steps.filter((step) => step.status._tag === tag).length
  const parts = [`${count("cached")} cached`, `${count("run")} to run`]
  const unknown = count("unknown")
  Output.say(
    `${Text.count(steps.length, "stage call")}: ${parts.join(", ")}${
      unknown === 0 ? "" : `, ${unknown} unknown until others have run`
    }.`
  )
})

const shortKey = (key: unknown): string | null => typeof key === "string" ? key.slice(0, 12) : null

const rowOf = ({ node, owner, status }: Plan.Step): Data.Row => {
  const about = { stage: node.name, for: owner === "" ? null : owner }
  switch (status._tag) {
    case "cached":
      return { ...about, status: "cached", because: null, key: status.key }
    case "run":
      return { ...about, status: "will run", because: status.why, key: status.key }
    case "unknown":
      return { ...about, status: "unknown", because: `until ${status.until} has run`, key: null }
  }
}
