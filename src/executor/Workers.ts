/**
 * Runs stages that compute with tensors in worker processes of this machine,
 * one job a process at a time, and all others in this process.
 *
 * A process of its own is what keeps a trial that crashes or runs out of memory
 * from being anyone else's problem. Workers are reused, start when they are
 * first needed, and end with their driver.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { type ChildProcess, fork } from "node:child_process"
import * as os from "node:os"
import { fileURLToPath } from "node:url"
import { type StageDefect, StageUnavailable, WorkerDied } from "../pipeline/Errors.ts"
import * as Execution from "../pipeline/Execution.ts"
import { Executor } from "../pipeline/Executor.ts"
import * as Stage from "../pipeline/Stage.ts"
import type { Runtime } from "../store/RunRecord.ts"
import type { StoreError } from "../store/StoreError.ts"
import * as Protocol from "./Protocol.ts"
import * as Slots from "./Slots.ts"

export interface Options extends Partial<Slots.Capacity> {
  readonly setup: Protocol.Setup
}

type JobError = StoreError | StageDefect | StageUnavailable | WorkerDied

interface Worker {
  readonly process: ChildProcess
  /** The GPU devices it was started with; it sees no others. */
  readonly devices: string
  readonly ready: Deferred.Deferred<Runtime, string>
  /** The job it is running. */
  job: { readonly id: number; readonly job: Execution.Job; readonly done: Done } | undefined
  /** Set once it has ended, to why. */
  ended: string | undefined
}

type Done = (exit: Effect.Effect<Execution.Completed, JobError>) => void

const entry = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "./WorkerProcess.ts" : "./WorkerProcess.js", import.meta.url)
)

/** How much of what a worker prints is kept, to be shown should it die. */
const keptOutput = 2_000

/** An executor with worker processes; by default as many CPU slots as the machine has cores. */
export const layer = (options: Options): Layer.Layer<Executor> =>
  Layer.effect(
    Executor,
    Effect.gen(function*() {
      const slots = Slots.make({
        cpu: options.cpu ?? os.availableParallelism(),
        gpu: options.gpu ?? 0,
        memory: options.memory ?? os.totalmem()
      })
      const setup = Protocol.encodeSetup(options.setup)
      const idle: Array<Worker> = []
      const all = new Set<Worker>()
      let jobs = 0

      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          for (const worker of all) worker.process.kill("SIGKILL")
        })
      )

      const spawn = (devices: string): Worker => {
        const child = fork(entry, [setup], {
          execArgv: ["--disable-warning=ExperimentalWarning"],
          stdio: ["ignore", "pipe", "pipe", "ipc"],
          env: devices === "" ? process.env : { ...process.env, CUDA_VISIBLE_DEVICES: devices }
        })
        const worker: Worker = {
          process: child,
          devices,
          ready: Deferred.makeUnsafe(),
          job: undefined,
          ended: undefined
        }
        all.add(worker)
        let output = ""
        const keep = (chunk: Buffer) => {
          output = (output + chunk.toString("utf8")).slice(-keptOutput)
        }
        child.stdout?.on("data", keep)
        child.stderr?.on("data", keep)
        child.on("message", (message) => receive(worker, Protocol.decodeReply(message)))
        const end = (how: string) => {
          if (worker.ended !== undefined) return
          worker.ended = output.trim() === "" ? how : `${how}; its last words: ${output.trim()}`
          all.delete(worker)
          const index = idle.indexOf(worker)
          if (index >= 0) idle.splice(index, 1)
          Deferred.doneUnsafe(worker.ready, Effect.fail(worker.ended))
          const { job } = worker
          worker.job = undefined
          job?.done(Effect.fail(new WorkerDied({ stage: job.job.stage.name, detail: worker.ended })))
        }
        child.on("error", (error) => end(error.message))
        child.on("exit", (code, signal) => end(signal === null ? `exit code ${code}` : `ended by ${signal}`))
        return worker
      }

      const receive = (worker: Worker, reply: Protocol.Reply) => {
        if (reply._tag === "ready") return Deferred.doneUnsafe(worker.ready, Effect.succeed(reply.runtime))
        if (reply._tag === "unusable") return Deferred.doneUnsafe(worker.ready, Effect.fail(reply.detail))
        const { job } = worker
        // A late word about a job that was given up.
        if (job === undefined || job.id !== reply.id) return
        switch (reply._tag) {
          case "progress":
            return job.job.onProgress({ step: reply.step, steps: reply.steps ?? undefined, values: reply.values })
          case "completed":
            worker.job = undefined
            return job.done(Effect.succeed(reply.completed))
          case "failed":
            worker.job = undefined
            return job.done(Effect.fail(reply.error))
        }
      }

      const take = (devices: string): Worker => {
        const index = idle.findLastIndex((worker) => worker.devices === devices)
        return index < 0 ? spawn(devices) : idle.splice(index, 1)[0]!
      }

      const ready = (worker: Worker, stage: string) =>
        Deferred.await(worker.ready).pipe(Effect.mapError((detail) => new StageUnavailable({ stage, detail })))

      const runIn = (worker: Worker, job: Execution.Job): Effect.Effect<Execution.Completed, JobError> =>
        Effect.andThen(
          ready(worker, job.stage.name),
          Effect.callback<Execution.Completed, JobError>((resume) => {
            const id = jobs++
            if (worker.ended !== undefined) {
              return resume(Effect.fail(new WorkerDied({ stage: job.stage.name, detail: worker.ended })))
            }
            worker.job = { id, job, done: resume }
            const { inputs, key, owner, params, stage } = job
            const request: Protocol.Request = { id, stage: Stage.identity(stage), key, owner, inputs, params }
            worker.process.send(request)
          })
        )

      const execute = (job: Execution.Job, devices: string) =>
        Effect.acquireUseRelease(
          Effect.sync(() => take(devices)),
          (worker) => runIn(worker, job),
          (worker, exit) =>
            Effect.sync(() => {
              if (worker.ended !== undefined) return
              // Interrupted in mid-job: what it computes is of no use, and nothing it writes is half written.
              if (Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause)) worker.process.kill("SIGKILL")
              else idle.push(worker)
            })
        )

      const runtime = yield* Effect.cached(Effect.suspend(() => {
        const worker = take("")
        idle.push(worker)
        return ready(worker, "a stage that computes with tensors")
      }))

      return Executor.of({
        name: "worker processes",
        runtime,
        execute: (job) =>
          slots.withResources(job)(({ devices }) =>
            Effect.andThen(
              job.started,
              job.stage.resources.tensors === true ? execute(job, devices.join(",")) : Execution.run(job)
            )
          )
      })
    })
  )
