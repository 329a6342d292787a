/**
 * A worker process as its driver sees it: started, given one job at a time, and dead when it has ended, however that
 * came about.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { type ChildProcess, fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import { type StageDefect, StageUnavailable, WorkerDied } from "../pipeline/Errors.ts"
import type * as Execution from "../pipeline/Execution.ts"
import * as Stage from "../pipeline/Stage.ts"
import type { Runtime } from "../store/RunRecord.ts"
import type { StoreError } from "../store/StoreError.ts"
import * as Protocol from "./Protocol.ts"

export type JobError = StoreError | StageDefect | StageUnavailable | WorkerDied

type Done = (exit: Effect.Effect<Execution.Completed, JobError>) => void

export interface Worker {
  /** What it computes tensors with, once it has started. */
  readonly runtime: (stage: string) => Effect.Effect<Runtime, StageUnavailable>
  /** Runs a job to its end. One at a time; if it is interrupted the worker must be killed. */
  readonly run: (job: Execution.Job) => Effect.Effect<Execution.Completed, JobError>
  /** Whether it must not be given another job: it has ended, never started, or a job left it unfit. */
  readonly isSpent: () => boolean
  readonly kill: () => void
  /** Succeeds when its process has ended. */
  readonly ended: Effect.Effect<void>
}

export interface Options {
  /** The encoded {@link Protocol.Setup}. */
  readonly setup: string
  readonly environment: NodeJS.ProcessEnv
  /** Called once, when its process has ended. */
  readonly onEnd: () => void
}

const entry = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "./WorkerProcess.ts" : "./WorkerProcess.js", import.meta.url)
)

/** How much of what a worker prints is kept, to be shown should it die. */
const keptOutput = 2_000

let jobs = 0

export const start = ({ environment, onEnd, setup }: Options): Worker => {
  const child: ChildProcess = fork(entry, [setup], {
    execArgv: ["--disable-warning=ExperimentalWarning"],
    stdio: ["ignore", "pipe", "pipe", "ipc"],
    env: environment
  })
  const ready = Deferred.makeUnsafe<Runtime, string>()
  const gone = Deferred.makeUnsafe<void>()
  /** The job it is running. */
  let current: { readonly id: number; readonly job: Execution.Job; readonly done: Done } | undefined
  /** Set once it has ended, to how. */
  let fate: string | undefined
  let spent = false

  let output = ""
  const keep = (chunk: Buffer) => {
    output = (output + chunk.toString("utf8")).slice(-keptOutput)
  }
  child.stdout?.on("data", keep)
  child.stderr?.on("data", keep)

  const end = (how: string) => {
    if (fate !== undefined) return
    fate = output.trim() === "" ? how : `${how}; its last words: ${output.trim()}`
    spent = true
    Deferred.doneUnsafe(ready, Effect.fail(fate))
    const job = current
    current = undefined
    job?.done(Effect.fail(new WorkerDied({ stage: job.job.stage.name, detail: fate })))
    Deferred.doneUnsafe(gone, Effect.void)
    onEnd()
  }
  child.on("error", (error) => {
    child.kill("SIGKILL")
    end(error.message)
  })
  child.on("exit", (code, signal) => end(signal === null ? `exit code ${code}` : `ended by ${signal}`))

  child.on("message", (message) => {
    const reply = Protocol.decodeReply(message)
    if (reply._tag === "ready") return Deferred.doneUnsafe(ready, Effect.succeed(reply.runtime))
    if (reply._tag === "unusable") {
      spent = true
      return Deferred.doneUnsafe(ready, Effect.fail(reply.detail))
    }
    const job = current
    // A late word about a job that was given up.
    if (job === undefined || job.id !== reply.id) return
    if (reply._tag === "progress") {
      return job.job.onProgress({ step: reply.step, steps: reply.steps ?? undefined, values: reply.values })
    }
    current = undefined
    spent ||= reply.spent
    job.done(reply._tag === "completed" ? Effect.succeed(reply.completed) : Effect.fail(reply.error))
  })

  const runtime = (stage: string) =>
    Deferred.await(ready).pipe(Effect.mapError((detail) => new StageUnavailable({ stage, detail })))

  return {
    runtime,
    run: (job) =>
      Effect.andThen(
        runtime(job.stage.name),
        Effect.callback<Execution.Completed, JobError>((resume) => {
          const { inputs, key, owner, params, stage } = job
          if (fate !== undefined) return resume(Effect.fail(new WorkerDied({ stage: stage.name, detail: fate })))
          const id = jobs++
          current = { id, job, done: resume }
          const request: Protocol.Request = { id, stage: Stage.identity(stage), key, owner, inputs, params }
          child.send(request)
        })
      ),
    isSpent: () => spent,
    kill: () => {
      spent = true
      child.kill("SIGKILL")
    },
    ended: Deferred.await(gone)
  }
}
