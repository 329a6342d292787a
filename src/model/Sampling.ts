/**
 * Choosing the next token from a model's logits.
 *
 * What the settings mean, and the order in which they apply, is transformers' (`generation/logits_process.py`): first the
 * repetition penalty, then temperature, top-k, top-p and min-p, each on what the one before has left. What is ruled out has
 * the logit minus infinity.
 */
import * as Schema from "effect/Schema"
import type * as Random from "../random/Random.ts"

/** How the next token is chosen. Every setting has a value with which it changes nothing. */
export const Settings = Schema.Struct({
  /** What logits are divided by before one token is drawn; 0 takes the most likely token and draws nothing. */
  temperature: Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0)),
  /**
   * Only this many of the most likely tokens, and whatever is as likely as the last of them (Fan, Lewis and Dauphin,
   * "Hierarchical neural story generation", ACL 2018); 0 for all.
   */
  topK: Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)),
  /**
   * Only the smallest set of most likely tokens that has at least this probability together (Holtzman et al., "The curious
   * case of neural text degeneration", ICLR 2020); 1 for all.
   */
  topP: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 })),
  /** Only tokens with at least this share of the probability that the most likely one has; 0 for all. */
  minP: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 })),
  /**
   * What the logits of tokens that stand in the text already are divided by where positive, and multiplied by where
   * negative (Keskar et al., "CTRL", 2019, section 4.1); 1 for none.
   */
  repetitionPenalty: Schema.Finite.check(Schema.isGreaterThan(0))
})
export type Settings = typeof Settings.Type

/** The most likely token each time. */
export const greedy: Settings = { temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1 }

/** Changes the logits of the tokens that a text has already, each once however often it stands there. */
export const penalizeRepetition = (logits: Float32Array, text: Iterable<number>, penalty: number): void => {
  for (const token of new Set(text)) {
    const logit = logits[token]!
    logits[token] = logit < 0 ? logit * penalty : logit / penalty
  }
}

const largestOf = (values: Float32Array): number => {
  let largest = -Infinity
  for (const value of values) if (value > largest) largest = value
  return largest
}

/** The index of the largest value, the first of several. */
export const mostLikely = (logits: Float32Array): number => {
  let best = 0
  for (let token = 1; token < logits.length; token++) if (logits[token]! > logits[best]!) best = token
  return best
}

/** The `count`-th largest of the values, by parting them again and again, since most need not be in order (Hoare 1961). */
const nthLargest = (values: Float32Array, count: number): number => {
  const parted = values.slice()
  const wanted = parted.length - count
  let low = 0, high = parted.length - 1
  while (low < high) {
    const pivot = parted[(low + high) >>> 1]!
    let left = low, right = high
    while (left <= right) {
      while (parted[left]! < pivot) left++
      while (parted[right]! > pivot) right--
      if (left > right) break
      const value = parted[left]!
      parted[left++] = parted[right]!
      parted[right--] = value
    }
    if (wanted <= right) high = right
    else if (wanted >= left) low = left
    else break
  }
  return parted[wanted]!
}

const keepTop = (logits: Float32Array, count: number): void => {
  if (count >= logits.length) return
  const last = nthLargest(logits, count)
  for (let token = 0; token < logits.length; token++) if (logits[token]! < last) logits[token] = -Infinity
}

/** Takes tokens away from the least likely on, as long as what went has no more than 1 - `share` together. */
const keepNucleus = (logits: Float32Array, share: number): void => {
  const largest = largestOf(logits)
  const weights = new Float64Array(logits.length)
  let total = 0
  for (let token = 0; token < logits.length; token++) {
    weights[token] = Math.exp(logits[token]! - largest)
    total += weights[token]!
  }
  const most = (1 - share) * total
  // Only those that may stay need be in order: the likely ones, as soon as the others have little enough together.
  let depth = 1, floor: number, gone: number, likely: number
  do {
    depth *= 2
    floor = largest - depth
    gone = 0
    likely = 0
    for (let token = 0; token < logits.length; token++) {
      if (logits[token]! >= floor) likely++
      else gone += weights[token]!
    }
    // Beyond that depth a weight is 0.
  } while (gone > most && depth < 1000)
  // Numbers alone are sorted many times faster than indices by them.
  const sorted = new Float32Array(likely)
  let filled = 0
  for (const logit of logits) if (logit >= floor) sorted[filled++] = logit
  sorted.sort()
  let leaving = 0
  for (; leaving < sorted.length - 1; leaving++) {
    gone += Math.exp(sorted[leaving]! - largest)
    if (gone > most) break
  }
  const least = sorted[leaving]!
  let alike = leaving - sorted.indexOf(least)
  // Of equally likely tokens the first is the last to go; transformers leaves it to an unstable sort.
  for (let token = logits.length - 1; token >= 0; token--) {
    const logit = logits[token]!
    if (logit < least || (logit === least && alike-- > 0)) logits[token] = -Infinity
  }
}

const keepLikely = (logits: Float32Array, share: number): void => {
  const least = largestOf(logits) + Math.log(share)
  for (let token = 0; token < logits.length; token++) if (logits[token]! < least) logits[token] = -Infinity
}

/** Temperature, top-k, top-p and min-p on one row of logits, in place. With a temperature of 0 nothing happens. */
export const warp = (logits: Float32Array, { minP, temperature, topK, topP }: Settings): void => {
  if (temperature === 0) return
  if (temperature !== 1) { for (let token = 0; token < logits.length; token++) logits[token]! /= temperature }
  if (topK > 0) keepTop(logits, topK)
  if (topP < 1) keepNucleus(logits, topP)
  if (minP > 0) keepLikely(logits, minP)
}

/** Draws a token with the probabilities of the softmax, by one uniform number in [0, 1). */
export const draw = (logits: Float32Array, uniform: number): number => {
  const largest = largestOf(logits)
  let total = 0
  for (const logit of logits) total += Math.exp(logit - largest)
  let left = uniform * total
  let last = 0
  for (let token = 0; token < logits.length; token++) {
    const weight = Math.exp(logits[token]! - largest)
    if (weight === 0) continue
    if (left < weight) return token
    left -= weight
    last = token
  }
  // Rounding may leave a crumb beyond the last token that is possible.
  return last
}

/**
 * The next token of a text, given the logits at its end, which are changed. A random number is drawn only where the
 * temperature is not 0.
 */
export const next = (
  logits: Float32Array,
  text: Iterable<number>,
  settings: Settings,
  random: () => Random.Random
): number => {
  if (settings.repetitionPenalty !== 1) penalizeRepetition(logits, text, settings.repetitionPenalty)
  if (settings.temperature === 0) return mostLikely(logits)
  warp(logits, settings)
  return draw(logits, random().uniform())
}
