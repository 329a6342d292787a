import { assert, describe, it, layer, type Vitest } from "@effect/vitest"
import { Effect } from "effect"
import type { TokenBatch } from "../../src/model/Architecture.ts"
import * as GrowingCache from "../../src/model/GrowingCache.ts"
import * as Weights from "../../src/model/Weights.ts"
import { Backend, type Tf } from "../../src/tensor/Backend.ts"
import { everywhere } from "../tensor/Parity.ts"
import * as Reference from "./Reference.ts"

const families = ["gpt2", "llama", "llama3-rope-tied", "qwen2", "qwen3"] as const

/** Texts padded on the right to the longest. */
const padded = (texts: ReadonlyArray<ArrayLike<number>>): TokenBatch => {
  const time = Math.max(...texts.map(({ length }) => length))
  const inputIds = new Int32Array(texts.length * time)
  for (const [row, text] of texts.entries()) inputIds.set(Array.from(text), row * time)
  return { batch: texts.length, time, inputIds, lengths: Int32Array.from(texts, ({ length }) => length) }
}

/** A model on a backend, to be asked for logits. */
const open = Effect.fnUntraced(function*(name: string) {
  const reference = yield* Reference.load(name)
  const { model } = reference
  const { tf } = yield* Backend
  const uploaded = yield* Effect.acquireRelease(
    Effect.sync(() => Reference.upload(tf, reference.checkpoint.tensors)),
    (tensors) => Effect.sync(() => tf.dispose([...tensors.values()]))
  )
  const weights = Weights.make(tf, model, uploaded)
  /** The logits of each position, by row and column. */
  const logits = (batch: TokenBatch, cache?: GrowingCache.GrowingCache) =>
    Effect.map(
      Reference.read(tf, () => {
        const hidden = model.hidden(tf, weights, batch, cache === undefined ? {} : { cache })
        return [model.logits(tf, weights, hidden)]
      }),
      ([flat]) => {
        cache?.advance(batch.lengths)
        return (row: number, column: number) => {
          const start = (row * batch.time + column) * model.outputs
          return flat!.subarray(start, start + model.outputs)
        }
      }
    )
  const makeCache = (batch: number) =>
    Effect.acquireRelease(
      Effect.sync(() => GrowingCache.make(tf, { batch, layers: model.layers })),
      (cache) => Effect.sync(() => cache.dispose())
    )
  return { ...reference, tf, logits, makeCache }
})

/** Nothing stays on the backend. */
const cleanly = <E, R>(effect: Effect.Effect<void, E, R>) =>
  Effect.gen(function*() {
    const { tf } = yield* Backend
    const before = tf.memory().numTensors
    yield* Effect.scoped(effect)
    assert.strictEqual(tf.memory().numTensors, before, "tensors left behind")
  })

const caches = (it: Vitest.MethodsNonLive<Backend>) => {
  it.effect.each(families)(
    "gives the logits of the whole text, however it comes, with %s",
    (name) =>
      cleanly(Effect.gen(function*() {
        const { logits, makeCache, trainBatch } = yield* open(name)
        const { inputIds, time } = trainBatch(0)
        const texts = [0, 1, 2].map((row) => inputIds.subarray(row * time, row * time + 24))
        const whole = yield* logits(padded(texts))
        const cache = yield* makeCache(3)
        // Prompts of unequal lengths, a few tokens a row, then one at a time, and a row that is finished before the others.
        const steps = [[5, 9, 3], [3, 1, 4], [1, 1, 1], [1, 1, 1], [0, 1, 1], [1, 1, 2], [1, 1, 1]]
        let rows = [0, 1, 2]
        const at = [0, 0, 0]
        for (const [step, lengths] of steps.entries()) {
          if (step === 5) {
            rows = [2, 0]
            cache.keep(rows)
            assert.strictEqual(cache.batch, 2)
          }
          const parts = rows.map((row) => texts[row]!.subarray(at[row]!, at[row]! + lengths[row]!))
          const found = yield* logits(padded(parts), cache)
          for (const [index, row] of rows.entries()) {
            for (let column = 0; column < lengths[row]!; column++) {
              const difference = Reference.relative(found(index, column), whole(row, at[row]! + column))
              assert.isAtMost(difference, 1e-5, `${name}, step ${step}, row ${row}, token ${at[row]! + column}`)
            }
            at[row]! += lengths[row]!
          }
          assert.deepStrictEqual(Array.from(cache.lengths), rows.map((row) => at[row]))
        }
      }))
  )

  it.effect.each(families)(
    "generates greedily, token for token, what transformers generates with %s",
    (name) =>
      cleanly(Effect.gen(function*() {
        const { integer, logits, makeCache } = yield* open(name)
        const expected = Array.from(integer("generated"))
        const cache = yield* makeCache(1)
        const tokens = expected.slice(0, 8)
        let fresh = tokens
        while (tokens.length < expected.length) {
          const found = (yield* logits(padded([fresh]), cache))(0, fresh.length - 1)
          const next = found.indexOf(Math.max(...found))
          tokens.push(next)
          fresh = [next]
        }
        assert.deepStrictEqual(tokens, expected)
        assert.strictEqual(cache.time, expected.length - 1)
      }))
  )

  it.effect("gives the rows asked for alone, as generation asks for the last of each prompt", () =>
    cleanly(Effect.gen(function*() {
      const { checkpoint, input, model, tf } = yield* open("qwen3")
      const rows = Int32Array.from(input.lengths, (length, row) => row * input.time + length - 1)
      const [all, some] = yield* Reference.read(tf, () => {
        const weights = Weights.make(tf, model, Reference.upload(tf, checkpoint.tensors))
        return [undefined, rows].map((rows) => {
          const cache = GrowingCache.make(tf, { batch: input.batch, layers: model.layers })
          const found = model.hidden(tf, weights, input, rows === undefined ? { cache } : { cache, rows })
          cache.dispose()
          return found
        })
      })
      const width = some!.length / rows.length
      for (const [index, row] of rows.entries()) {
        const expected = all!.subarray(row * width, (row + 1) * width)
        assert.isAtMost(Reference.relative(some!.subarray(index * width, (index + 1) * width), expected), 1e-6)
      }
    })))
}

for (const name of everywhere) layer(Backend.layer(name))(`a cache of keys and values on ${name}`, caches)

describe("a cache of keys and values", () => {
  const pair = (
    tf: Tf,
    columns: number,
    batch = 2
  ) => [tf.ones([batch, 1, columns, 4]), tf.ones([batch, 1, columns, 4])]

  it.effect("tells where tokens are", () =>
    cleanly(Effect.gen(function*() {
      const { tf } = yield* Backend
      tf.tidy(() => {
        const cache = GrowingCache.make(tf, { batch: 2, layers: 1 })
        assert.deepStrictEqual([cache.time, ...cache.lengths], [0, 0, 0])
        const [keys, values] = pair(tf, 3)
        assert.deepStrictEqual(cache.extend(0, keys!, values!).keys.shape, [2, 1, 3, 4])
        cache.advance([3, 1])
        assert.deepStrictEqual(Array.from(cache.held), [1, 1, 1, 1, 0, 0])
        const [moreKeys, moreValues] = pair(tf, 1)
        assert.deepStrictEqual(cache.extend(0, moreKeys!, moreValues!).values.shape, [2, 1, 4, 4])
        cache.advance([1, 1])
        assert.deepStrictEqual(Array.from(cache.held), [1, 1, 1, 1, 1, 0, 0, 1])
        assert.deepStrictEqual([cache.time, ...cache.lengths], [4, 4, 2])
        cache.keep([1])
        assert.deepStrictEqual(Array.from(cache.held), [1, 0, 0, 1])
        assert.deepStrictEqual([cache.batch, ...cache.lengths], [1, 2])
        cache.dispose()
      })
    })).pipe(Effect.provide(Backend.layer("wasm"))))

  it.effect("refuses what would make it forget or invent tokens", () =>
    cleanly(Effect.gen(function*() {
      const { tf } = yield* Backend
      tf.tidy(() => {
        const cache = GrowingCache.make(tf, { batch: 2, layers: 2 })
        const [keys, values] = pair(tf, 3)
        assert.throws(() => cache.advance([0, 0]), /after a forward pass through all layers/)
        cache.extend(0, keys!, values!)
        assert.throws(() => cache.extend(0, keys!, values!), /extended twice/)
        assert.throws(() => cache.advance([3, 3]), /after a forward pass through all layers/)
        cache.extend(1, keys!, values!)
        assert.throws(() => cache.advance([4, 1]), /3 columns for 2 rows, and not \[4, 1\]/)
        assert.throws(() => cache.advance([1]), RangeError)
        assert.throws(() => cache.extend(2, keys!, values!), /2 layers and no layer 2/)
        cache.advance([3, 2])
        assert.throws(() => cache.keep([0, 2]), /2 rows and no row 2/)
        cache.dispose()
      })
    })).pipe(Effect.provide(Backend.layer("wasm"))))
})
