import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { defaults, type Hyperparameters } from "../../src/finetune/Hyperparameters.ts"
import * as Loss from "../../src/finetune/Loss.ts"
import type * as Optimizer from "../../src/finetune/Optimizer.ts"
import * as Packing from "../../src/finetune/Packing.ts"
import * as Step from "../../src/finetune/Step.ts"
import * as Trained from "../../src/finetune/Trained.ts"
import { type Head, initialize, type Model, type Parameters } from "../../src/model/Architecture.ts"
import * as Examples from "../../src/model/Examples.ts"
import * as Gpt2 from "../../src/model/Gpt2.ts"
import * as Random from "../../src/random/Random.ts"
import { Backend, type Tensor2D } from "../../src/tensor/Backend.ts"

const vocabularySize = 40

const modelOf = (head: Head, layers = 2) =>
  Gpt2.family.make(
    {
      ...Gpt2.config({ vocabularySize, positions: 32, width: 16, layers, heads: 2, initializerRange: 0.2 }),
      num_labels: 3
    },
    head
  )

const random = Random.make(5, "texts")
/** Texts of very different lengths, of which some positions are supervised. */
const examples = Array.from({ length: 9 }, (_, i): Examples.Example => {
  const tokens = Int32Array.from({ length: 3 + (i * i) % 23 }, () => random.integer(vocabularySize))
  return {
    tokens,
    label: i % 3,
    labels: tokens.map((token, at) => (at + i) % 4 === 0 && at !== 1 ? Examples.ignored : token)
  }
})

/** With it an update is minus the gradient. */
const plain: Hyperparameters = {
  ...defaults,
  optimizer: "sgd",
  learningRate: 1,
  schedule: "constant",
  maxGradientNorm: 1e9,
  dropout: 0
}

interface Run {
  readonly model: Model
  readonly hyperparameters?: Partial<Hyperparameters>
  readonly targets?: ReadonlyArray<Optimizer.Target>
  /** The parts of each step. */
  readonly steps: ReadonlyArray<ReadonlyArray<Examples.Rows>>
}

const run = Effect.fnUntraced(function*({ hyperparameters, model, steps, targets }: Run) {
  const { tf } = yield* Backend
  const parameters = initialize(model, 2)
  const before = tf.memory().numTensors
  const stepper = Step.make(tf, {
    model,
    parameters,
    totalSteps: steps.length,
    hyperparameters: { ...plain, ...hyperparameters },
    ...(targets === undefined ? {} : { targets })
  })
  const results: Array<Step.StepResult> = []
  for (const [step, parts] of steps.entries()) {
    const texts = model.head === "token-classification"
      ? examples.map((example) => ({
        ...example,
        labels: example.labels!.map((label) => label < 0 ? label : label % 3)
      }))
      : examples
    const batches = parts.map((rows) => Examples.collate(model, texts, rows))
    results.push(yield* Effect.promise(() => stepper.take(batches, step)))
  }
  const reached = yield* Effect.promise(() => stepper.read())
  stepper.dispose()
  assert.strictEqual(tf.memory().numTensors, before)
  return { results, ...reached }
})

/** The largest difference between two sets of parameters, relative to the largest number of each. */
const apart = (found: Parameters, expected: Parameters): number => {
  assert.deepStrictEqual([...found.keys()], [...expected.keys()])
  let most = 0
  for (const [name, { data }] of expected) {
    const scale = data.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1e-30)
    data.forEach((value, i) => {
      most = Math.max(most, Math.abs(found.get(name)!.data[i]! - value) / scale)
    })
  }
  return most
}

const each = (from: number, to: number): Examples.Rows =>
  Examples.oneEach(Array.from({ length: to - from }, (_, i) => from + i))

const onWasm = <A, E>(effect: Effect.Effect<A, E, Backend>) => effect.pipe(Effect.provide(Backend.layer("wasm")))

describe("a step of training", () => {
  for (const head of ["causal-language-modeling", "sequence-classification", "token-classification"] as const) {
    it.effect(`takes the same gradient from micro-batches of unequal size as from one batch: ${head}`, () =>
      Effect.gen(function*() {
        const model = yield* modelOf(head)
        const once = yield* run({ model, steps: [[each(0, 9)]] })
        const parts = yield* run({ model, steps: [[each(0, 1), each(1, 5), each(5, 7), each(7, 9)]] })
        assert.isBelow(apart(parts.parameters, once.parameters), 1e-6)
        assert.closeTo(parts.results[0]!.loss, once.results[0]!.loss, 1e-6)
        assert.closeTo(parts.results[0]!.gradientNorm, once.results[0]!.gradientNorm, 1e-5)
        // The mean of the parts' means is another number.
        const mean = yield* Effect.forEach(
          [each(0, 1), each(1, 5), each(5, 7), each(7, 9)],
          (part) => Effect.map(run({ model, steps: [[part]] }), ({ results }) => results[0]!.loss / 4)
        )
        const sum = mean.reduce((a, b) => a + b)
        assert.isAbove(Math.abs(sum - once.results[0]!.loss), 1e-3)
      }).pipe(onWasm))
  }

  for (const head of ["causal-language-modeling", "sequence-classification"] as const) {
    it.effect(`takes the same gradient from packed rows as from padded ones: ${head}`, () =>
      Effect.gen(function*() {
        const model = yield* modelOf(head)
        const padded = yield* run({ model, steps: [[each(0, 9)]] })
        const rows = Packing.pack(examples.map(({ tokens }) => tokens.length), 32)
        assert.isBelow(rows.length, 6)
        const packed = yield* run({ model, steps: [[rows]] })
        assert.closeTo(packed.results[0]!.loss, padded.results[0]!.loss, 1e-5)
        assert.isBelow(apart(packed.parameters, padded.parameters), 1e-5)
      }).pipe(onWasm))
  }

  it.effect("takes the same bits with gradient checkpointing, dropout and parts included", () =>
    Effect.gen(function*() {
      const model = yield* modelOf("causal-language-modeling")
      const steps = [[each(0, 5), each(5, 9)], [each(2, 8)]]
      const hyperparameters = { dropout: 0.2, optimizer: "adamw", learningRate: 0.01 } as const
      const kept = yield* run({ model, steps, hyperparameters })
      const checkpointed = yield* run({
        model,
        steps,
        hyperparameters: { ...hyperparameters, gradientCheckpointing: true }
      })
      assert.deepStrictEqual(checkpointed, kept)
    }).pipe(onWasm))

  it.effect("drops differently in each part of a batch", () =>
    Effect.gen(function*() {
      const model = yield* modelOf("causal-language-modeling")
      const hyperparameters = { dropout: 0.5 }
      const twice = yield* run({ model, hyperparameters, steps: [[each(3, 4), each(3, 4)]] })
      const once = yield* run({ model, hyperparameters, steps: [[each(3, 4)]] })
      assert.isAbove(apart(twice.parameters, once.parameters), 1e-3)
    }).pipe(onWasm))

  it.effect("trains the topmost layers only, and each layer at its rate", () =>
    Effect.gen(function*() {
      const model = yield* modelOf("sequence-classification", 3)
      const targetsOf = (settings: Partial<Trained.Settings>) =>
        Trained.targets(model, model.parameters, { trainedLayers: null, layerwiseDecay: 1, ...settings })
      const all = yield* run({ model, steps: [[each(0, 9)]] })
      const initial = initialize(model, 2)
      const change = ({ parameters }: { readonly parameters: Parameters }, name: string) =>
        Array.from(parameters.get(name)!.data, (value, i) => value - initial.get(name)!.data[i]!)
      const top = yield* run({ model, steps: [[each(0, 9)]], targets: targetsOf({ trainedLayers: 1 }) })
      const names = [...top.parameters.keys()]
      assert.isTrue(names.every((name) => /h\.2\.|ln_f|score/.test(name)))
      assert.include(names, "score.weight")
      for (const name of names) assert.deepStrictEqual(top.parameters.get(name), all.parameters.get(name), name)
      assert.deepStrictEqual(
        targetsOf({ trainedLayers: 0 }).map(({ name }) => name),
        ["transformer.ln_f.weight", "transformer.ln_f.bias", "score.weight"]
      )

      const decayed = yield* run({ model, steps: [[each(0, 9)]], targets: targetsOf({ layerwiseDecay: 0.5 }) })
      const weight = "attn.c_proj.weight"
      for (
        const [name, share] of [
          ["score.weight", 1],
          [`transformer.h.2.${weight}`, 0.5],
          [`transformer.h.1.${weight}`, 0.25],
          [`transformer.h.0.${weight}`, 0.125],
          ["transformer.wte.weight", 0.0625]
        ] as const
      ) {
        const full = change(all, name)
        assert.isBelow(
          Math.max(...change(decayed, name).map((value, i) => Math.abs(value - share * full[i]!))),
          1e-6,
          name
        )
      }
    }).pipe(onWasm))

  it.effect("smooths labels as torch does", () =>
    Effect.gen(function*() {
      const { tf } = yield* Backend
      // torch 2.13: cross_entropy(logits, [0, 2, 1], label_smoothing=...), and its gradient.
      const given = [1.5, -0.5, 0.25, 0, 2, -1, -3, 0.5, 0.75]
      const expected = [
        [0.1, 1.481401801109314, [
          -0.07667313,
          0.02061661,
          0.05605649,
          0.02695395,
          0.27015376,
          -0.29710773,
          -0.00676158,
          -0.16707428,
          0.17383583
        ]],
        [0.3, 1.5369575023651123, [
          -0.03222869,
          -0.00160561,
          0.03383427,
          0.00473173,
          0.24793157,
          -0.25266331,
          -0.0289838,
          -0.12262984,
          0.15161362
        ]]
      ] as const
      for (const [labelSmoothing, loss, gradient] of expected) {
        const [value, slope] = yield* Effect.promise(async () => {
          const { grad, value } = tf.valueAndGrad((logits) =>
            Loss.ofLogits(tf, "causal-language-modeling", logits as Tensor2D, {
              targets: Int32Array.of(0, 2, 1),
              scores: new Float32Array(0)
            }, { labelSmoothing })
          )(tf.tensor2d(given, [3, 3]))
          return [await value.data(), await grad.data()]
        })
        assert.closeTo(value![0]!, loss, 1e-6)
        gradient.forEach((one, i) => assert.closeTo(slope![i]!, one, 1e-6))
      }
    }).pipe(Effect.provide(Backend.layer("cpu"))))
})
