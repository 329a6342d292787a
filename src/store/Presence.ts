/**
 * Who uses a store: any number of pipeline runs at a time, or one process that
 * removes things from it (garbage collection, repair, import).
 *
 * Each puts up its own flag and then looks for the other's, so that of two that
 * start at the same moment at least one sees the other. A run that finds upkeep
 * going on waits for it; upkeep that finds a run is refused.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { Disk } from "./Disk.ts"
import * as Lock from "./Lock.ts"
import { fromCause, StoreError } from "./StoreError.ts"

const upkeepFile = "locks/upkeep"
const sessionPrefix = "locks/session-"

const shortestPause = 50
const longestPause = 1_000

const isHeld = (disk: Disk, file: string): Effect.Effect<boolean, StoreError> =>
  Effect.try({ try: () => Lock.isHeld(disk, file), catch: fromCause("look at a lock", `${disk.root}/${file}`) })

/** Says that a run uses the store, until the scope closes. Waits while it is being cleaned up. */
export const enter = Effect.fnUntraced(function*(
  disk: Disk,
  id: string
): Effect.fn.Return<void, StoreError, Scope.Scope> {
  const scope = yield* Effect.scope
  for (let pause = shortestPause;; pause = Math.min(2 * pause, longestPause)) {
    if (!(yield* isHeld(disk, upkeepFile))) {
      const own = yield* Scope.fork(scope)
      yield* Lock.claim(disk, sessionPrefix + id).pipe(Effect.provideService(Scope.Scope, own))
      if (!(yield* isHeld(disk, upkeepFile))) return
      yield* Scope.close(own, Exit.void)
    }
    yield* Effect.sleep(pause)
  }
})

/** Whether the run with this id goes on. */
export const isLive = (disk: Disk, id: string): boolean => Lock.isHeld(disk, sessionPrefix + id)

/** Takes the store for upkeep until the scope closes. Fails with the reason `busy` while anybody else uses it. */
export const upkeep = Effect.fnUntraced(function*(disk: Disk): Effect.fn.Return<void, StoreError, Scope.Scope> {
  const busy = (detail: string) =>
    new StoreError({ operation: "be cleaned up", path: disk.root, reason: "busy", detail })
  const taken = yield* Lock.claim(disk, upkeepFile)
  if (!taken) return yield* busy("another process is at it")
  const sessions = yield* Effect.try({
    try: () => disk.list("locks").filter((file) => file.startsWith(sessionPrefix) && Lock.isHeld(disk, file)),
    catch: fromCause("list its locks", `${disk.root}/locks`)
  })
  if (sessions.length === 0) return
  const runs = sessions.length === 1 ? "a run uses it" : `${sessions.length} runs use it`
  return yield* busy(`${runs} (${sessions.map((file) => file.slice(sessionPrefix.length)).join(", ")})`)
})
