/**
 * Sobol points: a sequence that covers the unit cube more evenly than random
 * points do (Sobol 1967), in the Gray-code order of Antonov and Saleev (1979),
 * with the direction numbers of Joe and Kuo (2008).
 *
 * By default the points are scrambled by Owen's nested uniform scrambling
 * ("Randomly permuted (t,m,s)-nets and (t,s)-sequences", 1995): in each
 * dimension, every digit is flipped or kept by a coin that belongs to the digits
 * before it. Each point is then uniform in the cube, the points together stay as
 * even as they were, and another seed gives other points. Best after 2^k trials.
 */
import * as Random from "../../random/Random.ts"
import * as Sampler from "../Sampler.ts"
import * as Space from "../space/Space.ts"
import { joeKuo } from "./JoeKuo.ts"

/** Digits of a coordinate, and so the logarithm of the longest sequence. */
const bits = 32

/** The most hyperparameters that may vary: one more than the table has rows. */
export const maxDimensions = joeKuo.length + 1

/**
 * The direction numbers of a dimension (counted from 0) as 32-bit fractions,
 * after Bratley and Fox, "Algorithm 659", ACM TOMS 14, 1988, section 2.
 */
const directions = (dimension: number): Uint32Array => {
  const v = new Uint32Array(bits)
  // The first dimension is the radical inverse of van der Corput.
  const [coefficients, initial] = dimension === 0 ? [0, []] as const : joeKuo[dimension - 1]!
  const degree = initial.length
  for (let i = 0; i < bits; i++) {
    if (degree === 0) v[i] = 2 ** (bits - 1 - i)
    else if (i < degree) v[i] = initial[i]! * 2 ** (bits - 1 - i)
    else {
      let next = v[i - degree]! ^ (v[i - degree]! >>> degree)
      for (let k = 1; k < degree; k++) {
        if ((coefficients >>> (degree - 1 - k)) & 1) next ^= v[i - k]!
      }
      v[i] = next
    }
  }
  return v
}

const tables: Array<Uint32Array> = []

const table = (dimension: number): Uint32Array => tables[dimension] ??= directions(dimension)

/** Coordinate `dimension` of point `index` as a 32-bit fraction. */
const coordinate = (dimension: number, index: number): number => {
  const v = table(dimension)
  let gray = (index ^ (index >>> 1)) >>> 0
  let x = 0
  for (let i = 0; gray !== 0; i++, gray >>>= 1) {
    if (gray & 1) x ^= v[i]!
  }
  return x >>> 0
}

/**
 * Owen's scrambling of one coordinate: the coin of the digit at `depth` is
 * addressed by the digits above it, so points that share those digits share it.
 */
const scrambled = (x: number, dimension: number, seed: number): number => {
  let result = 0
  for (let depth = 0; depth < bits; depth++) {
    const above = depth === 0 ? 0 : x >>> (bits - depth)
    const coin = Random.make(seed, `sobol-scramble/${dimension}/${depth}`, above).uint32() >>> 31
    const digit = (x >>> (bits - 1 - depth)) & 1
    result = (result * 2) + (digit ^ coin)
  }
  return result
}

/**
 * Point `index` of the sequence, each coordinate in [0, 1). Point 0 without a
 * `seed` is the origin; with one the points are scrambled.
 *
 * `dimensions` is at most `maxDimensions`, `index` below 2^32.
 */
export const point = (dimensions: number, index: number, seed?: number): ReadonlyArray<number> => {
  if (dimensions > maxDimensions) throw new RangeError(`at most ${maxDimensions} Sobol dimensions, not ${dimensions}`)
  if (!(index >= 0 && index < 2 ** bits)) throw new RangeError(`a Sobol sequence has no point ${index}`)
  return Array.from({ length: dimensions }, (_, dimension) => {
    const x = coordinate(dimension, index)
    return (seed === undefined ? x : scrambled(x, dimension, seed)) / 2 ** bits
  })
}

export interface Options {
  /** Owen's scrambling, by the seed of the study. Default true. */
  readonly scramble?: boolean
}

/**
 * Trials at Sobol points. Where values are discrete several points may give the
 * same hyperparameters: those that a trial already has are passed over. Where a
 * hyperparameter has a prior the points are denser.
 */
export const make = (options: Options = {}): Sampler.Sampler => {
  const scramble = options.scramble ?? true
  return {
    name: "sobol",
    description: scramble ? "Sobol points with Owen's scrambling" : "Sobol points without scrambling",
    size: (space) => space.size,
    check: ({ space }) =>
      space.axes.length <= maxDimensions ? undefined : {
        found: `${space.axes.length} hyperparameters that vary`,
        expected: `at most ${maxDimensions} for the sobol sampler; the random sampler has no limit`
      },
    propose: (context) =>
      Sampler.proposeDistinct(context, (attempt) => {
        const seed = scramble ? context.seed : undefined
        const even = point(context.space.axes.length, context.index + attempt, seed)
        return context.space.fromUnit(Space.spread(context.space, even))
      })
  }
}
