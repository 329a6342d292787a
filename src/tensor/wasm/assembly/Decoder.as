// What decoders of Llama's kind compute beside products and attention. AssemblyScript, compiled by compile.ts.

import { exponential, lanes, multiplyAdd } from "./Numeric"

/**
 * Normalisation of rows by the root of their mean square (Zhang and Sennrich 2019, equation 4). Leaves what each row was
 * multiplied with for the backward pass.
 */
export function rmsNorm(
  x: usize,
  gain: usize,
  y: usize,
  inverses: usize,
  rows: usize,
  width: usize,
  epsilon: f32
): void {
  const bytes = width << 2, vectors = bytes & ~15
  for (let row: usize = 0; row < rows; row++) {
    let sum4 = f32x4.splat(0)
    let at: usize = 0
    for (; at < vectors; at += 16) {
      const value = v128.load(x + at)
      sum4 = multiplyAdd(value, value, sum4)
    }
    let sum = lanes(sum4)
    for (; at < bytes; at += 4) sum += load<f32>(x + at) * load<f32>(x + at)
    const inverse: f32 = 1 / sqrt<f32>(sum / <f32>width + epsilon)
    const inverse4 = f32x4.splat(inverse)
    for (at = 0; at < vectors; at += 16) {
      v128.store(y + at, f32x4.mul(f32x4.mul(v128.load(x + at), inverse4), v128.load(gain + at)))
    }
    for (; at < bytes; at += 4) store<f32>(y + at, load<f32>(x + at) * inverse * load<f32>(gain + at))
    store<f32>(inverses + (row << 2), inverse)
    x += bytes
    y += bytes
  }
}

/**
 * The gradients of `rmsNorm`. With n the normalised row and g = gain dy its gradient, dx = (g - n mean(g n)) / root. `dGain`
 * must hold zeros.
 */
export function rmsNormGradient(
  x: usize,
  gain: usize,
  inverses: usize,
  dy: usize,
  dx: usize,
  dGain: usize,
  rows: usize,
  width: usize
): void {
  const bytes = width << 2, vectors = bytes & ~15
  for (let row: usize = 0; row < rows; row++) {
    const inverse = load<f32>(inverses + (row << 2))
    const inverse4 = f32x4.splat(inverse)
    let sum4 = f32x4.splat(0)
    let at: usize = 0
    for (; at < vectors; at += 16) {
      const scaled = f32x4.mul(f32x4.mul(v128.load(x + at), inverse4), v128.load(dy + at))
      sum4 = multiplyAdd(scaled, v128.load(gain + at), sum4)
      v128.store(dGain + at, f32x4.add(scaled, v128.load(dGain + at)))
    }
    let sum = lanes(sum4)
    for (; at < bytes; at += 4) {
      const scaled = load<f32>(x + at) * inverse * load<f32>(dy + at)
      sum += scaled * load<f32>(gain + at)
      store<f32>(dGain + at, load<f32>(dGain + at) + scaled)
    }
    // n is x over the root too.
    const along = sum / <f32>width * inverse
    const along4 = f32x4.splat(-along)
    for (at = 0; at < vectors; at += 16) {
      const g = f32x4.mul(v128.load(dy + at), v128.load(gain + at))
      v128.store(dx + at, f32x4.mul(multiplyAdd(v128.load(x + at), along4, g), inverse4))
    }
    for (; at < bytes; at += 4) {
      const g = load<f32>(dy + at) * load<f32>(gain + at)
      store<f32>(dx + at, (g - load<f32>(x + at) * along) * inverse)
    }
    x += bytes
    dy += bytes
    dx += bytes
  }
}

// @ts-ignore: decorator
@inline
function sigmoid(x: v128): v128 {
  return f32x4.div(f32x4.splat(1), f32x4.add(f32x4.splat(1), exponential(f32x4.neg(x))))
}

/** silu(gate) up, with silu(x) = x sigmoid(x) (Shazeer 2020, equation 6). */
export function gatedSilu(gate: usize, up: usize, y: usize, count: usize): void {
  const bytes = count << 2, vectors = bytes & ~15
  let at: usize = 0
  for (; at < vectors; at += 16) {
    const x = v128.load(gate + at)
    v128.store(y + at, f32x4.mul(f32x4.mul(x, sigmoid(x)), v128.load(up + at)))
  }
  for (; at < bytes; at += 4) {
    const x = load<f32>(gate + at)
    store<f32>(y + at, x * f32x4.extract_lane(sigmoid(f32x4.splat(x)), 0) * load<f32>(up + at))
  }
}

export function gatedSiluGradient(
  gate: usize,
  up: usize,
  dy: usize,
  dGate: usize,
  dUp: usize,
  count: usize
): void {
  const bytes = count << 2, vectors = bytes & ~15
  const one4 = f32x4.splat(1)
  let at: usize = 0
  for (; at < vectors; at += 16) {
    const x = v128.load(gate + at), slope = v128.load(dy + at)
    const share = sigmoid(x)
    const silu = f32x4.mul(x, share)
    // d/dx x s(x) = s + x s (1 - s).
    const derivative = multiplyAdd(silu, f32x4.sub(one4, share), share)
    v128.store(dGate + at, f32x4.mul(f32x4.mul(slope, v128.load(up + at)), derivative))
    v128.store(dUp + at, f32x4.mul(slope, silu))
  }
  for (; at < bytes; at += 4) {
    const x = load<f32>(gate + at), slope = load<f32>(dy + at)
    const share = f32x4.extract_lane(sigmoid(f32x4.splat(x)), 0)
    const silu = x * share
    store<f32>(dGate + at, slope * load<f32>(up + at) * (share + silu * (1 - share)))
    store<f32>(dUp + at, slope * silu)
  }
}

/**
 * Rotary position embedding (Su et al. 2021, section 3.2.2) of rows of heads: the element i of a head's first half with the
 * element i of its second half, by the angle whose cosine and sine row `row % turns` of the tables has, for the sine in
 * its second half. `direction` is 1, or -1 for the way back, which the gradient takes.
 */
export function rotary(
  x: usize,
  y: usize,
  cosines: usize,
  sines: usize,
  rows: usize,
  turns: usize,
  heads: usize,
  size: usize,
  direction: f32
): void {
  const half = size << 1, vectors = half & ~15
  const direction4 = f32x4.splat(direction)
  for (let row: usize = 0; row < rows; row++) {
    const start = (row % turns) * (size << 2)
    const cosine = cosines + start, sine = sines + start + half
    for (let head: usize = 0; head < heads; head++) {
      let at: usize = 0
      for (; at < vectors; at += 16) {
        const first = v128.load(x + at), second = v128.load(x + half + at)
        const c = v128.load(cosine + at), s = f32x4.mul(v128.load(sine + at), direction4)
        v128.store(y + at, f32x4.sub(f32x4.mul(first, c), f32x4.mul(second, s)))
        v128.store(y + half + at, f32x4.add(f32x4.mul(second, c), f32x4.mul(first, s)))
      }
      for (; at < half; at += 4) {
        const first = load<f32>(x + at), second = load<f32>(x + half + at)
        const c = load<f32>(cosine + at), s = load<f32>(sine + at) * direction
        store<f32>(y + at, first * c - second * s)
        store<f32>(y + half + at, second * c + first * s)
      }
      x += size << 2
      y += size << 2
    }
  }
}
