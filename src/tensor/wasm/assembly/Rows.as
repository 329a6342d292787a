// Functions over rows and single elements. AssemblyScript, compiled by compile.ts.

import { exponential, lanes, multiplyAdd } from "./Numeric"

/** Fills each of `rows` rows of the output with the same `width` elements. */
export function repeatRow(from: usize, to: usize, rows: usize, width: usize): void {
  for (let row: usize = 0; row < rows; row++) {
    memory.copy(to, from, width << 2)
    to += width << 2
  }
}

/** Sums over the rows of a matrix, in double precision. */
export function sumRows(from: usize, to: usize, rows: usize, columns: usize): void {
  const step = columns << 2
  let column: usize = 0
  for (; column + 4 <= columns; column += 4) {
    let low = f64x2.splat(0), high = low
    let at = from + (column << 2)
    for (let row: usize = 0; row < rows; row++) {
      const value = v128.load(at)
      low = f64x2.add(low, f64x2.promote_low_f32x4(value))
      high = f64x2.add(high, f64x2.promote_low_f32x4(v128.shuffle<f32>(value, value, 2, 3, 2, 3)))
      at += step
    }
    v128.store(
      to + (column << 2),
      v128.shuffle<f32>(f32x4.demote_f64x2_zero(low), f32x4.demote_f64x2_zero(high), 0, 1, 4, 5)
    )
  }
  for (; column < columns; column++) {
    let total: f64 = 0
    for (let row: usize = 0; row < rows; row++) total += load<f32>(from + row * step + (column << 2))
    store<f32>(to + (column << 2), <f32>total)
  }
}

/**
 * Layer normalisation of rows (Ba, Kiros and Hinton 2016, section 3). Leaves each row's mean and inverse standard
 * deviation for the backward pass.
 */
export function layerNorm(
  x: usize,
  gain: usize,
  bias: usize,
  y: usize,
  means: usize,
  inverses: usize,
  rows: usize,
  width: usize,
  epsilon: f32
): void {
  const bytes = width << 2, vectors = bytes & ~15
  for (let row: usize = 0; row < rows; row++) {
    let sum = f32x4.splat(0)
    let at: usize = 0
    for (; at < vectors; at += 16) sum = f32x4.add(sum, v128.load(x + at))
    let total = lanes(sum)
    for (; at < bytes; at += 4) total += load<f32>(x + at)
    const mean = total / <f32>width
    const means4 = f32x4.splat(mean)
    sum = f32x4.splat(0)
    for (at = 0; at < vectors; at += 16) {
      const centred = f32x4.sub(v128.load(x + at), means4)
      sum = multiplyAdd(centred, centred, sum)
    }
    total = lanes(sum)
    for (; at < bytes; at += 4) {
      const centred = load<f32>(x + at) - mean
      total += centred * centred
    }
    const inverse: f32 = 1 / sqrt<f32>(total / <f32>width + epsilon)
    const inverses4 = f32x4.splat(inverse)
    for (at = 0; at < vectors; at += 16) {
      const normal = f32x4.mul(f32x4.sub(v128.load(x + at), means4), inverses4)
      v128.store(y + at, multiplyAdd(normal, v128.load(gain + at), v128.load(bias + at)))
    }
    for (; at < bytes; at += 4) {
      const normal = (load<f32>(x + at) - mean) * inverse
      store<f32>(y + at, normal * load<f32>(gain + at) + load<f32>(bias + at))
    }
    store<f32>(means + (row << 2), mean)
    store<f32>(inverses + (row << 2), inverse)
    x += bytes
    y += bytes
  }
}

/**
 * The gradients of layer normalisation. With n the normalised row and g = gain dy its gradient,
 * dx = (g - mean(g) - n mean(g n)) / deviation. `dGain` and `dBias` must hold zeros.
 */
export function layerNormGradient(
  x: usize,
  gain: usize,
  means: usize,
  inverses: usize,
  dy: usize,
  dx: usize,
  dGain: usize,
  dBias: usize,
  rows: usize,
  width: usize
): void {
  const bytes = width << 2, vectors = bytes & ~15
  for (let row: usize = 0; row < rows; row++) {
    const mean = load<f32>(means + (row << 2)), inverse = load<f32>(inverses + (row << 2))
    const means4 = f32x4.splat(mean), inverses4 = f32x4.splat(inverse)
    let sum = f32x4.splat(0), sumAlong = sum
    let at: usize = 0
    for (; at < vectors; at += 16) {
      const normal = f32x4.mul(f32x4.sub(v128.load(x + at), means4), inverses4)
      const slope = v128.load(dy + at)
      const g = f32x4.mul(slope, v128.load(gain + at))
      sum = f32x4.add(sum, g)
      sumAlong = multiplyAdd(g, normal, sumAlong)
      v128.store(dGain + at, multiplyAdd(slope, normal, v128.load(dGain + at)))
      v128.store(dBias + at, f32x4.add(slope, v128.load(dBias + at)))
    }
    let total = lanes(sum), totalAlong = lanes(sumAlong)
    for (; at < bytes; at += 4) {
      const normal = (load<f32>(x + at) - mean) * inverse
      const slope = load<f32>(dy + at)
      const g = slope * load<f32>(gain + at)
      total += g
      totalAlong += g * normal
      store<f32>(dGain + at, load<f32>(dGain + at) + slope * normal)
      store<f32>(dBias + at, load<f32>(dBias + at) + slope)
    }
    const shift = total / <f32>width, along = totalAlong / <f32>width
    const shifts4 = f32x4.splat(shift), alongs4 = f32x4.splat(-along)
    for (at = 0; at < vectors; at += 16) {
      const normal = f32x4.mul(f32x4.sub(v128.load(x + at), means4), inverses4)
      const g = f32x4.mul(v128.load(dy + at), v128.load(gain + at))
      v128.store(dx + at, f32x4.mul(multiplyAdd(normal, alongs4, f32x4.sub(g, shifts4)), inverses4))
    }
    for (; at < bytes; at += 4) {
      const normal = (load<f32>(x + at) - mean) * inverse
      const g = load<f32>(dy + at) * load<f32>(gain + at)
      store<f32>(dx + at, (g - shift - normal * along) * inverse)
    }
    x += bytes
    dy += bytes
    dx += bytes
  }
}

/** sqrt(8 / pi), and that times 0.044715: twice the constants of the tanh form. */
const LINEAR: f32 = 1.5957691216057308
const CUBIC: f32 = 0.07135481282553906

/** 1 / (1 + exp(-v)) with v = LINEAR x + CUBIC x^3. */
// @ts-ignore: decorator
@inline
function gate(x: v128, square: v128): v128 {
  const v = f32x4.mul(x, multiplyAdd(square, f32x4.splat(CUBIC), f32x4.splat(LINEAR)))
  return f32x4.div(f32x4.splat(1), f32x4.add(f32x4.splat(1), exponential(f32x4.neg(v))))
}

// @ts-ignore: decorator
@inline
function gelu4(x: v128): v128 {
  return f32x4.mul(x, gate(x, f32x4.mul(x, x)))
}

/** d/dx x s(v) = s + x s (1 - s) v', with v' = LINEAR + 3 CUBIC x^2. */
// @ts-ignore: decorator
@inline
function geluSlope4(x: v128): v128 {
  const square = f32x4.mul(x, x)
  const s = gate(x, square)
  const slope = f32x4.mul(x, multiplyAdd(square, f32x4.splat(3 * CUBIC), f32x4.splat(LINEAR)))
  return multiplyAdd(f32x4.mul(s, f32x4.sub(f32x4.splat(1), s)), slope, s)
}

/** GELU in its tanh form (Hendrycks and Gimpel 2016, section 2) as x sigmoid(2 u). */
export function gelu(x: usize, y: usize, count: usize): void {
  const bytes = count << 2, vectors = bytes & ~15
  let at: usize = 0
  for (; at < vectors; at += 16) v128.store(y + at, gelu4(v128.load(x + at)))
  for (; at < bytes; at += 4) store<f32>(y + at, f32x4.extract_lane(gelu4(v128.load32_splat(x + at)), 0))
}

export function geluGradient(x: usize, dy: usize, dx: usize, count: usize): void {
  const bytes = count << 2, vectors = bytes & ~15
  let at: usize = 0
  for (; at < vectors; at += 16) {
    v128.store(dx + at, f32x4.mul(v128.load(dy + at), geluSlope4(v128.load(x + at))))
  }
  for (; at < bytes; at += 4) {
    store<f32>(dx + at, load<f32>(dy + at) * f32x4.extract_lane(geluSlope4(v128.load32_splat(x + at)), 0))
  }
}

/** The softmax of each row of `scale x + mask`, in place; `mask` lies in rows of the same width, or is 0 for none. */
export function softmaxRows(x: usize, mask: usize, scale: f32, rows: usize, width: usize): void {
  const bytes = width << 2, vectors = bytes & ~15
  const scales4 = f32x4.splat(scale)
  for (let row: usize = 0; row < rows; row++) {
    let largest4 = f32x4.splat(-Infinity)
    let at: usize = 0
    for (; at < vectors; at += 16) {
      let value = f32x4.mul(v128.load(x + at), scales4)
      if (mask) value = f32x4.add(value, v128.load(mask + at))
      v128.store(x + at, value)
      largest4 = f32x4.max(largest4, value)
    }
    let largest = max<f32>(
      max<f32>(f32x4.extract_lane(largest4, 0), f32x4.extract_lane(largest4, 1)),
      max<f32>(f32x4.extract_lane(largest4, 2), f32x4.extract_lane(largest4, 3))
    )
    for (; at < bytes; at += 4) {
      let value = load<f32>(x + at) * scale
      if (mask) value += load<f32>(mask + at)
      store<f32>(x + at, value)
      largest = max<f32>(largest, value)
    }
    largest4 = f32x4.splat(largest)
    let sum4 = f32x4.splat(0)
    for (at = 0; at < vectors; at += 16) {
      const value = exponential(f32x4.sub(v128.load(x + at), largest4))
      v128.store(x + at, value)
      sum4 = f32x4.add(sum4, value)
    }
    let sum = lanes(sum4)
    for (; at < bytes; at += 4) {
      const value = f32x4.extract_lane(exponential(f32x4.splat(load<f32>(x + at) - largest)), 0)
      store<f32>(x + at, value)
      sum += value
    }
    const inverse: f32 = 1 / sum
    const inverse4 = f32x4.splat(inverse)
    for (at = 0; at < vectors; at += 16) v128.store(x + at, f32x4.mul(v128.load(x + at), inverse4))
    for (; at < bytes; at += 4) store<f32>(x + at, load<f32>(x + at) * inverse)
    x += bytes
    if (mask) mask += bytes
  }
}

/**
 * The gradient of the softmax of scaled scores, in place: each row of `dy` becomes `scale y (dy - sum(dy y))`.
 */
export function softmaxRowsGradient(y: usize, dy: usize, scale: f32, rows: usize, width: usize): void {
  const bytes = width << 2, vectors = bytes & ~15
  for (let row: usize = 0; row < rows; row++) {
    let sum4 = f32x4.splat(0)
    let at: usize = 0
    for (; at < vectors; at += 16) sum4 = multiplyAdd(v128.load(y + at), v128.load(dy + at), sum4)
    let sum = lanes(sum4)
    for (; at < bytes; at += 4) sum += load<f32>(y + at) * load<f32>(dy + at)
    sum4 = f32x4.splat(sum)
    const scale4 = f32x4.splat(scale)
    for (at = 0; at < vectors; at += 16) {
      const weighted = f32x4.mul(v128.load(y + at), scale4)
      v128.store(dy + at, f32x4.mul(weighted, f32x4.sub(v128.load(dy + at), sum4)))
    }
    for (; at < bytes; at += 4) {
      store<f32>(dy + at, load<f32>(y + at) * scale * (load<f32>(dy + at) - sum))
    }
    y += bytes
    dy += bytes
  }
}

/**
 * Dropout of weights that are not negative: their products with `factors` go to `dropped`, and those whose factor is 0
 * stay with their sign turned, which is all that the backward pass needs to know.
 */
export function dropWeights(weights: usize, factors: usize, dropped: usize, count: usize): void {
  const bytes = count << 2, vectors = bytes & ~15
  const zero4 = f32x4.splat(0)
  let at: usize = 0
  for (; at < vectors; at += 16) {
    const weight = v128.load(weights + at), factor = v128.load(factors + at)
    v128.store(dropped + at, f32x4.mul(weight, factor))
    v128.store(weights + at, v128.bitselect(f32x4.neg(weight), weight, f32x4.eq(factor, zero4)))
  }
  for (; at < bytes; at += 4) {
    const weight = load<f32>(weights + at), factor = load<f32>(factors + at)
    store<f32>(dropped + at, weight * factor)
    if (factor == 0) store<f32>(weights + at, -weight)
  }
}

/** From what `dropWeights` left: the products go to `dropped` again, and the gradient of the products becomes theirs. */
export function dropWeightsGradient(weights: usize, gradient: usize, dropped: usize, kept: f32, count: usize): void {
  const bytes = count << 2, vectors = bytes & ~15
  const zero4 = f32x4.splat(0), kept4 = f32x4.splat(kept)
  let at: usize = 0
  for (; at < vectors; at += 16) {
    const weight = v128.load(weights + at)
    const factor = v128.and(kept4, f32x4.gt(weight, zero4))
    v128.store(dropped + at, f32x4.mul(weight, factor))
    v128.store(gradient + at, f32x4.mul(v128.load(gradient + at), factor))
  }
  for (; at < bytes; at += 4) {
    const weight = load<f32>(weights + at)
    const factor: f32 = weight > 0 ? kept : 0
    store<f32>(dropped + at, weight * factor)
    store<f32>(gradient + at, load<f32>(gradient + at) * factor)
  }
}

export function magnitudes(from: usize, to: usize, count: usize): void {
  const bytes = count << 2, vectors = bytes & ~15
  let at: usize = 0
  for (; at < vectors; at += 16) v128.store(to + at, f32x4.abs(v128.load(from + at)))
  for (; at < bytes; at += 4) store<f32>(to + at, abs<f32>(load<f32>(from + at)))
}
