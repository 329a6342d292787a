/**
 * A random forest of regression trees (Breiman, "Random forests", Machine
 * Learning 45, 2001): each tree is grown on a bootstrap sample of the rows, looks
 * at a random subset of the features at each split, and is not pruned.
 *
 * The trees are plain arrays, for whoever needs more of them than predictions:
 * the decomposition of variance reads their leaves.
 */
import * as Random from "../../random/Random.ts"

/** One column of the training data. NaN where the feature is inactive in a row. */
export type Feature =
  /** Values in [0, 1]. */
  | { readonly kind: "numeric"; readonly values: ArrayLike<number> }
  /** Category numbers from 0 to `size - 1`. */
  | { readonly kind: "categorical"; readonly size: number; readonly values: ArrayLike<number> }

export interface Options {
  readonly seed: number
  readonly trees: number
  /** How many features that vary in a node are tried at its split. */
  readonly features: number
  /** The fewest rows of a leaf, repeated rows of the bootstrap sample counted as often as they occur. */
  readonly leaf: number
  /** The most splits from the root to a leaf. */
  readonly depth: number
}

/**
 * A tree over node numbers; node 0 is the root. A row goes left of a numeric
 * split where its value is at most the threshold.
 */
export interface Tree {
  /** The feature that a node splits on; -1 for a leaf. */
  readonly feature: Int32Array
  /** Of a numeric split its threshold; of a categorical one where its categories begin in `goesLeft`. */
  readonly threshold: Float64Array
  readonly left: Int32Array
  readonly right: Int32Array
  /** The mean target of the rows in a node. */
  readonly value: Float64Array
  /** For each category of a categorical split 1 if it goes left, otherwise 0. */
  readonly goesLeft: Uint8Array
}

/**
 * The forest for `targets`, which are finite. The same seed gives the same trees.
 *
 * A feature that is inactive in a row has no effect there, so each tree sees a
 * value of its own in that place, drawn evenly from all values. A category that
 * no row of a node has goes left or right of its split by a coin.
 */
export const fit = (
  features: ReadonlyArray<Feature>,
  targets: ArrayLike<number>,
  options: Options
): ReadonlyArray<Tree> => {
  const orders = features.map((feature) => feature.kind === "numeric" ? ascending(feature.values) : undefined)
  return Array.from({ length: options.trees }, (_, index) => {
    const random = Random.make(options.seed, "regression-forest", index)
    const multiplicity = new Int32Array(targets.length)
    for (let draw = 0; draw < targets.length; draw++) multiplicity[random.integer(targets.length)]!++
    const active = features.map((feature) => imputed(feature, random))
    const sorted = active.map((feature, f) =>
      feature.kind === "categorical"
        ? undefined
        : feature === features[f]
        ? orders[f]!
        : ascending(feature.values)
    )
    return grow(active, sorted, targets, multiplicity, options, random)
  })
}

/** The prediction of a tree for a point: the value of each feature, none of them NaN. */
export const predict = (tree: Tree, features: ReadonlyArray<Feature>, point: ArrayLike<number>): number => {
  let node = 0
  for (let feature = tree.feature[node]!; feature >= 0; feature = tree.feature[node]!) {
    const value = point[feature]!, threshold = tree.threshold[node]!
    const isLeft = features[feature]!.kind === "numeric" ? value <= threshold : tree.goesLeft[threshold + value] === 1
    node = isLeft ? tree.left[node]! : tree.right[node]!
  }
  return tree.value[node]!
}

const ascending = (values: ArrayLike<number>): Int32Array =>
  Int32Array.from({ length: values.length }, (_, row) => row).toSorted((a, b) => values[a]! - values[b]! || a - b)

/** The feature itself where it is active in all rows. */
const imputed = (feature: Feature, random: Random.Random): Feature => {
  let values: Float64Array | undefined
  for (let row = 0; row < feature.values.length; row++) {
    if (!Number.isNaN(feature.values[row]!)) continue
    values ??= Float64Array.from(feature.values)
    values[row] = feature.kind === "numeric" ? random.uniform() : random.integer(feature.size)
  }
  return values === undefined ? feature : { ...feature, values }
}

/** The best split of a node so far. */
interface Split {
  feature: number
  gain: number
  threshold: number
  /** The categories of the node's rows, when the feature is categorical; the first `places` go left. */
  present: ReadonlyArray<number>
  places: number
}

const grow = (
  features: ReadonlyArray<Feature>,
  sorted: ReadonlyArray<Int32Array | undefined>,
  targets: ArrayLike<number>,
  multiplicity: Int32Array,
  options: Options,
  random: Random.Random
): Tree => {
  const rows = Int32Array.from({ length: targets.length }, (_, row) => row).filter((row) => multiplicity[row]! > 0)
  // Each holds the rows of a node between the same two positions, in the order of its feature.
  const orders = sorted.map((order) => order?.filter((row) => multiplicity[row]! > 0))
  const capacity = 2 * rows.length
  const feature = new Int32Array(capacity).fill(-1)
  const threshold = new Float64Array(capacity)
  const left = new Int32Array(capacity), right = new Int32Array(capacity)
  const value = new Float64Array(capacity)
  const goesLeft: Array<number> = []
  const isLeft = new Uint8Array(targets.length)
  const spare = new Int32Array(rows.length)
  const widest = Math.max(0, ...features.map((each) => each.kind === "categorical" ? each.size : 0))
  const sums = new Float64Array(widest), weights = new Float64Array(widest)

  const numericSplit = (f: number, start: number, end: number, weight: number, mean: number, best: Split): boolean => {
    const { values } = features[f]!
    const order = orders[f]!
    if (values[order[start]!] === values[order[end - 1]!]) return false
    let sum = 0, below = 0
    for (let position = start; position < end - 1; position++) {
      const row = order[position]!
      sum += multiplicity[row]! * (targets[row]! - mean)
      below += multiplicity[row]!
      const here = values[row]!, next = values[order[position + 1]!]!
      if (here === next || below < options.leaf || weight - below < options.leaf) continue
      const gain = sum * sum * (1 / below + 1 / (weight - below))
      if (gain <= best.gain) continue
      // Between neighbouring doubles the middle may round up to the upper one.
      const middle = here + (next - here) / 2
      best.feature = f
      best.gain = gain
      best.threshold = middle < next ? middle : here
    }
    return true
  }

  // Of all ways to part the categories one that follows the order of their means is best (Fisher, "On grouping
  // for maximum homogeneity", 1958; Breiman et al., "Classification and regression trees", 1984, section 8.8).
  const categoricalSplit = (
    f: number,
    start: number,
    end: number,
    weight: number,
    mean: number,
    best: Split
  ): boolean => {
    const each = features[f]! as Extract<Feature, { readonly kind: "categorical" }>
    sums.fill(0)
    weights.fill(0)
    for (let position = start; position < end; position++) {
      const row = rows[position]!
      sums[each.values[row]!]! += multiplicity[row]! * (targets[row]! - mean)
      weights[each.values[row]!]! += multiplicity[row]!
    }
    const present: Array<number> = []
    for (let category = 0; category < each.size; category++) if (weights[category]! > 0) present.push(category)
    if (present.length < 2) return false
    present.sort((a, b) => sums[a]! / weights[a]! - sums[b]! / weights[b]! || a - b)
    let sum = 0, below = 0
    for (let place = 0; place < present.length - 1; place++) {
      sum += sums[present[place]!]!
      below += weights[present[place]!]!
      if (below < options.leaf || weight - below < options.leaf) continue
      const gain = sum * sum * (1 / below + 1 / (weight - below))
      if (gain <= best.gain) continue
      best.feature = f
      best.gain = gain
      best.present = present
      best.places = place + 1
    }
    return true
  }

  let nodes = 1
  const pending = [{ node: 0, start: 0, end: rows.length, depth: 0 }]
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { depth, end, node, start } = next
    let weight = 0, sum = 0, min = Infinity, max = -Infinity
    for (let position = start; position < end; position++) {
      const row = rows[position]!, target = targets[row]!
      weight += multiplicity[row]!
      sum += multiplicity[row]! * target
      if (target < min) min = target
      if (target > max) max = target
    }
    const mean = sum / weight
    value[node] = mean
    if (min === max || weight < 2 * options.leaf || depth === options.depth) continue
    // A split that gains nothing is taken too, where no other is found: what two features do only together shows
    // after it.
    const best: Split = { feature: -1, gain: -1, threshold: 0, present: [], places: 0 }
    let tried = 0
    for (const f of random.permutation(features.length)) {
      if (tried >= options.features && best.feature >= 0) break
      const search = features[f]!.kind === "numeric" ? numericSplit : categoricalSplit
      if (search(f, start, end, weight, mean, best)) tried++
    }
    if (best.feature < 0) continue

    const chosen = features[best.feature]!
    feature[node] = best.feature
    if (chosen.kind === "numeric") {
      threshold[node] = best.threshold
      for (let position = start; position < end; position++) {
        const row = rows[position]!
        isLeft[row] = chosen.values[row]! <= best.threshold ? 1 : 0
      }
    } else {
      const offset = goesLeft.length
      threshold[node] = offset
      for (let category = 0; category < chosen.size; category++) goesLeft.push(random.integer(2))
      for (const [place, category] of best.present.entries()) goesLeft[offset + category] = place < best.places ? 1 : 0
      for (let position = start; position < end; position++) {
        const row = rows[position]!
        isLeft[row] = goesLeft[offset + chosen.values[row]!]!
      }
    }
    const middle = part(rows, start, end, isLeft, spare)
    for (const order of orders) if (order !== undefined) part(order, start, end, isLeft, spare)
    left[node] = nodes++
    right[node] = nodes++
    pending.push(
      { node: right[node]!, start: middle, end, depth: depth + 1 },
      { node: left[node]!, start, end: middle, depth: depth + 1 }
    )
  }
  return {
    feature: feature.slice(0, nodes),
    threshold: threshold.slice(0, nodes),
    left: left.slice(0, nodes),
    right: right.slice(0, nodes),
    value: value.slice(0, nodes),
    goesLeft: Uint8Array.from(goesLeft)
  }
}

/** Moves the rows that go left before the others, both in the order they had; where the others begin. */
const part = (order: Int32Array, start: number, end: number, isLeft: Uint8Array, spare: Int32Array): number => {
  let kept = start, moved = 0
  for (let position = start; position < end; position++) {
    const row = order[position]!
    if (isLeft[row] === 1) order[kept++] = row
    else spare[moved++] = row
  }
  for (let position = 0; position < moved; position++) order[kept + position] = spare[position]!
  return kept
}
