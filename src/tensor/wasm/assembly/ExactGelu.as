// GELU by the error function. AssemblyScript, compiled by compile.ts.

import { exponential, multiplyAdd } from "./Numeric"

/**
 * With a = |x|, u = 1 / (1 + 0.35 a) and e = exp(-a^2 / 2), the normal distribution function of -a is e u P(u). P was fitted
 * to the smallest largest relative error over 0 .. 14, where e leaves the normal numbers: 3.2e-8, and 3e-7 as float32
 * computes it.
 */
// @ts-ignore: decorator
@inline
function below(u: v128, e: v128): v128 {
  let value = multiplyAdd(u, f32x4.splat(-0.02914654651182947), f32x4.splat(0.14397453212525993))
  value = multiplyAdd(value, u, f32x4.splat(-0.2557197158732992))
  value = multiplyAdd(value, u, f32x4.splat(0.15917987941553316))
  value = multiplyAdd(value, u, f32x4.splat(-0.023113364182284192))
  value = multiplyAdd(value, u, f32x4.splat(0.10550930383751743))
  value = multiplyAdd(value, u, f32x4.splat(0.11983259247573677))
  value = multiplyAdd(value, u, f32x4.splat(0.13986189973927585))
  value = multiplyAdd(value, u, f32x4.splat(0.13962140302902687))
  return f32x4.mul(f32x4.mul(value, u), e)
}

// @ts-ignore: decorator
@inline
function gaussian(x: v128): v128 {
  return exponential(f32x4.mul(f32x4.mul(x, x), f32x4.splat(-0.5)))
}

/** The normal distribution function, given exp(-x^2 / 2). Its lower half is as exact, relatively, as its upper. */
// @ts-ignore: decorator
@inline
function distribution(x: v128, e: v128): v128 {
  const one = f32x4.splat(1)
  const u = f32x4.div(one, multiplyAdd(f32x4.abs(x), f32x4.splat(0.35), one))
  const tail = below(u, e)
  return v128.bitselect(tail, f32x4.sub(one, tail), f32x4.lt(x, f32x4.splat(0)))
}

// @ts-ignore: decorator
@inline
function value4(x: v128): v128 {
  return f32x4.mul(x, distribution(x, gaussian(x)))
}

/** The derivative: the distribution function plus x times the density exp(-x^2 / 2) / sqrt(2 pi). */
// @ts-ignore: decorator
@inline
function slope4(x: v128): v128 {
  const e = gaussian(x)
  return multiplyAdd(f32x4.mul(x, f32x4.splat(0.3989422804014327)), e, distribution(x, e))
}

/** GELU (Hendrycks and Gimpel 2016, section 2): x times the normal distribution function of x. */
export function exactGelu(x: usize, y: usize, count: usize): void {
  const bytes = count << 2, vectors = bytes & ~15
  let at: usize = 0
  for (; at < vectors; at += 16) v128.store(y + at, value4(v128.load(x + at)))
  for (; at < bytes; at += 4) store<f32>(y + at, f32x4.extract_lane(value4(v128.load32_splat(x + at)), 0))
}

export function exactGeluGradient(x: usize, dy: usize, dx: usize, count: usize): void {
  const bytes = count << 2, vectors = bytes & ~15
  let at: usize = 0
  for (; at < vectors; at += 16) v128.store(dx + at, f32x4.mul(v128.load(dy + at), slope4(v128.load(x + at))))
  for (; at < bytes; at += 4) {
    store<f32>(dx + at, load<f32>(dy + at) * f32x4.extract_lane(slope4(v128.load32_splat(x + at)), 0))
  }
}
