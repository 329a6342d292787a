import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Backend } from "../../../src/tensor/Backend.ts"
import type { WasmBackend } from "../../../src/tensor/wasm/Heap.ts"

describe("the wasm heap", () => {
  it.effect("refuses what it has no room for, and goes on", () =>
    Effect.gen(function*() {
      const { tf } = yield* Backend
      const backend = tf.backend() as unknown as WasmBackend
      // Reserved, never written: no memory is used for it.
      const large = backend.makeOutput([2 ** 29], "float32")
      const refused = /no room for \d+ more bytes: it ends at 4 GiB/
      assert.throws(() => backend.makeOutput([2 ** 29], "float32"), RangeError, refused)
      // In 32 bits this size is 0.
      assert.throws(() => backend.makeOutput([2 ** 30], "float32"), RangeError, refused)
      backend.disposeData(large.dataId)
      assert.strictEqual(tf.tidy(() => tf.sum(tf.ones([100])).dataSync()[0]), 100)
    }).pipe(Effect.provide(Backend.layer("wasm"))))
})
