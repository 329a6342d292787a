/**
 * Where in a mixed and conditional space a smooth function is highest: many
 * candidates, from the whole space and from around the best trials, then steps
 * along the gradient in what is continuous, in turns with moves to the other
 * values of what is not.
 */
import type * as Random from "../../random/Random.ts"
import * as Sampler from "../Sampler.ts"
import * as Lattice from "../space/Lattice.ts"
import * as Prior from "../space/Prior.ts"
import * as Space from "../space/Space.ts"
import type * as Acquisition from "./Acquisition.ts"
import * as BoundedMinimum from "./BoundedMinimum.ts"
import * as Sobol from "./Sobol.ts"

export interface Found {
  readonly point: Float64Array
  readonly value: number
}

export interface Options {
  readonly context: Pick<Sampler.Context, "space" | "proposed">
  readonly lattice: Lattice.Lattice
  readonly acquisition: Acquisition.Acquisition
  /** The points of the best trials so far, the best first. */
  readonly best: ReadonlyArray<ArrayLike<number>>
  readonly random: Random.Random
}

/** How many candidates come from the whole space, and how many from around the best trials. */
const candidatesEverywhere = 300
const candidatesAround = 200

/** How many of the candidates are improved. */
const starts = 4

/** The most values of an axis that are always tried one by one instead of by steps along the gradient. */
const fewValues = 12

/** The deviations of the perturbations of the best trials. */
const scales = [0.3, 0.1, 0.03, 0.01]

/** How often the two kinds of steps take turns, at most. */
const rounds = 3

/** The highest point found where a new trial may be; `undefined` when there is none among the candidates. */
export const search = (options: Options): Found | undefined => {
  const { acquisition, context, lattice, random } = options
  const { space } = context
  const draw = (axis: number) => Prior.quantile(space.axes[axis]!.dimension.prior, random.uniform())
  const isNew = (point: Float64Array) => Sampler.isNew(context, space.fromUnit(point))
  // In a continuous space without constraints only the last point needs a look.
  const sure = space.constraints.length === 0 && space.size === Infinity
  const isAllowed = sure ? () => true : isNew
  const climber: Climber = { acquisition, best: options.best, draw, isAllowed, lattice }
  const listed = space.size <= candidatesEverywhere + candidatesAround
  const candidates = (listed ? everyPoint(space) : [...everywhere(options, draw), ...around(options, draw)])
    .filter(isAllowed)
    .map((point) => ({ point, value: acquisition(point) }))
    .toSorted((a, b) => b.value - a.value)
  const improved = listed ? [] : apart(candidates, lattice).map((start) => climb(climber, start))
  return [...improved.toSorted((a, b) => b.value - a.value), ...candidates].find(({ point }) => isNew(point))
}

const everyPoint = (space: Space.Space): ReadonlyArray<Float64Array> =>
  Array.from({ length: space.size }, (_, index) => Float64Array.from(space.toUnit(Space.at(space, index))))

/** Sobol points, shifted as a whole so that every proposal sees others (Cranley and Patterson 1976). */
const everywhere = (
  { context: { space }, lattice, random }: Options,
  draw: (axis: number) => number
): ReadonlyArray<Float64Array> => {
  const shift = Float64Array.from({ length: lattice.axes }, () => random.uniform())
  const even = lattice.axes <= Sobol.maxDimensions
  return Array.from({ length: candidatesEverywhere }, (_, index) => {
    const from = even ? Sobol.point(lattice.axes, index) : shift.map(() => random.uniform())
    const point = Float64Array.from(shift, (moved, axis) => {
      const u = from[axis]! + moved
      return Prior.quantile(space.axes[axis]!.dimension.prior, u < 1 ? u : u - 1)
    })
    Lattice.settle(lattice, point, draw)
    return point
  })
}

/** Copies of the best trials with some coordinates moved a little. */
const around = (
  { best, lattice, random }: Options,
  draw: (axis: number) => number
): ReadonlyArray<Float64Array> => {
  if (best.length === 0) return []
  const share = Math.max(0.3, Math.min(1, 2 / lattice.axes))
  return Array.from({ length: candidatesAround }, (_, index) => {
    const point = Float64Array.from(best[index % best.length]!)
    const scale = scales[Math.floor(index / best.length) % scales.length]!
    const always = random.integer(lattice.axes)
    for (let axis = 0; axis < lattice.axes; axis++) {
      if (axis !== always && random.uniform() >= share) continue
      if (lattice.categorical[axis]) point[axis] = draw(axis)
      else {
        const positions = lattice.positions[axis]!.length
        const width = positions > 0 ? Math.max(scale, 0.7 / positions) : scale
        point[axis] = reflect(point[axis]! + width * random.normal())
      }
    }
    Lattice.settle(lattice, point, draw)
    return point
  })
}

const reflect = (u: number): number => u < 0 ? Math.min(1, -u) : u > 1 ? Math.max(0, 2 - u) : u

/** How far two starts are apart, in one axis at least. */
const leastApart = 0.05

/** The first candidates, without those close to one before them. */
const apart = (candidates: ReadonlyArray<Found>, lattice: Lattice.Lattice): ReadonlyArray<Found> => {
  const chosen: Array<Found> = []
  for (const candidate of candidates) {
    if (chosen.length === starts) break
    const near = chosen.some(({ point }) => {
      for (let axis = 0; axis < lattice.axes; axis++) {
        const a = point[axis]!, b = candidate.point[axis]!
        if (Number.isNaN(a) !== Number.isNaN(b) || Math.abs(a - b) > (lattice.categorical[axis] ? 0 : leastApart)) {
          return false
        }
      }
      return true
    })
    if (!near) chosen.push(candidate)
  }
  return chosen
}

interface Climber extends Pick<Options, "acquisition" | "best" | "lattice"> {
  readonly isAllowed: (point: Float64Array) => boolean
  /** A coordinate for an axis that becomes active. */
  readonly draw: (axis: number) => number
}

const climb = (climber: Climber, start: Found): Found => {
  let found = start
  for (let round = 0; round < rounds; round++) {
    const before = found.value
    found = move(climber, slide(climber, found))
    if (found.value < before + 1e-3) break
  }
  return found
}

/** Along the gradient, in the axes that have many values. */
const slide = ({ acquisition, draw, isAllowed, lattice }: Climber, from: Found): Found => {
  const free: Array<number> = []
  for (let axis = 0; axis < lattice.axes; axis++) {
    const { length } = lattice.positions[axis]!
    if (!Number.isNaN(from.point[axis]) && (length === 0 || (length > fewValues && !lattice.categorical[axis]))) {
      free.push(axis)
    }
  }
  if (free.length === 0) return from
  const point = Float64Array.from(from.point), slopes = new Float64Array(lattice.axes)
  const smooth: BoundedMinimum.Smooth = (x, gradient) => {
    for (const [i, axis] of free.entries()) point[axis] = x[i]!
    const value = acquisition(point, gradient === undefined ? undefined : slopes)
    for (const [i, axis] of gradient === undefined ? [] : free.entries()) gradient![i] = -slopes[axis]!
    return -value
  }
  const best = BoundedMinimum.find(smooth, free.map((axis) => from.point[axis]!), {
    lower: free.map(() => 0),
    upper: free.map(() => 1),
    steps: 25,
    firstStep: 0.05,
    tolerance: 1e-4
  })
  for (const [i, axis] of free.entries()) point[axis] = best.point[i]!
  Lattice.settle(lattice, point, draw)
  const value = isAllowed(point) ? acquisition(point) : -Infinity
  return value > from.value ? { point, value } : from
}

/** To the best of the points that differ in one axis, as long as one is better: every value of a categorical, the next ones of others. */
const move = ({ acquisition, best, draw, isAllowed, lattice }: Climber, from: Found): Found => {
  let found = from
  for (let step = 0; step < 8; step++) {
    let better = found
    for (let axis = 0; axis < lattice.axes; axis++) {
      const positions = lattice.positions[axis]!
      if (positions.length === 0 || Number.isNaN(found.point[axis])) continue
      const now = lattice.indexAt(axis, found.point[axis]!)
      const wide = lattice.categorical[axis] ? positions.length : positions.length <= fewValues ? 2 : 1
      for (let index = Math.max(0, now - wide); index <= Math.min(positions.length - 1, now + wide); index++) {
        if (index === now) continue
        const point = Float64Array.from(found.point)
        point[axis] = positions[index]!
        if (lattice.branching[axis]) {
          // What the new branch brings is taken from the best trial that had it.
          const example = best.find((trial) => trial[axis] === positions[index])
          Lattice.settle(lattice, point, (inner) => {
            const coordinate = example?.[inner]
            return coordinate === undefined || Number.isNaN(coordinate) ? draw(inner) : coordinate
          })
        }
        const value = acquisition(point)
        if (value > better.value && isAllowed(point)) better = { point, value }
      }
    }
    if (better === found) break
    found = better
  }
  return found
}
