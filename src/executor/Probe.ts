/**
 * Finds out whether a backend works here, and on what, by starting it in a process of its own: only one backend can be
 * live in a process, and a native one may take its process with it.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { type ChildProcess, fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import type { Runtime } from "../store/RunRecord.ts"
import * as Backend from "../tensor/Backend.ts"
import * as Devices from "./Devices.ts"

/** How fast a backend trains. */
export const Throughput = Schema.Struct({
  tokensPerSecond: Schema.Finite,
  /** Examples a step, and the steps that were timed. */
  batchSize: Schema.Int,
  steps: Schema.Int
})
export type Throughput = typeof Throughput.Type

/** What a module given as {@link Options.measure} exports under the name `measure`. */
export type Measure = (tf: Backend.Tf) => Effect.Effect<Throughput, unknown>

/** What the process is told, on its command line. */
const Setup = Schema.fromJsonString(Schema.Struct({
  backend: Backend.Name,
  determinism: Schema.Literals(["exact", "fast"]),
  measure: Schema.NullOr(Schema.String)
}))
const encodeSetup = Schema.encodeSync(Setup)
export const decodeSetup = Schema.decodeUnknownSync(Setup)

/** What it answers: how the start went, then, if it went well, the measurement that was asked for. */
const Reply = Schema.toCodecJson(Schema.Union([
  Schema.Struct({
    _tag: Schema.Literal("running"),
    version: Schema.String,
    determinism: Schema.String,
    devices: Schema.Array(Schema.Struct({ kind: Schema.Literals(["cpu", "gpu", "software"]), name: Schema.String }))
  }),
  Schema.Struct({ _tag: Schema.Literal("unavailable"), reason: Schema.String, remedy: Schema.String }),
  Schema.Struct({ _tag: Schema.Literal("measured"), throughput: Throughput }),
  Schema.Struct({ _tag: Schema.Literal("unmeasured"), reason: Schema.String })
]))
export const encodeReply = Schema.encodeSync(Reply)
const decodeReply = Schema.decodeUnknownSync(Reply)

/** A backend that works here. */
export interface Running {
  /** What stages that compute with it are keyed under. */
  readonly runtime: Runtime
  /** What it could compute on; it computes on the first. */
  readonly devices: ReadonlyArray<Backend.Device>
  /** `undefined` if it was not asked for, a text where it was and there is none, which says why. */
  readonly throughput: Throughput | string | undefined
}

export interface Options {
  /** Exact by default. */
  readonly determinism?: Backend.Determinism
  /** A module whose export `measure` is a {@link Measure}. */
  readonly measure?: URL
  /** The environment of the process; ours by default. */
  readonly environment?: NodeJS.ProcessEnv
  /** How long the start may take; a minute by default, since a native backend loads hundreds of megabytes. */
  readonly startWithin?: Duration.Input
  /** How long the measurement may take; a minute by default, in which a GPU compiles its shaders. */
  readonly measureWithin?: Duration.Input
}

const entry = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "./ProbeProcess.ts" : "./ProbeProcess.js", import.meta.url)
)

/** How much of what the process prints is kept, to be shown should it die. */
const keptOutput = 400

/** Starts the backend, and ends it again. Fails with the reason that the backend gave, or with how its process ended. */
export const start = (
  backend: Backend.Name,
  { determinism = "exact", environment = process.env, measure, ...limits }: Options = {}
): Effect.Effect<Running, Backend.BackendUnavailable> =>
  Effect.callback((resume) => {
    const child = fork(entry, [encodeSetup({ backend, determinism, measure: measure?.href ?? null })], {
      execArgv: ["--disable-warning=ExperimentalWarning"],
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      env: Devices.environment(backend, undefined, environment)
    })
    const lastWords = lastWordsOf(child)
    let running: Running | undefined
    let ended = false
    let timer: NodeJS.Timeout | undefined

    const end = (result: Effect.Effect<Running, Backend.BackendUnavailable>) => {
      if (ended) return
      ended = true
      clearTimeout(timer)
      child.kill("SIGKILL")
      resume(result)
    }
    /** Gives what is known when nothing more is to come. */
    const giveUp = (reason: string) =>
      end(
        running === undefined
          ? Effect.fail(new Backend.BackendUnavailable({ backend, reason, remedy: "Choose another backend." }))
          : Effect.succeed({ ...running, throughput: reason })
      )
    const within = (limit: Duration.Input = "1 minute", what: string) => {
      const duration = Duration.fromInputUnsafe(limit)
      clearTimeout(timer)
      timer = setTimeout(() => giveUp(`${what} within ${Duration.toSeconds(duration)} s`), Duration.toMillis(duration))
    }

    child.on("message", (message) => {
      const reply = decodeReply(message)
      switch (reply._tag) {
        case "running": {
          const { determinism, devices, version } = reply
          running = { runtime: { backend, version, determinism }, devices, throughput: undefined }
          if (measure === undefined) return end(Effect.succeed(running))
          return within(limits.measureWithin, "it started, but its training steps did not end")
        }
        case "unavailable": {
          const { reason, remedy } = reply
          return end(Effect.fail(new Backend.BackendUnavailable({ backend, reason, remedy })))
        }
        case "measured":
          return end(Effect.succeed({ ...running!, throughput: reply.throughput }))
        case "unmeasured":
          return giveUp(reply.reason)
      }
    })
    child.on("error", (error) => giveUp(`its process did not start: ${error.message}`))
    // Once its output has been read to the end.
    child.on("close", (code, signal) => {
      const how = signal === null ? `exit code ${code}` : `ended by ${signal}`
      const doing = running === undefined ? "as it started" : "while it trained"
      giveUp(`its process broke down ${doing} (${how})${lastWords()}`)
    })
    within(limits.startWithin, "it did not start")
    return Effect.sync(() => {
      ended = true
      clearTimeout(timer)
      child.kill("SIGKILL")
    })
  })

/** What a child process has printed, as the end of a sentence. */
const lastWordsOf = (child: ChildProcess): () => string => {
  let output = ""
  const keep = (chunk: Buffer) => {
    output = (output + chunk.toString("utf8")).slice(-keptOutput)
  }
  child.stdout?.on("data", keep)
  child.stderr?.on("data", keep)
  return () => output.trim() === "" ? "" : `; its last words: ${output.trim().replaceAll(/\s*\n\s*/g, "; ")}`
}
