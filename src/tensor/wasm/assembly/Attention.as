// One head of attention, on queries, keys and values wherever their rows lie. AssemblyScript, compiled by compile.ts.

import { product } from "./Product"
import { dropWeights, dropWeightsGradient, magnitudes, softmaxRows, softmaxRowsGradient } from "./Rows"

/**
 * Scaled dot-product attention (Vaswani et al. 2017, section 3.2.1). Rows of a matrix are `stride` elements apart; the
 * weights (queries by keys) are contiguous, and stay for the backward pass. `mask` has their shape, or is 0 for none.
 *
 * With `factors` of dropout (their shape too, or 0 for none) the weights are multiplied with them before they meet the
 * values; `dropped` is then for its use, and what was dropped stays with its sign turned.
 */
export function attend(
  q: usize,
  strideQ: usize,
  k: usize,
  strideK: usize,
  v: usize,
  strideV: usize,
  mask: usize,
  factors: usize,
  dropped: usize,
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
  let used = weights
  if (factors) {
    dropWeights(weights, factors, dropped, queries * keys)
    used = dropped
  }
  product(used, keys, false, v, strideV, false, out, strideOut, false, queries, keys, valueSize, scratch)
}

/**
 * The gradients of `attend`, in rows as far apart as those of what they are gradients of. `dScores` is for its use, and so
 * is `spare` where there was dropout, which `kept` tells: what the weights that stayed were multiplied with, or 0 for none.
 * With `add` the gradients of keys and values come to what is there, from other heads that share them.
 */
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
  spare: usize,
  kept: f32,
  add: bool,
  queries: usize,
  keys: usize,
  size: usize,
  valueSize: usize,
  scale: f32,
  scratch: usize
): void {
  product(dOut, strideOut, false, v, strideV, true, dScores, keys, false, queries, valueSize, keys, scratch)
  let used = weights, probabilities = weights
  if (kept != 0) {
    dropWeightsGradient(weights, dScores, spare, kept, queries * keys)
    used = spare
  }
  product(used, keys, true, dOut, strideOut, false, dV, strideV, add, keys, queries, valueSize, scratch)
  if (kept != 0) {
    magnitudes(weights, spare, queries * keys)
    probabilities = spare
  }
  softmaxRowsGradient(probabilities, dScores, scale, queries, keys)
  product(dScores, keys, false, k, strideK, false, dQ, strideQ, false, queries, keys, size, scratch)
  product(dScores, keys, true, q, strideQ, false, dK, strideK, add, keys, queries, size, scratch)
}
