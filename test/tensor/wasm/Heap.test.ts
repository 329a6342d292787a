import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Backend } from "../../../src/tensor/Backend.ts"
import * as Heap from "../../../src/tensor/wasm/Heap.ts"

describe("the wasm heap", () => {
  it.effect("refuses what it has no room for, and goes on", () =>
    Effect.gen(function*() {
      const { tf } = yield* Backend
      const backend = tf.backend() as unknown as Heap.WasmBackend
      // Reserved, never written: no memory is used for it.
      const large = backend.makeOutput([2 ** 29], "float32")
      const refused = /no room for \d+ more bytes: it ends at 4 GiB/
      assert.throws(() => backend.makeOutput([2 ** 29], "float32"), RangeError, refused)
      // In 32 bits this size is 0.
      assert.throws(() => backend.makeOutput([2 ** 30], "float32"), RangeError, refused)
      backend.disposeData(large.dataId)
      assert.strictEqual(tf.tidy(() => tf.sum(tf.ones([100])).dataSync()[0]), 100)
    }).pipe(Effect.provide(Backend.layer("wasm"))))

  it.effect("frees what a kernel had made so far when it had no room for the rest", () =>
    Effect.gen(function*() {
      const { tf } = yield* Backend
      const backend = tf.backend() as unknown as Heap.WasmBackend
      const whole = tf.zeros([3, 2 ** 18])
      const blocks: Array<number> = [], hole = Heap.allocate(backend.wasm, 1.5 * 2 ** 20)
      for (let bytes = 2 ** 30; bytes >= 2 ** 12;) {
        try {
          blocks.push(Heap.allocate(backend.wasm, bytes))
        } catch {
          bytes /= 2
        }
      }
      backend.wasm._free(hole)
      const meter = Heap.meter(backend.wasm), buffers = backend.numDataIds()
      // There is room for the first of three parts.
      assert.throws(() => tf.split(whole, 3), Heap.HeapFull)
      assert.strictEqual(meter.peak(), 2 ** 20)
      assert.strictEqual(meter.live(), 0)
      assert.strictEqual(backend.numDataIds(), buffers)
      meter.stop()
      for (const block of blocks) backend.wasm._free(block)
      assert.strictEqual(tf.tidy(() => tf.split(whole, 3).length), 3)
      whole.dispose()
    }).pipe(Effect.provide(Backend.layer("wasm"))))
})
