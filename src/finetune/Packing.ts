/**
 * Several short texts in a row of a batch, so that little of it is padding. Attention keeps them apart, and positions begin
 * anew with each (see `TokenBatch.segments`).
 */
import type { Rows } from "../model/Examples.ts"

/**
 * Puts examples of these lengths into rows of at most `capacity` tokens, by best fit over decreasing lengths (Johnson,
 * Demers, Ullman, Garey and Graham, "Worst-case performance bounds for simple one-dimensional packing algorithms", SIAM
 * Journal on Computing 3, 1974), which never takes more than 11/9 of the fewest rows and a few. No example is longer than
 * `capacity`.
 *
 * Within a row examples stand in their own order, and rows in that of their first examples.
 */
export const pack = (lengths: ArrayLike<number>, capacity: number): Rows => {
  const order = Uint32Array.from({ length: lengths.length }, (_, index) => index)
    .toSorted((a, b) => lengths[b]! - lengths[a]! || a - b)
  // By the room that is left: lengths are whole numbers, so that the tightest fit is found by counting up.
  const open: Array<Array<Array<number>>> = Array.from({ length: capacity + 1 }, () => [])
  const rows: Array<Array<number>> = []
  for (const index of order) {
    const length = lengths[index]!
    let room = length
    while (room <= capacity && open[room]!.length === 0) room++
    const row = room <= capacity ? open[room]!.pop()! : []
    if (row.length === 0) {
      rows.push(row)
      room = capacity
    }
    row.push(index)
    open[room - length]!.push(row)
  }
  return rows.map((row) => row.toSorted((a, b) => a - b)).toSorted((a, b) => a[0]! - b[0]!)
}
