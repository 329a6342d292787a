/**
 * CPU slots, GPU devices and memory that stage runs hold while they run. Where there are GPU devices, a stage that
 * computes with tensors has one of them, or a share of one, without declaring it.
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
  /** How many stages share a device at most, of those that compute with tensors and declare no device. */
  readonly perDevice: number
  /** Bytes. */
  readonly memory: number
}

/** What a stage run was granted. */
export interface Grant {
  /** Numbers of the GPU devices that it computes on. Those it has declared are its own. */
  readonly devices: ReadonlyArray<number>
}

export interface Slots {
  /** Runs an effect while it holds what the job's stage declares. */
  readonly withResources: (
    job: Pick<Job, "stage" | "priority">
  ) => <A, E, R>(use: (grant: Grant) => Effect.Effect<A, E, R>) => Effect.Effect<A, E | ResourcesUnavailable, R>
}

interface Request {
  readonly cpu: number
  readonly memory: number
  /** Whole devices. */
  readonly gpu: number
  /** Whether it takes a share of one device. */
  readonly share: boolean
  readonly priority: number
  readonly resume: (grant: Grant) => void
}

export const make = (capacity: Capacity): Slots => {
  const { perDevice } = capacity
  const free = { cpu: capacity.cpu, memory: capacity.memory }
  /** How many stages more each device has room for. */
  const room = Array.from({ length: capacity.gpu }, () => perDevice)
  const queue: Array<Request> = []

  /** Devices for a request, or `undefined` while they are in use. */
  const devicesFor = ({ gpu, share }: Request): ReadonlyArray<number> | undefined => {
    if (share) {
      const most = Math.max(...room)
      return most === 0 ? undefined : [room.indexOf(most)]
    }
    const idle = room.flatMap((left, device) => left === perDevice ? [device] : [])
    return idle.length < gpu ? undefined : idle.slice(0, gpu)
  }

  const serve = () => {
    for (let next = queue[0]; next !== undefined; next = queue[0]) {
      if (next.cpu > free.cpu || next.memory > free.memory) return
      const devices = devicesFor(next)
      if (devices === undefined) return
      queue.shift()
      free.cpu -= next.cpu
      free.memory -= next.memory
      for (const device of devices) room[device]! -= next.share ? 1 : perDevice
      next.resume({ devices })
    }
  }

  return {
    withResources: ({ priority, stage }) => <A, E, R>(use: (grant: Grant) => Effect.Effect<A, E, R>) =>
      Effect.suspend((): Effect.Effect<A, E | ResourcesUnavailable, R> => {
        const { cpu = 1, gpu = 0, memory = 0, tensors = false } = stage.resources
        const share = tensors && gpu === 0 && capacity.gpu > 0
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
          for (const device of grant.devices) room[device]! += share ? 1 : perDevice
          serve()
        }
        const wait = Effect.callback<Grant>((resume) => {
          let granted: Grant | undefined
          const request: Request = {
            ...wanted,
            share,
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

const names = {
  cpu: "CPU slots",
  gpu: "GPU devices",
  memory: "bytes of memory"
}
