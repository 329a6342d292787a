// Factors of dropout, from the generator of `random/Random.ts`. AssemblyScript, compiled by compile.ts.

/** The low halves of four products of unsigned words, and their high halves. */
// @ts-ignore: decorator
@inline
function low(a: v128, b: v128): v128 {
  return i32x4.mul(a, b)
}

// @ts-ignore: decorator
@inline
function high(a: v128, b: v128): v128 {
  return v128.shuffle<u32>(i64x2.extmul_low_i32x4_u(a, b), i64x2.extmul_high_i32x4_u(a, b), 1, 3, 5, 7)
}

/** Eight factors from the four words of a block: each half of a word decides on one, its lower half first. */
// @ts-ignore: decorator
@inline
function eight(words: v128, threshold: v128, kept: v128, to: usize): void {
  const dropped = i16x8.lt_u(words, threshold)
  v128.store(to, v128.andnot(kept, i32x4.extend_low_i16x8_s(dropped)))
  v128.store(to, v128.andnot(kept, i32x4.extend_high_i16x8_s(dropped)), 16)
}

/**
 * Sets `count` numbers to 0 with probability `threshold` / 65536 and to `kept` otherwise, by Philox4x32-10 (Salmon,
 * Moraes, Dror and Shaw, SC 2011) under this key, the counter's upper words being `step` and `stream`. Four blocks at a
 * time, a lane each; the last ones go through `scratch`, 128 bytes.
 */
export function dropoutFactors(
  key0: i32,
  key1: i32,
  step: i32,
  stream: i32,
  threshold: i32,
  kept: f32,
  out: usize,
  count: usize,
  scratch: usize
): void {
  const thresholds = i16x8.splat(<i16>threshold), kept4 = f32x4.splat(kept)
  const m0 = i32x4.splat(0xd2511f53), m1 = i32x4.splat(0xcd9e8d57)
  let blocks = i32x4(0, 1, 2, 3)
  const end = out + (count << 2)
  for (let at = out; at < end; at += 128) {
    const whole = at + 128 <= end
    const to = whole ? at : scratch
    let c0 = blocks, c1 = i32x4.splat(0), c2 = i32x4.splat(step), c3 = i32x4.splat(stream)
    let k0 = key0, k1 = key1
    for (let round = 0; round < 10; round++) {
      const high0 = high(m0, c0), low0 = low(m0, c0), high1 = high(m1, c2), low1 = low(m1, c2)
      c0 = v128.xor(v128.xor(high1, c1), i32x4.splat(k0))
      c1 = low1
      c2 = v128.xor(v128.xor(high0, c3), i32x4.splat(k1))
      c3 = low0
      k0 += 0x9e3779b9
      k1 += 0xbb67ae85
    }
    // From a word of each block in a register to a block in each.
    const low01 = v128.shuffle<u32>(c0, c1, 0, 4, 1, 5), low23 = v128.shuffle<u32>(c2, c3, 0, 4, 1, 5)
    const high01 = v128.shuffle<u32>(c0, c1, 2, 6, 3, 7), high23 = v128.shuffle<u32>(c2, c3, 2, 6, 3, 7)
    eight(v128.shuffle<u32>(low01, low23, 0, 1, 4, 5), thresholds, kept4, to)
    eight(v128.shuffle<u32>(low01, low23, 2, 3, 6, 7), thresholds, kept4, to + 32)
    eight(v128.shuffle<u32>(high01, high23, 0, 1, 4, 5), thresholds, kept4, to + 64)
    eight(v128.shuffle<u32>(high01, high23, 2, 3, 6, 7), thresholds, kept4, to + 96)
    if (!whole) memory.copy(at, scratch, end - at)
    blocks = i32x4.add(blocks, i32x4.splat(4))
  }
}
