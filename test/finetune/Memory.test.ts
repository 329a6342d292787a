import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as Predict from "../../src/evaluate/Predict.ts"
import { adapterOf, defaults, type Hyperparameters } from "../../src/finetune/Hyperparameters.ts"
import * as Memory from "../../src/finetune/Memory.ts"
import * as Step from "../../src/finetune/Step.ts"
import * as Trained from "../../src/finetune/Trained.ts"
import * as Trainer from "../../src/finetune/Trainer.ts"
import * as Adapter from "../../src/model/Adapter.ts"
import { initialize } from "../../src/model/Architecture.ts"
import * as Checkpoint from "../../src/model/Checkpoint.ts"
import * as Examples from "../../src/model/Examples.ts"
import * as Gpt2 from "../../src/model/Gpt2.ts"
import * as Lora from "../../src/model/Lora.ts"
import * as ModelMemory from "../../src/model/Memory.ts"
import * as Tokenizer from "../../src/model/Tokenizer.ts"
import { Backend, type Tf } from "../../src/tensor/Backend.ts"
import * as Heap from "../../src/tensor/wasm/Heap.ts"

const heapOf = (tf: Tf) => (tf.backend() as unknown as Heap.WasmBackend).wasm

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
  const batchSize = 8, time = 48, vocabularySize = 1000
  const config = Gpt2.config({ vocabularySize, positions: time, width: 64, layers: 4, heads: 4 })
  const model = yield* Gpt2.family.make(config, "causal-language-modeling")
  const hyperparameters = { ...defaults, dropout: 0.1, batchSize, ...changes }
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
  const examples = Array.from({ length: batchSize }, (_, row): Examples.Example => ({
    tokens: Int32Array.from({ length: time }, (_, i) => (row * 31 + i * 7) % vocabularySize)
  }))
  const size = hyperparameters.microBatchSize ?? batchSize
  const parts = Array.from(
    { length: batchSize / size },
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
      const nothing = { batchSize: null, longest: null, gradientCheckpointing: false, together: null }
      assert.deepStrictEqual(error.fits, nothing)
      assert.match(error.message, /No batch size fits .* another backend, tensorflow or webgpu\.$/)
      const checkpoint = yield* Checkpoint.withHead(run.model, { ...run.task, seed: 1 })
      const prediction = yield* expectDoesNotFit(
        limited(1e5)(Predict.classify({ checkpoint, examples: run.examples }))
      )
      assert.deepInclude(prediction, {
        work: "prediction",
        batchSize: 1,
        fits: nothing
      })
    }).pipe(Effect.provide(Backend.layer("wasm"))))

  it.effect("is told of an adapter where its weights themselves cannot be trained, whatever the batch", () =>
    Effect.gen(function*() {
      const config = Gpt2.config({ vocabularySize: 257, positions: 16, width: 128, layers: 4, heads: 2 })
      const model = yield* Checkpoint.untrained(config, Tokenizer.byteLevel(), 1)
      const plain = yield* small
      const run = { ...plain, model, hyperparameters: { ...plain.hyperparameters, gradientCheckpointing: true } }
      const room = 6e6
      const error = yield* expectDoesNotFit(limited(room)(Trainer.train(run)))
      const { batchSize, gradientCheckpointing, together } = error.fits
      assert.deepStrictEqual({ batchSize, gradientCheckpointing }, { batchSize: null, gradientCheckpointing: false })
      assert.deepInclude(together, { adapter: true, gradientCheckpointing: false })
      const microBatchSize = together!.batchSize
      assert.include(error.message, `What would fit: adapter "lora" with a microBatchSize of ${microBatchSize}.`)
      const adapting = (changes: Partial<Hyperparameters>) =>
        limited(room)(
          Trainer.train({
            ...run,
            hyperparameters: { ...run.hyperparameters, adapter: "lora", ...changes },
            stopAfterEpochs: 0.5
          })
        )
      yield* adapting({ microBatchSize })
      const more = yield* expectDoesNotFit(adapting({ microBatchSize: microBatchSize + 1 }))
      assert.strictEqual(more.fits.batchSize, microBatchSize)
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
