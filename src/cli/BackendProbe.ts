/**
 * The main module of a process that starts one backend and tells how that went. A process of its own, since only one
 * backend can be live in a process, and a native one may take the process with it.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Backend from "../tensor/Backend.ts"

export type Report =
  | { readonly available: true; readonly version: string; readonly determinism: string }
  | { readonly available: false; readonly reason: string; readonly remedy: string }

const probe = Effect.gen(function*() {
  const name = yield* Backend.parse(process.argv[2] ?? "")
  return yield* Effect.gen(function*() {
    const { determinism, version } = yield* Backend.Backend
    return { available: true as const, version, determinism }
  }).pipe(Effect.provide(Layer.fresh(Backend.Backend.layer(name))))
}).pipe(
  Effect.catchTags({
    BackendUnavailable: ({ reason, remedy }) => Effect.succeed({ available: false as const, reason, remedy }),
    UnknownBackend: ({ message }) => Effect.succeed({ available: false as const, reason: message, remedy: "" })
  })
)

Effect.runCallback(probe, {
  onExit: (exit) => {
    const report: Report = exit._tag === "Success"
      ? exit.value
      : { available: false, reason: "it broke while it started", remedy: "" }
    process.send?.(report, () => process.exit(0))
  }
})
