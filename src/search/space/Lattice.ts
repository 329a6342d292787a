/**
 * The points of a search space as a model walks among them: rows of unit
 * coordinates, those of values that can be counted in the middle of their
 * share, NaN where an axis is inactive.
 */
import * as Dimension from "./Dimension.ts"
import type * as Space from "./Space.ts"

export interface Lattice {
  readonly axes: number
  /** For each axis 1 when its values have no order. */
  readonly categorical: Uint8Array
  /** The positions of the values of each axis in order; empty where they are continuous or too many to list. */
  readonly positions: ReadonlyArray<Float64Array>
  /** Of each axis, the branches that it belongs to. */
  readonly when: ReadonlyArray<ReadonlyArray<Space.Condition>>
  /** For each axis 1 when other axes depend on it. */
  readonly branching: Uint8Array
  /** Which value of an axis with positions lies at a coordinate. */
  readonly indexAt: (axis: number, coordinate: number) => number
}

/** The most values of an axis that are listed; more lie so close that they count as continuous. */
const most = 1024

export const of = (space: Pick<Space.Space, "axes">): Lattice => {
  const { axes } = space
  const branching = new Uint8Array(axes.length)
  for (const { when } of axes) for (const { axis } of when) branching[axis] = 1
  const counted = (dimension: Dimension.Dimension<unknown>) =>
    dimension.size <= most || Dimension.isCategorical(dimension)
  return {
    axes: axes.length,
    categorical: Uint8Array.from(axes, ({ dimension }) => Dimension.isCategorical(dimension) ? 1 : 0),
    positions: axes.map(({ dimension }) =>
      counted(dimension)
        ? Float64Array.from({ length: dimension.size }, (_, index) => dimension.toUnit(dimension.at(index)))
        : new Float64Array(0)
    ),
    when: axes.map(({ when }) => when),
    branching,
    indexAt: (axis, coordinate) => Dimension.indexAt(axes[axis]!.dimension, coordinate)
  }
}

/**
 * Moves a point, in place, to where a trial can be: coordinates to the middle of
 * a value's share, inactive ones to NaN. An axis that has become active takes its
 * coordinate from `fill`.
 */
export const settle = (lattice: Lattice, point: Float64Array, fill: (axis: number) => number): void => {
  for (let axis = 0; axis < lattice.axes; axis++) {
    if (!isActive(lattice, point, axis)) {
      point[axis] = Number.NaN
      continue
    }
    if (Number.isNaN(point[axis])) point[axis] = fill(axis)
    const positions = lattice.positions[axis]!
    if (positions.length > 0) point[axis] = positions[lattice.indexAt(axis, point[axis]!)]!
  }
}

/** Whether an axis is active at a point whose earlier axes are settled. */
export const isActive = (lattice: Lattice, point: Float64Array, axis: number): boolean => {
  for (const condition of lattice.when[axis]!) {
    if (point[condition.axis] !== lattice.positions[condition.axis]![condition.index]) return false
  }
  return true
}
