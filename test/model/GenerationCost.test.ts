import { assert, layer } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import * as Checkpoint from "../../src/model/Checkpoint.ts"
import * as Generation from "../../src/model/Generation.ts"
import * as Gpt2 from "../../src/model/Gpt2.ts"
import * as Llama from "../../src/model/Llama.ts"
import * as Memory from "../../src/model/Memory.ts"
import * as Sampling from "../../src/model/Sampling.ts"
import * as Tokenizer from "../../src/model/Tokenizer.ts"
import { Backend, type Tf } from "../../src/tensor/Backend.ts"
import * as Heap from "../../src/tensor/wasm/Heap.ts"
import { cleanly, untrained } from "./Generating.ts"

/** The backend with what its products are of written down: the rows of each product with the head. */
const watched = Effect.fnUntraced(function*(rows: Array<number>) {
  const backend = yield* Backend
  const tf: Tf = new Proxy(backend.tf, {
    get: (target, key) => {
      const value = Reflect.get(target, key)
      if (key !== "matMul") return value
      return (...given: Parameters<Tf["matMul"]>) => {
        const [a, b] = given as unknown as [{ shape: Array<number> }, { shape: Array<number> }]
        if (b.shape[0] === 257) rows.push(a.shape[0]!)
        return target.matMul(...given)
      }
    }
  })
  return { ...backend, tf }
})

const heapOf = (tf: Tf) => (tf.backend() as unknown as Heap.WasmBackend).wasm

layer(Backend.layer("wasm"))("what generation costs", (it) => {
  it.effect("nothing for texts that have ended", () =>
    Effect.gen(function*() {
      const checkpoint = yield* untrained()
      const rows: Array<number> = []
      const prompts = Array.from({ length: 8 }, (_, i) => Int32Array.of(40 + i))
      const found = yield* Generation.generate({
        checkpoint,
        prompts,
        sampling: { ...Sampling.greedy, temperature: 1 },
        // An end that comes soon, though not for all at once.
        stopTokens: Array.from({ length: 64 }, (_, id) => 4 * id),
        maximumNewTokens: 30
      }).pipe(Effect.provideServiceEffect(Backend, watched(rows)))
      const lengths = found.map(({ tokens }) => tokens.length)
      assert.isAbove(new Set(lengths).size, 2)
      assert.deepStrictEqual(
        rows,
        Array.from({ length: Math.max(...lengths) }, (_, step) => lengths.filter((length) => length > step).length)
      )
    }))

  it.effect.each(["gpt2", "llama"] as const)(
    "no more memory than was expected, with %s",
    (family) =>
      Effect.gen(function*() {
        const { tf } = yield* Backend
        const shape = { vocabularySize: 257, positions: 400, width: 64, layers: 3, heads: 4 }
        const config = family === "gpt2" ? Gpt2.config(shape) : Llama.config({ ...shape, keyValueHeads: 2 })
        const checkpoint = yield* Checkpoint.untrained(config, Tokenizer.byteLevel(), 1)
        const stopTokens: ReadonlyArray<number> = []
        for (
          const [batch, prompt, maximumNewTokens] of [[4, 300, 20], [16, 8, 120], [16, 60, 60], [1, 20, 300]] as const
        ) {
          const options = {
            checkpoint,
            prompts: Array.from(
              { length: batch },
              (_, i) => Int32Array.from({ length: prompt - i % 3 }, (_, k) => k % 256)
            ),
            maximumNewTokens,
            stopTokens
          }
          const expected = yield* Generation.bytesOf(options)
          const meter = Heap.meter(heapOf(tf))
          yield* Generation.generate(options).pipe(Effect.ensuring(Effect.sync(() => meter.stop())))
          const share = meter.peak() / expected
          assert.isAtMost(share, 1, `${batch} of ${prompt}`)
          assert.isAtLeast(share, 0.4, `${batch} of ${prompt}`)
        }
      })
  )

  it.effect("as little memory as the backend has, in smaller batches, and fails before it starts where that is not enough", () =>
    cleanly(Effect.gen(function*() {
      const checkpoint = yield* untrained()
      const options = {
        checkpoint,
        prompts: Array.from({ length: 12 }, (_, i) => Int32Array.of(40 + i)),
        maximumNewTokens: 40
      }
      const all = yield* Generation.generate(options)
      const alone = yield* Generation.bytesOf({ ...options, batchSize: 1 })
      const limited = (memoryLimit: number, rows: Array<number> = []) =>
        Effect.provideServiceEffect(
          Generation.generate(options),
          Backend,
          Effect.map(watched(rows), (backend) => ({ ...backend, memoryLimit }))
        )
      const rows: Array<number> = []
      assert.deepStrictEqual(yield* limited(alone * 1.5, rows), all)
      assert.isBelow(Math.max(...rows), 12)
      const error = yield* Effect.flip(limited(alone * 0.9))
      assert.strictEqual(error._tag, "DoesNotFit")
      assert.match(error.message, /^Prediction .* the backend "wasm" holds/)
      const small = Effect.provideService(Generation.generate(options), Memory.MachineMemory, 1e6)
      assert.strictEqual((yield* Effect.flip(small))._tag, "DoesNotFit")
    })))

  it.effect("nothing any more once it is interrupted", () =>
    cleanly(Effect.gen(function*() {
      const checkpoint = yield* untrained({ n_positions: 4000, eos_token_id: null })
      const rows: Array<number> = []
      const fiber = yield* Effect.forkChild(
        Generation.generate({
          checkpoint,
          prompts: [Int32Array.of(1), Int32Array.of(2, 3)],
          maximumNewTokens: 3900
        }).pipe(Effect.provideServiceEffect(Backend, watched(rows)))
      )
      while (rows.length < 5) yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      yield* Fiber.interrupt(fiber)
      assert.isTrue(Exit.isFailure(yield* Fiber.await(fiber)))
      assert.isBelow(rows.length, 1000)
    })))
})
