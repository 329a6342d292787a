/**
 * The buffers of the stock backend, with a bound on those that lie idle.
 *
 * The stock manager keeps every buffer for the next tensor of exactly its size, forever: texts of other lengths need
 * buffers of other sizes, so training would take ever more memory.
 */
import type { BufferManager, GpuBuffer, GpuDevice } from "./Gpu.ts"

/** Idle buffers may always take so many bytes. */
const slack = 64 * 2 ** 20

/** All buffers together may take so many times the most that were in use at once. */
const excess = 1.25

interface Kind {
  readonly size: number
  /** By size and usage. */
  readonly key: string
}

export const make = (device: GpuDevice): BufferManager => {
  const used = new Map<GpuBuffer, Kind>()
  /** All idle ones, the one that has been so for longest first. */
  const idle = new Map<GpuBuffer, Kind>()
  /** The same by kind, in the same order. */
  const alike = new Map<string, Array<GpuBuffer>>()
  let usedBytes = 0, idleBytes = 0, peak = 0

  const trim = (limit: number): void => {
    for (const [buffer, { key, size }] of idle) {
      if (usedBytes + idleBytes <= limit) return
      const others = alike.get(key)!
      others.shift()
      if (others.length === 0) alike.delete(key)
      idle.delete(buffer)
      idleBytes -= size
      buffer.destroy()
    }
  }

  return {
    acquireBuffer: (size, usage, mappedAtCreation = false, reuse = true) => {
      const kind = { size, key: `${size} ${usage}` }
      let buffer = reuse ? alike.get(kind.key)?.pop() : undefined
      usedBytes += size
      if (buffer === undefined) {
        peak = Math.max(peak, usedBytes)
        trim(excess * peak + slack)
        buffer = device.createBuffer({ size, usage, mappedAtCreation })
      } else {
        idle.delete(buffer)
        idleBytes -= size
      }
      used.set(buffer, kind)
      return buffer
    },
    releaseBuffer: (buffer, reuse = true) => {
      const kind = used.get(buffer)
      if (kind === undefined) throw new Error("This buffer is not in use.")
      used.delete(buffer)
      usedBytes -= kind.size
      if (!reuse) return buffer.destroy()
      const others = alike.get(kind.key)
      if (others === undefined) alike.set(kind.key, [buffer])
      else others.push(buffer)
      idle.set(buffer, kind)
      idleBytes += kind.size
    },
    get numBytesUsed() {
      return usedBytes
    },
    get numBytesAllocated() {
      return usedBytes + idleBytes
    },
    dispose: () => {
      for (const buffer of [...used.keys(), ...idle.keys()]) buffer.destroy()
      used.clear()
      idle.clear()
      alike.clear()
      usedBytes = idleBytes = 0
    }
  }
}
