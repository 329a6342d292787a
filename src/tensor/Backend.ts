/**
 * The tensor backend as a service: where tensors live and what computes on them.
 *
 * Importing this module loads no tensor library; building a layer does. TensorFlow.js keeps one active backend a
 * process, so one backend is live at a time: a layer for another one fails until the first is released.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { BackendUnavailable, type Determinism, type Driver, type Started } from "./Driver.ts"
import { cpu } from "./drivers/Cpu.ts"
import { native } from "./drivers/Native.ts"
import { wasm } from "./drivers/Wasm.ts"
import { webgpu } from "./drivers/Webgpu.ts"

export { BackendUnavailable } from "./Driver.ts"
export type { Determinism, Device } from "./Driver.ts"
export type {
  DataType,
  NamedTensorMap,
  Rank,
  Scalar,
  Tensor,
  Tensor1D,
  Tensor2D,
  Tensor3D,
  Tensor4D,
  Tf,
  Variable
} from "./TensorFlow.ts"

/** Every backend there is. A new one is a file in `drivers/` and a line here. */
const drivers = [wasm, webgpu, native, cpu] as const

export type Name = (typeof drivers)[number]["name"]

/** The names of all backends, in the order in which they are offered. */
export const names: ReadonlyArray<Name> = drivers.map((driver) => driver.name)

export const Name = Schema.Literals(names)

/** The backend that needs nothing but npm. */
export const defaultName: Name = "wasm"

/** A name that no backend has. */
export class UnknownBackend extends Schema.TaggedError<UnknownBackend>()("UnknownBackend", {
  backend: Schema.String,
  known: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `There is no tensor backend "${this.backend}". Choose one of: ${this.known.join(", ")}.`
  }
}

const isName = (text: string): text is Name => (names as ReadonlyArray<string>).includes(text)

/** Reads a backend's name from text, such as a flag or an environment variable. */
export const parse = (text: string): Effect.Effect<Name, UnknownBackend> =>
  isName(text) ? Effect.succeed(text) : Effect.fail(new UnknownBackend({ backend: text, known: names }))

/** Which backend is live in this process, and by how many layers. */
const live: { name: Name | undefined; layers: number } = { name: undefined, layers: 0 }

const claim = (name: Name): Effect.Effect<void, BackendUnavailable> =>
  Effect.suspend(() => {
    if (live.name !== undefined && live.name !== name) {
      return new BackendUnavailable({
        backend: name,
        reason: `"${live.name}" is live in this process, and TensorFlow.js computes on one backend at a time`,
        remedy: "Release it first, or run this work in a process of its own."
      })
    }
    live.name = name
    live.layers++
    return Effect.void
  })

const release = Effect.sync(() => {
  if (--live.layers === 0) live.name = undefined
})

const start = Effect.fnUntraced(function*(name: Name, determinism: Determinism) {
  const driver: Driver<Name> | undefined = drivers.find((candidate) => candidate.name === name)
  if (driver === undefined) {
    return yield* new BackendUnavailable({
      backend: name,
      reason: "no such backend",
      remedy: `Choose one of: ${names.join(", ")}.`
    })
  }
  // Claimed at once, before the driver's first suspension, so that no other fiber starts another backend meanwhile.
  yield* Effect.acquireRelease(claim(name), () => release)
  const started = yield* driver.start(determinism)
  return { name, ...started }
})

/**
 * The backend that computes.
 *
 * `tf` is the namespace of TensorFlow.js with that backend active; `version` names all that can change a bit of a
 * result, and `determinism` says whether runs repeat to the bit, so both belong into a stage's key.
 */
export class Backend extends Context.Service<Backend, Started & { readonly name: Name }>()("attune/tensor/Backend") {
  /**
   * Starts a backend. It fails rather than start another in its place.
   *
   * With `determinism: "fast"` a GPU may add up in whatever order its threads arrive. By default every result repeats to
   * the bit on the same device.
   */
  static layer(
    name: Name,
    { determinism = "exact" }: { readonly determinism?: Determinism } = {}
  ): Layer.Layer<Backend, BackendUnavailable> {
    return Layer.effect(Backend, start(name, determinism))
  }
}
