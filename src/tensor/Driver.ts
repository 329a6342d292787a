/**
 * What a backend has to bring: a name and an effect that starts it. One file in `drivers/` each.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as os from "node:os"
import * as Gradients from "./Gradients.ts"
import { load, type Tf } from "./TensorFlow.ts"

/**
 * `exact`: the same inputs on the same machine give the same bits, run after run. `fast`: the order of some sums may
 * vary (atomic additions on a GPU), so results agree to rounding only.
 */
export type Determinism = "exact" | "fast"

/** What a backend computes on. */
export interface Device {
  /** `software` is a GPU's interface computed on the CPU, such as Mesa's lavapipe: for tests, not for speed. */
  readonly kind: "cpu" | "gpu" | "software"
  /** As its driver calls it. */
  readonly name: string
}

/** A backend that runs. */
export interface Started {
  readonly tf: Tf
  /** What it keeps: `exact` where that was asked for, and on backends that know nothing else. */
  readonly determinism: Determinism
  /** Everything that can change a bit of a result: library version, our kernels' revision, instruction set, device. */
  readonly version: string
  /** What this process could compute on, the one that it computes on first. */
  readonly devices: readonly [Device, ...ReadonlyArray<Device>]
  /**
   * How many bytes of tensors it can hold, where that is known and the same wherever `version` is: what is refused for
   * want of them is remembered as the result of a stage.
   */
  readonly memoryLimit?: number
}

export interface Driver<Name extends string = string> {
  readonly name: Name
  /** Starts it, keeping what was asked for or better. */
  readonly start: (determinism: Determinism) => Effect.Effect<Started, BackendUnavailable>
}

/** A backend that was asked for and cannot start. Nothing else is started in its place. */
export class BackendUnavailable extends Schema.TaggedError<BackendUnavailable>()("BackendUnavailable", {
  backend: Schema.String,
  /** Why, in the words of the library where it gave any. */
  reason: Schema.String,
  /** What to do about it. */
  remedy: Schema.String
}) {
  override get message(): string {
    return `The tensor backend "${this.backend}" cannot start: ${this.reason}. ${this.remedy}`
  }
}

/** The machine's own processor, as a device. */
export const processor: Device = { kind: "cpu", name: os.cpus()[0]?.model.trim() ?? "unknown processor" }

/** The words of whatever was thrown, on one line. */
export const reasonOf = (cause: unknown): string =>
  (cause instanceof Error ? cause.message : typeof cause === "string" ? cause : JSON.stringify(cause) ?? "no reason")
    .trim().replaceAll(/\s*\n\s*/g, "; ").replace(/\.$/, "")

/**
 * Makes a registered TensorFlow.js backend the active one. `tf.setBackend` answers `false` and leaves another backend
 * active when initialisation fails, so both its answer and the active backend are checked.
 */
export const activate = Effect.fnUntraced(function*(tf: Tf, driver: string, registered: string, remedy: string) {
  const unavailable = (reason: string) => new BackendUnavailable({ backend: driver, reason, remedy })
  const accepted = yield* Effect.tryPromise({
    try: async () => {
      const answer = await tf.setBackend(registered)
      await tf.ready()
      return answer
    },
    catch: (cause) => unavailable(reasonOf(cause))
  })
  Gradients.register(tf)
  const active = tf.getBackend()
  if (!accepted || active !== registered) {
    return yield* unavailable(
      `TensorFlow.js refused "${registered}"${active === registered ? "" : ` and left "${active}" active`}`
    )
  }
})

/** Loads TensorFlow.js, as an effect. */
export const loadTensorFlow = (driver: string): Effect.Effect<Tf, BackendUnavailable> =>
  Effect.try({
    try: load,
    catch: (cause) =>
      new BackendUnavailable({
        backend: driver,
        reason: `TensorFlow.js did not load: ${reasonOf(cause)}`,
        remedy: "Reinstall the packages with `npm ci`."
      })
  })
