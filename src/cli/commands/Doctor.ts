import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { topics } from "../explain/Topics.ts"
import * as Flags from "../Flags.ts"

export const doctor = Command.make("doctor", {
  store: Flags.store,
  format: Flags.format,
  explain: Flag.Literals("explain", topics).pipe(
    Flag.optional,
    Flag.map(Option.getOrUndefined),
    Flag.withDescription("Instead of checking, print how to get this backend to work")
  )
}, (flags) => Effect.flatMap(Effect.promise(() => import("../handlers/Doctor.ts")), ({ doctor }) => doctor(flags)))
  .pipe(
    Command.withDescription("Check this machine: Node, the store, which backends start and how fast they train"),
    Command.withExamples([
      { command: "attune doctor", description: "What works here, how fast, and what is missing" },
      { command: "attune doctor --explain webgpu", description: "How to compute on a GPU without CUDA" }
    ])
  )
