/** Layer normalisation and its gradient, a workgroup a row: see `Operations.layerNorm`. */
import type { KernelFunc, TensorInfo } from "../TensorFlow.ts"
import { columnSums, layout, sumRows } from "./ColumnSum.ts"
import { type KernelCall, sizeOf, zeros } from "./Gpu.ts"
import * as Program from "./Program.ts"
import { reduction, threadsFor } from "./Reduction.ts"

const forward = (threads: number): Program.Program => ({
  name: `layer norm, ${threads} threads`,
  inputs: ["x", "gain", "bias"],
  outputs: { y: "f32", means: "f32", inverses: "f32" },
  given: { width: "u32", epsilon: "f32" },
  threads,
  code: `
${reduction("total", threads, "a + b")}

fn run(group: u32, thread: u32) {
  let row = group * given.width;
  var sum = 0f;
  for (var at = thread; at < given.width; at += ${threads}u) {
    sum += f32(x[row + at]);
  }
  let mean = total(sum, thread) / f32(given.width);
  var squares = 0f;
  for (var at = thread; at < given.width; at += ${threads}u) {
    let centred = f32(x[row + at]) - mean;
    squares += centred * centred;
  }
  let inverse = 1f / sqrt(total(squares, thread) / f32(given.width) + given.epsilon);
  for (var at = thread; at < given.width; at += ${threads}u) {
    y[row + at] = (f32(x[row + at]) - mean) * inverse * f32(gain[at]) + f32(bias[at]);
  }
  if (thread == 0u) {
    means[group] = mean;
    inverses[group] = inverse;
  }
}
`
})

// With n the normalised row and g its gradient: dx = (g - mean(g) - n mean(g n)) / deviation.
const backward = (threads: number): Program.Program => ({
  name: `gradient of layer norm, ${threads} threads`,
  inputs: ["x", "gain", "means", "inverses", "dy"],
  outputs: { dx: "f32" },
  given: { width: "u32" },
  threads,
  code: `
${reduction("total", threads, "a + b")}

fn run(group: u32, thread: u32) {
  let row = group * given.width;
  let mean = f32(means[group]);
  let inverse = f32(inverses[group]);
  var sum = 0f;
  var along = 0f;
  for (var at = thread; at < given.width; at += ${threads}u) {
    let slope = f32(dy[row + at]) * f32(gain[at]);
    sum += slope;
    along += slope * (f32(x[row + at]) - mean) * inverse;
  }
  sum = total(sum, thread) / f32(given.width);
  along = total(along, thread) / f32(given.width);
  for (var at = thread; at < given.width; at += ${threads}u) {
    let slope = f32(dy[row + at]) * f32(gain[at]);
    let normal = (f32(x[row + at]) - mean) * inverse;
    dx[row + at] = (slope - sum - normal * along) * inverse;
  }
}
`
})

const forwards = { 64: forward(64), 256: forward(256) } as const
const backwards = { 64: backward(64), 256: backward(256) } as const

const parameters: Program.Program = {
  ...layout,
  name: "gradient of layer norm, gain and bias",
  inputs: ["x", "means", "inverses", "dy"],
  outputs: { gains: "f32", biases: "f32" },
  code: columnSums({
    gains: "f32(dy[row * given.width + column]) * " +
      "(f32(x[row * given.width + column]) - f32(means[row])) * f32(inverses[row])",
    biases: "f32(dy[row * given.width + column])"
  })
}

type Inputs<Names extends string> = Readonly<Record<Names, TensorInfo>>

const normalise = ({ attrs: { epsilon }, backend, inputs: { bias, gain, x } }: KernelCall<
  Inputs<"x" | "gain" | "bias">,
  { readonly epsilon: number }
>) => {
  const [rows, width] = x.shape as [number, number]
  const shapes = [x.shape, [rows], [rows]]
  if (rows * width === 0) return shapes.map((shape) => zeros(backend, shape, "float32"))
  return Program.run(backend, forwards[threadsFor(width)], {
    inputs: [x, gain, bias],
    outputs: shapes.map((shape) => ({ shape, dtype: "float32" as const })),
    given: [width, epsilon],
    groups: rows
  })
}

const gradient = ({ backend, inputs: { dy, gain, inverses, means, x } }: KernelCall<
  Inputs<"x" | "gain" | "means" | "inverses" | "dy">
>) => {
  const [rows, width] = x.shape as [number, number]
  if (sizeOf(x.shape) === 0) {
    return [zeros(backend, x.shape, "float32"), zeros(backend, [width], "float32"), zeros(backend, [width], "float32")]
  }
  const [dx] = Program.run(backend, backwards[threadsFor(width)], {
    inputs: [x, gain, means, inverses, dy],
    outputs: [{ shape: x.shape, dtype: "float32" }],
    given: [width],
    groups: rows
  })
  return [dx!, ...sumRows(backend, parameters, [x, means, inverses, dy], rows, width)]
}

export const layerNorm = normalise as unknown as KernelFunc
export const layerNormGradient = gradient as unknown as KernelFunc
