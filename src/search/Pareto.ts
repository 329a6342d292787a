/**
 * Trade-offs between several losses: which points no other surpasses, how even
 * they lie, and how much of the space of losses they cover.
 *
 * A point is a list of losses, all minimised, none of them NaN; all points of a
 * call have equally many.
 */

type Point = ArrayLike<number>

/** Whether `a` is nowhere worse than `b` and somewhere better. */
export const dominates = (a: Point, b: Point): boolean => {
  let better = false
  for (let i = 0; i < a.length; i++) {
    if (a[i]! > b[i]!) return false
    if (a[i]! < b[i]!) better = true
  }
  return better
}

/**
 * The indices of the points in fronts: the first front has those that no point
 * dominates, the second those that only points of the first do, and so on. In
 * each front the indices ascend.
 *
 * Fast non-dominated sorting (Deb, Pratap, Agarwal and Meyarivan, "A fast and
 * elitist multiobjective genetic algorithm: NSGA-II", IEEE Transactions on
 * Evolutionary Computation 6, 2002, III.A), quadratic in the number of points.
 */
export const fronts = (points: ReadonlyArray<Point>): ReadonlyArray<ReadonlyArray<number>> => {
  const dominators = new Uint32Array(points.length)
  const dominated: ReadonlyArray<Array<number>> = points.map(() => [])
  const count = (winner: number, loser: number): void => {
    if (!dominates(points[winner]!, points[loser]!)) return
    dominated[winner]!.push(loser)
    dominators[loser]!++
  }
  for (let a = 0; a < points.length; a++) {
    for (let b = 0; b < a; b++) {
      count(a, b)
      count(b, a)
    }
  }
  const found: Array<ReadonlyArray<number>> = []
  let front = points.flatMap((_, index) => dominators[index] === 0 ? [index] : [])
  while (front.length > 0) {
    found.push(front)
    front = front
      .flatMap((winner) => dominated[winner]!.filter((loser) => --dominators[loser]! === 0))
      .toSorted((a, b) => a - b)
  }
  return found
}

/**
 * How much room each point of a front has, in the order of `front`: the sum over
 * the losses of the distance between its two neighbours, in units of the front's
 * range (Deb et al. 2002, III.B). Infinite at the ends of each loss; a loss that
 * is the same for the whole front counts for nothing.
 */
export const crowding = (points: ReadonlyArray<Point>, front: ReadonlyArray<number>): Float64Array => {
  const distances = new Float64Array(front.length)
  const losses = front.length === 0 ? 0 : points[front[0]!]!.length
  for (let loss = 0; loss < losses; loss++) {
    const at = (position: number) => points[front[position]!]![loss]!
    const order = Array.from(front, (_, position) => position).toSorted((a, b) => at(a) - at(b) || a - b)
    const first = order[0]!, last = order.at(-1)!
    const range = at(last) - at(first)
    if (range === 0) continue
    distances[first] = distances[last] = Infinity
    for (let i = 1; i < order.length - 1; i++) {
      distances[order[i]!]! += (at(order[i + 1]!) - at(order[i - 1]!)) / range
    }
  }
  return distances
}

/**
 * The volume of all that some point dominates, up to the reference. Points that
 * are not below the reference in every loss count for nothing.
 *
 * Exact for any number of losses: a sweep for two of them, and above that the
 * method of While, Bradstreet and Barone ("A fast way of calculating exact
 * hypervolumes", IEEE Transactions on Evolutionary Computation 16, 2012): each
 * point's own volume less what the points after it cover of that, sliced by the
 * last loss. Exponential in the number of losses at worst; a hundred points of
 * four losses take milliseconds.
 */
export const hypervolume = (points: ReadonlyArray<Point>, reference: Point): number =>
  volume(best(within(points, reference), reference.length), reference, reference.length)

/**
 * By how much the hypervolume would fall without each point: 0 for one that
 * another point dominates or equals, or that is not below the reference.
 */
export const contributions = (points: ReadonlyArray<Point>, reference: Point): Float64Array =>
  Float64Array.from(points, (point, index) => {
    const others = points.filter((_, other) => other !== index)
    if (within([point], reference).length === 0 || others.some((other) => reaches(other, point, point.length))) return 0
    return exclusive(point, within(others, reference), reference, reference.length)
  })

const within = (points: ReadonlyArray<Point>, reference: Point): ReadonlyArray<Point> =>
  points.filter((point) => {
    if (point.length !== reference.length) {
      throw new RangeError(`a point of ${point.length} losses with a reference of ${reference.length}`)
    }
    return Array.prototype.every.call(point, (loss: number, i) => loss < reference[i]!)
  })

/** Whether `a` is nowhere worse than `b` in the first losses. */
const reaches = (a: Point, b: Point, losses: number): boolean => {
  for (let i = 0; i < losses; i++) if (a[i]! > b[i]!) return false
  return true
}

/** The points that no other reaches in the first losses, one of each that are equal there. */
const best = (points: ReadonlyArray<Point>, losses: number): ReadonlyArray<Point> => {
  const kept: Array<Point> = []
  for (const point of points) {
    if (kept.some((other) => reaches(other, point, losses))) continue
    let length = 0
    for (const other of kept) if (!reaches(point, other, losses)) kept[length++] = other
    kept.length = length
    kept.push(point)
  }
  return kept
}

/** The volume that points of which none reaches another cover in the first losses. */
const volume = (points: ReadonlyArray<Point>, reference: Point, losses: number): number => {
  const last = losses - 1
  if (points.length === 0) return 0
  if (losses === 0) return 1
  if (points.length === 1) return box(points[0]!, reference, losses)
  // The worst in the last loss first: whatever the points after it share with it begins at its own last loss.
  const sorted = points.toSorted((a, b) => b[last]! - a[last]!)
  let sum = 0
  if (losses === 2) {
    // The first losses ascend with the list, since no point reaches another.
    for (const [index, point] of sorted.entries()) {
      const next = sorted[index + 1]?.[0] ?? reference[0]!
      sum += (reference[1]! - point[1]!) * (next - point[0]!)
    }
    return sum
  }
  for (const [index, point] of sorted.entries()) {
    sum += (reference[last]! - point[last]!) * exclusive(point, sorted.slice(index + 1), reference, last)
  }
  return sum
}

/** The volume that a point covers and the others do not. */
const exclusive = (point: Point, others: ReadonlyArray<Point>, reference: Point, losses: number): number => {
  const shared = others.map((other) => Float64Array.from({ length: losses }, (_, i) => Math.max(point[i]!, other[i]!)))
  return box(point, reference, losses) - volume(best(shared, losses), reference, losses)
}

const box = (point: Point, reference: Point, losses: number): number => {
  let product = 1
  for (let i = 0; i < losses; i++) product *= reference[i]! - point[i]!
  return product
}
