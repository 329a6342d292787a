/**
 * A local minimum of a smooth function in a box: the limited-memory
 * quasi-Newton method of Nocedal and Wright, "Numerical Optimization", 2006,
 * algorithm 7.4, over the variables that no bound holds, with steps projected
 * on the box and halved until they lower the function enough (Armijo).
 */

/** The value at a point; writes the gradient there, if asked for. Not finite: the point is refused. */
export type Smooth = (point: Float64Array, gradient?: Float64Array) => number

export interface Options {
  readonly lower: ArrayLike<number>
  readonly upper: ArrayLike<number>
  /** The most steps. */
  readonly steps: number
  /** How long the first step is at most, in each coordinate. */
  readonly firstStep: number
  /** Stops when a step lowers the value by less. */
  readonly tolerance: number
}

export interface Minimum {
  readonly point: Float64Array
  readonly value: number
}

/** How many steps back curvature is remembered. */
const memory = 8

/** Armijo's share of the decrease that the slope promises. */
const sufficient = 1e-4

/** From a point in the box. The value at it must be finite. */
export const find = (smooth: Smooth, start: ArrayLike<number>, options: Options): Minimum => {
  const { firstStep, lower, steps, tolerance, upper } = options
  const size = start.length
  let point = Float64Array.from(start), gradient = new Float64Array(size)
  let value = smooth(point, gradient)
  let next = new Float64Array(size), nextGradient = new Float64Array(size)
  const held = new Uint8Array(size), direction = new Float64Array(size), shares = new Float64Array(memory)
  const moves: Array<Float64Array> = [], changes: Array<Float64Array> = []
  for (let step = 0; step < steps; step++) {
    for (let i = 0; i < size; i++) {
      held[i] = (point[i]! <= lower[i]! && gradient[i]! > 0) || (point[i]! >= upper[i]! && gradient[i]! < 0) ? 1 : 0
      direction[i] = held[i] ? 0 : -gradient[i]!
    }
    for (let k = moves.length - 1; k >= 0; k--) {
      const move = moves[k]!, change = changes[k]!
      shares[k] = dot(move, direction) / dot(move, change)
      for (let i = 0; i < size; i++) if (!held[i]) direction[i]! -= shares[k]! * change[i]!
    }
    if (moves.length > 0) {
      const move = moves.at(-1)!, change = changes.at(-1)!
      const scale = dot(move, change) / dot(change, change)
      for (let i = 0; i < size; i++) direction[i]! *= scale
    }
    for (let k = 0; k < moves.length; k++) {
      const move = moves[k]!
      const share = shares[k]! - dot(changes[k]!, direction) / dot(move, changes[k]!)
      for (let i = 0; i < size; i++) if (!held[i]) direction[i]! += share * move[i]!
    }
    let slope = dot(gradient, direction)
    if (!(slope < 0)) {
      if (moves.length === 0) break
      moves.length = changes.length = 0
      continue
    }
    let largest = 0
    for (let i = 0; i < size; i++) largest = Math.max(largest, Math.abs(direction[i]!))
    let length = moves.length === 0 ? Math.min(1, firstStep / largest) : Math.min(1, 4 * firstStep / largest)
    let nextValue = Infinity
    for (let halving = 0; halving < 12; halving++, length /= 3) {
      slope = 0
      for (let i = 0; i < size; i++) {
        next[i] = Math.min(upper[i]!, Math.max(lower[i]!, point[i]! + length * direction[i]!))
        slope += gradient[i]! * (next[i]! - point[i]!)
      }
      nextValue = smooth(next, nextGradient)
      if (nextValue <= value + sufficient * slope) break
    }
    if (!(nextValue < value)) {
      if (moves.length === 0) break
      moves.length = changes.length = 0
      continue
    }
    const move = new Float64Array(size), change = new Float64Array(size)
    for (let i = 0; i < size; i++) {
      move[i] = next[i]! - point[i]!
      change[i] = nextGradient[i]! - gradient[i]!
    }
    if (dot(move, change) > 1e-10 * dot(change, change)) {
      moves.push(move)
      changes.push(change)
      if (moves.length > memory) {
        moves.shift()
        changes.shift()
      }
    }
    const decrease = value - nextValue
    ;[point, next, gradient, nextGradient, value] = [next, point, nextGradient, gradient, nextValue]
    if (decrease < tolerance) break
  }
  return { point, value }
}

const dot = (a: Float64Array, b: Float64Array): number => {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}
