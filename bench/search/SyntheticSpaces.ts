/**
 * Synthetic problems with the shapes that tuning has and textbook functions
 * lack: interacting categoricals, branches within branches, noise, plateaus and
 * divergence. All are of our own design, with sums of terms that are never
 * negative and can all be zero at once, so that the minimum is known.
 */
import * as Random from "../../src/random/Random.ts"
import { branches, choice, integer, log, logInteger, make, ordinal, uniform } from "./Problem.ts"

/** How far log10 of the best learning rate moves, and what the choice costs at best. */
const optimizers = {
  sgd: { shift: 1.4, cost: 0.4 },
  adamw: { shift: 0, cost: 0 },
  lion: { shift: -0.8, cost: 0.06 },
  adafactor: { shift: 0.5, cost: 0.15 }
}

/** What an activation costs under each normalisation: no activation is best under all. */
const activations = {
  relu: { pre: 0.2, post: 0.1, rms: 0.25 },
  gelu: { pre: 0.02, post: 0.05, rms: 0.1 },
  silu: { pre: 0.15, post: 0.3, rms: 0 }
}

export interface Mixed9 {
  readonly learningRate: number
  readonly weightDecay: number
  readonly dropout: number
  readonly layers: number
  readonly batchSize: number
  readonly warmupSteps: number
  readonly activation: keyof typeof activations
  readonly optimizer: keyof typeof optimizers
  readonly normalisation: "pre" | "post" | "rms"
}

/**
 * Nine dimensions of all kinds. The best learning rate depends on the optimizer
 * and grows with the square root of the batch; depth hurts more, and too large a
 * learning rate is worse, with normalisation after each layer.
 */
export const mixed9 = make<Mixed9>({
  name: "mixed9",
  hyperparameters: [
    log("learningRate", 1e-6, 1e-1),
    log("weightDecay", 1e-6, 1),
    uniform("dropout", 0, 0.5),
    integer("layers", 2, 24),
    logInteger("batchSize", 4, 512),
    integer("warmupSteps", 0, 1000),
    choice("activation", Object.keys(activations)),
    choice("optimizer", Object.keys(optimizers)),
    choice("normalisation", ["pre", "post", "rms"])
  ],
  minimum: 0,
  evaluate: (params) => {
    const { batchSize, dropout, layers, normalisation, optimizer, warmupSteps } = params
    const { cost, shift } = optimizers[optimizer]
    const rate = Math.log10(params.learningRate) + 3.5 - shift - 0.5 * Math.log10(batchSize / 32)
    const decay = Math.log10(params.weightDecay) + 2
    const depth = (layers - 9) / 10
    const after = normalisation === "post"
    return rate * rate + 0.06 * decay * decay * (optimizer === "sgd" ? 0.3 : 1) + 3 * (dropout - 0.1) ** 2 +
      depth * depth * (after ? 2 : 1) + 0.1 * (Math.log2(batchSize / 32) / 4) ** 2 +
      0.2 * ((warmupSteps - 200) / 400) ** 2 + activations[params.activation][normalisation] + cost +
      (after ? 0.2 + 0.3 * Math.max(0, rate) : normalisation === "pre" ? 0.05 : 0) +
      0.3 * Math.abs(dropout - 0.1) * Math.abs(depth)
  }
})

export interface Nested {
  readonly tune:
    | {
      readonly _tag: "adapter"
      readonly scale: number
      readonly placement:
        | { readonly _tag: "attention"; readonly rank: number }
        | { readonly _tag: "everywhere"; readonly rank: number; readonly dropout: number }
    }
    | {
      readonly _tag: "full"
      readonly layerwiseDecay: number
      readonly freezing: { readonly _tag: "none" } | { readonly _tag: "lowest"; readonly layers: number }
    }
  readonly optimizer:
    | {
      readonly _tag: "adamw"
      readonly learningRate: number
      readonly schedule:
        | { readonly _tag: "constant" }
        | { readonly _tag: "cosine"; readonly warmup: number }
        | { readonly _tag: "linear"; readonly warmup: number; readonly end: number }
    }
    | { readonly _tag: "lion"; readonly learningRate: number; readonly beta: number }
}

/** Branches within branches; the best learning rate depends on both levels. */
export const nested = make<Nested>({
  name: "nested",
  hyperparameters: [
    branches("tune", {
      full: [
        uniform("layerwiseDecay", 0.5, 1),
        branches("freezing", { none: [], lowest: [integer("layers", 1, 12)] })
      ],
      adapter: [
        log("scale", 0.25, 8),
        branches("placement", {
          attention: [logInteger("rank", 1, 128)],
          everywhere: [logInteger("rank", 1, 64), uniform("dropout", 0, 0.3)]
        })
      ]
    }),
    branches("optimizer", {
      lion: [log("learningRate", 1e-7, 1e-3), uniform("beta", 0.8, 0.999)],
      adamw: [
        log("learningRate", 1e-6, 1e-2),
        branches("schedule", {
          constant: [],
          cosine: [uniform("warmup", 0, 0.3)],
          linear: [uniform("warmup", 0, 0.3), uniform("end", 0, 0.5)]
        })
      ]
    })
  ],
  minimum: 0,
  evaluate: ({ optimizer, tune }) => {
    let value: number, best: number
    if (tune._tag === "adapter") {
      const { placement } = tune
      value = 0.1 * (Math.log2(tune.scale) - 1) ** 2
      if (placement._tag === "attention") {
        best = -3.2
        value += 0.12 + 0.04 * (Math.log2(placement.rank) - 4) ** 2
      } else {
        best = -3.6
        value += 0.03 * (Math.log2(placement.rank) - 3) ** 2 + 4 * (placement.dropout - 0.05) ** 2
      }
    } else {
      best = tune.freezing._tag === "none" ? -4.8 : -4.4
      value = 0.15 + 4 * (tune.layerwiseDecay - 0.9) ** 2 +
        (tune.freezing._tag === "none" ? 0.06 : ((tune.freezing.layers - 4) / 8) ** 2)
    }
    const rate = Math.log10(optimizer.learningRate)
    if (optimizer._tag === "lion") return value + (rate - best + 1) ** 2 + 0.08 + 5 * (optimizer.beta - 0.95) ** 2
    value += (rate - best) ** 2
    const { schedule } = optimizer
    switch (schedule._tag) {
      case "constant":
        return value + 0.12
      case "cosine":
        return value + 3 * (schedule.warmup - 0.06) ** 2
      case "linear":
        return value + 0.03 + 3 * (schedule.warmup - 0.1) ** 2 + (schedule.end - 0.1) ** 2
    }
  }
})

export interface Noisy {
  readonly learningRate: number
  readonly momentum: number
  readonly hidden: number
  readonly epochs: number
  readonly augmentation: "none" | "swap" | "mask"
}

const quiet = ({ augmentation, epochs, hidden, learningRate, momentum }: Noisy): number => {
  // What a step moves the weights in the long run: learning rate over (1 - momentum).
  const rate = Math.log10(learningRate / (1 - momentum)) + 1.5
  const width = Math.log2(hidden / 128)
  return 0.5 * rate * rate + 0.5 * (momentum - 0.85) ** 2 + 0.04 * width * width + ((epochs - 14) / 12) ** 2 +
    { none: 0.15, swap: 0.05, mask: 0 }[augmentation]
}

/**
 * Five dimensions whose value varies by a standard deviation of 0.1 from one
 * configuration to the next, the same at the same configuration. The minimum is
 * that of the value without the noise.
 */
export const noisy = make<Noisy>({
  name: "noisy",
  hyperparameters: [
    log("learningRate", 1e-6, 1),
    uniform("momentum", 0, 0.99),
    ordinal("hidden", [16, 32, 64, 128, 256, 512]),
    integer("epochs", 1, 20),
    choice("augmentation", ["none", "swap", "mask"])
  ],
  minimum: 0,
  noiseless: quiet,
  evaluate: (params) => {
    const { augmentation, epochs, hidden, learningRate, momentum } = params
    const address = JSON.stringify([learningRate, momentum, hidden, epochs, augmentation])
    return quiet(params) + 0.1 * Random.make(0, address).normal()
  }
})

export interface Plateau {
  readonly learningRate: number
  readonly epsilon: number
  readonly l1: number
  readonly l2: number
  readonly linearDecay: number
  readonly exponentialDecay: number
}

const chance = Math.log(2)

/** Where a value lies between its bounds on the log scale, in [0, 1]. */
const along = (value: number, [low, high]: readonly [number, number]): number =>
  (Math.log10(value) - low) / (high - low)

/** log10 of the bounds. */
const plateauBounds = {
  learningRate: [-8, 1],
  epsilon: [-10, 3],
  l1: [-9, 1],
  l2: [-9, 1],
  linearDecay: [-7, -4],
  exponentialDecay: [-6, -3]
} as const

/** The squared distance from the floor of the valley at which nothing is learnt any more: leaves three tenths of the space to it. */
const reach = 0.95

/**
 * Six dimensions on the log scale, as training a network from nothing is: a
 * tenth of the space diverges, six tenths learn nothing (loss ln 2), and the
 * rest is a valley along which a larger epsilon asks for a larger learning rate.
 */
export const plateau = make<Plateau>({
  name: "plateau",
  hyperparameters: Object.entries(plateauBounds).map(([name, [low, high]]) => log(name, 10 ** low, 10 ** high)),
  minimum: 0.15,
  evaluate: (params) => {
    const rate = along(params.learningRate, plateauBounds.learningRate)
    const epsilon = along(params.epsilon, plateauBounds.epsilon)
    // A corner of the square of the two, of area 1/10.
    if (rate - epsilon / 4 > 1 - Math.sqrt(0.05)) return NaN
    const l1 = Math.max(0, along(params.l1, plateauBounds.l1) - 0.45)
    const l2 = Math.max(0, along(params.l2, plateauBounds.l2) - 0.6)
    const linear = along(params.linearDecay, plateauBounds.linearDecay) - 0.3
    const exponential = along(params.exponentialDecay, plateauBounds.exponentialDecay) - 0.7
    const squared = 12 * (rate - epsilon / 2 - 0.25) ** 2 + 2 * (epsilon - 0.4) ** 2 + 6 * l1 * l1 + 4 * l2 * l2 +
      0.5 * linear * linear + 0.3 * exponential * exponential
    return 0.15 + (chance - 0.15) * Math.min(1, squared / reach)
  }
})

const costs = {
  encoder: { small: 0.4, base: 0.1, large: 0 },
  pooling: { first: 0.1, mean: 0.05, max: 0.25, attention: 0 },
  optimizer: { sgd: 0.3, adamw: 0.05, lion: 0.15, adafactor: 0.1, muon: 0 },
  bias: { with: 0.05, without: 0 },
  augmentation: { none: 0.2, swap: 0.15, drop: 0.1, translate: 0.02, mix: 0.3, mask: 0 }
}

export interface Categorical {
  readonly encoder: keyof typeof costs.encoder
  readonly pooling: keyof typeof costs.pooling
  readonly optimizer: keyof typeof costs.optimizer
  readonly bias: keyof typeof costs.bias
  readonly augmentation: keyof typeof costs.augmentation
}

/** 720 combinations of five choices: the best of each pays only together with the best of another. */
export const categorical = make<Categorical>({
  name: "categorical",
  hyperparameters: Object.entries(costs).map(([name, values]) => choice(name, Object.keys(values))),
  minimum: 0,
  evaluate: ({ augmentation, bias, encoder, optimizer, pooling }) =>
    costs.encoder[encoder] + costs.pooling[pooling] + costs.optimizer[optimizer] + costs.bias[bias] +
    costs.augmentation[augmentation] +
    (pooling === "attention" && augmentation !== "mask" ? 0.3 : 0) +
    (optimizer === "muon" && encoder !== "large" ? 0.25 : 0) +
    (optimizer === "sgd" && encoder === "large" ? 0.2 : 0) +
    (bias === "without" && pooling !== "attention" ? 0.15 : 0)
})
