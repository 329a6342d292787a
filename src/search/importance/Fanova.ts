/**
 * Functional analysis of variance of a forest (Hutter, Hoos and Leyton-Brown, "An
 * efficient approach for assessing hyperparameter importance", ICML 2014).
 *
 * A tree is constant on the boxes of its leaves, so the mean of its predictions
 * over all but a few features is a sum over the leaves. Here
 * each leaf adds its value at one corner of its box and takes it away at the
 * other, and one sweep sums that up: a pair of features costs the leaves and the
 * cells of its grid, not their product. The features are independent and evenly
 * distributed, whatever the distribution of the rows was.
 */
import type { Feature, Tree } from "./RegressionForest.ts"

/** The share of a tree's variance, as its mean and standard deviation over the trees. */
export interface Share {
  readonly mean: number
  readonly deviation: number
}

export interface Decomposition {
  /** By feature: what it explains by itself. */
  readonly main: ReadonlyArray<Share>
  /** By pair of features, what the two explain together and neither does by itself: (0, 1), (0, 2), ..., (1, 2), ... */
  readonly pairs: ReadonlyArray<Share>
  /** How many trees there are that are not constant: those that the shares are of. */
  readonly trees: number
}

/** The variance of each tree by main effects and, unless `pairs` is false, pairwise interactions. */
export const decompose = (
  forest: ReadonlyArray<Tree>,
  features: ReadonlyArray<Feature>,
  pairs: boolean
): Decomposition => {
  const main = features.map(() => new Moments())
  const interactions: Array<{ readonly a: number; readonly b: number; readonly moments: Moments }> = []
  if (pairs) {
    for (let a = 0; a < features.length; a++) {
      for (let b = a + 1; b < features.length; b++) interactions.push({ a, b, moments: new Moments() })
    }
  }
  let trees = 0
  for (const tree of forest) {
    const partition = partitionOf(tree, features)
    const variance = sum(partition.leaves, (leaf) => partition.volume[leaf]! * partition.value[leaf]! ** 2)
    if (!(variance > 0)) continue
    trees++
    const alone = partition.axes.map((axis) => axis === undefined ? 0 : mainVariance(partition, axis))
    for (const [f, moments] of main.entries()) moments.add(alone[f]! / variance)
    for (const { a, b, moments } of interactions) {
      const first = partition.axes[a], second = partition.axes[b]
      const together = first === undefined || second === undefined
        ? 0
        : pairVariance(partition, first, second) - alone[a]! - alone[b]!
      moments.add(Math.max(0, together) / variance)
    }
  }
  return {
    main: main.map((moments) => moments.share(trees)),
    pairs: interactions.map(({ moments }) => moments.share(trees)),
    trees
  }
}

const sum = (count: number, term: (index: number) => number): number => {
  let total = 0
  for (let index = 0; index < count; index++) total += term(index)
  return total
}

class Moments {
  private readonly values: Array<number> = []

  add(value: number): void {
    this.values.push(value)
  }

  share(count: number): Share {
    if (count === 0) return { mean: 0, deviation: 0 }
    const mean = sum(count, (i) => this.values[i]!) / count
    return { mean, deviation: Math.sqrt(sum(count, (i) => (this.values[i]! - mean) ** 2) / count) }
  }
}

/**
 * One feature, cut into cells at all thresholds of a tree, or one cell for each
 * category. A leaf covers runs of cells, from `from[run]` up to but without
 * `to[run]`, where `run` goes from `offset[leaf]` to `offset[leaf + 1] - 1`.
 */
interface Axis {
  readonly width: Float64Array
  readonly offset: Int32Array
  readonly from: Int32Array
  readonly to: Int32Array
  /** The part of the axis that each leaf covers. */
  readonly covered: Float64Array
  readonly begins: Events
  readonly ends: Events
}

/** The leaves by the cells in which their runs begin, or end: cell `c` has those from `offset[c]` up. */
interface Events {
  readonly offset: Int32Array
  readonly leaf: Int32Array
}

interface Partition {
  readonly leaves: number
  /** The part of the space in each leaf. */
  readonly volume: Float64Array
  /** The prediction of each leaf less their mean over the space. */
  readonly value: Float64Array
  /** `undefined` for a feature that the tree does not split on. */
  readonly axes: ReadonlyArray<Axis | undefined>
}

/** The thresholds of each numeric feature that the tree splits on, ascending, each once. */
const thresholdsOf = (tree: Tree, features: ReadonlyArray<Feature>): ReadonlyArray<Float64Array | undefined> => {
  const found = features.map((): Array<number> => [])
  for (const [node, feature] of tree.feature.entries()) if (feature >= 0) found[feature]!.push(tree.threshold[node]!)
  return found.map((thresholds) =>
    thresholds.length === 0 ? undefined : Float64Array.from(new Set(thresholds)).toSorted()
  )
}

const indexOf = (sorted: Float64Array, value: number): number => {
  let low = 0, high = sorted.length - 1
  while (low < high) {
    const middle = (low + high) >> 1
    if (sorted[middle]! < value) low = middle + 1
    else high = middle
  }
  return low
}

const partitionOf = (tree: Tree, features: ReadonlyArray<Feature>): Partition => {
  const thresholds = thresholdsOf(tree, features)
  const leaves = tree.feature.reduce((count, feature) => feature < 0 ? count + 1 : count, 0)
  const value = new Float64Array(leaves), volume = new Float64Array(leaves).fill(1)
  const axes = features.map((feature, f) => {
    const cuts = thresholds[f]
    if (cuts === undefined) return undefined
    const isNumeric = feature.kind === "numeric"
    const width = isNumeric
      ? Float64Array.from({ length: cuts.length + 1 }, (_, cell) => (cuts[cell] ?? 1) - (cuts[cell - 1] ?? 0))
      : new Float64Array(feature.size).fill(1 / feature.size)
    const from: Array<number> = [], to: Array<number> = []
    return { cuts, isNumeric, width, offset: new Int32Array(leaves + 1), from, to, covered: new Float64Array(leaves) }
  })

  // Where the path to a node leaves each axis: a run of cells, or the set of categories.
  const start = new Int32Array(features.length)
  const stop = Int32Array.from(axes, (axis) => axis?.width.length ?? 1)
  const categories = axes.map((axis) =>
    axis === undefined || axis.isNumeric ? undefined : new Uint8Array(axis.width.length).fill(1)
  )
  let leaf = 0
  const close = (node: number) => {
    value[leaf] = tree.value[node]!
    for (const [f, axis] of axes.entries()) {
      if (axis === undefined) continue
      const set = categories[f]
      let covered = 0
      if (set === undefined) {
        axis.from.push(start[f]!)
        axis.to.push(stop[f]!)
        const low = start[f] === 0 ? 0 : axis.cuts[start[f]! - 1]!
        covered = (axis.cuts[stop[f]! - 1] ?? 1) - low
      } else {
        for (let category = 0; category < set.length; category++) {
          if (set[category] === 0) continue
          covered += axis.width[category]!
          if (set[category - 1] === 1) axis.to[axis.to.length - 1] = category + 1
          else {
            axis.from.push(category)
            axis.to.push(category + 1)
          }
        }
      }
      axis.offset[leaf + 1] = axis.from.length
      axis.covered[leaf] = covered
      volume[leaf]! *= covered
    }
    leaf++
  }
  const visit = (node: number) => {
    const f = tree.feature[node]!
    if (f < 0) return close(node)
    const set = categories[f]
    if (set === undefined) {
      const cut = indexOf(axes[f]!.cuts, tree.threshold[node]!) + 1
      const [low, high] = [start[f]!, stop[f]!]
      stop[f] = cut
      visit(tree.left[node]!)
      stop[f] = high
      start[f] = cut
      visit(tree.right[node]!)
      start[f] = low
    } else {
      const before = set.slice()
      const goesLeft = tree.threshold[node]!
      for (let category = 0; category < set.length; category++) set[category]! &= tree.goesLeft[goesLeft + category]!
      visit(tree.left[node]!)
      for (let category = 0; category < set.length; category++) {
        set[category] = before[category]! & (1 - tree.goesLeft[goesLeft + category]!)
      }
      visit(tree.right[node]!)
      set.set(before)
    }
  }
  visit(0)
  const mean = sum(leaves, (each) => volume[each]! * value[each]!)
  return {
    leaves,
    volume,
    value: value.map((each) => each - mean),
    axes: axes.map((axis) => {
      if (axis === undefined) return undefined
      const { covered, from, offset, to, width } = axis
      return {
        width,
        offset,
        from: Int32Array.from(from),
        to: Int32Array.from(to),
        covered,
        begins: eventsOf(offset, width.length, from),
        ends: eventsOf(offset, width.length, to)
      }
    })
  }
}

const eventsOf = (offset: Int32Array, cells: number, at: ReadonlyArray<number>): Events => {
  const begin = new Int32Array(cells + 2)
  for (const cell of at) begin[cell + 1]!++
  for (let cell = 0; cell <= cells; cell++) begin[cell + 1]! += begin[cell]!
  const leaves = new Int32Array(at.length)
  const next = begin.slice()
  for (let leaf = 0; leaf + 1 < offset.length; leaf++) {
    for (let run = offset[leaf]!; run < offset[leaf + 1]!; run++) leaves[next[at[run]!]!++] = leaf
  }
  return { offset: begin, leaf: leaves }
}

/** What a leaf adds to a marginal in the cells it covers of some axes, `covered` being the part of them. */
const contribution = (partition: Partition, leaf: number, covered: number): number =>
  // A leaf between two neighbouring doubles may have no width, and then no weight either.
  covered > 0 ? partition.value[leaf]! * partition.volume[leaf]! / covered : 0

/** The variance of the predictions as a function of one feature alone. */
const mainVariance = (partition: Partition, axis: Axis): number => {
  const steps = new Float64Array(axis.width.length + 1)
  for (let leaf = 0; leaf < partition.leaves; leaf++) {
    const added = contribution(partition, leaf, axis.covered[leaf]!)
    for (let run = axis.offset[leaf]!; run < axis.offset[leaf + 1]!; run++) {
      steps[axis.from[run]!]! += added
      steps[axis.to[run]!]! -= added
    }
  }
  return weightedSquares(steps, axis.width)
}

/** The squares of the running sum of `steps`, each by the width of its cell. */
const weightedSquares = (steps: Float64Array, width: Float64Array): number => {
  let marginal = 0, total = 0
  for (let cell = 0; cell < width.length; cell++) {
    marginal += steps[cell]!
    total += width[cell]! * marginal * marginal
  }
  return total
}

/** The variance of the predictions as a function of two features: cell by cell of the first, along the second. */
const pairVariance = (partition: Partition, first: Axis, second: Axis): number => {
  const steps = new Float64Array(second.width.length + 1)
  const apply = (events: Events, cell: number, sign: number) => {
    for (let event = events.offset[cell]!; event < events.offset[cell + 1]!; event++) {
      const leaf = events.leaf[event]!
      const added = sign * contribution(partition, leaf, first.covered[leaf]! * second.covered[leaf]!)
      for (let run = second.offset[leaf]!; run < second.offset[leaf + 1]!; run++) {
        steps[second.from[run]!]! += added
        steps[second.to[run]!]! -= added
      }
    }
  }
  let total = 0
  for (let cell = 0; cell < first.width.length; cell++) {
    apply(first.ends, cell, -1)
    apply(first.begins, cell, 1)
    total += first.width[cell]! * weightedSquares(steps, second.width)
  }
  return total
}
