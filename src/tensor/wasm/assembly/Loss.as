// Cross-entropy of rows of logits. AssemblyScript, compiled by compile.ts.

import { exponential, lanes } from "./Numeric"

/** Each row's largest element, and the sum of the exponentials of what all its elements are above that. */
export function sumExponentials(x: usize, largests: usize, sums: usize, rows: usize, width: usize): void {
  const bytes = width << 2, vectors = bytes & ~15
  for (let row: usize = 0; row < rows; row++) {
    let largest4 = f32x4.splat(-Infinity)
    let at: usize = 0
    for (; at < vectors; at += 16) largest4 = f32x4.max(largest4, v128.load(x + at))
    let largest = max<f32>(
      max<f32>(f32x4.extract_lane(largest4, 0), f32x4.extract_lane(largest4, 1)),
      max<f32>(f32x4.extract_lane(largest4, 2), f32x4.extract_lane(largest4, 3))
    )
    for (; at < bytes; at += 4) largest = max<f32>(largest, load<f32>(x + at))
    largest4 = f32x4.splat(largest)
    let sum4 = f32x4.splat(0)
    for (at = 0; at < vectors; at += 16) sum4 = f32x4.add(sum4, exponential(f32x4.sub(v128.load(x + at), largest4)))
    let sum = lanes(sum4)
    for (; at < bytes; at += 4) {
      sum += f32x4.extract_lane(exponential(f32x4.splat(load<f32>(x + at) - largest)), 0)
    }
    store<f32>(largests + (row << 2), largest)
    store<f32>(sums + (row << 2), sum)
    x += bytes
  }
}

/** The gradient of weighted cross-entropies: `weight (exp(x - logSum) - 1 at the label)`, times `scale`. */
export function crossEntropyGradient(
  x: usize,
  labels: usize,
  weights: usize,
  logSums: usize,
  dx: usize,
  scale: f32,
  rows: usize,
  width: usize
): void {
  const bytes = width << 2, vectors = bytes & ~15
  for (let row: usize = 0; row < rows; row++) {
    const weight = load<f32>(weights + (row << 2)) * scale, logSum = load<f32>(logSums + (row << 2))
    const weight4 = f32x4.splat(weight), logSum4 = f32x4.splat(logSum)
    let at: usize = 0
    for (; at < vectors; at += 16) {
      v128.store(dx + at, f32x4.mul(exponential(f32x4.sub(v128.load(x + at), logSum4)), weight4))
    }
    for (; at < bytes; at += 4) {
      store<f32>(dx + at, f32x4.extract_lane(exponential(f32x4.splat(load<f32>(x + at) - logSum)), 0) * weight)
    }
    const target = dx + (load<u32>(labels + (row << 2)) << 2)
    store<f32>(target, load<f32>(target) - weight)
    x += bytes
    dx += bytes
  }
}
