/**
 * Symmetric positive definite systems through their Cholesky factor. Matrices
 * are square, row after row in one array; of a factor only the lower triangle
 * is read or written.
 */

/** How much is added to a diagonal that rounding has made indefinite, at first and at most, relative to its mean. */
const jitters = [0, 1e-10, 1e-8, 1e-6, 1e-4]

/**
 * Overwrites the lower triangle of a matrix by its factor L, with the matrix
 * L L'. Where rounding leaves it indefinite a little is added to the diagonal,
 * ten orders of magnitude below it at first; `false` when 1e-4 of it is not
 * enough, or when an entry is not finite.
 */
export const factor = (matrix: Float64Array, size: number): boolean => {
  const diagonal = new Float64Array(size)
  let mean = 0
  for (let i = 0; i < size; i++) {
    diagonal[i] = matrix[i * size + i]!
    mean += diagonal[i]! / size
  }
  // The upper triangle is left alone, so that another attempt finds the matrix there.
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < i; j++) matrix[j * size + i] = matrix[i * size + j]!
  }
  for (const jitter of jitters) {
    if (jitter > 0) {
      for (let i = 0; i < size; i++) {
        for (let j = 0; j < i; j++) matrix[i * size + j] = matrix[j * size + i]!
      }
    }
    for (let i = 0; i < size; i++) matrix[i * size + i] = diagonal[i]! + jitter * mean
    if (attempt(matrix, size)) return true
  }
  return false
}

const attempt = (matrix: Float64Array, size: number): boolean => {
  for (let i = 0; i < size; i++) {
    const row = i * size
    for (let j = 0; j <= i; j++) {
      const other = j * size
      let a = matrix[row + j]!, b = 0, k = 0
      for (; k + 1 < j; k += 2) {
        a -= matrix[row + k]! * matrix[other + k]!
        b += matrix[row + k + 1]! * matrix[other + k + 1]!
      }
      if (k < j) a -= matrix[row + k]! * matrix[other + k]!
      a -= b
      if (i === j) {
        if (!(a > 0) || a === Infinity) return false
        matrix[row + i] = Math.sqrt(a)
      } else matrix[row + j] = a / matrix[other + j]!
    }
  }
  return true
}

/** Overwrites b by L^-1 b. */
export const solveLower = (lower: Float64Array, size: number, b: Float64Array): void => {
  for (let i = 0; i < size; i++) {
    const row = i * size
    let first = b[i]!, second = 0, k = 0
    for (; k + 1 < i; k += 2) {
      first -= lower[row + k]! * b[k]!
      second += lower[row + k + 1]! * b[k + 1]!
    }
    if (k < i) first -= lower[row + k]! * b[k]!
    b[i] = (first - second) / lower[row + i]!
  }
}

/** Overwrites b by L'^-1 b. */
export const solveUpper = (lower: Float64Array, size: number, b: Float64Array): void => {
  for (let i = size - 1; i >= 0; i--) {
    const row = i * size
    const solved = b[i]! / lower[row + i]!
    b[i] = solved
    for (let k = 0; k < i; k++) b[k]! -= lower[row + k]! * solved
  }
}

/** Overwrites `result`, both triangles, by the inverse of the matrix L L'; `columns`, of the same size, is used on the way. */
export const inverse = (lower: Float64Array, size: number, result: Float64Array, columns: Float64Array): void => {
  // Row j of `columns` becomes column j of L^-1, which is zero before its entry j.
  for (let j = 0; j < size; j++) {
    const column = j * size
    columns[column + j] = 1 / lower[j * size + j]!
    for (let i = j + 1; i < size; i++) {
      const row = i * size
      let first = 0, second = 0, k = j
      for (; k + 1 < i; k += 2) {
        first -= lower[row + k]! * columns[column + k]!
        second -= lower[row + k + 1]! * columns[column + k + 1]!
      }
      if (k < i) first -= lower[row + k]! * columns[column + k]!
      columns[column + i] = (first + second) / lower[row + i]!
    }
  }
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      let first = 0, second = 0, k = i
      for (; k + 1 < size; k += 2) {
        first += columns[i * size + k]! * columns[j * size + k]!
        second += columns[i * size + k + 1]! * columns[j * size + k + 1]!
      }
      if (k < size) first += columns[i * size + k]! * columns[j * size + k]!
      result[i * size + j] = result[j * size + i] = first + second
    }
  }
}

/** The logarithm of the determinant of L L'. */
export const logDeterminant = (lower: Float64Array, size: number): number => {
  let sum = 0
  for (let i = 0; i < size; i++) sum += Math.log(lower[i * size + i]!)
  return 2 * sum
}
