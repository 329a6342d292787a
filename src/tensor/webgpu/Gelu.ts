/** GELU in its tanh form and its gradient, element by element: see `Operations.gelu`. */
import type { KernelFunc, TensorInfo } from "../TensorFlow.ts"
import { type KernelCall, sizeOf, type WebgpuBackend, zeros } from "./Gpu.ts"
import * as Program from "./Program.ts"

const threads = 256
const linear = 2 * Math.sqrt(2 / Math.PI)
const cubic = linear * 0.044715

// A shader may take for granted that nothing is infinite. Beyond 87 the gate is 0 or 1 to the last bit of a float.
const gate = `
fn gate_of(x: f32) -> f32 {
  return 1f / (1f + exp(-clamp(x * (${linear}f + ${cubic}f * x * x), -87f, 87f)));
}
`

const program = (name: string, inputs: ReadonlyArray<string>, value: string): Program.Program => ({
  name,
  inputs,
  outputs: { y: "f32" },
  given: { size: "u32" },
  threads,
  code: `
${gate}
fn run(group: u32, thread: u32) {
  let at = group * ${threads}u + thread;
  if (at >= given.size) {
    return;
  }
  let x = f32(xs[at]);
  let gate = gate_of(x);
  y[at] = ${value};
}
`
})

const forward = program("gelu", ["xs"], "x * gate")

// d/dx x s(v) = s + x s (1 - s) v', with v' = linear + 3 cubic x^2.
const backward = program(
  "gradient of gelu",
  ["xs", "dy"],
  `f32(dy[at]) * gate * (1f + x * (1f - gate) * (${linear}f + ${3 * cubic}f * x * x))`
)

const elementwise = (backend: WebgpuBackend, program: Program.Program, inputs: ReadonlyArray<TensorInfo>) => {
  const { shape } = inputs[0]!
  const size = sizeOf(shape)
  if (size === 0) return zeros(backend, shape, "float32")
  return Program.run(backend, program, {
    inputs,
    outputs: [{ shape, dtype: "float32" }],
    given: [size],
    groups: Math.ceil(size / threads)
  })[0]!
}

export const gelu =
  (({ backend, inputs: { x } }: KernelCall<{ readonly x: TensorInfo }>) =>
    elementwise(backend, forward, [x])) as unknown as KernelFunc

export const geluGradient =
  (({ backend, inputs: { dy, x } }: KernelCall<{ readonly x: TensorInfo; readonly dy: TensorInfo }>) =>
    elementwise(backend, backward, [x, dy])) as unknown as KernelFunc
