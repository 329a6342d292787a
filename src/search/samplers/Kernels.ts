/**
 * The kernels of a mixture along one axis of a search space: one around the
 * coordinate of each trial, and the prior where a trial has no coordinate.
 *
 * - Continuous values: a normal density truncated to the unit interval.
 * - Values that can be counted and have an order: the mass of that density in
 *   the share of the unit interval that belongs to the value.
 * - Values without order: with probability 1 - s the trial's own value, else a
 *   draw from the prior. With a uniform prior over c values it is the kernel of
 *   Aitchison and Aitken ("Multivariate binary discrimination by the kernel
 *   method", Biometrika 63, 1976) of bandwidth s (c - 1) / c.
 */
import type * as Random from "../../random/Random.ts"
import * as Dimension from "../space/Dimension.ts"
import * as Prior from "../space/Prior.ts"
import * as TruncatedNormal from "./TruncatedNormal.ts"

export interface Kernels {
  /** Adds to each of `sums` the logarithm of that kernel's density (of a value's mass, where values are discrete) at `u`. */
  readonly addLogDensity: (u: number, sums: Float64Array) => void
  /** A draw from kernel number `index`: a position as `Space.toUnit` gives them. */
  readonly draw: (index: number, random: Random.Random) => number
}

/** The values of a discrete dimension as shares of the unit interval. */
interface Cells {
  /** Where the share of value number `index` begins; it ends where the next one begins. */
  readonly edge: (index: number) => number
  readonly centre: (index: number) => number
  readonly at: (u: number) => number
}

const cellsOf = (dimension: Dimension.Dimension<unknown>): Cells => {
  const { domain, size } = dimension
  const at = (u: number) => Dimension.indexAt(dimension, u)
  const centre = (index: number) => dimension.toUnit(dimension.at(index))
  if (domain._tag !== "Integer" || domain.scale === "linear") return { edge: (index) => index / size, centre, at }
  // The number v has the share from log(v - 1/2) to log(v + 1/2).
  const low = Math.log(domain.min - 0.5), length = Math.log(domain.max + 0.5) - low
  return { edge: (index) => (Math.log(domain.min + index - 0.5) - low) / length, centre, at }
}

/** The logarithm of the prior's mass in a value's share. */
const logPriorMass = (prior: Prior.Prior | undefined, cells: Cells, index: number): number => {
  const low = cells.edge(index), high = cells.edge(index + 1)
  if (prior === undefined) return Math.log(high - low)
  if (prior._tag === "Weights") return Math.log(prior.weights[index]!)
  const { deviation, mean } = prior
  return Math.log(TruncatedNormal.mass((low - mean) / deviation, (high - mean) / deviation)) -
    Math.log(TruncatedNormal.within(mean, deviation))
}

/**
 * Normal kernels on an axis whose values have an order. `means` are the
 * coordinates of the trials, NaN for the prior; `deviations` one for each.
 */
export const ordered = (
  dimension: Dimension.Dimension<unknown>,
  means: Float64Array,
  deviations: Float64Array
): Kernels => {
  const { prior, size } = dimension
  const cells = Number.isFinite(size) ? cellsOf(dimension) : undefined
  const least = deviations.reduce((a, b) => Math.min(a, b), Infinity)
  // Either is of use on some axes only.
  let density: ReturnType<typeof normals> | undefined, mass: ReturnType<typeof masses> | undefined
  return {
    addLogDensity: (u, sums) => {
      const index = cells === undefined ? 0 : cells.at(u)
      const width = cells === undefined ? 0 : cells.edge(index + 1) - cells.edge(index)
      if (width < narrow * least) {
        density ??= normals(prior, means, deviations)
        if (cells === undefined) density(u, 0, sums)
        else density(cells.centre(index), Math.log(width), sums)
      } else {
        mass ??= masses(prior, cells!, means, deviations)
        mass(index, sums)
      }
    },
    draw: (index, random) => {
      const mean = means[index]!
      const u = Number.isNaN(mean)
        ? Prior.quantile(prior, random.uniform())
        : TruncatedNormal.draw(mean, deviations[index]!, random)
      return cells === undefined ? u : cells.centre(cells.at(u))
    }
  }
}

/**
 * A share narrower than this many deviations holds the density at its middle
 * times its width, to within (z^2 - 1) / 6,000 of it at z deviations.
 */
const narrow = 1 / 16

/** Adds log densities of kernels at a position, with a constant for all. */
const normals = (prior: Prior.Prior | undefined, means: Float64Array, deviations: Float64Array) => {
  const count = means.length
  // The density is flat where there is no mean: a precision of 0, and no scale.
  const at = new Float64Array(count), precision = new Float64Array(count), scale = new Float64Array(count)
  const flat: Array<number> = []
  for (let k = 0; k < count; k++) {
    const mean = means[k]!, deviation = deviations[k]!
    if (Number.isNaN(mean)) {
      flat.push(k)
      continue
    }
    at[k] = mean
    precision[k] = 0.5 / (deviation * deviation)
    scale[k] = TruncatedNormal.logScale(mean, deviation)
  }
  return (u: number, constant: number, sums: Float64Array): void => {
    for (let k = 0; k < count; k++) {
      const distance = u - at[k]!
      sums[k]! += constant - scale[k]! - distance * distance * precision[k]!
    }
    if (prior === undefined) return
    const preference = Prior.logDensity(prior, u)
    for (const k of flat) sums[k]! += preference
  }
}

/** Adds log masses of kernels in the share of a value. Kernels of the same mean and deviation are computed once. */
const masses = (prior: Prior.Prior | undefined, cells: Cells, means: Float64Array, deviations: Float64Array) => {
  const count = means.length
  const shapes: Array<{ readonly mean: number; readonly deviation: number; readonly logWithin: number }> = []
  const byMean = new Map<number, Array<number>>()
  const shapeOf = new Int32Array(count).fill(-1)
  for (let k = 0; k < count; k++) {
    const mean = means[k]!, deviation = deviations[k]!
    if (Number.isNaN(mean)) continue
    let known = byMean.get(mean)
    if (known === undefined) byMean.set(mean, known = [])
    let shape = known.find((shape) => shapes[shape]!.deviation === deviation)
    if (shape === undefined) {
      shape = shapes.push({ mean, deviation, logWithin: Math.log(TruncatedNormal.within(mean, deviation)) }) - 1
      known.push(shape)
    }
    shapeOf[k] = shape
  }
  for (let k = 0; k < count; k++) if (shapeOf[k] === -1) shapeOf[k] = shapes.length
  const row = rows((index) => {
    const low = cells.edge(index), high = cells.edge(index + 1)
    const logs = new Float64Array(shapes.length + 1)
    for (const [i, { deviation, logWithin, mean }] of shapes.entries()) {
      logs[i] = Math.log(TruncatedNormal.mass((low - mean) / deviation, (high - mean) / deviation)) - logWithin
    }
    logs[shapes.length] = logPriorMass(prior, cells, index)
    return logs
  })
  return (index: number, sums: Float64Array): void => {
    const logs = row(index)
    for (let k = 0; k < count; k++) sums[k]! += logs[shapeOf[k]!]!
  }
}

/** Keeps what was computed for each value, since candidates share values. */
const rows = (compute: (index: number) => Float64Array): (index: number) => Float64Array => {
  const known = new Map<number, Float64Array>()
  return (index) => {
    let logs = known.get(index)
    if (logs === undefined) known.set(index, logs = compute(index))
    return logs
  }
}

/**
 * Kernels on an axis whose values have no order. `values` says which value each
 * trial has, -1 for the prior; `spread` is the probability of a draw from the prior.
 */
export const unordered = (dimension: Dimension.Dimension<unknown>, values: Int32Array, spread: number): Kernels => {
  const { prior, size } = dimension
  const cells = cellsOf(dimension)
  const row = rows((index) => {
    const mass = Math.exp(logPriorMass(prior, cells, index))
    return Float64Array.of(Math.log(1 - spread + spread * mass), Math.log(spread * mass), Math.log(mass))
  })
  const count = values.length
  return {
    addLogDensity: (u, sums) => {
      const index = cells.at(u), logs = row(index)
      const same = logs[0]!, other = logs[1]!, unknown = logs[2]!
      for (let k = 0; k < count; k++) {
        const value = values[k]!
        sums[k]! += value === index ? same : value < 0 ? unknown : other
      }
    },
    draw: (index, random) => {
      const value = values[index]!
      const own = value >= 0 && random.uniform() >= spread
      return ((own ? value : cells.at(Prior.quantile(prior, random.uniform()))) + 0.5) / size
    }
  }
}
