/**
 * Every combination of a few values for each hyperparameter.
 *
 * The order is that of an odometer over the space as it is written: the last
 * hyperparameter changes fastest. A study with fewer trials than the grid has
 * points therefore covers the first part only; `size` says how many there are.
 */
import type { Dimension } from "./Dimension.ts"
import { InvalidStudy } from "./InvalidStudy.ts"
import type * as Sampler from "./Sampler.ts"
import type * as Space from "./Space.ts"

export interface Options {
  /**
   * How many values a continuous hyperparameter takes, spread evenly over its
   * scale with both ends (one value: the middle). A hyperparameter with that
   * many values or fewer takes all of them, a choice always does. Default 3.
   */
  readonly resolution?: number
  /** The resolution of single hyperparameters, by name. */
  readonly resolutions?: Readonly<Record<string, number>>
}

const checkResolution = (option: string, resolution: number): void => {
  if (Number.isSafeInteger(resolution) && resolution >= 1) return
  throw new InvalidStudy({ option, found: String(resolution), expected: "a whole number of at least 1" })
}

const levels = (dimension: Dimension<unknown>, resolution: number): ReadonlyArray<unknown> => {
  if (dimension.size <= resolution || dimension.domain._tag === "Choice") {
    return Array.from({ length: dimension.size }, (_, index) => dimension.at(index))
  }
  if (resolution === 1) return [dimension.fromUnit(0.5)]
  return [...new Set(Array.from({ length: resolution }, (_, index) => dimension.fromUnit(index / (resolution - 1))))]
}

/** Throws `InvalidStudy` for a resolution that is not a whole number of at least 1. */
export const make = (options: Options = {}): Sampler.Sampler => {
  const resolution = options.resolution ?? 3
  const resolutions = options.resolutions ?? {}
  checkResolution("grid resolution", resolution)
  for (const name of Object.keys(resolutions)) checkResolution(`grid resolution of ${name}`, resolutions[name]!)

  const axes = (space: Space.Space): ReadonlyArray<ReadonlyArray<unknown>> =>
    space.names.map((name) => levels(space.dimensions[name]!, resolutions[name] ?? resolution))
  const count = (space: Space.Space): number => axes(space).reduce((product, values) => product * values.length, 1)

  return {
    name: "grid",
    description: `every combination, ${resolution} values for each continuous hyperparameter` +
      Object.keys(resolutions).map((name) => `, ${resolutions[name]} for ${name}`).join(""),
    size: count,
    check: (space) => {
      const unknown = Object.keys(resolutions).find((name) => !space.names.includes(name))
      return unknown === undefined
        ? undefined
        : { found: `a resolution for ${unknown}`, expected: `one of ${space.names.join(", ")}` }
    },
    propose: (context) => {
      const grid = axes(context.space)
      const size = grid.reduce((product, values) => product * values.length, 1)
      // Each proposal is the first point that no trial has, so the points before
      // number `index` are taken: by earlier proposals or by enqueued trials.
      for (let index = context.index; index < size; index++) {
        const params = point(context.space.names, grid, index)
        if (!context.proposed.has(context.space.key(params))) return params
      }
      return undefined
    }
  }
}

const point = (
  names: ReadonlyArray<string>,
  grid: ReadonlyArray<ReadonlyArray<unknown>>,
  index: number
): Space.Params => {
  let rest = index
  const digits = grid.toReversed().map((values) => {
    const value = values[rest % values.length]
    rest = Math.floor(rest / values.length)
    return value
  }).toReversed()
  return Object.fromEntries(names.map((name, axis) => [name, digits[axis]]))
}
