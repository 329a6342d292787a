import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as Predict from "../../src/evaluate/Predict.ts"
import { adapterOf, defaults, type Hyperparameters } from "../../src/finetune/Hyperparameters.ts"
import * as Memory from "../../src/finetune/Memory.ts"
import * as Optimizer from "../../src/finetune/Optimizer.ts"
import * as Step from "../../src/finetune/Step.ts"
import * as Trained from "../../src/finetune/Trained.ts"
import * as Trainer from "../../src/finetune/Trainer.ts"
import * as Adapter from "../../src/model/Adapter.ts"
import { type Head, initialize, type Model } from "../../src/model/Architecture.ts"
import * as Checkpoint from "../../src/model/Checkpoint.ts"
import * as Examples from "../../src/model/Examples.ts"
import * as Gpt2 from "../../src/model/Gpt2.ts"
import * as Lora from "../../src/model/Lora.ts"
import * as ModelMemory from "../../src/model/Memory.ts"
import * as Tokenizer from "../../src/model/Tokenizer.ts"
import * as Weights from "../../src/model/Weights.ts"
import * as Random from "../../src/random/Random.ts"
import { Backend, type Tf } from "../../src/tensor/Backend.ts"
import * as Heap from "../../src/tensor/wasm/Heap.ts"
import * as Kernels from "../../src/tensor/wasm/Kernels.ts"

const heapOf = (tf: Tf) => (tf.backend() as unknown as Heap.WasmBackend).wasm

interface Shape {
  readonly head: Head
  readonly width: number
  readonly layers: number
  readonly heads: number
  readonly vocabulary: number
  readonly batch: number
  readonly time: number
  readonly dropout: number
}

const heads = ["sequence-classification", "causal-language-modeling"] as const

/** Shapes whose step takes some milliseconds, and a megabyte at least. */
const shapes = (count: number): ReadonlyArray<Shape> => {
  const random = Random.make(1, "shapes of models")
  const choose = <A>(...from: ReadonlyArray<A>): A => from[random.integer(from.length)]!
  return Array.from({ length: count }, (): Shape => ({
    head: choose(...heads),
    width: choose(32, 64, 96),
    layers: choose(1, 2, 4),
    heads: choose(1, 2, 4),
    vocabulary: choose(256, 1000, 8000),
    batch: choose(2, 3, 8, 16),
    time: choose(16, 24, 48, 100),
    dropout: choose(0, 0.1)
  }))
}

const modelOf = ({ head, heads, layers, time, vocabulary, width }: Shape) =>
  Gpt2.family.make(
    { ...Gpt2.config({ vocabularySize: vocabulary, positions: time, width, layers, heads }), num_labels: 3 },
    head
  )

/** A batch of texts of unequal lengths, as in training. */
const batchOf = (model: Model, { batch, time, vocabulary }: Shape) => {
  const examples = Array.from({ length: batch }, (_, row): Examples.Example => ({
    tokens: Int32Array.from({ length: row === 0 ? time : time - row % 3 }, (_, i) => (row * 31 + i * 7) % vocabulary),
    label: row % 3
  }))
  return Examples.collate(model, examples, Array.from(examples.keys(), (row) => [row]))
}

/** What a step of training and a forward pass really take, and what was expected of them. */
const measure = Effect.fnUntraced(function*(tf: Tf, meter: Heap.Meter, shape: Shape) {
  const model = yield* modelOf(shape)
  const parameters = initialize(model, 1)
  const batch = batchOf(model, shape)
  const before = meter.live()
  const peak = () => meter.peak() - before
  meter.reset()
  const hyperparameters = { ...defaults, dropout: shape.dropout, maxGradientNorm: 1e-3 }
  const stepper = Step.make(tf, { model, parameters, totalSteps: 10, hyperparameters })
  yield* Effect.promise(() => stepper.take([batch], 0))
  yield* Effect.promise(() => stepper.take([batch], 1))
  const training = peak()
  stepper.dispose()

  meter.reset()
  const uploaded = new Map(
    model.parameters.map(({ name, shape }) => [name, tf.tensor(parameters.get(name)!.data, [...shape])])
  )
  const held = meter.live() - before
  const weights = Weights.make(tf, model, uploaded)
  tf.tidy(() => void model.logits(tf, weights, model.hidden(tf, weights, batch, { rows: batch.rows })))
  const forward = peak() - held
  tf.dispose([...uploaded.values()])
  assert.strictEqual(meter.live(), before)

  const extent = { batch: batch.batch, time: batch.time, rows: batch.rows.length }
  const options = {
    dropout: shape.dropout > 0,
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

const labels = ["a", "b", "c"]

/** A small classifier's run, of texts of up to sixteen tokens. */
const small = Effect.gen(function*() {
  const config = Gpt2.config({ vocabularySize: 257, positions: 16, width: 32, layers: 2, heads: 2, endOfTextId: 256 })
  const model = yield* Checkpoint.untrained(config, Tokenizer.byteLevel(), 1)
  const examples = Array.from({ length: 40 }, (_, i): Examples.Example => ({
    tokens: Int32Array.from({ length: 16 - i % 5 }, (_, j) => (i + j * 3) % 256),
    label: i % 3
  }))
  const hyperparameters: Hyperparameters = { ...defaults, learningRate: 0.01, epochs: 2, batchSize: 32 }
  return { model, task: { head: "sequence-classification", labels }, examples, hyperparameters } as const
})

/** The wasm backend, were it to hold only so much. */
const limited = (memoryLimit: number) => <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(Backend, (backend) => Effect.provideService(effect, Backend, { ...backend, memoryLimit }))

const expectDoesNotFit = <A, E>(effect: Effect.Effect<A, E, Backend>) =>
  Effect.map(Effect.flip(effect), (error) => {
    assert.instanceOf(error, ModelMemory.DoesNotFit)
    return error as ModelMemory.DoesNotFit
  })

/** What a run really takes and what was expected, with knobs that bear on memory. */
const measureRun = Effect.fnUntraced(function*(tf: Tf, meter: Heap.Meter, changes: Partial<Hyperparameters>) {
  const shape = { head: heads[1], width: 64, layers: 4, heads: 4, vocabulary: 1000, batch: 8, time: 48, dropout: 0.1 }
  const model = yield* modelOf(shape)
  const hyperparameters = { ...defaults, dropout: shape.dropout, batchSize: shape.batch, ...changes }
  const settings = adapterOf(hyperparameters, model.layers)
  const adapter = settings === undefined ? undefined : yield* Lora.place(model, settings)
  const base = initialize(model, 1)
  const parameters = adapter === undefined
    ? base
    : Checkpoint.parametersOf({
      tensors: base,
      adapter: Adapter.make(model, adapter, Lora.initialize(adapter, base, 1))
    })
  const targets = Trained.targets(
    model,
    adapter === undefined ? model.parameters : Lora.parametersOf(adapter),
    hyperparameters
  )
  const examples = Array.from({ length: shape.batch }, (_, row): Examples.Example => ({
    tokens: Int32Array.from({ length: shape.time }, (_, i) => (row * 31 + i * 7) % shape.vocabulary)
  }))
  const size = hyperparameters.microBatchSize ?? shape.batch
  const parts = Array.from(
    { length: shape.batch / size },
    (_, part) =>
      Examples.collate(model, examples, Examples.oneEach(Array.from({ length: size }, (_, row) => part * size + row)))
  )
  const before = meter.live()
  meter.reset()
  const stepper = Step.make(tf, { model, parameters, targets, adapter, totalSteps: 10, hyperparameters })
  yield* Effect.promise(() => stepper.take(parts, 0))
  yield* Effect.promise(() => stepper.take(parts, 1))
  const measured = meter.peak() - before
  stepper.dispose()
  assert.strictEqual(meter.live(), before)
  return Memory.estimate(tf, { model, examples, hyperparameters, targets, adapter }) / measured
})

describe("the estimate of a run's memory", () => {
  it.effect("follows what is trained, how, and in how many parts", () =>
    Effect.gen(function*() {
      const { tf } = yield* Backend
      const meter = Heap.meter(heapOf(tf))
      const runs: ReadonlyArray<Partial<Hyperparameters>> = [
        {},
        { gradientCheckpointing: true },
        { gradientCheckpointing: true, dropout: 0 },
        { microBatchSize: 2 },
        { microBatchSize: 1, gradientCheckpointing: true },
        { emaDecay: 0.99 },
        { trainedLayers: 1 },
        { trainedLayers: 2, gradientCheckpointing: true, emaDecay: 0.9, microBatchSize: 4 },
        { optimizer: "sgd" },
        { optimizer: "lion", emaDecay: 0.9 },
        { optimizer: "adafactor" },
        { optimizer: "muon", microBatchSize: 4 },
        { adapter: "lora" },
        { adapter: "lora", loraRank: 32, loraDropout: 0.1, microBatchSize: 2 },
        { adapter: "lora", gradientCheckpointing: true },
        { adapter: "dora" }
      ]
      for (const changes of runs) {
        const ratio = yield* measureRun(tf, meter, changes)
        const about = `${JSON.stringify(changes)}: ${ratio}`
        assert.isAtLeast(ratio, 1, about)
        assert.isAtMost(ratio, 1.4, about)
      }
      meter.stop()
    }).pipe(Effect.provide(Backend.layer("wasm"))))

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
        for (const shape of shapes(kernels === "fused" ? 30 : 12)) {
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

describe("a run that needs more memory than there is", () => {
  it.effect("is refused before it begins, and told what would fit", () =>
    Effect.gen(function*() {
      const { tf } = yield* Backend
      const run = yield* small
      const meter = Heap.meter(heapOf(tf))
      const error = yield* expectDoesNotFit(limited(3e6)(Trainer.train(run)))
      assert.strictEqual(meter.peak(), 0)
      meter.stop()
      assert.deepInclude(error, {
        work: "training",
        backend: "wasm",
        limitedBy: "backend",
        available: 3e6,
        batchSize: 32,
        longest: 16
      })
      assert.isAbove(error.needed, 3e6)
      const { batchSize, longest } = error.fits
      assert.isNotNull(batchSize)
      assert.isNotNull(longest)
      assert.match(error.message, /batches of 32 texts of up to 16 tokens needs some \d MiB .* "wasm" holds 3 MiB/)
      assert.include(
        error.message,
        `What would fit: gradientCheckpointing, or a microBatchSize of ${batchSize}, or texts of up to ${longest} tokens.`
      )

      // What it says fits does, and one more does not.
      const withBatch = (microBatchSize: number) => ({
        ...run,
        hyperparameters: { ...run.hyperparameters, microBatchSize }
      })
      const withLength = (longest: number) => ({
        ...run,
        examples: run.examples.map((example) => ({ ...example, tokens: example.tokens.slice(0, longest) }))
      })
      const stopAfterEpochs = 0.5
      yield* limited(3e6)(Trainer.train({ ...withBatch(batchSize!), stopAfterEpochs }))
      yield* limited(3e6)(Trainer.train({ ...withLength(longest!), stopAfterEpochs }))
      yield* expectDoesNotFit(limited(3e6)(Trainer.train(withBatch(batchSize! + 1))))
      yield* expectDoesNotFit(limited(3e6)(Trainer.train(withLength(longest! + 1))))
    }).pipe(Effect.provide(Backend.layer("wasm"))))

  it.effect("is measured by its longest examples, as many as make a batch", () =>
    Effect.gen(function*() {
      const run = yield* small
      const refusal = (options: Trainer.Options) => expectDoesNotFit(limited(1e5)(Trainer.train(options)))
      const all = yield* refusal(run)
      // A batch holds no more examples than there are.
      const few = yield* refusal({ ...run, examples: run.examples.slice(0, 4) })
      assert.strictEqual(few.batchSize, 4)
      assert.isBelow(few.needed, all.needed)
      // One long text pads every other of its batch.
      const short = run.examples.map((example) => ({ ...example, tokens: example.tokens.slice(0, 3) }))
      const padded = yield* refusal({ ...run, examples: [...short, run.examples[0]!] })
      assert.strictEqual(padded.needed, all.needed)
      assert.isBelow((yield* refusal({ ...run, examples: short })).needed, all.needed)
      // Without dropout there is less to keep.
      const hyperparameters = { ...run.hyperparameters, dropout: 0 }
      assert.isBelow((yield* refusal({ ...run, hyperparameters })).needed, all.needed)
    }).pipe(Effect.provide(Backend.layer("wasm"))))

  it.effect("is sent elsewhere where not even one text fits", () =>
    Effect.gen(function*() {
      const run = yield* small
      const error = yield* expectDoesNotFit(limited(1e5)(Trainer.train(run)))
      assert.deepStrictEqual(error.fits, { batchSize: null, longest: null, gradientCheckpointing: false })
      assert.match(error.message, /No batch size fits .* another backend, tensorflow or webgpu\.$/)
      const checkpoint = yield* Checkpoint.withHead(run.model, { ...run.task, seed: 1 })
      const prediction = yield* expectDoesNotFit(
        limited(1e5)(Predict.classify({ checkpoint, examples: run.examples }))
      )
      assert.deepInclude(prediction, {
        work: "prediction",
        batchSize: 1,
        fits: { batchSize: null, longest: null, gradientCheckpointing: false }
      })
    }).pipe(Effect.provide(Backend.layer("wasm"))))

  it.effect("is refused for want of the machine's memory too, unless a GPU has its own", () =>
    Effect.gen(function*() {
      const run = yield* small
      const onMachine = (memory: number) => Effect.provideService(ModelMemory.MachineMemory, memory)
      const error = yield* expectDoesNotFit(onMachine(1e8)(Trainer.train(run)))
      assert.deepInclude(error, { limitedBy: "machine", available: 1e8 })
      assert.match(error.message, /this machine has 95 MiB\. No batch size fits .* a machine with more memory\.$/)
      const backend = yield* Backend
      yield* Trainer.train({ ...run, stopAfterEpochs: 0.5 }).pipe(
        onMachine(1e8),
        Effect.provideService(Backend, { ...backend, devices: [{ kind: "gpu", name: "a GPU" }] })
      )
    }).pipe(Effect.provide(Backend.layer("wasm"))))

  it.effect("of prediction takes fewer examples at once, and gives the same answers", () =>
    Effect.gen(function*() {
      const config = { ...Gpt2.config({ vocabularySize: 256, positions: 400, width: 16, layers: 2, heads: 16 }) }
      const model = yield* Checkpoint.untrained(config, Tokenizer.byteLevel(), 1)
      const checkpoint = yield* Checkpoint.withHead(model, { head: "sequence-classification", labels, seed: 1 })
      // Attention of 200 such texts at once would take two gibibytes.
      const examples = Array.from({ length: 200 }, (_, i): Examples.Example => ({
        tokens: Int32Array.from({ length: i < 160 ? 3 : 400 }, (_, j) => (i * j) % 256),
        label: i % 3
      }))
      const { tf } = yield* Backend
      const meter = Heap.meter(heapOf(tf))
      const all = yield* Predict.classify({ checkpoint, examples: examples.toReversed(), batchSize: 500 })
      assert.isAtMost(meter.peak(), 2 ** 30)
      // Or less, where the backend holds less.
      meter.reset()
      const held = 5e7
      const fewer = yield* limited(held)(Predict.classify({ checkpoint, examples, batchSize: 500 }))
      assert.isAtMost(meter.peak(), held)
      meter.stop()
      assert.deepStrictEqual(fewer.predicted, all.predicted.toReversed())
      const some = yield* Predict.classify({ checkpoint, examples, batchSize: 7 })
      assert.deepStrictEqual(all.predicted.toReversed(), some.predicted)
    }).pipe(Effect.provide(Backend.layer("wasm"))))
})

/** Fills the heap to its end but for one hole of so many bytes; frees it again with the scope. */
const fillHeap = (heap: Heap.WasmModule, room: number) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const hole = Heap.allocate(heap, room)
      const addresses: Array<number> = []
      // Reserved, never written: no memory is used for it.
      for (let bytes = 2 ** 30; bytes >= 2 ** 12;) {
        try {
          addresses.push(Heap.allocate(heap, bytes))
        } catch {
          bytes /= 2
        }
      }
      heap._free(hole)
      return addresses
    }),
    (addresses) => Effect.sync(() => addresses.forEach((address) => heap._free(address)))
  )

describe("whatever a run ends with", () => {
  /** Fails unless the effect leaves everything on the backend as it was. */
  const cleanly = <A, E, R>(what: string, effect: Effect.Effect<A, E, R>) =>
    Effect.gen(function*() {
      const { tf } = yield* Backend
      const meter = Heap.meter(heapOf(tf))
      const buffers = () => (tf.backend() as unknown as { readonly numDataIds: () => number }).numDataIds()
      const state = () => ({ memory: tf.memory(), buffers: buffers(), live: meter.live() })
      const before = state()
      const result = yield* effect
      assert.deepStrictEqual(state(), before, what)
      meter.stop()
      return result
    })

  it.effect("it leaves nothing on the backend", () =>
    Effect.gen(function*() {
      const run = yield* small
      const { model } = run
      const hyperparameters = { ...run.hyperparameters, epochs: 1e6 }
      yield* cleanly("completed", Trainer.train(run))
      const first = yield* cleanly("stopped", Trainer.train({ ...run, stopAfterEpochs: 1 }))
      yield* cleanly("resumed", Trainer.train({ ...run, resume: first.state }))
      const diverging = { ...run.hyperparameters, learningRate: 1e6, epochs: 20 }
      const error = yield* cleanly("diverged", Effect.flip(Trainer.train({ ...run, hyperparameters: diverging })))
      assert.strictEqual(error._tag, "Diverged")
      yield* cleanly("refused", Effect.flip(Trainer.train({ ...run, examples: [] })))
      yield* cleanly("too large", Effect.flip(limited(1e5)(Trainer.train(run))))
      let steps = 0
      yield* cleanly(
        "interrupted",
        Effect.gen(function*() {
          const fiber = yield* Effect.forkChild(Trainer.train({ ...run, hyperparameters, onStep: () => steps++ }))
          yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 100)))
          yield* Fiber.interrupt(fiber)
        })
      )
      assert.isAbove(steps, 0)
      const broken = new Error("the listener broke")
      const exit = yield* cleanly(
        "broken",
        Effect.exit(Trainer.train({
          ...run,
          onStep: () => {
            throw broken
          }
        }))
      )
      assert.strictEqual(exit._tag, "Failure")
      const checkpoint = yield* Checkpoint.withHead(model, { ...run.task, seed: 1 })
      yield* cleanly("predicted", Predict.classify({ checkpoint, examples: run.examples }))
      yield* cleanly("a language model's loss", Predict.languageLoss({ checkpoint: model, examples: run.examples }))
    }).pipe(Effect.provide(Backend.layer("wasm"))))

  it.effect("it says that memory ran out, wherever it did, leaves nothing, and the next run is none the worse", () =>
    Effect.gen(function*() {
      const { tf } = yield* Backend
      const run = yield* small
      const expected = yield* Trainer.train(run)
      const meter = Heap.meter(heapOf(tf))
      yield* Trainer.train(run)
      const peak = meter.peak()
      meter.stop()
      // From not enough for the parameters to almost enough for a step.
      for (const share of [0.02, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]) {
        const error = yield* Effect.scoped(Effect.gen(function*() {
          yield* fillHeap(heapOf(tf), Math.floor(share * peak))
          return yield* cleanly(`with ${share} of the memory`, Effect.flip(Trainer.train(run)))
        }))
        assert.strictEqual(error._tag, "OutOfMemory")
        assert.match(error.message, /"wasm" ran out of memory during training: The wasm heap has no room for \d+ more/)
        assert.deepStrictEqual((yield* Trainer.train(run)).state, expected.state)
      }
      const checkpoint = yield* Checkpoint.withHead(run.model, { ...run.task, seed: 1 })
      const prediction = yield* Effect.scoped(Effect.gen(function*() {
        yield* fillHeap(heapOf(tf), 5e5)
        return yield* cleanly("prediction", Effect.flip(Predict.classify({ checkpoint, examples: run.examples })))
      }))
      assert.deepInclude(prediction, { _tag: "OutOfMemory", work: "prediction", backend: "wasm" })
    }).pipe(Effect.provide(Backend.layer("wasm"))))
})
