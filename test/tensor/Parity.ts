/** Runs a computation on every backend that is there, watching for leaks, and compares what they found. */
import { assert, vi } from "@effect/vitest"
import { Effect } from "effect"
import * as Backend from "../../src/tensor/Backend.ts"
import type { Tensor, Tf } from "../../src/tensor/Backend.ts"

export interface Values {
  readonly shape: ReadonlyArray<number>
  readonly dtype: string
  readonly values: ReadonlyArray<number>
}

/** Numbers between -1 and 1 that depend on the seed alone. */
export const numbers = (count: number, seed: number): Float32Array => {
  let state = (seed * 2654435761 + 12345) >>> 0
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 31 - 1
  })
}

export const sizeOf = (shape: ReadonlyArray<number>) => shape.reduce((size, extent) => size * extent, 1)

/** A tensor of repeatable numbers. */
export const tensor = (tf: Tf, shape: ReadonlyArray<number>, seed = 1): Tensor =>
  tf.tensor(numbers(sizeOf(shape), seed), [...shape], "float32")

/** Backends that not every machine has. */
const optional = ["webgpu", "tensorflow"] as const

const startsHere = (name: Backend.Name): Effect.Effect<boolean> =>
  Effect.succeed(true).pipe(
    Effect.provide(Backend.Backend.layer(name)),
    Effect.catchTag("BackendUnavailable", ({ reason }) =>
      Effect.sync(() => {
        process.stderr.write(`Skipped on ${name}: ${reason}.\n`)
        return false
      }))
  )

/** Those that start on this machine. Why another does not is printed once a process. */
export const present: ReadonlyArray<(typeof optional)[number]> = await Effect.runPromise(
  Effect.filter(optional, startsHere)
)

// A GPU in software compiles every shader as it is first used, some of them for seconds.
if (present.includes("webgpu")) vi.setConfig({ testTimeout: 240_000 })

export const isPresent = (name: (typeof optional)[number]): boolean => present.includes(name)

/** What there is beside the reference. */
export const everywhere: ReadonlyArray<Backend.Name> = ["wasm", ...present]

/** How far a backend may be from the reference, relative to the largest magnitude. */
export const toleranceOf = (name: Backend.Name): number => name === "wasm" ? 1e-5 : 1e-4

const dataIds = (tf: Tf) => (tf.backend() as unknown as { numDataIds: () => number }).numDataIds()

/** What a computation gives on a backend. Fails if it leaves a tensor, or a buffer in the backend, behind. */
export const on = Effect.fnUntraced(function*(name: Backend.Name, compute: (tf: Tf) => Array<Tensor>) {
  return yield* Effect.gen(function*() {
    const { tf } = yield* Backend.Backend
    const tensorsBefore = tf.memory().numTensors, dataBefore = dataIds(tf)
    const results = tf.tidy(() => compute(tf))
    const found: Array<Values> = []
    for (const result of results) {
      // Not `dataSync`, which a GPU does not have.
      const values = yield* Effect.promise(() => result.data())
      found.push({ shape: result.shape, dtype: result.dtype, values: Array.from(values) })
    }
    tf.dispose(results)
    assert.strictEqual(tf.memory().numTensors, tensorsBefore, `${name}: tensors left behind`)
    assert.strictEqual(dataIds(tf), dataBefore, `${name}: buffers left behind in the backend`)
    return found
  }).pipe(Effect.provide(Backend.Backend.layer(name)))
})

/** Fails unless both agree to `tolerance`, relative to the largest magnitude (and at least to 1). */
export const assertClose = (
  found: ReadonlyArray<Values>,
  expected: ReadonlyArray<Values>,
  tolerance = 1e-5,
  what = ""
): void => {
  assert.strictEqual(found.length, expected.length)
  for (const [index, want] of expected.entries()) {
    const have = found[index]!
    assert.deepStrictEqual(have.shape, want.shape, `${what} result ${index}`)
    assert.strictEqual(have.dtype, want.dtype, `${what} result ${index}`)
    const scale = want.values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1)
    for (const [at, value] of want.values.entries()) {
      const difference = Math.abs(have.values[at]! - value)
      // Written so that a NaN fails.
      if (!(difference <= tolerance * scale)) {
        assert.fail(`${what} result ${index} at ${at}: found ${have.values[at]}, expected ${value}`)
      }
    }
  }
}

const isExact = (name: Backend.Name): Effect.Effect<boolean> =>
  Effect.orDie(
    Backend.Backend.use(({ determinism }) => Effect.succeed(determinism === "exact")).pipe(
      Effect.provide(Backend.Backend.layer(name))
    )
  )

/** The same computation on every backend and on the reference, and on every exact backend twice to the bit. */
export const parity = Effect.fnUntraced(function*(
  compute: (tf: Tf) => Array<Tensor>,
  options: { readonly tolerance?: number; readonly what?: string } = {}
) {
  const expected = yield* on("cpu", compute)
  for (const name of everywhere) {
    const what = `${options.what ?? ""} on ${name}`
    const found = yield* on(name, compute)
    assertClose(found, expected, Math.max(options.tolerance ?? 0, toleranceOf(name)), what)
    if (yield* isExact(name)) assert.deepStrictEqual(yield* on(name, compute), found, `${what} differs between runs`)
  }
})
