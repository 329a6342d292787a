// Matrix products. AssemblyScript, compiled by compile.ts.
//
// After Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", ACM TOMS 34(3), 2008: blocks of the
// right matrix are copied into panels of 8 columns, blocks of the left one into panels of 6 rows, and an inner kernel
// keeps a tile of 6 by 8 of the result in 12 of the 16 vector registers. Either matrix is read through its strides while
// it is copied, so a transposed one costs the same.

import { multiplyAdd } from "./Numeric"

/** Depth of a block: a panel of the right matrix (8 KiB) and one of the left (6 KiB) fit the first cache. */
const DEPTH: usize = 256
/** Columns of a block: its panels (512 KiB) fit the second cache. */
const COLUMNS: usize = 512
const TILE_ROWS: usize = 6
const TILE_COLUMNS: usize = 8
/** So few rows are multiplied without copies, by strips of so many columns. */
const FEW: usize = 4
const STRIP: usize = 128

/** Bytes that `product` needs at `scratch`. */
export function productScratch(): usize {
  return (TILE_ROWS * DEPTH + TILE_ROWS * TILE_COLUMNS + DEPTH * COLUMNS) << 2
}

/**
 * Copies `depth` by `columns` elements, the element (k, j) at `from + 4 (k stepK + j stepJ)`, into panels of 8 columns,
 * the last one filled up with zeros.
 */
function packRight(from: usize, to: usize, depth: usize, columns: usize, stepK: usize, stepJ: usize): void {
  for (let j: usize = 0; j < columns; j += TILE_COLUMNS) {
    const width = min<usize>(TILE_COLUMNS, columns - j)
    let source = from + ((j * stepJ) << 2)
    if (stepJ == 1 && width == TILE_COLUMNS) {
      for (let k: usize = 0; k < depth; k++) {
        v128.store(to, v128.load(source))
        v128.store(to, v128.load(source, 16), 16)
        to += 32
        source += stepK << 2
      }
    } else if (stepK == 1 && width == TILE_COLUMNS) {
      const step = stepJ << 2
      let k: usize = 0
      for (; k + 4 <= depth; k += 4) {
        transpose4(source, to, step)
        transpose4(source + (step << 2), to + 16, step)
        to += 128
        source += 16
      }
      for (; k < depth; k++) {
        for (let column: usize = 0; column < TILE_COLUMNS; column++) {
          store<f32>(to + (column << 2), load<f32>(source + column * step))
        }
        to += 32
        source += 4
      }
    } else {
      for (let k: usize = 0; k < depth; k++) {
        for (let column: usize = 0; column < TILE_COLUMNS; column++) {
          const value: f32 = column < width ? load<f32>(source + ((column * stepJ) << 2)) : 0
          store<f32>(to + (column << 2), value)
        }
        to += 32
        source += stepK << 2
      }
    }
  }
}

/** Transposes 4 by 4 elements from rows `step` bytes apart to rows 32 bytes apart. */
// @ts-ignore: decorator
@inline
function transpose4(from: usize, to: usize, step: usize): void {
  const row0 = v128.load(from), row1 = v128.load(from + step)
  const row2 = v128.load(from + 2 * step), row3 = v128.load(from + 3 * step)
  const low01 = v128.shuffle<f32>(row0, row1, 0, 4, 1, 5), low23 = v128.shuffle<f32>(row2, row3, 0, 4, 1, 5)
  const high01 = v128.shuffle<f32>(row0, row1, 2, 6, 3, 7), high23 = v128.shuffle<f32>(row2, row3, 2, 6, 3, 7)
  v128.store(to, v128.shuffle<f32>(low01, low23, 0, 1, 4, 5))
  v128.store(to, v128.shuffle<f32>(low01, low23, 2, 3, 6, 7), 32)
  v128.store(to, v128.shuffle<f32>(high01, high23, 0, 1, 4, 5), 64)
  v128.store(to, v128.shuffle<f32>(high01, high23, 2, 3, 6, 7), 96)
}

/** Copies `rows` by `depth` elements, the element (i, k) at `from + 4 (i stepI + k stepK)`, into a panel of 6 rows. */
function packLeft(from: usize, to: usize, rows: usize, depth: usize, stepI: usize, stepK: usize): void {
  const step = stepI << 2
  for (let k: usize = 0; k < depth; k++) {
    if (rows == TILE_ROWS) {
      store<f32>(to, load<f32>(from))
      store<f32>(to, load<f32>(from + step), 4)
      store<f32>(to, load<f32>(from + 2 * step), 8)
      store<f32>(to, load<f32>(from + 3 * step), 12)
      store<f32>(to, load<f32>(from + 4 * step), 16)
      store<f32>(to, load<f32>(from + 5 * step), 20)
    } else {
      for (let row: usize = 0; row < TILE_ROWS; row++) {
        const value: f32 = row < rows ? load<f32>(from + row * step) : 0
        store<f32>(to + (row << 2), value)
      }
    }
    to += 24
    from += stepK << 2
  }
}

/** A tile of 6 by 8 of the result, in rows `step` bytes apart: set, or added to what is there. */
function tile(left: usize, right: usize, to: usize, depth: usize, step: usize, add: bool): void {
  const to1 = to + step, to2 = to1 + step, to3 = to2 + step, to4 = to3 + step, to5 = to4 + step
  let c00 = f32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00
  let c30 = c00, c31 = c00, c40 = c00, c41 = c00, c50 = c00, c51 = c00
  if (add) {
    c00 = v128.load(to)
    c01 = v128.load(to, 16)
    c10 = v128.load(to1)
    c11 = v128.load(to1, 16)
    c20 = v128.load(to2)
    c21 = v128.load(to2, 16)
    c30 = v128.load(to3)
    c31 = v128.load(to3, 16)
    c40 = v128.load(to4)
    c41 = v128.load(to4, 16)
    c50 = v128.load(to5)
    c51 = v128.load(to5, 16)
  }
  const end = left + depth * 24
  while (left != end) {
    const b0 = v128.load(right), b1 = v128.load(right, 16)
    let a = v128.load32_splat(left)
    c00 = multiplyAdd(a, b0, c00)
    c01 = multiplyAdd(a, b1, c01)
    a = v128.load32_splat(left, 4)
    c10 = multiplyAdd(a, b0, c10)
    c11 = multiplyAdd(a, b1, c11)
    a = v128.load32_splat(left, 8)
    c20 = multiplyAdd(a, b0, c20)
    c21 = multiplyAdd(a, b1, c21)
    a = v128.load32_splat(left, 12)
    c30 = multiplyAdd(a, b0, c30)
    c31 = multiplyAdd(a, b1, c31)
    a = v128.load32_splat(left, 16)
    c40 = multiplyAdd(a, b0, c40)
    c41 = multiplyAdd(a, b1, c41)
    a = v128.load32_splat(left, 20)
    c50 = multiplyAdd(a, b0, c50)
    c51 = multiplyAdd(a, b1, c51)
    left += 24
    right += 32
  }
  v128.store(to, c00)
  v128.store(to, c01, 16)
  v128.store(to1, c10)
  v128.store(to1, c11, 16)
  v128.store(to2, c20)
  v128.store(to2, c21, 16)
  v128.store(to3, c30)
  v128.store(to3, c31, 16)
  v128.store(to4, c40)
  v128.store(to4, c41, 16)
  v128.store(to5, c50)
  v128.store(to5, c51, 16)
}

/** The first two rows of a tile, in rows of 8 elements. */
function twoRows(left: usize, right: usize, to: usize, depth: usize): void {
  let c00 = f32x4.splat(0), c01 = c00, c10 = c00, c11 = c00
  const end = left + depth * 24
  while (left != end) {
    const b0 = v128.load(right), b1 = v128.load(right, 16)
    let a = v128.load32_splat(left)
    c00 = multiplyAdd(a, b0, c00)
    c01 = multiplyAdd(a, b1, c01)
    a = v128.load32_splat(left, 4)
    c10 = multiplyAdd(a, b0, c10)
    c11 = multiplyAdd(a, b1, c11)
    left += 24
    right += 32
  }
  v128.store(to, c00)
  v128.store(to, c01, 16)
  v128.store(to, c10, 32)
  v128.store(to, c11, 48)
}

/** The first four rows of a tile, in rows of 8 elements. */
function fourRows(left: usize, right: usize, to: usize, depth: usize): void {
  let c00 = f32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00
  const end = left + depth * 24
  while (left != end) {
    const b0 = v128.load(right), b1 = v128.load(right, 16)
    let a = v128.load32_splat(left)
    c00 = multiplyAdd(a, b0, c00)
    c01 = multiplyAdd(a, b1, c01)
    a = v128.load32_splat(left, 4)
    c10 = multiplyAdd(a, b0, c10)
    c11 = multiplyAdd(a, b1, c11)
    a = v128.load32_splat(left, 8)
    c20 = multiplyAdd(a, b0, c20)
    c21 = multiplyAdd(a, b1, c21)
    a = v128.load32_splat(left, 12)
    c30 = multiplyAdd(a, b0, c30)
    c31 = multiplyAdd(a, b1, c31)
    left += 24
    right += 32
  }
  v128.store(to, c00)
  v128.store(to, c01, 16)
  v128.store(to, c10, 32)
  v128.store(to, c11, 48)
  v128.store(to, c20, 64)
  v128.store(to, c21, 80)
  v128.store(to, c30, 96)
  v128.store(to, c31, 112)
}

/** The first rows of a tile, in rows of 8 elements. */
// @ts-ignore: decorator
@inline
function firstRows(left: usize, right: usize, to: usize, depth: usize, rows: usize): void {
  if (rows <= 2) twoRows(left, right, to, depth)
  else if (rows <= 4) fourRows(left, right, to, depth)
  else tile(left, right, to, depth, TILE_COLUMNS << 2, false)
}

/** What is there with the sum of a block: set, or added. */
// @ts-ignore: decorator
@inline
function settle(to: usize, sum: v128, add: bool): void {
  v128.store(to, add ? f32x4.add(v128.load(to), sum) : sum)
}

/**
 * One row times a strip of a matrix in rows `step` bytes apart. Nothing is copied, and each number of the result is the sum
 * of the same products in the same order as in a tile: along the depth of a block, and then block by block.
 */
function rowTimesRows(a: usize, b: usize, step: usize, out: usize, add: bool, k: usize, n: usize, sums: usize): void {
  const whole = (n & ~3) << 2, end = n << 2
  for (let k0: usize = 0; k0 < k; k0 += DEPTH) {
    const last = min<usize>(k0 + DEPTH, k)
    memory.fill(sums, 0, end)
    let at = k0
    for (; at + 4 <= last; at += 4) {
      const a0 = v128.load32_splat(a + (at << 2)), a1 = v128.load32_splat(a + (at << 2), 4)
      const a2 = v128.load32_splat(a + (at << 2), 8), a3 = v128.load32_splat(a + (at << 2), 12)
      const row0 = b + at * step, row1 = row0 + step, row2 = row1 + step, row3 = row2 + step
      for (let j: usize = 0; j < whole; j += 16) {
        let sum = multiplyAdd(a0, v128.load(row0 + j), v128.load(sums + j))
        sum = multiplyAdd(a1, v128.load(row1 + j), sum)
        sum = multiplyAdd(a2, v128.load(row2 + j), sum)
        v128.store(sums + j, multiplyAdd(a3, v128.load(row3 + j), sum))
      }
      for (let j = whole; j < end; j += 4) {
        let sum = multiplyAdd(a0, v128.load32_splat(row0 + j), v128.load32_splat(sums + j))
        sum = multiplyAdd(a1, v128.load32_splat(row1 + j), sum)
        sum = multiplyAdd(a2, v128.load32_splat(row2 + j), sum)
        store<f32>(sums + j, f32x4.extract_lane(multiplyAdd(a3, v128.load32_splat(row3 + j), sum), 0))
      }
    }
    for (; at < last; at++) {
      const a0 = v128.load32_splat(a + (at << 2))
      const row = b + at * step
      for (let j: usize = 0; j < end; j += 4) {
        const sum = multiplyAdd(a0, v128.load32_splat(row + j), v128.load32_splat(sums + j))
        store<f32>(sums + j, f32x4.extract_lane(sum, 0))
      }
    }
    const adds = add || k0 > 0
    for (let j: usize = 0; j < whole; j += 16) settle(out + j, v128.load(sums + j), adds)
    for (let j = whole; j < end; j += 4) {
      const sum = load<f32>(sums + j)
      store<f32>(out + j, adds ? load<f32>(out + j) + sum : sum)
    }
  }
}

/** Four sums that grow by four numbers of each of four rows, `step` bytes apart, times a0 to a3. */
// @ts-ignore: decorator
@inline
function grow(sum: v128, from: usize, step: usize, a0: v128, a1: v128, a2: v128, a3: v128): v128 {
  const row0 = v128.load(from), row1 = v128.load(from + step)
  const row2 = v128.load(from + 2 * step), row3 = v128.load(from + 3 * step)
  const low01 = v128.shuffle<f32>(row0, row1, 0, 4, 1, 5), low23 = v128.shuffle<f32>(row2, row3, 0, 4, 1, 5)
  const high01 = v128.shuffle<f32>(row0, row1, 2, 6, 3, 7), high23 = v128.shuffle<f32>(row2, row3, 2, 6, 3, 7)
  sum = multiplyAdd(a0, v128.shuffle<f32>(low01, low23, 0, 1, 4, 5), sum)
  sum = multiplyAdd(a1, v128.shuffle<f32>(low01, low23, 2, 3, 6, 7), sum)
  sum = multiplyAdd(a2, v128.shuffle<f32>(high01, high23, 0, 1, 4, 5), sum)
  return multiplyAdd(a3, v128.shuffle<f32>(high01, high23, 2, 3, 6, 7), sum)
}

/** Four sums that grow by one number of each of four rows, `step` bytes apart, times a0. */
// @ts-ignore: decorator
@inline
function growByOne(sum: v128, from: usize, step: usize, a0: v128): v128 {
  let column = v128.load32_splat(from)
  column = f32x4.replace_lane(column, 1, load<f32>(from + step))
  column = f32x4.replace_lane(column, 2, load<f32>(from + 2 * step))
  column = f32x4.replace_lane(column, 3, load<f32>(from + 3 * step))
  return multiplyAdd(a0, column, sum)
}

/** One row times a matrix whose columns are rows `step` bytes apart, as {@link rowTimesRows}. */
function rowTimesColumns(a: usize, b: usize, step: usize, out: usize, add: bool, k: usize, n: usize): void {
  const four = step << 2
  let j: usize = 0
  for (; j + 16 <= n; j += 16) {
    const to = out + (j << 2)
    for (let k0: usize = 0; k0 < k; k0 += DEPTH) {
      const depth = min<usize>(DEPTH, k - k0)
      let sum0 = f32x4.splat(0), sum1 = sum0, sum2 = sum0, sum3 = sum0
      let at = a + (k0 << 2), from = b + j * step + (k0 << 2)
      const end = at + (depth << 2)
      for (; at + 16 <= end; at += 16) {
        const a0 = v128.load32_splat(at), a1 = v128.load32_splat(at, 4)
        const a2 = v128.load32_splat(at, 8), a3 = v128.load32_splat(at, 12)
        sum0 = grow(sum0, from, step, a0, a1, a2, a3)
        sum1 = grow(sum1, from + four, step, a0, a1, a2, a3)
        sum2 = grow(sum2, from + 2 * four, step, a0, a1, a2, a3)
        sum3 = grow(sum3, from + 3 * four, step, a0, a1, a2, a3)
        from += 16
      }
      for (; at < end; at += 4) {
        const a0 = v128.load32_splat(at)
        sum0 = growByOne(sum0, from, step, a0)
        sum1 = growByOne(sum1, from + four, step, a0)
        sum2 = growByOne(sum2, from + 2 * four, step, a0)
        sum3 = growByOne(sum3, from + 3 * four, step, a0)
        from += 4
      }
      const adds = add || k0 > 0
      settle(to, sum0, adds)
      settle(to + 16, sum1, adds)
      settle(to + 32, sum2, adds)
      settle(to + 48, sum3, adds)
    }
  }
  for (; j < n; j++) {
    const to = out + (j << 2)
    for (let k0: usize = 0; k0 < k; k0 += DEPTH) {
      const depth = min<usize>(DEPTH, k - k0)
      let sum = f32x4.splat(0)
      let at = a + (k0 << 2), from = b + j * step + (k0 << 2)
      const end = at + (depth << 2)
      for (; at < end; at += 4) {
        sum = multiplyAdd(v128.load32_splat(at), v128.load32_splat(from), sum)
        from += 4
      }
      const found = f32x4.extract_lane(sum, 0)
      store<f32>(to, add || k0 > 0 ? load<f32>(to) + found : found)
    }
  }
}

/**
 * The product of an m by k and a k by n matrix, set at `out` or, with `add`, added to what is there: zeros where k is 0.
 * All three are in rows, `strideA`, `strideB` and `strideOut` elements apart; a flag says that a matrix lies there
 * transposed.
 */
export function product(
  a: usize,
  strideA: usize,
  transposeA: bool,
  b: usize,
  strideB: usize,
  transposeB: bool,
  out: usize,
  strideOut: usize,
  add: bool,
  m: usize,
  k: usize,
  n: usize,
  scratch: usize
): void {
  if (k == 0 && !add) {
    for (let i: usize = 0; i < m; i++) memory.fill(out + ((i * strideOut) << 2), 0, n << 2)
  }
  const stepI: usize = transposeA ? 1 : strideA, stepKA: usize = transposeA ? strideA : 1
  const stepKB: usize = transposeB ? 1 : strideB, stepJ: usize = transposeB ? strideB : 1
  const spare = scratch + ((TILE_ROWS * DEPTH) << 2)
  const panels = spare + ((TILE_ROWS * TILE_COLUMNS) << 2)
  if (m <= FEW && stepKA == 1) {
    // Strips of the right matrix stay in a cache from row to row.
    for (let j: usize = 0; j < n; j += STRIP) {
      const columns = min<usize>(STRIP, n - j)
      for (let i: usize = 0; i < m; i++) {
        const row = a + ((i * stepI) << 2), strip = b + ((j * stepJ) << 2), to = out + ((i * strideOut + j) << 2)
        if (stepJ == 1) rowTimesRows(row, strip, stepKB << 2, to, add, k, columns, panels)
        else rowTimesColumns(row, strip, stepJ << 2, to, add, k, columns)
      }
    }
    return
  }
  for (let j0: usize = 0; j0 < n; j0 += COLUMNS) {
    const columns = min<usize>(COLUMNS, n - j0)
    for (let k0: usize = 0; k0 < k; k0 += DEPTH) {
      const depth = min<usize>(DEPTH, k - k0)
      const adds = add || k0 > 0
      packRight(b + ((k0 * stepKB + j0 * stepJ) << 2), panels, depth, columns, stepKB, stepJ)
      for (let i: usize = 0; i < m; i += TILE_ROWS) {
        const rows = min<usize>(TILE_ROWS, m - i)
        packLeft(a + ((i * stepI + k0 * stepKA) << 2), scratch, rows, depth, stepI, stepKA)
        let panel = panels
        for (let j: usize = 0; j < columns; j += TILE_COLUMNS) {
          const to = out + ((i * strideOut + j0 + j) << 2)
          const width = min<usize>(TILE_COLUMNS, columns - j)
          if (rows == TILE_ROWS && width == TILE_COLUMNS) {
            tile(scratch, panel, to, depth, strideOut << 2, adds)
          } else {
            firstRows(scratch, panel, spare, depth, rows)
            copyCorner(spare, to, strideOut, rows, width, adds)
          }
          panel += (depth * TILE_COLUMNS) << 2
        }
      }
    }
  }
}

/** The part of a tile that lies inside the result. */
function copyCorner(from: usize, to: usize, stride: usize, rows: usize, width: usize, add: bool): void {
  for (let row: usize = 0; row < rows; row++) {
    for (let column: usize = 0; column < width; column++) {
      const at = to + ((row * stride + column) << 2)
      const value = load<f32>(from + ((row * TILE_COLUMNS + column) << 2))
      store<f32>(at, add ? load<f32>(at) + value : value)
    }
  }
}
