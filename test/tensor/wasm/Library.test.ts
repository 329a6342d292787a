import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Backend } from "../../../src/tensor/Backend.ts"
import * as Compile from "../../../src/tensor/wasm/assembly/compile.ts"
import { binary, sourceDigest } from "../../../src/tensor/wasm/Binary.ts"
import type { WasmBackend } from "../../../src/tensor/wasm/Heap.ts"
import { library } from "../../../src/tensor/wasm/Library.ts"
import { numbers } from "../Parity.ts"

const specifier: string = "assemblyscript/asc"
const compiler = await import(specifier).catch(() => undefined)

/** Runs a function of ours on arrays laid into the heap, and gives them as it left them. */
const call = Effect.fnUntraced(function*(
  arrays: ReadonlyArray<Float32Array>,
  run: (own: NonNullable<ReturnType<typeof library>>, ...addresses: Array<number>) => void
) {
  const { tf } = yield* Backend
  const { wasm } = tf.backend() as unknown as WasmBackend
  const own = library(wasm)
  assert.isDefined(own)
  const addresses = arrays.map((array) => wasm._malloc(Math.max(4, array.byteLength)) >>> 0)
  for (const [at, array] of arrays.entries()) wasm.HEAPF32.set(array, addresses[at]! / 4)
  run(own, ...addresses)
  const found = arrays.map((array, at) => wasm.HEAPF32.slice(addresses[at]! / 4, addresses[at]! / 4 + array.length))
  for (const address of addresses) wasm._free(address)
  return found
}, Effect.provide(Backend.layer("wasm")))

describe("Library", () => {
  it("was compiled from its sources as they are", () => {
    assert.strictEqual(sourceDigest, Compile.sourceDigest(), "run node src/tensor/wasm/assembly/compile.ts")
  })

  it.skipIf(compiler === undefined)("is what its sources compile to", async () => {
    assert.strictEqual(Buffer.from(await Compile.compile(compiler)).toString("base64"), binary)
  })

  it.effect("multiplies parts of larger matrices, and adds", () =>
    Effect.gen(function*() {
      // A 7 by 9 part of rows 20 apart times a 9 by 11 part of rows 15 apart, into rows 13 apart.
      const a = numbers(7 * 20, 1), b = numbers(9 * 15, 2), out = numbers(7 * 13, 3)
      const [, , found] = yield* call([a, b, out], (own, a, b, out) =>
        own.product(a, 20, 0, b, 15, 0, out, 13, 1, 7, 9, 11, own.scratch))
      for (let row = 0; row < 7; row++) {
        for (let column = 0; column < 13; column++) {
          let expected = out[row * 13 + column]!
          // The last two columns lie beside the result and keep what they had.
          for (let k = 0; k < (column < 11 ? 9 : 0); k++) {
            expected += a[row * 20 + k]! * b[k * 15 + column]!
          }
          assert.closeTo(found![row * 13 + column]!, expected, 1e-6, `row ${row}, column ${column}`)
        }
      }
    }))

  it.effect("computes GELU to float32's precision over its whole range", () =>
    Effect.gen(function*() {
      const x = Float32Array.from({ length: 4003 }, (_, at) => (at - 2000) / 100)
      const [, found] = yield* call([x, x], (own, x, y) => own.gelu(x, y, 4003))
      for (const [at, value] of x.entries()) {
        const u = Math.sqrt(2 / Math.PI) * (value + 0.044715 * value ** 3)
        // x sigmoid(2 u), in which nothing cancels.
        const expected = value / (1 + Math.exp(-2 * u))
        // The exponential's argument is rounded to float32, which moves its value by that much times the argument.
        const relative = 1e-6 + 2 * Math.abs(u) * 2 ** -22
        assert.closeTo(found![at]!, expected, relative * Math.abs(expected) + 1e-36, `x = ${value}`)
      }
    }))

  it.effect("passes NaN on and overflows to infinity", () =>
    Effect.gen(function*() {
      const x = Float32Array.of(Number.NaN, 1, 1, 1, Number.NaN, Number.POSITIVE_INFINITY)
      const [, found] = yield* call([x, x], (own, x, y) => own.gelu(x, y, 6))
      assert.deepStrictEqual(Array.from(found!, (value) => Number.isNaN(value)), [
        true,
        false,
        false,
        false,
        true,
        false
      ])
      assert.strictEqual(found![5], Number.POSITIVE_INFINITY)
    }))
})
