// The update of AdamW. AssemblyScript, compiled by compile.ts.

/**
 * One update in place (Loshchilov and Hutter 2019, algorithm 2), in the order and with the roundings of the separate
 * operations that it stands for: products and sums are not fused. `inverseRoot` is one over the root of the second
 * moment's correction, `rate` the learning rate over the first one's, `shrink` what decay leaves of a parameter.
 */
export function adamW(
  values: usize,
  first: usize,
  second: usize,
  gradient: usize,
  count: usize,
  scale: f32,
  beta1: f32,
  rest1: f32,
  beta2: f32,
  rest2: f32,
  inverseRoot: f32,
  epsilon: f32,
  rate: f32,
  shrink: f32
): void {
  const scale4 = f32x4.splat(scale), beta14 = f32x4.splat(beta1), rest14 = f32x4.splat(rest1)
  const beta24 = f32x4.splat(beta2), rest24 = f32x4.splat(rest2), inverseRoot4 = f32x4.splat(inverseRoot)
  const epsilon4 = f32x4.splat(epsilon), rate4 = f32x4.splat(rate), shrink4 = f32x4.splat(shrink)
  const bytes = count << 2, vectors = bytes & ~15
  let at: usize = 0
  for (; at < vectors; at += 16) {
    const g = f32x4.mul(v128.load(gradient + at), scale4)
    const m = f32x4.add(f32x4.mul(v128.load(first + at), beta14), f32x4.mul(g, rest14))
    const v = f32x4.add(f32x4.mul(v128.load(second + at), beta24), f32x4.mul(f32x4.mul(g, g), rest24))
    v128.store(first + at, m)
    v128.store(second + at, v)
    const deviation = f32x4.add(f32x4.mul(f32x4.sqrt(v), inverseRoot4), epsilon4)
    const direction = f32x4.mul(f32x4.div(m, deviation), rate4)
    v128.store(values + at, f32x4.sub(f32x4.mul(v128.load(values + at), shrink4), direction))
  }
  for (; at < bytes; at += 4) {
    const g = load<f32>(gradient + at) * scale
    const m = load<f32>(first + at) * beta1 + g * rest1
    const v = load<f32>(second + at) * beta2 + g * g * rest2
    store<f32>(first + at, m)
    store<f32>(second + at, v)
    const direction = m / (sqrt<f32>(v) * inverseRoot + epsilon) * rate
    store<f32>(values + at, load<f32>(values + at) * shrink - direction)
  }
}
