// Arithmetic that the other files share. AssemblyScript, compiled by compile.ts.

/** a b + c, in one rounding where the processor has such an instruction. */
// @ts-ignore: decorator
@inline
export function multiplyAdd(a: v128, b: v128, c: v128): v128 {
  return f32x4.relaxed_madd(a, b, c)
}

/**
 * The exponential function, to 2 units in the last place: the argument is brought to [-ln 2 / 2, ln 2 / 2], a polynomial
 * of degree 7 (Moshier, Cephes, expf) taken there, and the power of two put into the exponent. Exactly 0 below -87.3,
 * where the result would leave the normal numbers; constant above 88.
 */
// @ts-ignore: decorator
@inline
export function exponential(x: v128): v128 {
  const inside = f32x4.max(f32x4.min(x, f32x4.splat(88)), f32x4.splat(-87.3))
  const power = f32x4.nearest(f32x4.mul(inside, f32x4.splat(1.44269504)))
  // ln 2 in two parts, the first with few enough digits that its multiples are exact.
  let rest = multiplyAdd(power, f32x4.splat(-0.693359375), inside)
  rest = multiplyAdd(power, f32x4.splat(2.12194440e-4), rest)
  let value = multiplyAdd(f32x4.splat(1.9875691500e-4), rest, f32x4.splat(1.3981999507e-3))
  value = multiplyAdd(value, rest, f32x4.splat(8.3334519073e-3))
  value = multiplyAdd(value, rest, f32x4.splat(4.1665795894e-2))
  value = multiplyAdd(value, rest, f32x4.splat(1.6666665459e-1))
  value = multiplyAdd(value, rest, f32x4.splat(5.0000001201e-1))
  value = multiplyAdd(f32x4.mul(value, rest), rest, f32x4.add(rest, f32x4.splat(1)))
  const scale = i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(power), i32x4.splat(127)), 23)
  // A NaN stays one: only what compares as too small becomes 0.
  return v128.andnot(f32x4.mul(value, scale), f32x4.lt(x, f32x4.splat(-87.3)))
}

/** The sum of the four lanes. */
// @ts-ignore: decorator
@inline
export function lanes(x: v128): f32 {
  return (f32x4.extract_lane(x, 0) + f32x4.extract_lane(x, 1)) +
    (f32x4.extract_lane(x, 2) + f32x4.extract_lane(x, 3))
}

/** 1 if a b + c is rounded once on this machine, 0 if twice: the two differ in the last bit. */
export function fuses(): i32 {
  // (1 + 2^-12)^2 - (1 + 2^-11) is 2^-24, which the rounded product has lost.
  const a = f32x4.splat(1.000244140625)
  return f32x4.extract_lane(multiplyAdd(a, a, f32x4.splat(-1.00048828125)), 0) != 0 ? 1 : 0
}
