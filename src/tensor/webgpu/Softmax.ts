/**
 * Softmax over the last axis, a workgroup a row.
 *
 * The stock kernel has no bound on its rows: where there are more than one dimension of a dispatch takes (65,535 on most
 * devices; 12 heads of 128 texts of 64 tokens are enough), its superfluous workgroups reach beyond the last row, and
 * what becomes of that is up to the driver.
 */
import type { KernelFunc, TensorInfo } from "../TensorFlow.ts"
import { type KernelCall, sizeOf, zeros } from "./Gpu.ts"
import * as Program from "./Program.ts"
import { exponentials, threadsFor } from "./Reduction.ts"

const program = (threads: number): Program.Program => ({
  name: `softmax, ${threads} threads`,
  inputs: ["logits"],
  outputs: { weights: "f32" },
  given: { width: "u32" },
  threads,
  code: `
${exponentials(threads)}
fn run(group: u32, thread: u32) {
  let row = group * given.width;
  let found = exponentials(row, thread);
  let high = found.x;
  let sum = found.y;
  for (var at = thread; at < given.width; at += ${threads}u) {
    weights[row + at] = exp(f32(logits[row + at]) - high) / sum;
  }
}
`
})

const programs = { 64: program(64), 256: program(256) } as const

export const softmax = (stock: KernelFunc): KernelFunc =>
  ((call: KernelCall<{ readonly logits: TensorInfo }, { readonly dim: number }>) => {
    const { attrs: { dim }, backend, inputs: { logits } } = call
    const { shape } = logits
    const width = shape.at(-1) ?? 1
    if (dim !== -1 && dim !== shape.length - 1) return stock(call as never)
    if (sizeOf(shape) === 0) return zeros(backend, shape, "float32")
    return Program.run(backend, programs[threadsFor(width)], {
      inputs: [logits],
      outputs: [{ shape, dtype: "float32" }],
      given: [width],
      groups: sizeOf(shape) / width
    })[0]!
  }) as unknown as KernelFunc
