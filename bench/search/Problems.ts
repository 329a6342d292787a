/**
 * The problems on which samplers are compared: four functions of the
 * literature, a mixed space and a conditional one.
 *
 * The first four are as in Surjanovic and Bingham, Virtual Library of
 * Simulation Experiments. Each `reference` is the median of 1,000 random
 * configurations that Optuna's RandomSampler draws with seed 12345, kept as a
 * number so that regrets compare with figures from elsewhere.
 */
import { box, branches, choice, integer, log, logInteger, make, ofPoint, type Problem, uniform } from "./Problem.ts"

/** Two dimensions, three equal minima. */
export const branin = make<{ readonly x: number; readonly y: number }>({
  name: "branin",
  hyperparameters: [uniform("x", -5, 10), uniform("y", 0, 15)],
  minimum: 0.39788735772973816,
  reference: 33.973826,
  evaluate: ({ x, y }) =>
    (y - 5.1 / (4 * Math.PI ** 2) * x * x + 5 / Math.PI * x - 6) ** 2 + 10 * (1 - 1 / (8 * Math.PI)) * Math.cos(x) + 10
})

/** A sum of Gaussian wells, negated: `weights` deep, `widths` narrow, about `centres` (in ten-thousandths). */
export const hartmann = (
  widths: ReadonlyArray<ReadonlyArray<number>>,
  centres: ReadonlyArray<ReadonlyArray<number>>
) => {
  const weights = [1, 1.2, 3, 3.2]
  return (x: ReadonlyArray<number>): number => {
    let value = 0
    for (const [well, weight] of weights.entries()) {
      let exponent = 0
      for (let i = 0; i < x.length; i++) exponent += widths[well]![i]! * (x[i]! - 1e-4 * centres[well]![i]!) ** 2
      value -= weight * Math.exp(-exponent)
    }
    return value
  }
}

/** Six dimensions, four wells, one of them the deepest; flat far from all. */
export const hartmann6 = make({
  name: "hartmann6",
  hyperparameters: box(6, 0, 1),
  minimum: -3.322368011415511,
  reference: -0.090151162,
  evaluate: ofPoint(
    6,
    hartmann(
      [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]],
      [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381]
      ]
    )
  )
})

/** Five dimensions, wavy about a bowl, lowest where every coordinate is 1. */
export const levy5 = make({
  name: "levy5",
  hyperparameters: box(5, -10, 10),
  minimum: 0,
  reference: 50.322942,
  evaluate: ofPoint(5, (x) => {
    const w = x.map((coordinate) => 1 + (coordinate - 1) / 4)
    const last = w.at(-1)!
    let value = Math.sin(Math.PI * w[0]!) ** 2 + (last - 1) ** 2 * (1 + Math.sin(2 * Math.PI * last) ** 2)
    for (const each of w.slice(0, -1)) value += (each - 1) ** 2 * (1 + 10 * Math.sin(Math.PI * each + 1) ** 2)
    return value
  })
})

/**
 * Five dimensions, a grid of local minima about a bowl. The lowest lies in the
 * very centre of the box: whoever begins there has solved it.
 */
export const rastrigin5 = make({
  name: "rastrigin5",
  hyperparameters: box(5, -5.12, 5.12),
  minimum: 0,
  reference: 93.396528,
  evaluate: ofPoint(
    5,
    (x) => x.reduce((sum, each) => sum + (each * each - 10 * Math.cos(2 * Math.PI * each)), 10 * x.length)
  )
})

const bestRate = { sgd: 1.5, adamw: 0, lion: -0.7 }
const optimizerPenalty = { sgd: 0.35, adamw: 0, lion: 0.12 }
const activationPenalty = { relu: 0.2, gelu: 0, tanh: 0.5, silu: 0.05 }

export interface Mixed6 {
  readonly learningRate: number
  readonly dropout: number
  readonly layers: number
  readonly width: number
  readonly activation: keyof typeof activationPenalty
  readonly optimizer: keyof typeof bestRate
}

/**
 * Six dimensions of all kinds: the best learning rate depends on the optimizer,
 * and its error costs more the further the depth is from the best.
 */
export const mixed6 = make<Mixed6>({
  name: "mixed6",
  hyperparameters: [
    log("learningRate", 1e-6, 1e-1),
    uniform("dropout", 0, 0.6),
    integer("layers", 1, 16),
    integer("width", 0, 7),
    choice("activation", Object.keys(activationPenalty)),
    choice("optimizer", Object.keys(bestRate))
  ],
  minimum: 0,
  reference: 3.0551032,
  evaluate: ({ activation, dropout, layers, learningRate, optimizer, width }) => {
    const error = Math.log10(learningRate) + 3.3 - bestRate[optimizer]
    return error * error + 4 * (dropout - 0.15) ** 2 + ((layers - 7) / 8) ** 2 + ((width - 5) / 5) ** 2 +
      activationPenalty[activation] + optimizerPenalty[optimizer] + 0.15 * Math.abs(error) * Math.abs(layers - 7) / 8
  }
})

export interface Conditional {
  readonly optimizer:
    | { readonly _tag: "adamw"; readonly learningRate: number; readonly weightDecay: number }
    | { readonly _tag: "sgd"; readonly learningRate: number; readonly momentum: number }
  readonly tune:
    | { readonly _tag: "lora"; readonly rank: number; readonly alpha: number }
    | { readonly _tag: "full"; readonly layerwiseDecay: number }
  readonly schedule: { readonly _tag: "cosine"; readonly warmup: number } | { readonly _tag: "constant" }
}

/** Three choices that bring hyperparameters of their own; the best learning rate depends on two of them. */
export const conditional = make<Conditional>({
  name: "conditional",
  hyperparameters: [
    branches("optimizer", {
      adamw: [log("learningRate", 1e-6, 1e-2), log("weightDecay", 1e-5, 1)],
      sgd: [log("learningRate", 1e-4, 1), uniform("momentum", 0, 0.99)]
    }),
    branches("tune", {
      lora: [logInteger("rank", 1, 128), logInteger("alpha", 1, 128)],
      full: [uniform("layerwiseDecay", 0.5, 1)]
    }),
    branches("schedule", { cosine: [uniform("warmup", 0, 0.3)], constant: [] })
  ],
  minimum: 0,
  reference: 2.0323534,
  evaluate: ({ optimizer, schedule, tune }) => {
    const adapted = tune._tag === "lora"
    const best = optimizer._tag === "adamw" ? (adapted ? -3.7 : -4.7) : (adapted ? -1 : -2)
    let value = (Math.log10(optimizer.learningRate) - best) ** 2
    value += optimizer._tag === "adamw"
      ? 0.1 * (Math.log10(optimizer.weightDecay) + 2) ** 2
      : 0.25 + (optimizer.momentum - 0.9) ** 2
    value += tune._tag === "lora"
      ? 0.05 * (Math.log2(tune.rank) - 5) ** 2 / 4 + 0.05 * (Math.log2(tune.alpha / tune.rank) - 1) ** 2
      : 0.08 + 4 * (tune.layerwiseDecay - 0.9) ** 2
    return value + (schedule._tag === "cosine" ? 3 * (schedule.warmup - 0.06) ** 2 : 0.1)
  }
})

export const all = [branin, hartmann6, levy5, rastrigin5, mixed6, conditional] as ReadonlyArray<Problem>
