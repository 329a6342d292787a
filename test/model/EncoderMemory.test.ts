import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { defaults } from "../../src/finetune/Hyperparameters.ts"
import * as Memory from "../../src/finetune/Memory.ts"
import * as Optimizer from "../../src/finetune/Optimizer.ts"
import * as Step from "../../src/finetune/Step.ts"
import { type Head, initialize, type Model } from "../../src/model/Architecture.ts"
import * as Examples from "../../src/model/Examples.ts"
import * as Family from "../../src/model/Family.ts"
import * as ModelMemory from "../../src/model/Memory.ts"
import * as Weights from "../../src/model/Weights.ts"
import * as Random from "../../src/random/Random.ts"
import { Backend, type Tf } from "../../src/tensor/Backend.ts"
import * as Heap from "../../src/tensor/wasm/Heap.ts"
import * as Kernels from "../../src/tensor/wasm/Kernels.ts"
import * as Reference from "./Reference.ts"

const heapOf = (tf: Tf) => (tf.backend() as unknown as Heap.WasmBackend).wasm

interface Shape {
  readonly family: "bert" | "roberta" | "distilbert"
  readonly head: Head
  readonly activation: string
  readonly width: number
  readonly layers: number
  readonly heads: number
  readonly vocabulary: number
  readonly batch: number
  readonly time: number
  readonly dropout: number
  readonly recompute: boolean
}

/** Shapes whose step takes some milliseconds, and a megabyte at least. */
const shapes = (count: number): ReadonlyArray<Shape> => {
  const random = Random.make(3, "shapes of encoders")
  const choose = <A>(...from: ReadonlyArray<A>): A => from[random.integer(from.length)]!
  return Array.from({ length: count }, (): Shape => ({
    family: choose("bert", "roberta", "distilbert"),
    head: choose("sequence-classification", "token-classification"),
    activation: choose("gelu", "gelu", "gelu_new", "relu"),
    width: choose(48, 64, 96),
    layers: choose(1, 2, 4),
    heads: choose(1, 2, 4),
    vocabulary: choose(500, 1000, 8000),
    batch: choose(3, 8, 16),
    time: choose(20, 48, 100),
    dropout: choose(0, 0.1),
    recompute: choose(false, false, true)
  }))
}

const modelOf = ({ activation, family, head, heads, layers, time, vocabulary, width }: Shape) => {
  const config = {
    model_type: family,
    vocab_size: vocabulary,
    max_position_embeddings: time + 2,
    id2label: { 0: "a", 1: "b", 2: "c" },
    ...(family === "distilbert"
      ? { dim: width, n_layers: layers, n_heads: heads, hidden_dim: 4 * width, activation }
      : {
        hidden_size: width,
        num_hidden_layers: layers,
        num_attention_heads: heads,
        intermediate_size: 4 * width,
        hidden_act: activation
      })
  }
  return Effect.flatMap(Family.withHead(config, head), Family.model)
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

describe("the estimate of an encoder's memory", () => {
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
