/**
 * Numbers of two bytes, for which JavaScript has no arrays (nor, before Node 24, for binary16), as float32 and back. Float32
 * holds each value of both kinds exactly.
 */

/** A bfloat16 is the upper half of a float32. */
export const widenBfloat16 = (halves: Uint16Array): Float32Array => {
  const words = new Uint32Array(halves.length)
  for (let i = 0; i < halves.length; i++) words[i] = halves[i]! << 16
  return new Float32Array(words.buffer)
}

/** IEEE 754 binary16: one sign bit, five of exponent (bias 15), ten of fraction. */
export const widenFloat16 = (halves: Uint16Array): Float32Array => {
  const words = new Uint32Array(halves.length)
  const floats = new Float32Array(words.buffer)
  for (let i = 0; i < halves.length; i++) {
    const half = halves[i]!
    const sign = (half & 0x8000) << 16
    const exponent = (half >>> 10) & 0x1f
    const fraction = half & 0x3ff
    if (exponent === 0) {
      floats[i] = fraction * 2 ** -24
      words[i] = words[i]! | sign
    } else {
      const wide = exponent === 0x1f ? 0xff : exponent + 112
      words[i] = sign | (wide << 23) | (fraction << 13)
    }
  }
  return floats
}

/** Drops the lower 16 bits, rounding to nearest, ties to even. A NaN stays a NaN. */
export const narrowToBfloat16 = (floats: Float32Array): Uint16Array => {
  const words = new Uint32Array(floats.buffer, floats.byteOffset, floats.length)
  const halves = new Uint16Array(floats.length)
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!
    const isNaN = (word & 0x7fffffff) > 0x7f800000
    halves[i] = isNaN ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16
  }
  return halves
}

/** Rounds to nearest binary16, ties to even; what is too large becomes infinite. A NaN stays a NaN. */
export const narrowToFloat16 = (floats: Float32Array): Uint16Array => {
  const words = new Uint32Array(floats.buffer, floats.byteOffset, floats.length)
  const halves = new Uint16Array(floats.length)
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!
    const sign = (word >>> 16) & 0x8000
    const exponent = (word >>> 23) & 0xff
    const fraction = word & 0x7fffff
    if (exponent === 0xff) {
      halves[i] = sign | 0x7c00 | (fraction === 0 ? 0 : 0x200 | (fraction >>> 13))
      continue
    }
    // The significand with its hidden bit, to be shifted right so that one unit is the last bit kept.
    const shift = Math.max(13, 126 - exponent)
    if (shift > 24) {
      halves[i] = sign
      continue
    }
    const significand = fraction | 0x800000
    const kept = significand >>> shift
    const dropped = significand & ((1 << shift) - 1)
    const half = 1 << (shift - 1)
    const rounded = kept + (dropped > half || (dropped === half && (kept & 1) === 1) ? 1 : 0)
    // For a normal number `kept` carries the hidden bit, hence 113 and not 112; a carry moves to the next exponent.
    const magnitude = exponent >= 113 ? ((exponent - 113) << 10) + rounded : rounded
    halves[i] = sign | Math.min(magnitude, 0x7c00)
  }
  return halves
}
