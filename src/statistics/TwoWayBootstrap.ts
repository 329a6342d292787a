/**
 * Bootstrap intervals for the difference between two ways of training, from several seeds of each: how much it would vary
 * had other examples been drawn, and other seeds.
 *
 * A paired bootstrap of two models says how sure their difference is on other examples, for these two models; trained
 * again with another seed they may change places (Dodge et al., "Fine-tuning pretrained language models: weight
 * initializations, data orders, and early stopping", 2020; Bouthillier et al., "Accounting for variance in machine
 * learning benchmarks", MLSys 2021). Here every seed of either way has answered every example, and each resample draws
 * examples and seeds, both with replacement: the pigeonhole bootstrap (Owen, "The pigeonhole bootstrap", Annals of
 * Applied Statistics 1, 2007).
 *
 * What varies then: with σ²ₑ the variance between examples, σ²ₛ that between seeds and σ²ₓ that of what is neither, n
 * examples and s seeds, the squared standard error comes close to σ²ₑ/n + σ²ₛ/s + 3σ²ₓ/(n·s), where the truth has σ²ₓ
 * once; no resampling of such a table is right on all three terms (McCullagh, "Resampling and exchangeable arrays",
 * Bernoulli 6, 2000), and this one is cautious. It is not cautious about few seeds: a bootstrap of
 * s seeds has (s - 1)/s of their variance, half of it for two, and with three or four their tails are hardly known.
 */
import * as Random from "../random/Random.ts"
import * as Bootstrap from "./Bootstrap.ts"

export interface Options {
  readonly seed: number
  /** How many resamples (2,000 unless given). */
  readonly resamples?: number
  /** The share of resamples inside the interval (0.95 unless given). */
  readonly level?: number
  /**
   * Whether the seeds of the two belong together, the first of one with the first of the other and so on, as where both
   * shuffle and initialize alike under one seed: they are then drawn together. Else each way's are drawn by themselves.
   */
  readonly seeds: "paired" | "independent"
  /**
   * What is resampled (`"both"` unless given).
   *
   * `"both"`: the interval is for the two ways of training, on other examples and with other seeds. `"examples"`: for
   * these very models on other examples. `"seeds"`: for these very examples and other seeds.
   */
  readonly resample?: "both" | "examples" | "seeds"
}

/** One way of training. */
export interface System {
  /** With how many seeds it was trained. */
  readonly seeds: number
  /** The score of the model of one seed (from 0) on a selection of examples, given by their indices, repeats included. */
  readonly statistic: (seed: number, examples: Uint32Array) => number
}

/** How often each of `count` is drawn in as many draws, or each once where nothing is to be drawn. */
const weights = (count: number, random: Random.Random | undefined): Uint32Array => {
  const drawn = new Uint32Array(count)
  if (random === undefined) return drawn.fill(1)
  for (let i = 0; i < count; i++) drawn[random.integer(count)]!++
  return drawn
}

/** The mean score over the seeds, each counting as often as it was drawn. */
const meanOver = ({ seeds, statistic }: System, drawn: Uint32Array, examples: Uint32Array): number => {
  let sum = 0
  for (let seed = 0; seed < seeds; seed++) if (drawn[seed]! > 0) sum += drawn[seed]! * statistic(seed, examples)
  return sum / seeds
}

/**
 * The interval of the first way's mean score over its seeds less the second's, on `examples` examples, with a two-sided
 * p-value for the hypothesis that they do not differ.
 *
 * The statistics are handed the same array at every resample: they must not keep it.
 */
export const difference = (
  examples: number,
  first: System,
  second: System,
  options: Options
): Bootstrap.Difference => {
  const { level = 0.95, resample = "both", resamples = 2000, seed, seeds } = options
  Bootstrap.check(resamples, level)
  if (examples < 1) throw new RangeError("A bootstrap needs at least one example")
  if (first.seeds < 1 || second.seeds < 1) throw new RangeError("Each way of training needs at least one seed")
  if (seeds === "paired" && first.seeds !== second.seeds) {
    throw new RangeError(`${first.seeds} seeds cannot be paired with ${second.seeds}`)
  }
  const everyExample = Uint32Array.from({ length: examples }, (_, index) => index)
  const differenceOf = (ofFirst: Uint32Array, ofSecond: Uint32Array, drawn: Uint32Array) =>
    meanOver(first, ofFirst, drawn) - meanOver(second, ofSecond, drawn)
  const estimate = differenceOf(weights(first.seeds, undefined), weights(second.seeds, undefined), everyExample)
  const draws = new Float64Array(resamples)
  const drawn = Uint32Array.from(everyExample)
  for (let i = 0; i < resamples; i++) {
    if (resample !== "seeds") {
      const random = Random.make(seed, "bootstrap", i)
      for (let j = 0; j < examples; j++) drawn[j] = random.integer(examples)
    }
    const random = resample === "examples" ? undefined : Random.make(seed, "bootstrap seeds", i)
    const ofFirst = weights(first.seeds, random)
    const ofSecond = seeds === "paired" ? ofFirst : weights(second.seeds, random)
    draws[i] = differenceOf(ofFirst, ofSecond, drawn)
  }
  return { ...Bootstrap.fromDraws(estimate, draws, level), pValue: Bootstrap.pValueOf(draws) }
}

/** A way of training whose score is the mean of one number an example. */
const meansOf = (rows: ReadonlyArray<ArrayLike<number>>): System => ({
  seeds: rows.length,
  statistic: (seed, examples) => {
    const row = rows[seed]!
    let sum = 0
    for (let i = 0; i < examples.length; i++) sum += row[examples[i]!]!
    return sum / examples.length
  }
})

/**
 * The {@link difference} of two means: `first[s][i]` is the number, such as the loss or whether the answer is right, of
 * the model of seed `s` on example `i`, and so for `second`. The examples are the same throughout.
 */
export const meanDifference = (
  first: ReadonlyArray<ArrayLike<number>>,
  second: ReadonlyArray<ArrayLike<number>>,
  options: Options
): Bootstrap.Difference => {
  const examples = first[0]?.length ?? 0
  for (const [name, rows] of [["first", first], ["second", second]] as const) {
    const odd = rows.findIndex((row) => row.length !== examples)
    if (odd >= 0) {
      throw new RangeError(
        `Seed ${odd} of the ${name} has ${rows[odd]!.length} values, not one for each of ${examples}`
      )
    }
  }
  return difference(examples, meansOf(first), meansOf(second), options)
}
