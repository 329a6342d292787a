/**
 * The backends: which start, on what they compute, how fast they train, and which of them `--backend auto` takes.
 */
import * as Effect from "effect/Effect"
import * as Choice from "../../executor/Choice.ts"
import * as Probe from "../../executor/Probe.ts"
import * as Backend from "../../tensor/Backend.ts"
import type { Topic } from "../explain/Topics.ts"
import * as Text from "../Text.ts"
import type { Check } from "./Check.ts"

export interface BackendCheck extends Check {
  readonly backend: Backend.Name
  /** What is known of one that starts. */
  readonly running: Probe.Running | undefined
}

type Outcome = Effect.Effect<Probe.Running, Backend.BackendUnavailable>

/** Pages that say more on how to get a backend. */
const topics: { readonly [K in Backend.Name]?: Topic } = { webgpu: "webgpu", tensorflow: "tensorflow" }

const throughputModule = new URL(
  import.meta.url.endsWith(".ts") ? "../Throughput.ts" : "../Throughput.js",
  import.meta.url
)

/** Starts every backend in turn, so that none disturbs the measurement of another. */
export const inspect = Effect.fnUntraced(function*(listeners: {
  readonly onStart: (backend: Backend.Name) => void
  readonly onCheck: (check: BackendCheck) => void
}) {
  const outcomes = new Map<Backend.Name, Outcome>()
  const checks: Array<BackendCheck> = []
  for (const backend of Backend.names) {
    listeners.onStart(backend)
    const result = yield* Effect.result(Probe.start(backend, { measure: throughputModule }))
    outcomes.set(backend, Effect.fromResult(result))
    const check = result._tag === "Success" ? working(backend, result.success) : absent(backend, result.failure)
    checks.push(check)
    listeners.onCheck(check)
  }
  return { checks, automatic: yield* automatic((backend) => outcomes.get(backend)!) }
})

const working = (backend: Backend.Name, running: Probe.Running): BackendCheck => {
  const { devices, runtime, throughput } = running
  const trains = typeof throughput === "object" ? `${Text.rate(throughput.tokensPerSecond)} tokens/s · ` : ""
  const names = devices.length === 1
    ? devices[0]!.name
    : devices.map(({ name }, number) => `${number}: ${name}`).join(", ")
  return {
    check: `backend ${backend}`,
    status: typeof throughput === "string" ? "broken" : "ok",
    detail: typeof throughput === "string"
      ? throughput
      : `${trains}${names} · ${runtime.version} · ${runtime.determinism}`,
    backend,
    running
  }
}

const absent = (backend: Backend.Name, { reason, remedy }: Backend.BackendUnavailable): BackendCheck => {
  const topic = topics[backend]
  const more = topic === undefined || remedy.includes("--explain")
    ? ""
    : ` \`attune doctor --explain ${topic}\` says more.`
  return {
    check: `backend ${backend}`,
    // Only the backend that needs nothing but npm has to work everywhere.
    status: backend === Backend.defaultName ? "broken" : "missing",
    detail: reason,
    remedy: `${remedy}${more}`.trim(),
    backend,
    running: undefined
  }
}

const automatic = (outcome: (backend: Backend.Name) => Outcome): Effect.Effect<Check> =>
  Effect.map(Choice.choose(outcome), (choice) => ({
    check: "backend auto",
    status: "ok",
    detail: Choice.describe(choice)
  }))
