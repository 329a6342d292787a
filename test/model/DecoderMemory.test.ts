import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { defaults } from "../../src/finetune/Hyperparameters.ts"
import * as Memory from "../../src/finetune/Memory.ts"
import * as Optimizer from "../../src/finetune/Optimizer.ts"
import * as Step from "../../src/finetune/Step.ts"
import { type Head, initialize, type Model } from "../../src/model/Architecture.ts"
import * as Examples from "../../src/model/Examples.ts"
import * as Llama from "../../src/model/Llama.ts"
import * as ModelMemory from "../../src/model/Memory.ts"
import * as Qwen3 from "../../src/model/Qwen3.ts"
import * as Weights from "../../src/model/Weights.ts"
import * as Random from "../../src/random/Random.ts"
import { Backend, type Tf } from "../../src/tensor/Backend.ts"
import * as Heap from "../../src/tensor/wasm/Heap.ts"
import * as Kernels from "../../src/tensor/wasm/Kernels.ts"
import * as Reference from "./Reference.ts"

const heapOf = (tf: Tf) => (tf.backend() as unknown as Heap.WasmBackend).wasm

interface Shape {
  readonly head: Head
  readonly width: number
  readonly layers: number
  readonly heads: readonly [queries: number, keys: number]
  readonly headNorms: boolean
  readonly untied: boolean
  readonly vocabulary: number
  readonly batch: number
  readonly time: number
  readonly dropout: number
  readonly recompute: boolean
}

/** Shapes whose step takes some milliseconds, and a megabyte at least. */
const shapes = (count: number): ReadonlyArray<Shape> => {
  const random = Random.make(2, "shapes of decoders")
  const choose = <A>(...from: ReadonlyArray<A>): A => from[random.integer(from.length)]!
  return Array.from({ length: count }, (): Shape => ({
    head: choose("sequence-classification", "causal-language-modeling", "token-classification"),
    width: choose(32, 64, 96),
    layers: choose(1, 2, 4),
    heads: choose([4, 2], [4, 4], [4, 1], [2, 1]),
    headNorms: choose(false, false, true),
    untied: choose(true, false),
    vocabulary: choose(256, 1000, 8000),
    batch: choose(2, 3, 8, 16),
    time: choose(16, 24, 48, 100),
    dropout: choose(0, 0.1),
    recompute: choose(false, false, true)
  }))
}

const modelOf = (
  { head, headNorms, heads: [heads, keyValueHeads], layers, time, untied, vocabulary, width }: Shape
) => {
  const shape = { vocabularySize: vocabulary, positions: time, width, layers, heads, keyValueHeads, untied }
  return (headNorms ? Qwen3 : Llama).family.make({ ...Llama.config(shape), num_labels: 3 }, head)
}

/** A batch of texts of unequal lengths, as in training. */
const batchOf = (model: Model, { batch, time, vocabulary }: Shape) => {
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

/** What a step of training and a forward pass really take, and what was expected of them. */
const measure = Effect.fnUntraced(function*(tf: Tf, meter: Heap.Meter, shape: Shape) {
  const model = yield* modelOf(shape)
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

describe("the estimate of a decoder's memory", () => {
  for (const kernels of ["fused", "composed"] as const) {
    it.effect(`is what is measured, or little more, with ${kernels} operations`, () =>
      Effect.gen(function*() {
        const { tf } = yield* Backend
        if (kernels === "composed") {
          Kernels.uninstall(tf)
          Kernels.install(tf, { relaxedSimd: false })
        }
        // The composed products keep some bytes for good once they are used.
        Heap.scratch(heapOf(tf))
        const meter = Heap.meter(heapOf(tf))
        const most = kernels === "fused" ? { training: 1.25, forward: 1.4 } : { training: 1.5, forward: 1.4 }
        for (const shape of shapes(kernels === "fused" ? 40 : 12)) {
          const found = yield* measure(tf, meter, shape)
          const about = JSON.stringify({ ...shape, ...found })
          assert.isAtLeast(found.training, 1, about)
          assert.isAtMost(found.training, most.training, about)
          assert.isAtLeast(found.forward, 1, about)
          assert.isAtMost(found.forward, most.forward, about)
        }
        meter.stop()
        if (kernels === "composed") {
          Kernels.uninstall(tf)
          Kernels.install(tf)
        }
      }).pipe(Effect.provide(Backend.layer("wasm"))))
  }
})
