/**
 * The main module of a process that starts one backend, tells how that went, and how fast it trains if that is asked.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { describe } from "../pipeline/Errors.ts"
import * as Backend from "../tensor/Backend.ts"
import * as ParentWatch from "./ParentWatch.ts"
import * as Probe from "./Probe.ts"

type Reply = Parameters<typeof Probe.encodeReply>[0]

// Whoever asked is gone, however that came about.
process.on("disconnect", () => process.exit(0))
ParentWatch.start()

const reply = (message: Reply): Effect.Effect<void> =>
  Effect.callback((resume) => {
    process.send?.(Probe.encodeReply(message), () => resume(Effect.void))
  })

const setup = Probe.decodeSetup(process.argv[2])

const measured = (tf: Backend.Tf, module: string): Effect.Effect<Reply> =>
  Effect.gen(function*() {
    const { measure } = yield* Effect.promise(() => import(module) as Promise<{ readonly measure: Probe.Measure }>)
    return { _tag: "measured" as const, throughput: yield* measure(tf) }
  }).pipe(
    Effect.catchCause((cause) => Effect.succeed<Reply>({ _tag: "unmeasured", reason: describe(Cause.squash(cause)) }))
  )

const main = Effect.gen(function*() {
  const { determinism, devices, tf, version } = yield* Backend.Backend
  yield* reply({ _tag: "running", version, determinism, devices })
  if (setup.measure !== null) yield* reply(yield* measured(tf, setup.measure))
}).pipe(
  Effect.provide(Backend.Backend.layer(setup.backend, setup)),
  Effect.catchTag(
    "BackendUnavailable",
    ({ reason, remedy }) => reply({ _tag: "unavailable", reason, remedy })
  )
)

Effect.runCallback(main, {
  onExit: (exit) => {
    // What nobody foresaw is told by whoever reads what this process printed.
    if (Exit.isFailure(exit)) process.stderr.write(`${describe(Cause.squash(exit.cause))}\n`)
    process.exit(Exit.isFailure(exit) ? 1 : 0)
  }
})
