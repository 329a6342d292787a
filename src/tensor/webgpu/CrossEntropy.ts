/**
 * The cross-entropies of rows and their gradient.
 *
 * Composed, they gather and scatter by index into the joined rows: indices beyond 2^24, which the stock kernels, reading
 * them as floats, mistake for others, and a scatter that adds in any order.
 */
import type { KernelFunc, TensorInfo } from "../TensorFlow.ts"
import { type KernelCall, sizeOf, zeros } from "./Gpu.ts"
import * as Program from "./Program.ts"
import { exponentials, threadsFor } from "./Reduction.ts"

const forward = (threads: number): Program.Program => ({
  name: `cross-entropy, ${threads} threads`,
  inputs: ["logits", "labels", "weights"],
  outputs: { losses: "f32", log_sums: "f32" },
  given: { width: "u32" },
  threads,
  code: `
${exponentials(threads)}
fn run(group: u32, thread: u32) {
  let row = group * given.width;
  let found = exponentials(row, thread);
  let high = found.x;
  let sum = found.y;
  if (thread == 0u) {
    // Apart from the largest, so that where it is far from 0 the difference keeps its digits.
    let above = log(sum);
    let label = f32(logits[row + u32(labels[group])]);
    losses[group] = f32(weights[group]) * (above + (high - label));
    log_sums[group] = high + above;
  }
}
`
})

const programs = { 64: forward(64), 256: forward(256) } as const

const backward: Program.Program = {
  name: "gradient of cross-entropy",
  inputs: ["logits", "labels", "weights", "log_sums", "dy"],
  outputs: { gradient: "f32" },
  given: { size: "u32", width: "u32" },
  threads: 256,
  code: `
fn run(group: u32, thread: u32) {
  let at = group * 256u + thread;
  if (at >= given.size) {
    return;
  }
  let row = at / given.width;
  var probability = exp(f32(logits[at]) - f32(log_sums[row]));
  if (i32(at % given.width) == i32(labels[row])) {
    probability -= 1f;
  }
  gradient[at] = probability * f32(weights[row]) * f32(dy[0]);
}
`
}

type Inputs<Names extends string> = Readonly<Record<Names, TensorInfo>>

const losses = ({ backend, inputs: { labels, weights, x } }: KernelCall<Inputs<"x" | "labels" | "weights">>) => {
  const [positions, width] = x.shape as [number, number]
  if (positions * width === 0) return [zeros(backend, [positions], "float32"), zeros(backend, [positions], "float32")]
  return Program.run(backend, programs[threadsFor(width)], {
    inputs: [x, labels, weights],
    outputs: [{ shape: [positions], dtype: "float32" }, { shape: [positions], dtype: "float32" }],
    given: [width],
    groups: positions
  })
}

const gradient = (
  { backend, inputs: { dy, labels, logSums, weights, x } }: KernelCall<
    Inputs<"x" | "labels" | "weights" | "logSums" | "dy">
  >
) => {
  const size = sizeOf(x.shape)
  if (size === 0) return zeros(backend, x.shape, "float32")
  return Program.run(backend, backward, {
    inputs: [x, labels, weights, logSums, dy],
    outputs: [{ shape: x.shape, dtype: "float32" }],
    given: [size, x.shape[1]!],
    groups: Math.ceil(size / backward.threads)
  })[0]!
}

export const crossEntropy = losses as unknown as KernelFunc
export const crossEntropyGradient = gradient as unknown as KernelFunc
