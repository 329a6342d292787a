/**
 * Letting the rest of the process have its turn.
 */
import * as Effect from "effect/Effect"

/**
 * A turn of the event loop. Computation that takes one now and then lets timers, messages and signals be served and
 * interruption be noticed, which yielding to other fibers alone does not.
 */
export const turn: Effect.Effect<void> = Effect.callback<void>((resume) => {
  const handle = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(handle))
})
