// One head of attention, on queries, keys and values wherever their rows lie. AssemblyScript, compiled by compile.ts.

import { product } from "./Product"
import { softmaxRows, softmaxRowsGradient } from "./Rows"

/**
 * Scaled dot-product attention (Vaswani et al. 2017, section 3.2.1). Rows of a matrix are `stride` elements apart; the
 * weights (queries by keys) are contiguous, and stay for the backward pass. `mask` has their shape, or is 0 for none.
 */
export function attend(
  q: usize,
  strideQ: usize,
  k: usize,
  strideK: usize,
  v: usize,
  strideV: usize,
  mask: usize,
  weights: usize,
  out: usize,
  strideOut: usize,
  queries: usize,
  keys: usize,
  size: usize,
  valueSize: usize,
  scale: f32,
  scratch: usize
): void {
  product(q, strideQ, false, k, strideK, true, weights, keys, false, queries, size, keys, scratch)
  softmaxRows(weights, mask, scale, queries, keys)
  product(weights, keys, false, v, strideV, false, out, strideOut, false, queries, keys, valueSize, scratch)
}

/** The gradients of `attend`, in rows as far apart as those of what they are gradients of. `dScores` is for its use. */
export function attendGradient(
  q: usize,
  strideQ: usize,
  k: usize,
  strideK: usize,
  v: usize,
  strideV: usize,
  weights: usize,
  dOut: usize,
  strideOut: usize,
  dQ: usize,
  dK: usize,
  dV: usize,
  dScores: usize,
  queries: usize,
  keys: usize,
  size: usize,
  valueSize: usize,
  scale: f32,
  scratch: usize
): void {
  product(weights, keys, true, dOut, strideOut, false, dV, strideV, false, keys, queries, valueSize, scratch)
  product(dOut, strideOut, false, v, strideV, true, dScores, keys, false, queries, valueSize, keys, scratch)
  softmaxRowsGradient(weights, dScores, scale, queries, keys)
  product(dScores, keys, false, k, strideK, false, dQ, strideQ, false, queries, keys, size, scratch)
  product(dScores, keys, true, q, strideQ, false, dK, strideK, false, keys, queries, size, scratch)
}
