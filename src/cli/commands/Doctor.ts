import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Flags from "../Flags.ts"

export const doctor = Command.make("doctor", {
  store: Flags.store,
  format: Flags.format
}, (flags) => Effect.flatMap(Effect.promise(() => import("../handlers/Doctor.ts")), ({ doctor }) => doctor(flags)))
  .pipe(
    Command.withDescription("Check this machine: Node, the store, and which backends start")
  )
