/**
 * CPU slots, GPU devices and memory that stage runs hold while they run.
 *
 * The job of the highest priority is served first, and among equals the one that
 * came first; while it does not fit, none behind it is, so a large request is
 * not overtaken for ever by small ones. All of a request is granted at once, so
 * two stages never hold half each.
 */
import * as Effect from "effect/Effect"
import { ResourcesUnavailable } from "../pipeline/Errors.ts"
import type { Job } from "../pipeline/Execution.ts"

export interface Capacity {
  /** How many CPU slots: how many stages of one slot run at the same time. */
  readonly cpu: number
  /** How many GPU devices; they are numbered from 0. */
  readonly gpu: number
  /** Bytes. */
  readonly memory: number
}

/** What a stage run was granted. */
export interface Grant {
  /** Numbers of the GPU devices that are its own. */
  readonly devices: ReadonlyArray<number>
}

export interface Slots {
  /** Runs an effect while it holds what the job's stage declares. */
  readonly withResources: (
    job: Pick<Job, "stage" | "priority">
  ) => <A, E, R>(use: (grant: Grant) => Effect.Effect<A, E, R>) => Effect.Effect<A, E | ResourcesUnavailable, R>
}

interface Request extends Capacity {
  readonly priority: number
  readonly resume: (grant: Grant) => void
}

export const make = (capacity: Capacity): Slots => {
  const free = { cpu: capacity.cpu, memory: capacity.memory }
  const devices = Array.from({ length: capacity.gpu }, (_, device) => device)
  const queue: Array<Request> = []

  const serve = () => {
    for (let next = queue[0]; next !== undefined; next = queue[0]) {
      if (next.cpu > free.cpu || next.memory > free.memory || next.gpu > devices.length) return
      queue.shift()
      free.cpu -= next.cpu
      free.memory -= next.memory
      next.resume({ devices: devices.splice(0, next.gpu) })
    }
  }

  return {
    withResources: ({ priority, stage }) => <A, E, R>(use: (grant: Grant) => Effect.Effect<A, E, R>) =>
      Effect.suspend((): Effect.Effect<A, E | ResourcesUnavailable, R> => {
        const { cpu = 1, gpu = 0, memory = 0 } = stage.resources
        const wanted = { cpu, gpu, memory }
        for (const resource of ["cpu", "gpu", "memory"] as const) {
          if (wanted[resource] <= capacity[resource]) continue
          return Effect.fail(
            new ResourcesUnavailable({
              stage: stage.name,
              resource: names[resource],
              requested: wanted[resource],
              available: capacity[resource]
            })
          )
        }
        const release = (grant: Grant) => {
          free.cpu += cpu
          free.memory += memory
          devices.push(...grant.devices)
          devices.sort((a, b) => a - b)
          serve()
        }
        const wait = Effect.callback<Grant>((resume) => {
          let granted: Grant | undefined
          const request: Request = {
            ...wanted,
            priority,
            resume: (grant) => {
              granted = grant
              resume(Effect.succeed(grant))
            }
          }
          const behind = queue.findIndex((waiting) => waiting.priority < priority)
          queue.splice(behind < 0 ? queue.length : behind, 0, request)
          serve()
          return Effect.sync(() => {
            // Interrupted while it waited, or just after it was served.
            if (granted !== undefined) return release(granted)
            queue.splice(queue.indexOf(request), 1)
            serve()
          })
        })
        // The wait can be interrupted, unlike the acquisition of `Effect.acquireUseRelease`: a run that is stopped has
        // most of its jobs waiting.
        return Effect.uninterruptibleMask((restore) =>
          Effect.flatMap(
            restore(wait),
            (grant) => Effect.onExit(restore(use(grant)), () => Effect.sync(() => release(grant)))
          )
        )
      })
  }
}

const names: { readonly [K in keyof Capacity]: string } = {
  cpu: "CPU slots",
  gpu: "GPU devices",
  memory: "bytes of memory"
}
