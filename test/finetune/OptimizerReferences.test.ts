/** Every optimizer against PyTorch, transformers and timm, on small quadratics. */
import { assert, layer } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { readFileSync } from "node:fs"
import * as Average from "../../src/finetune/ExponentialMovingAverage.ts"
import * as Optimizer from "../../src/finetune/Optimizer.ts"
import { Backend, type Name, type Tf } from "../../src/tensor/Backend.ts"
import { everywhere } from "../tensor/Parity.ts"

const load = (name: string) => JSON.parse(readFileSync(new URL(`../fixtures/hf/${name}.json`, import.meta.url), "utf8"))

interface Alone {
  readonly w0: ReadonlyArray<number>
  readonly target: ReadonlyArray<number>
  readonly shape: ReadonlyArray<number>
  readonly weights: ReadonlyArray<ReadonlyArray<number>>
}
const alone: Readonly<Record<string, Alone>> = load("optimizers-schedules").optimizers

type ByName<A> = Readonly<Record<string, A>>
type Steps = ReadonlyArray<ReadonlyArray<number>>
const several: {
  readonly shapes: ByName<ReadonlyArray<number>>
  readonly start: ByName<ReadonlyArray<number>>
  readonly target: ByName<ReadonlyArray<number>>
  readonly cases: ByName<{ readonly weights: ByName<Steps>; readonly average?: ByName<Steps> }>
} = load("optimizers-schedules-more").optimizers

/** The settings of an optimizer, the rest of them at their defaults. */
const settings = (given: { readonly name: Optimizer.Name; readonly [setting: string]: unknown }): Optimizer.Settings =>
  Schema.decodeUnknownSync(Optimizer.Settings)(given)

interface Quadratic {
  readonly parameters: ReadonlyArray<Optimizer.Target & { readonly start: ReadonlyArray<number> }>
  readonly target: ByName<ReadonlyArray<number>>
  readonly learningRate: number
  readonly steps: number
}

/**
 * Minimizes the sum of i (w - target)^2 with i = 1, 2, ... over each parameter's numbers, and tells of the beginning and of
 * each step. Fails if a tensor is left behind.
 */
const minimize = Effect.fnUntraced(function*(
  { learningRate, parameters, steps, target }: Quadratic,
  given: Optimizer.Settings,
  follow: (tf: Tf, optimizer: Optimizer.Optimizer) => {
    readonly step: (step: number) => Promise<void>
    readonly end?: () => void
  }
) {
  const { tf } = yield* Backend
  const before = tf.memory().numTensors
  const optimizer = Optimizer.make(
    tf,
    parameters.map(({ start, ...parameter }) => ({ ...parameter, data: Float32Array.from(start) })),
    given
  )
  const follower = follow(tf, optimizer)
  for (let step = 0; step < steps; step++) {
    const current = yield* Effect.promise(() => optimizer.read())
    const gradients = parameters.map(({ name, shape }) =>
      tf.tensor(
        current.parameters.get(name)!.data.map((w, i) => 2 * (i + 1) * (w - target[name]![i]!)),
        [...shape],
        "float32"
      )
    )
    const joined = optimizer.join(gradients)
    optimizer.update(joined, { step, learningRate, scale: 1 })
    tf.dispose([...joined])
    yield* Effect.promise(() => follower.step(step))
  }
  follower.end?.()
  optimizer.dispose()
  assert.strictEqual(tf.memory().numTensors, before)
})

/** Compares the parameters after each step. */
const expectSteps = (expected: ByName<Steps>, tolerance: number) => (_tf: Tf, optimizer: Optimizer.Optimizer) => ({
  step: async (step: number) => {
    const { parameters } = await optimizer.read()
    for (const [name, values] of Object.entries(expected)) {
      assertClose(parameters.get(name)!.data, values[step]!, tolerance, `step ${step}: ${name}`)
    }
  }
})

const assertClose = (found: ArrayLike<number>, expected: ReadonlyArray<number>, tolerance: number, what: string) => {
  assert.strictEqual(found.length, expected.length)
  for (const [i, value] of expected.entries()) {
    const difference = Math.abs(found[i]! - value)
    assert.isTrue(difference <= tolerance * Math.max(1, Math.abs(value)), `${what} ${i}: ${found[i]}, not ${value}`)
  }
}

const first: ReadonlyArray<readonly [key: string, given: Optimizer.Settings]> = [
  ["sgd", settings({ name: "sgd" })],
  ["sgd_momentum_nesterov", settings({ name: "sgd", momentum: 0.9, nesterov: true, weightDecay: 0.01 })],
  ["adam", settings({ name: "adam", weightDecay: 0.01 })],
  ["adamw", settings({ name: "adamw", weightDecay: 0.1 })],
  ["adamw_amsgrad", settings({ name: "adamw", weightDecay: 0.01, amsgrad: true })],
  // PyTorch's Adafactor is that of transformers with its rate scaled by the parameter.
  ["adafactor", settings({ name: "adafactor", scaleParameter: true })],
  ["muon", settings({ name: "muon", rateAdjustment: "original", precision: "bfloat16" })]
]

/** How the parameters of the second file are grouped: `tall`, `wide` and `bias`. */
const rates = { tall: 1, wide: 0.3, bias: 0.5 }
const matrices = ["tall", "wide"]
const grouped = { learningRate: 0.05, decaying: matrices, rates, hidden: [] }
const plain = { learningRate: 0.05, decaying: Object.keys(rates), rates: {}, hidden: matrices }

const adam = { weightDecay: 0.1, beta1: 0.8, beta2: 0.95, epsilon: 1e-6 }
const matched = {
  name: "muon",
  rateAdjustment: "match-rms-adamw",
  nesterov: false,
  momentum: 0.8,
  newtonSchulzSteps: 3
} as const
const second: ReadonlyArray<
  readonly [
    key: string,
    given: Optimizer.Settings,
    options: {
      readonly learningRate: number
      readonly decaying: ReadonlyArray<string>
      readonly rates: ByName<number>
      readonly hidden: ReadonlyArray<string>
    }
  ]
> = [
  ["adamw, groups", settings({ name: "adamw", ...adam }), grouped],
  ["adam, groups", settings({ name: "adam", ...adam, amsgrad: true }), grouped],
  ["sgd, groups", settings({ name: "sgd", weightDecay: 0.1, momentum: 0.8 }), { ...grouped, learningRate: 0.01 }],
  ["lion, groups", settings({ name: "lion", weightDecay: 0.1 }), grouped],
  ["adafactor", settings({ name: "adafactor" }), plain],
  ["adafactor, momentum", settings({ name: "adafactor", beta1: 0.9, weightDecay: 0.1 }), plain],
  [
    "adafactor, scaled",
    settings({
      name: "adafactor",
      scaleParameter: true,
      clipThreshold: 0.5,
      decayExponent: 0.5,
      epsilon1: 1e-20,
      epsilon2: 0.7
    }),
    plain
  ],
  ["muon, bfloat16", settings({ name: "muon", rateAdjustment: "original", precision: "bfloat16" }), plain],
  ["muon, float32", settings({ name: "muon", rateAdjustment: "original" }), plain],
  ["muon, matched, bfloat16", settings({ ...matched, precision: "bfloat16" }), plain],
  ["muon, matched, float32", settings(matched), plain],
  // A matrix that is not hidden, as an embedding is, and a bias.
  [
    "muon with adamw",
    settings({ name: "muon", rateAdjustment: "original", beta2: 0.95, rateOfOthers: 0.2 }),
    { ...plain, decaying: matrices, hidden: ["tall"] }
  ]
]

/**
 * How far a backend may be from the reference. A GPU's products add up in another order, and what is next to the middle of
 * two bfloat16 numbers may then be rounded to the other one: by one in 256 of an update of 0.05 or less, step after step.
 */
const toleranceOf = (backend: Name, given: Optimizer.Settings): number =>
  backend === "cpu" || backend === "wasm" ? 1e-5 : given.name === "muon" && given.precision === "bfloat16" ? 5e-3 : 1e-3

for (const backend of ["cpu", ...everywhere] as const) {
  layer(Backend.layer(backend))(`an optimizer on ${backend}`, (it) => {
    for (const [key, given] of first) {
      const { shape, target, w0, weights } = alone[key]!
      const parameter = { ...Optimizer.target({ name: "w", shape }), matrix: true, start: w0 }
      const problem = { parameters: [parameter], target: { w: target }, learningRate: 0.05, steps: 15 }
      it.effect(`takes the steps of torch: ${key}`, () =>
        minimize(problem, given, expectSteps({ w: weights }, toleranceOf(backend, given))))
    }

    for (const [key, given, { decaying, hidden, learningRate, rates }] of second) {
      const { weights } = several.cases[key]!
      const parameters = Object.keys(weights).map((name) => ({
        name,
        shape: several.shapes[name]!,
        decays: decaying.includes(name),
        learningRateScale: rates[name] ?? 1,
        matrix: hidden.includes(name),
        start: several.start[name]!
      }))
      const problem = { parameters, target: several.target, learningRate, steps: 10 }
      it.effect(`takes the steps of the reference on several parameters: ${key}`, () =>
        minimize(problem, given, expectSteps(weights, toleranceOf(backend, given))))
    }

    it.effect("is averaged as torch averages", () => {
      const { average: expected, weights } = several.cases.average!
      const parameters = Object.keys(weights).map((name) => ({
        ...Optimizer.target({ name, shape: several.shapes[name]! }),
        start: several.start[name]!
      }))
      const problem = { parameters, target: several.target, learningRate: 0.05, steps: 10 }
      return minimize(problem, settings({ name: "adamw" }), (tf, optimizer) => {
        const average = Average.make(tf, optimizer, 0.8)
        return {
          step: async (step) => {
            average.update()
            const found = await average.read()
            assert.deepStrictEqual([...found.keys()], Object.keys(weights))
            for (const [name, values] of Object.entries(expected!)) {
              assertClose(found.get(name)!.data, values[step]!, 1e-5, `step ${step}: ${name}`)
            }
          },
          end: average.dispose
        }
      })
    })
  })
}
