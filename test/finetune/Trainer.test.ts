import { assert, layer, type Vitest } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as Predict from "../../src/evaluate/Predict.ts"
import type { Hyperparameters } from "../../src/finetune/Hyperparameters.ts"
import * as Resume from "../../src/finetune/Resume.ts"
import * as Trainer from "../../src/finetune/Trainer.ts"
import * as Checkpoint from "../../src/model/Checkpoint.ts"
import type { Example } from "../../src/model/Examples.ts"
import * as Examples from "../../src/model/Examples.ts"
import { Backend } from "../../src/tensor/Backend.ts"
import { everywhere } from "../tensor/Parity.ts"
import { labels, letters, task } from "./letters.ts"

const trainer = (it: Vitest.MethodsNonLive<Backend>) => {
  it.effect("learns, reports each step in order, and leaves nothing on the backend", () =>
    Effect.gen(function*() {
      const options = yield* letters
      const { tf } = yield* Backend
      const before = tf.memory()
      const steps: Array<Trainer.StepMetrics> = []
      const result = yield* Trainer.train({ ...options, onStep: (metrics) => steps.push(metrics) })
      assert.deepStrictEqual([tf.memory().numTensors, tf.memory().numBytes], [before.numTensors, before.numBytes])
      assert.strictEqual(result.totalSteps, 24)
      assert.deepStrictEqual(steps.map(({ step }) => step), Array.from({ length: 24 }, (_, step) => step))
      assert.deepStrictEqual(steps.slice(0, 4).map(({ examples }) => examples).toSorted(), [2, 8, 8, 8])
      assert.strictEqual(steps.at(-1)!.epoch, 6)
      const tokens = steps.slice(0, 4).reduce((sum, step) => sum + step.tokens, 0)
      assert.strictEqual(tokens, options.examples.reduce((sum, example) => sum + example.tokens.length, 0))
      assert.isBelow(steps.at(-1)!.loss, 0.5 * steps[0]!.loss)
      assert.deepStrictEqual(Checkpoint.labelsOf(result.checkpoint.config), labels)
      assert.deepStrictEqual(result.checkpoint.tensors, result.state.parameters)
    }))

  it.effect("continues to the bit: six epochs at once, two and four, and through a file in mid-epoch", () =>
    Effect.gen(function*() {
      const options = yield* letters
      const log = (into: Array<unknown>) => ({ steps: _, wallClock: __, ...metrics }: Trainer.StepMetrics) =>
        void into.push(metrics)
      const unbroken: Array<unknown> = []
      const whole = yield* Trainer.train({ ...options, onStep: log(unbroken) })
      for (const stopAfterEpochs of [2, 2.75]) {
        const broken: Array<unknown> = []
        const first = yield* Trainer.train({ ...options, stopAfterEpochs, onStep: log(broken) })
        assert.strictEqual(first.state.step, stopAfterEpochs * 4)
        assert.strictEqual(first.state.epoch, stopAfterEpochs)
        const saved = yield* Resume.decode(
          Resume.encode(first.state, first.checkpoint.tensors),
          first.checkpoint.tensors
        )
        assert.deepStrictEqual(saved.plan, first.state.plan)
        const second = yield* Trainer.train({ ...options, resume: saved, onStep: log(broken) })
        assert.deepStrictEqual(broken, unbroken)
        assert.deepStrictEqual(second.state, whole.state)
        assert.deepStrictEqual(second.checkpoint, whole.checkpoint)
      }
    }))

  it.effect("continues to the bit with averages, micro-batches, packing and the best weights so far", () =>
    Effect.gen(function*() {
      const { examples, hyperparameters, ...options } = yield* letters
      const all: Trainer.Options = {
        ...options,
        examples: examples.slice(0, 20),
        validation: examples.slice(20),
        hyperparameters: {
          ...hyperparameters,
          batchSize: 5,
          microBatchSize: 2,
          packing: true,
          emaDecay: 0.8,
          restoreBest: true,
          evaluateEvery: 0.5,
          gradientCheckpointing: true,
          labelSmoothing: 0.1,
          layerwiseDecay: 0.9
        }
      }
      const whole = yield* Trainer.train(all)
      const first = yield* Trainer.train({ ...all, stopAfterEpochs: 2.5 })
      assert.isBelow(first.state.step, whole.state.step)
      // The model has averages of before, the state the weights as they are now.
      const { tensors } = first.checkpoint
      assert.notDeepEqual(tensors.get("score.weight"), first.state.parameters.get("score.weight"))
      const resume = yield* Resume.decode(Resume.encode(first.state, tensors), tensors)
      const second = yield* Trainer.train({ ...all, resume })
      assert.deepStrictEqual(second, whole)
      assert.deepStrictEqual(
        second.checkpoint.tensors.get("score.weight"),
        second.state.validation.parameters!.get("score.weight")
      )
    }))

  it.effect("packs into rows of the maximum length", () =>
    Effect.gen(function*() {
      const options = yield* letters
      const longest = Effect.fnUntraced(function*(maximumLength: number | null) {
        const rows: Array<number> = []
        yield* Trainer.train({
          ...options,
          stopAfterEpochs: 1,
          hyperparameters: { ...options.hyperparameters, batchSize: 1, packing: true, maximumLength },
          onStep: ({ tokens }) => void rows.push(tokens)
        })
        return Math.max(...rows)
      })
      assert.strictEqual(yield* longest(12), 12)
      assert.strictEqual(yield* longest(null), 16)
      // Examples that are longer already are not cut.
      assert.strictEqual(yield* longest(3), Math.max(...options.examples.map(({ tokens }) => tokens.length)))
    }))

  it.effect("stops when the validation loss has ceased to fall, and restores the best", () =>
    Effect.gen(function*() {
      const options = yield* letters
      // Labels that contradict those of training: the better it learns, the higher this loss.
      const validation = options.examples.map((example) => ({ ...example, label: (example.label! + 1) % 3 }))
      const seen: Array<Trainer.ValidationMetrics> = []
      const steps: Array<number> = []
      const hyperparameters = { ...options.hyperparameters, evaluateEvery: 0.5, patience: 3, restoreBest: true }
      const run = {
        ...options,
        validation,
        hyperparameters,
        onStep: ({ step }: Trainer.StepMetrics) => void steps.push(step),
        onValidation: (metrics: Trainer.ValidationMetrics) => void seen.push(metrics)
      }
      const result = yield* Trainer.train(run)
      assert.isTrue(result.stoppedEarly)
      const best = seen.findLastIndex((metrics) => metrics.best)
      assert.deepStrictEqual(seen.slice(best).map((metrics) => metrics.best), [true, false, false, false])
      assert.strictEqual(seen[best]!.loss, Math.min(...seen.map(({ loss }) => loss)))
      assert.strictEqual(steps.length, seen.at(-1)!.step + 1)
      assert.strictEqual(result.state.step, steps.length)
      assert.isBelow(result.state.step, result.totalSteps)
      assert.deepStrictEqual(result.state.validation.step, seen[best]!.step + 1)
      // What was restored is the model of a run that stopped there.
      const there = yield* Trainer.train({
        ...run,
        stopAfterEpochs: seen[best]!.epoch,
        hyperparameters: { ...hyperparameters, patience: null, restoreBest: false }
      })
      assert.deepStrictEqual(result.checkpoint.tensors, there.checkpoint.tensors)
      // Without patience it goes on to the end.
      const patient = yield* Trainer.train({ ...run, hyperparameters: { ...hyperparameters, patience: null } })
      assert.isFalse(patient.stoppedEarly)
      assert.strictEqual(patient.state.step, patient.totalSteps)
    }))

  it.effect("validates without dropout, as a prediction would", () =>
    Effect.gen(function*() {
      const options = yield* letters
      const seen: Array<number> = []
      const result = yield* Trainer.train({
        ...options,
        hyperparameters: { ...options.hyperparameters, epochs: 1 },
        validation: options.examples,
        onValidation: ({ loss }) => void seen.push(loss)
      })
      const { meanLoss } = yield* Predict.classify({ checkpoint: result.checkpoint, examples: options.examples })
      assert.strictEqual(seen.length, 1)
      assert.closeTo(seen[0]!, meanLoss, 1e-5)
    }))

  it.effect("resuming a finished run changes nothing", () =>
    Effect.gen(function*() {
      const options = yield* letters
      const done = yield* Trainer.train({ ...options, stopAfterEpochs: 1 })
      const again = yield* Trainer.train({ ...options, stopAfterEpochs: 1, resume: done.state })
      assert.deepStrictEqual(again, done)
    }))

  it.effect("depends on the seed, and on nothing else that is random", () =>
    Effect.gen(function*() {
      const options = yield* letters
      const run = (seed: number) =>
        Trainer.train({ ...options, stopAfterEpochs: 1, hyperparameters: { ...options.hyperparameters, seed } })
      assert.deepStrictEqual(yield* run(7), yield* run(7))
      assert.notDeepEqual((yield* run(8)).state.parameters, (yield* run(7)).state.parameters)
    }))

  it.effect("says at which step it diverged, and cleans up", () =>
    Effect.gen(function*() {
      const options = yield* letters
      const { tf } = yield* Backend
      const before = tf.memory().numTensors
      const hyperparameters = { ...options.hyperparameters, learningRate: 1e6, warmupRatio: 0 }
      const error = yield* Effect.flip(Trainer.train({ ...options, hyperparameters }))
      assert.strictEqual(error._tag, "Diverged")
      if (error._tag !== "Diverged") return
      assert.isAbove(error.step, 0)
      assert.match(error.message, /diverged at step \d+ \(loss exploded\): loss/)
      assert.strictEqual(tf.memory().numTensors, before)
    }))

  it.effect("can be interrupted between steps, and cleans up", () =>
    Effect.gen(function*() {
      const options = yield* letters
      const { tf } = yield* Backend
      const before = tf.memory().numTensors
      let steps = 0
      const fiber = yield* Effect.forkChild(Trainer.train({
        ...options,
        hyperparameters: { ...options.hyperparameters, epochs: 1e6 },
        onStep: () => steps++
      }))
      yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 200)))
      yield* Fiber.interrupt(fiber)
      assert.isAbove(steps, 0)
      assert.strictEqual(tf.memory().numTensors, before)
    }))

  it.effect("pre-trains a language model, whose weights a classifier then starts from", () =>
    Effect.gen(function*() {
      const { examples, hyperparameters, model } = yield* letters
      const texts = examples.map(({ tokens }) => ({ tokens: Int32Array.from([...tokens, 256]) }))
      const losses: Array<number> = []
      const pretrained = yield* Trainer.train({
        model,
        task: { head: "causal-language-modeling" },
        examples: texts,
        hyperparameters: { ...hyperparameters, epochs: 12, dropout: 0 },
        onStep: ({ loss }) => losses.push(loss)
      })
      // Text that is mostly random bytes: an untrained model guesses among 257, a trained one remembers some.
      assert.closeTo(losses[0]!, Math.log(257), 0.6)
      assert.isBelow(losses.at(-1)!, 0.8 * losses[0]!)
      assert.deepStrictEqual(pretrained.checkpoint.config["architectures"], ["GPT2LMHeadModel"])
      const head = yield* Checkpoint.withHead(pretrained.checkpoint, { ...task, seed: hyperparameters.seed })
      const classifier = yield* Trainer.train({
        model: pretrained.checkpoint,
        task,
        examples,
        hyperparameters,
        stopAfterEpochs: 0
      })
      assert.deepStrictEqual(classifier.checkpoint.tensors, head.tensors)
    }))

  it.effect("takes a step at least, however short the run or the rung", () =>
    Effect.gen(function*() {
      const options = yield* letters
      const short = yield* Trainer.train({
        ...options,
        hyperparameters: { ...options.hyperparameters, epochs: 0.001 }
      })
      assert.deepStrictEqual([short.state.step, short.totalSteps], [1, 1])
      const rung = yield* Trainer.train({ ...options, stopAfterEpochs: 0.001 })
      assert.strictEqual(rung.state.step, 1)
    }))

  it.effect("refuses what cannot be learned from, before the first step", () =>
    Effect.gen(function*() {
      const options = yield* letters
      const tokens = Int32Array.of(1, 2)
      const attempt = (examples: ReadonlyArray<Example>, language = false) =>
        Effect.flip(Trainer.train({
          ...options,
          ...(language ? { task: { head: "causal-language-modeling" } as const } : {}),
          examples
        }))
      assert.match((yield* attempt([])).message, /there is none/)
      assert.match((yield* attempt([{ tokens }])).message, /Example 1: it has no label/)
      assert.match((yield* attempt([{ tokens, label: 0 }, { tokens, label: 3 }])).message, /Example 2: its label 3/)
      assert.match((yield* attempt([{ tokens: new Int32Array(0), label: 0 }])).message, /no token/)
      assert.match((yield* attempt([{ tokens: new Int32Array(17), label: 0 }])).message, /17 tokens.*16.*truncate/)
      assert.match((yield* attempt([{ tokens: Int32Array.of(1, 300), label: 0 }])).message, /Token 300 .*position 1/)
      assert.match((yield* attempt([{ tokens: Int32Array.of(1) }], true)).message, /none of its tokens is supervised/)
      assert.match(
        (yield* attempt([{ tokens, labels: Int32Array.of(1, Examples.ignored) }], true)).message,
        /none of its tokens is supervised/
      )
      const watched = { ...options.hyperparameters, patience: 2, restoreBest: true }
      const unwatched = yield* Effect.flip(Trainer.train({ ...options, hyperparameters: watched }))
      assert.strictEqual(unwatched._tag, "NoValidation")
      assert.match(unwatched.message, /patience and restoreBest go by .* wire `validation`/)
      const adapter = (changes: Partial<Hyperparameters>) =>
        Effect.flip(
          Trainer.train({ ...options, hyperparameters: { ...options.hyperparameters, adapter: "lora", ...changes } })
        )
      assert.match((yield* adapter({ trainedLayers: 0 })).message, /an adapter lies in the layers/)
      assert.match(
        (yield* adapter({ loraModulesToSave: ["embed_tokens"] })).message,
        /modules_to_save name embed_tokens, and this model has no such module; its modules are called .*wte/
      )
      const saved = (yield* Trainer.train({ ...options, stopAfterEpochs: 0.25 })).state
      const other = yield* Effect.flip(
        Trainer.train({ ...options, resume: saved, hyperparameters: { ...options.hyperparameters, batchSize: 4 } })
      )
      assert.deepInclude(other, { _tag: "ResumeMismatch", field: "batchSize", saved: "8", given: "4" })
    }))
}

for (const name of everywhere) layer(Backend.layer(name))(`Trainer on ${name}`, trainer)
