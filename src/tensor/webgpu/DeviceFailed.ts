/**
 * Failures of a GPU, which WebGPU keeps to itself: a command that is refused, or that finds no memory, leaves zeros.
 */
import * as Schema from "effect/Schema"
import { setImmediate } from "node:timers/promises"
import type { ErrorFilter, GpuDevice, WebgpuBackend } from "./Gpu.ts"

/** Something that a result depends on was refused by the GPU or its driver. */
export class DeviceFailed extends Schema.TaggedError<DeviceFailed>()("DeviceFailed", {
  device: Schema.String,
  /**
   * `out-of-memory`: a buffer found no place, or is larger than the device lets any be. `lost`: the device answers no
   * longer, and nothing on it can be had back.
   */
  kind: Schema.Literals(["out-of-memory", "validation", "internal", "lost"]),
  /** In the words of Dawn. */
  reason: Schema.String
}) {
  override get message(): string {
    const advice = {
      "out-of-memory": "A smaller batch or shorter texts need less memory.",
      validation: "",
      internal: "",
      lost: "Another program may have taken the GPU's memory, or its driver was reset; start again."
    }[this.kind]
    return `The GPU "${this.device}" failed (${this.kind}): ${this.reason}. ${advice}`.trim()
  }
}

const oneLine = (text: string): string => text.trim().replaceAll(/\s*\n\s*/g, " ").replace(/\.$/, "")

/** What Dawn says of buffers beyond the device's limits, which it counts among invalid commands. */
const tooLarge = /(larger than|exceeds) the max(imum)? (storage |uniform )?buffer (binding )?size/i

const filters: ReadonlyArray<ErrorFilter> = ["validation", "out-of-memory", "internal"]

const open = (device: GpuDevice): void => {
  for (const filter of filters) device.pushErrorScope(filter)
}

/** Closes the scopes and opens others at once: what failed while they were open, the lack of memory first. */
const turnOver = async (device: GpuDevice, name: string): Promise<DeviceFailed | undefined> => {
  const closed = filters.toReversed().map((kind) => ({ kind, error: device.popErrorScope() }))
  open(device)
  let found: DeviceFailed | undefined
  for (const { error, kind } of closed) {
    // A lost device has nothing more to say here; the read says that it is lost.
    const caught = await error.catch(() => undefined)
    if (caught === null || caught === undefined || found?.kind === "out-of-memory") continue
    const { message } = caught
    found = new DeviceFailed({
      device: name,
      kind: tooLarge.test(message) ? "out-of-memory" : kind,
      reason: oneLine(message)
    })
  }
  return found
}

/** Tensors by the numbers of their data, which only grow: those made from one moment to another. */
interface Suspects {
  readonly from: number
  readonly to: number
  readonly failed: DeviceFailed
}

export interface Guard {
  readonly isLost: () => boolean
  /** Forgets what was refused and nobody has asked about, so that whoever comes next does not hear of it. */
  readonly forget: () => Promise<void>
}

/**
 * Makes reads fail with {@link DeviceFailed} when anything was refused since the last read, and ever after for tensors that
 * were made in that time; all of them once the device is lost.
 */
export const guard = (backend: WebgpuBackend, name: string): Guard => {
  const { device } = backend
  let lost: DeviceFailed | undefined
  void device.lost.then(({ message, reason }) => {
    lost = new DeviceFailed({ device: name, kind: "lost", reason: oneLine(message === "" ? reason : message) })
  })
  open(device)

  const suspects: Array<Suspects> = []
  let checkedUpTo = backend.nextDataId()
  /** Whether anything was refused since this was last asked. */
  const check = async (): Promise<DeviceFailed | undefined> => {
    const from = checkedUpTo
    checkedUpTo = backend.nextDataId()
    const failed = await turnOver(device, name)
    // What was computed until now may have been computed from it.
    if (failed !== undefined) suspects.push({ from, to: backend.nextDataId(), failed })
    return failed
  }

  const read = backend.read.bind(backend)
  let last: Promise<DeviceFailed | undefined> = Promise.resolve(undefined)
  backend.read = async (dataId) => {
    const suspect = suspects.find(({ from, to }) => from <= dataId.id && dataId.id < to)
    if (suspect !== undefined) throw suspect.failed
    // Numbers that are on the CPU cannot have failed.
    if (backend.tensorMap.get(dataId)?.values != null) return read(dataId)
    const values = read(dataId)
    // Reads that overlap depend on the same commands, so what one of them finds is also the next one's.
    const before = last, own = check()
    const both = Promise.all([before, own]).then(([earlier, found]) => found ?? earlier)
    last = both
    const [result] = await Promise.allSettled([values])
    const failed = await both
    // Word of a lost device may come after the reads that it fails.
    if (result.status === "rejected") await setImmediate()
    // A read that starts when no other is under way starts with a clean slate.
    if (last === both) last = Promise.resolve(undefined)
    if (lost !== undefined) throw lost
    if (failed !== undefined) throw failed
    if (result.status === "rejected") throw result.reason
    return result.value
  }
  const readSync = backend.readSync.bind(backend)
  backend.readSync = (dataId) => {
    if (backend.tensorMap.get(dataId)?.values != null) return readSync(dataId)
    throw new Error("webgpu cannot read a tensor synchronously; await its `data()`")
  }
  return {
    isLost: () => lost !== undefined,
    forget: async () => {
      // What is recorded is refused only as it is submitted.
      backend.ensureCommandEncoderReady()
      backend.endComputePassEncoder()
      backend.submitQueue()
      await check()
    }
  }
}
