/**
 * Decides where the tensors of a run are computed: which backend, on which devices. A backend that has to be installed
 * is started once to see whether it works, before anything else runs.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Backend from "../tensor/Backend.ts"
import * as Choice from "./Choice.ts"
import * as Devices from "./Devices.ts"
import * as OptionalPackages from "./OptionalPackages.ts"
import * as Probe from "./Probe.ts"

/** Devices were asked for that the backend does not have. */
export class DevicesUnavailable extends Schema.TaggedError<DevicesUnavailable>()("DevicesUnavailable", {
  backend: Schema.String,
  /** The numbers that were asked for. */
  requested: Schema.Array(Schema.Int),
  detail: Schema.String,
  remedy: Schema.String
}) {
  override get message(): string {
    return `The backend "${this.backend}" cannot use --devices ${
      this.requested.join(",")
    }: ${this.detail}\n${this.remedy}`
  }
}

export interface Options {
  /** The name of a backend, or `auto`. */
  readonly backend: string
  readonly determinism: Backend.Determinism
  /** Only these devices; all by default. */
  readonly devices?: ReadonlyArray<number> | undefined
}

export interface Placement {
  readonly backend: Backend.Name
  /** How `auto` chose; `undefined` where a backend was asked for by name. */
  readonly choice: Choice.Choice | undefined
  /** What is known of the backend; `undefined` for one that comes with us, of which the first worker tells. */
  readonly running: Probe.Running | undefined
  readonly pool: Devices.Pool
  /** The environment in which the numbers of the pool count. */
  readonly environment: NodeJS.ProcessEnv
}

/** What is asked for to have the backend chosen. */
const automatic = "auto"

export const decide = Effect.fnUntraced(function*(
  { backend, determinism, devices }: Options
): Effect.fn.Return<Placement, Backend.UnknownBackend | Backend.BackendUnavailable | DevicesUnavailable> {
  const environmentOf = (name: Backend.Name) => Devices.environment(name, devices, process.env)
  const probe = (name: Backend.Name) => Probe.start(name, { determinism, environment: environmentOf(name) })
  const choice = backend === automatic ? yield* Choice.choose(probe) : undefined
  const name = choice?.backend ?? (yield* parse(backend))
  const running = choice?.running ?? (OptionalPackages.comesWithUs(name) ? undefined : yield* probe(name))
  if (devices !== undefined) yield* checkDevices(name, devices, running)
  return {
    backend: name,
    choice,
    running,
    pool: Devices.pool(name, running?.devices ?? []),
    environment: environmentOf(name)
  }
})

const parse = (text: string) =>
  Backend.parse(text).pipe(
    Effect.mapError(({ backend, known }) => new Backend.UnknownBackend({ backend, known: [automatic, ...known] }))
  )

/** Devices that do not exist are not counted by a backend that is confined to them, or make it compute on the CPU. */
const checkDevices = Effect.fnUntraced(function*(
  backend: Backend.Name,
  requested: ReadonlyArray<number>,
  running: Probe.Running | undefined
): Effect.fn.Return<void, DevicesUnavailable> {
  const refuse = (detail: string, remedy: string) => new DevicesUnavailable({ backend, requested, detail, remedy })
  const found = (running?.devices ?? []).filter(({ kind }) => kind !== "cpu").length
  if (OptionalPackages.comesWithUs(backend)) {
    return yield* refuse("it computes on the CPU", "--concurrency says how many stages run at once.")
  }
  if (!Devices.canBind(backend)) {
    if (found > 0 && requested.length === 1 && requested[0] === 0) return
    return yield* refuse(
      "it computes on one device, number 0",
      "Leave --devices out; the environment variable ATTUNE_WEBGPU_ADAPTER names another adapter."
    )
  }
  if (found < requested.length) {
    return yield* refuse(
      `of these it finds ${found}`,
      "`attune doctor` lists the devices with their numbers."
    )
  }
})
