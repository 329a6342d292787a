/**
 * `--backend auto`: the fastest backend that works here.
 */
import * as Effect from "effect/Effect"
import * as Backend from "../tensor/Backend.ts"
import * as OptionalPackages from "./OptionalPackages.ts"
import type * as Probe from "./Probe.ts"

interface Candidate {
  readonly backend: Backend.Name
  /** Why one that works is passed over all the same; `undefined` if it is taken. */
  readonly unfit?: (running: Probe.Running) => string | undefined
}

/**
 * From the fastest to the slowest, in tokens/s of training small models. TensorFlow's CUDA kernels are tuned for each
 * GPU, those of webgpu are written for all of them. Without a GPU native TensorFlow is the faster one from some width of
 * 100 on, and `wasm` below (docs/cli.md has the measurement).
 */
const candidates: ReadonlyArray<Candidate> = [
  {
    backend: "tensorflow",
    unfit: ({ devices }) => devices[0]?.kind === "gpu" ? undefined : "it finds no GPU here"
  },
  {
    backend: "webgpu",
    unfit: ({ devices }) => devices[0]?.kind === "gpu" ? undefined : `${devices[0]?.name} is no GPU, only software`
  },
  { backend: "tensorflow" },
  { backend: "wasm" }
]

export interface Passed {
  readonly backend: Backend.Name
  readonly reason: string
}

export interface Choice {
  readonly backend: Backend.Name
  /** What is known of it; `undefined` for one that was taken unseen. */
  readonly running: Probe.Running | undefined
  /** The ones before it, and why each was not it. */
  readonly passed: ReadonlyArray<Passed>
}

/** How a choice is said to a person: which, and why. */
export const describe = ({ backend, passed, running }: Choice): string => {
  const device = running?.devices[0]
  const on = device === undefined ? "" : device.kind === "cpu" ? " on the CPU" : ` on ${device.name}`
  const because = passed.map(({ backend, reason }) => `${backend}: ${reason}`).join("; ")
  return `${backend}${on}${because === "" ? "" : ` (${because})`}`
}

/**
 * Chooses, starting no more backends than the choice needs: one whose packages are not installed is not tried, and
 * what comes with us, the last of all, is taken unseen.
 */
export const choose = Effect.fnUntraced(function*(
  probe: (backend: Backend.Name) => Effect.Effect<Probe.Running, Backend.BackendUnavailable>,
  isInstalled: (backend: Backend.Name) => boolean = OptionalPackages.isInstalled
): Effect.fn.Return<Choice> {
  const passed = new Map<Backend.Name, string>()
  const started = new Map<Backend.Name, Probe.Running>()
  const chosen = (backend: Backend.Name): Choice => ({
    backend,
    running: started.get(backend),
    passed: [...passed].filter(([name]) => name !== backend).map(([name, reason]) => ({ backend: name, reason }))
  })
  for (const { backend, unfit } of candidates) {
    if (OptionalPackages.comesWithUs(backend)) return chosen(backend)
    if (!passed.has(backend)) {
      if (!isInstalled(backend)) {
        passed.set(backend, "not installed")
        continue
      }
      const result = yield* Effect.result(probe(backend))
      if (result._tag === "Failure") {
        passed.set(backend, result.failure.reason)
        continue
      }
      started.set(backend, result.success)
    }
    const running = started.get(backend)
    // Known not to start.
    if (running === undefined) continue
    const reason = unfit?.(running)
    if (reason === undefined) return chosen(backend)
    passed.set(backend, reason)
  }
  return chosen(Backend.defaultName)
})
