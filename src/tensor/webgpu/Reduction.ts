/**
 * How the threads of a workgroup reduce what each of them has to one number, in WGSL: halves onto halves, so that the
 * order of a sum is always the same.
 */

/** Threads of a workgroup that has a row of this width to itself. */
export const threadsFor = (width: number): 64 | 256 => width > 512 ? 256 : 64

/**
 * Defines `fn NAME(value: f32, thread: u32) -> f32`, which every thread of the workgroup has to call, and which gives all
 * of them the same.
 *
 * @param combine of `a` and `b`, such as `a + b`
 */
export const reduction = (name: string, threads: number, combine: string): string => `
var<workgroup> ${name}_parts: array<f32, ${threads}>;

fn ${name}(value: f32, thread: u32) -> f32 {
  // What the last call left has been read by all.
  workgroupBarrier();
  ${name}_parts[thread] = value;
  workgroupBarrier();
  for (var half = ${threads / 2}u; half > 0u; half /= 2u) {
    if (thread < half) {
      let a = ${name}_parts[thread];
      let b = ${name}_parts[thread + half];
      ${name}_parts[thread] = ${combine};
    }
    workgroupBarrier();
  }
  return ${name}_parts[0];
}
`

/**
 * Defines `fn exponentials(row: u32, thread: u32) -> vec2f`: the largest of the `given.width` numbers of `logits` from `row`
 * on, and the sum of the exponentials of what all of them are above it.
 */
export const exponentials = (threads: number): string => `
${reduction("largest", threads, "max(a, b)")}
${reduction("total", threads, "a + b")}

fn exponentials(row: u32, thread: u32) -> vec2f {
  var high = -3.4028234e38f;
  for (var at = thread; at < given.width; at += ${threads}u) {
    high = max(high, f32(logits[row + at]));
  }
  high = largest(high, thread);
  var sum = 0f;
  for (var at = thread; at < given.width; at += ${threads}u) {
    sum += exp(f32(logits[row + at]) - high);
  }
  return vec2f(high, total(sum, thread));
}
`
