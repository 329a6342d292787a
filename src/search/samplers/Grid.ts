/**
 * Every combination of a few values for each hyperparameter.
 *
 * The order is that of an odometer over the space as it is written: the last
 * hyperparameter changes fastest. A study with fewer trials than the grid has
 * points therefore covers the first part only; `size` says how many there are.
 * Points that break a constraint are passed over.
 */
import { InvalidStudy } from "../InvalidStudy.ts"
import * as Sampler from "../Sampler.ts"
import { type Fields, isBranches } from "../space/Branches.ts"
import { type Dimension, isCategorical } from "../space/Dimension.ts"
import type * as Space from "../space/Space.ts"

export interface Options {
  /**
   * How many values a continuous hyperparameter takes, spread evenly over its
   * scale with both ends (one value: the middle). A hyperparameter with that
   * many values or fewer takes all of them, a choice always does. Default 3.
   */
  readonly resolution?: number
  /** The resolution of single hyperparameters, by name; of one in a branch by its path, as in `optimizer.sgd.momentum`. */
  readonly resolutions?: Readonly<Record<string, number>>
}

const checkResolution = (option: string, resolution: number): void => {
  if (Number.isSafeInteger(resolution) && resolution >= 1) return
  throw new InvalidStudy({ option, found: String(resolution), expected: "a whole number of at least 1" })
}

const levels = (dimension: Dimension<unknown>, resolution: number): ReadonlyArray<unknown> => {
  if (dimension.size <= resolution || isCategorical(dimension)) {
    return Array.from({ length: dimension.size }, (_, index) => dimension.at(index))
  }
  if (resolution === 1) return [dimension.fromUnit(0.5)]
  return [...new Set(Array.from({ length: resolution }, (_, index) => dimension.fromUnit(index / (resolution - 1))))]
}

/** The points of a grid, by number. */
interface Points {
  readonly size: number
  readonly at: (index: number) => Space.Params
}

const product = (axes: ReadonlyArray<readonly [string, Values]>): Points => ({
  size: axes.reduce((size, [, values]) => size * values.size, 1),
  at: (index) => {
    let rest = index
    const entries = axes.toReversed().map(([name, values]) => {
      const entry = [name, values.at(rest % values.size)] as const
      rest = Math.floor(rest / values.size)
      return entry
    })
    return Object.fromEntries(entries.toReversed())
  }
})

interface Values {
  readonly size: number
  readonly at: (index: number) => unknown
}

/** One branch after the other. */
const sum = (parts: ReadonlyArray<readonly [string, Points]>): Values => ({
  size: parts.reduce((size, [, points]) => size + points.size, 0),
  at: (index) => {
    let rest = index
    for (const [tag, points] of parts) {
      if (rest < points.size) return { _tag: tag, ...points.at(rest) }
      rest -= points.size
    }
    throw new RangeError(`there is no value ${index}`)
  }
})

/** Throws `InvalidStudy` for a resolution that is not a whole number of at least 1. */
export const make = (options: Options = {}): Sampler.Sampler => {
  const resolution = options.resolution ?? 3
  const resolutions = options.resolutions ?? {}
  checkResolution("grid resolution", resolution)
  for (const name of Object.keys(resolutions)) checkResolution(`grid resolution of ${name}`, resolutions[name]!)

  const pointsOf = (fields: Fields, path: string): Points =>
    product(
      Object.entries(fields).map(([name, field]) => {
        if (isBranches(field)) {
          const inner = Object.entries(field.branches).map(([tag, branch]) =>
            [tag, pointsOf(branch, `${path}${name}.${tag}.`)] as const
          )
          return [name, sum(inner)]
        }
        const values = levels(field, resolutions[path + name] ?? resolution)
        return [name, { size: values.length, at: (index) => values[index] }]
      })
    )

  return {
    name: "grid",
    description: `every combination, ${resolution} values for each continuous hyperparameter` +
      Object.keys(resolutions).map((name) => `, ${resolutions[name]} for ${name}`).join(""),
    size: (space) => pointsOf(space.fields, "").size,
    check: ({ space }) => {
      const names = space.leaves.map(({ name }) => name)
      const unknown = Object.keys(resolutions).find((name) => !names.includes(name))
      return unknown === undefined
        ? undefined
        : { found: `a resolution for ${unknown}`, expected: `one of ${names.join(", ")}` }
    },
    propose: (context) => {
      const { at, size } = pointsOf(context.space.fields, "")
      // Each proposal is the first point that no trial has, so the points before
      // number `index` are taken: by earlier proposals or by enqueued trials.
      for (let index = context.index; index < size; index++) {
        const params = at(index)
        if (Sampler.isNew(context, params)) return { params }
      }
      return undefined
    }
  }
}
