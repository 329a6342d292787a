import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Buffers from "../../../src/tensor/webgpu/Buffers.ts"
import type { GpuBuffer, GpuDevice } from "../../../src/tensor/webgpu/Gpu.ts"

interface Fake extends GpuBuffer {
  destroyed: boolean
}

/** A device that has nothing but buffers, and knows which of them live. */
const fake = () => {
  const live = new Set<Fake>()
  const device = {
    createBuffer: ({ size, usage }: { readonly size: number; readonly usage: number }) => {
      const buffer: Fake = {
        size,
        usage,
        destroyed: false,
        destroy: () => {
          buffer.destroyed = true
          live.delete(buffer)
        }
      }
      live.add(buffer)
      return buffer
    }
  } as unknown as GpuDevice
  const bytes = () => Array.from(live).reduce((sum, { size }) => sum + size, 0)
  return { device, live, bytes }
}

const mebibyte = 2 ** 20

/** Take a buffer of so many MiB, or, below 0, give back one of those taken. */
const Moves = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: -30, maximum: 30 })))

describe("Buffers", () => {
  it.prop("never hand out what is in use or gone, and keep little that lies idle", [Moves], ([moves]) => {
    const { bytes, device } = fake()
    const buffers = Buffers.make(device)
    const taken: Array<Fake> = []
    let used = 0, peak = 0
    for (const move of moves) {
      if (move > 0) {
        const size = move * mebibyte, usage = 1 + move % 2
        const buffer = buffers.acquireBuffer(size, usage) as Fake
        assert.deepStrictEqual([buffer.size, buffer.usage, buffer.destroyed], [size, usage, false])
        assert.notInclude(taken, buffer)
        taken.push(buffer)
        used += size
        peak = Math.max(peak, used)
      } else if (taken.length > 0) {
        const [buffer] = taken.splice(-move % taken.length, 1)
        buffers.releaseBuffer(buffer!)
        used -= buffer!.size
      }
      assert.deepStrictEqual([buffers.numBytesUsed, buffers.numBytesAllocated], [used, bytes()])
      assert.isAtMost(bytes(), 1.25 * peak + 64 * mebibyte)
    }
  })

  it("use one again for the next of its size and usage", () => {
    const { device } = fake()
    const buffers = Buffers.make(device)
    const first = buffers.acquireBuffer(1024, 3)
    buffers.releaseBuffer(first)
    assert.notStrictEqual(buffers.acquireBuffer(1024, 4), first)
    assert.strictEqual(buffers.acquireBuffer(1024, 3), first)
    assert.notStrictEqual(buffers.acquireBuffer(1024, 3), first)
  })

  it("stay within bounds where every size comes but once", () => {
    const { bytes, device } = fake()
    const buffers = Buffers.make(device)
    for (let length = 1; length <= 1000; length++) {
      const buffer = buffers.acquireBuffer(mebibyte + 4 * length, 3)
      buffers.releaseBuffer(buffer)
    }
    assert.isAtMost(bytes(), 70 * mebibyte)
  })

  it("give up at once what is not to be used again, and everything in the end", () => {
    const { device, live } = fake()
    const buffers = Buffers.make(device)
    const kept = buffers.acquireBuffer(16, 1), gone = buffers.acquireBuffer(16, 1)
    buffers.releaseBuffer(gone, false)
    assert.deepStrictEqual(Array.from(live), [kept])
    assert.throws(() => buffers.releaseBuffer(gone), /not in use/)
    buffers.releaseBuffer(buffers.acquireBuffer(32, 1))
    buffers.dispose()
    assert.strictEqual(live.size, 0)
  })
})
