/**
 * Runs stages that compute with tensors in worker processes of this machine,
 * one job a process at a time, and all others in this process.
 *
 * A process of its own is what keeps a trial that crashes or runs out of memory
 * from being anyone else's problem. Workers are reused, start when they are
 * first needed, and end with their driver. Where there are GPU devices each
 * worker is bound to those of its stage and sees no others.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as os from "node:os"
import { StageUnavailable } from "../pipeline/Errors.ts"
import * as Execution from "../pipeline/Execution.ts"
import { Executor } from "../pipeline/Executor.ts"
import * as Digest from "../store/Digest.ts"
import type { Runtime } from "../store/RunRecord.ts"
import * as Backend from "../tensor/Backend.ts"
import * as Devices from "./Devices.ts"
import * as Protocol from "./Protocol.ts"
import * as Slots from "./Slots.ts"
import * as Worker from "./Worker.ts"

export interface Options extends Partial<Omit<Slots.Capacity, "gpu">> {
  readonly setup: Protocol.Setup
  /** The numbers of the GPU devices to use, as `attune doctor` counts them; none by default. */
  readonly devices?: ReadonlyArray<number>
  /** What workers compute with, where that is known already; otherwise the first of them tells. */
  readonly runtime?: Runtime
  /** The environment of the workers, apart from the devices they are bound to; that of this process by default. */
  readonly environment?: NodeJS.ProcessEnv
}

/** An executor with worker processes; by default as many CPU slots as the machine has cores. */
export const layer = (options: Options): Layer.Layer<Executor> =>
  Layer.effect(
    Executor,
    Effect.gen(function*() {
      const { devices: numbers = [], environment = process.env } = options
      const slots = Slots.make({
        cpu: options.cpu ?? os.availableParallelism(),
        gpu: numbers.length,
        perDevice: options.perDevice ?? 1,
        memory: options.memory ?? os.totalmem()
      })
      const setup = Protocol.encodeSetup(options.setup)
      const backend = yield* Effect.option(Backend.parse(options.setup.backend))
      const all = new Set<Worker.Worker>()
      /** Workers without a job, by the devices that they are bound to; the one used last at the end. */
      const idle = new Map<string, Array<Worker.Worker>>()
      const idleOn = (devices: ReadonlyArray<number>): Array<Worker.Worker> => {
        const key = devices.join(",")
        const workers = (idle.get(key) ?? []).filter((worker) => !worker.isSpent())
        idle.set(key, workers)
        return workers
      }

      yield* Effect.addFinalizer(() => {
        const workers = [...all]
        for (const worker of workers) worker.kill()
        // What they held, such as the memory of a GPU, is free when this is over.
        return Effect.forEach(workers, (worker) => worker.ended, { discard: true }).pipe(
          Effect.timeoutOption("5 seconds")
        )
      })

      const start = (devices: ReadonlyArray<number>): Worker.Worker => {
        const worker: Worker.Worker = Worker.start({
          setup,
          environment: backend._tag === "None"
            ? environment
            : Devices.environment(backend.value, devices.map((device) => numbers[device]!), environment),
          onEnd: () => all.delete(worker)
        })
        all.add(worker)
        return worker
      }
      const take = (devices: ReadonlyArray<number>) => idleOn(devices).pop() ?? start(devices)

      let expected = options.runtime
      /** What a worker computes with; it must be what the results of this run are kept under. */
      const runtimeOf = Effect.fnUntraced(function*(worker: Worker.Worker, stage: string) {
        const found = yield* worker.runtime(stage)
        expected ??= found
        if (Digest.canonicalJson(found) === Digest.canonicalJson(expected)) return found
        const name = ({ backend, determinism, version }: Runtime) => `${backend} ${version} (${determinism})`
        return yield* new StageUnavailable({
          stage,
          detail:
            `its worker computes with ${name(found)}, and results of this run are kept as of ${name(expected)}; ` +
            "choose devices that are the same with --devices"
        })
      })

      const execute = (job: Execution.Job, devices: ReadonlyArray<number>) =>
        Effect.acquireUseRelease(
          Effect.sync(() => take(devices)),
          (worker) => Effect.andThen(runtimeOf(worker, job.stage.name), worker.run(job)),
          (worker, exit) =>
            Effect.sync(() => {
              // Interrupted in mid-job: what it computes is of no use, and nothing it writes is half written.
              if (worker.isSpent() || (Exit.isFailure(exit) && Exit.hasInterrupts(exit))) worker.kill()
              else idleOn(devices).push(worker)
            })
        )

      const runtime = yield* Effect.cached(Effect.suspend(() => {
        if (options.runtime !== undefined) return Effect.succeed(options.runtime)
        const worker = start([])
        idleOn([]).push(worker)
        return runtimeOf(worker, "a stage that computes with tensors")
      }))

      return Executor.of({
        name: "worker processes",
        runtime,
        execute: (job) =>
          slots.withResources(job)(({ devices }) =>
            Effect.andThen(
              job.started,
              job.stage.resources.tensors === true ? execute(job, devices) : Execution.run(job)
            )
          )
      })
    })
  )
