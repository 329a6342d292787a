/**
 * The eigenvalues and eigenvectors of small symmetric matrices, by the cyclic
 * method of Jacobi (Golub and Van Loan, "Matrix computations", 4th edition,
 * 2013, section 8.5). Matrices are square, row after row in one array.
 */

export interface Eigen {
  /** In no particular order. */
  readonly values: Float64Array
  /** A matrix whose column i belongs to value i; the columns are orthonormal. */
  readonly vectors: Float64Array
}

/** Jacobi's method converges quadratically: even large matrices need about ten sweeps. */
const sweeps = 50

/** Only the lower triangle is read. */
export const symmetric = (matrix: Float64Array, size: number): Eigen => {
  const a = new Float64Array(size * size), vectors = new Float64Array(size * size)
  for (let i = 0; i < size; i++) {
    vectors[i * size + i] = 1
    for (let j = 0; j <= i; j++) a[i * size + j] = a[j * size + i] = matrix[i * size + j]!
  }
  for (let sweep = 0; sweep < sweeps; sweep++) {
    let rotated = false
    for (let p = 0; p < size; p++) {
      for (let q = p + 1; q < size; q++) {
        const pq = a[p * size + q]!, pp = a[p * size + p]!, qq = a[q * size + q]!
        if (Math.abs(pq) <= Number.EPSILON * Math.sqrt(Math.abs(pp * qq))) continue
        rotated = true
        const theta = (qq - pp) / (2 * pq)
        const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1))
        const c = 1 / Math.sqrt(t * t + 1), s = t * c
        for (let k = 0; k < size; k++) {
          const kp = a[k * size + p]!, kq = a[k * size + q]!
          a[k * size + p] = c * kp - s * kq
          a[k * size + q] = s * kp + c * kq
        }
        for (let k = 0; k < size; k++) {
          const pk = a[p * size + k]!, qk = a[q * size + k]!
          a[p * size + k] = c * pk - s * qk
          a[q * size + k] = s * pk + c * qk
          const vp = vectors[k * size + p]!, vq = vectors[k * size + q]!
          vectors[k * size + p] = c * vp - s * vq
          vectors[k * size + q] = s * vp + c * vq
        }
        a[p * size + q] = a[q * size + p] = 0
      }
    }
    if (!rotated) break
  }
  return { values: Float64Array.from({ length: size }, (_, i) => a[i * size + i]!), vectors }
}
