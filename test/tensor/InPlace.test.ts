import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Backend } from "../../src/tensor/Backend.ts"
import * as InPlace from "../../src/tensor/InPlace.ts"
import { addressOf, type WasmBackend } from "../../src/tensor/wasm/Heap.ts"

describe("assign", () => {
  for (const name of ["wasm", "cpu"] as const) {
    it.effect(`gives a tensor other numbers and keeps one of the two on ${name}`, () =>
      Effect.gen(function*() {
        const { tf } = yield* Backend
        const before = tf.memory().numTensors
        const target = tf.tensor2d([[1, 2], [3, 4], [5, 6]]), neighbour = tf.tensor1d([7, 8])
        const shared = tf.reshape(target, [6])
        const address = name === "wasm" ? addressOf(tf.backend() as unknown as WasmBackend, target) : 0
        const kept = InPlace.assign(tf, target, tf.tensor2d([[-1, -2], [-3, -4], [-5, -6]]))
        assert.deepStrictEqual(Array.from(kept.dataSync()), [-1, -2, -3, -4, -5, -6])
        assert.deepStrictEqual(kept.shape, [3, 2])
        assert.deepStrictEqual(Array.from(neighbour.dataSync()), [7, 8])
        assert.strictEqual(tf.memory().numTensors, before + 3)
        if (name === "wasm") {
          assert.strictEqual(addressOf(tf.backend() as unknown as WasmBackend, kept), address)
          assert.deepStrictEqual(Array.from(shared.dataSync()), [-1, -2, -3, -4, -5, -6])
        }
        tf.dispose([kept, shared, neighbour])
        assert.strictEqual(tf.memory().numTensors, before)
      }).pipe(Effect.provide(Backend.layer(name))))
  }
})
