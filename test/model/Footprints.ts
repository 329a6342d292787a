/**
 * Holds the estimates of a family's memory to what the wasm heap is measured to hold, over drawn shapes of models and batches.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { defaults } from "../../src/finetune/Hyperparameters.ts"
import * as Memory from "../../src/finetune/Memory.ts"
import * as Optimizer from "../../src/finetune/Optimizer.ts"
import * as Step from "../../src/finetune/Step.ts"
import { type Head, initialize, type Model } from "../../src/model/Architecture.ts"
import * as Examples from "../../src/model/Examples.ts"
import * as ModelMemory from "../../src/model/Memory.ts"
import * as Weights from "../../src/model/Weights.ts"
import * as Random from "../../src/random/Random.ts"
import { Backend, type Tf } from "../../src/tensor/Backend.ts"
import * as Heap from "../../src/tensor/wasm/Heap.ts"
import * as Kernels from "../../src/tensor/wasm/Kernels.ts"
import * as Reference from "./Reference.ts"

/** What every family's shapes have: the rest makes the model. */
export interface Shape {
  readonly head: Head
  readonly vocabulary: number
  readonly batch: number
  readonly time: number
  readonly dropout: number
  readonly recompute: boolean
}

/** One of these, each as likely. */
export type Choose = <A>(...from: ReadonlyArray<A>) => A

/** A batch of texts of unequal lengths, as in training. */
const batchOf = (model: Model, { batch, time, vocabulary }: Shape): Examples.Batch => {
  const examples = Array.from({ length: batch }, (_, row): Examples.Example => {
    const tokens = Int32Array.from(
      { length: row === 0 ? time : time - row % 3 },
      (_, i) => (row * 31 + i * 7) % vocabulary
    )
    return model.head === "token-classification"
      ? { tokens, labels: tokens.map((token) => token % 3) }
      : { tokens, label: row % 3 }
  })
  return Examples.collate(model, examples, Examples.oneEach([...examples.keys()]))
}

/** What was expected of a step of training and of a forward pass, in parts of what they really take. */
const measure = Effect.fnUntraced(function*(tf: Tf, meter: Heap.Meter, model: Model, shape: Shape) {
  const parameters = initialize(model, 1)
  const batch = batchOf(model, shape)
  const before = meter.live()
  const peak = () => meter.peak() - before
  meter.reset()
  const hyperparameters = {
    ...defaults,
    dropout: shape.dropout,
    gradientCheckpointing: shape.recompute,
    maxGradientNorm: 1e-3
  }
  const stepper = Step.make(tf, { model, parameters, totalSteps: 10, hyperparameters })
  yield* Effect.promise(() => stepper.take([batch], 0))
  yield* Effect.promise(() => stepper.take([batch], 1))
  const training = peak()
  stepper.dispose()

  meter.reset()
  const uploaded = Reference.upload(tf, parameters)
  const held = meter.live() - before
  const weights = Weights.make(tf, model, uploaded)
  tf.tidy(() => void model.logits(tf, weights, model.hidden(tf, weights, batch, { rows: batch.rows })))
  const forward = peak() - held
  tf.dispose([...uploaded.values()])
  assert.strictEqual(meter.live(), before)

  const extent = { batch: batch.batch, time: batch.time, rows: batch.rows.length }
  const options = {
    dropout: shape.dropout > 0,
    recompute: shape.recompute,
    targets: model.parameters.map(Optimizer.target),
    optimizer: Optimizer.defaultsOf("adamw"),
    accumulates: false,
    averages: false,
    ...Memory.fusedOn(tf)
  }
  return {
    training: Memory.peakBytes(model, extent, options) / training,
    forward: ModelMemory.forwardBytes(model, extent, options.fused) / forward
  }
})

/** The backend without the fused kernels, for as long as the effect runs. */
const composed = <A, E, R>(tf: Tf, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      Kernels.uninstall(tf)
      Kernels.install(tf, { relaxedSimd: false })
    }),
    () => effect,
    () =>
      Effect.sync(() => {
        Kernels.uninstall(tf)
        Kernels.install(tf)
      })
  )

export interface Options<S extends Shape, E> {
  /** What draws the shapes. */
  readonly random: Random.Random
  /** A shape whose step takes some milliseconds, and a megabyte at least. */
  readonly shape: (choose: Choose) => S
  readonly modelOf: (shape: S) => Effect.Effect<Model, E>
  /** How many shapes are tried with fused operations. */
  readonly fused: number
  /** How many of them are tried with composed ones, which take longer. */
  readonly composed: number
}

/** The tests of a family, named after it: `family` completes "the estimate of … memory". */
export const tests = <S extends Shape, E>(family: string, options: Options<S, E>): void => {
  const choose: Choose = (...from) => from[options.random.integer(from.length)]!
  const shapes = Array.from({ length: Math.max(options.fused, options.composed) }, () => options.shape(choose))

  /** Fails unless the estimates are what is measured, or no more than so many times that. */
  const expectWithin = Effect.fnUntraced(
    function*(tf: Tf, shapes: ReadonlyArray<S>, most: { readonly training: number; readonly forward: number }) {
      const heap = (tf.backend() as unknown as Heap.WasmBackend).wasm
      // The composed products keep some bytes for good once they are used.
      Heap.scratch(heap)
      const meter = Heap.meter(heap)
      for (const shape of shapes) {
        const found = yield* measure(tf, meter, yield* options.modelOf(shape), shape)
        const about = JSON.stringify({ ...shape, ...found })
        assert.isAtLeast(found.training, 1, about)
        assert.isAtMost(found.training, most.training, about)
        assert.isAtLeast(found.forward, 1, about)
        assert.isAtMost(found.forward, most.forward, about)
      }
      meter.stop()
    }
  )

  describe(`the estimate of ${family} memory`, () => {
    it.effect("is what is measured, or little more, with fused operations", () =>
      Effect.gen(function*() {
        const { tf } = yield* Backend
        yield* expectWithin(tf, shapes.slice(0, options.fused), { training: 1.25, forward: 1.4 })
      }).pipe(Effect.provide(Backend.layer("wasm"))))

    it.effect("is what is measured, or little more, with composed operations", () =>
      Effect.gen(function*() {
        const { tf } = yield* Backend
        yield* composed(tf, expectWithin(tf, shapes.slice(0, options.composed), { training: 1.5, forward: 1.4 }))
      }).pipe(Effect.provide(Backend.layer("wasm"))))
  })
}
