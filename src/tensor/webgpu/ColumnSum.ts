/**
 * Sums over the rows of matrices, without the transposed copy that the stock reduction makes first: the gradients of
 * biases and of what is repeated along leading axes.
 */
import type { KernelFunc, TensorInfo, Tf } from "../TensorFlow.ts"
import { type KernelCall, sizeOf, view, type WebgpuBackend, zeros } from "./Gpu.ts"
import * as Program from "./Program.ts"

/** Columns a workgroup has, and rows that it adds at once. */
const columns = 64
const lanes = 4

/** Rows that one workgroup adds in a first pass; the sums of all workgroups are added in a second. */
const chunk = 64

/** How columns are shared out: see {@link columnSums}. */
export const layout = {
  threads: columns * lanes,
  given: { rows: "u32", width: "u32", blocks: "u32", chunk: "u32" }
} as const

/**
 * WGSL that sums columns: each thread adds every fourth row of its workgroup's chunk, lowest first, then the four sums of
 * a column are added in order.
 *
 * @param terms for each array that is written, by its name: what to add for `row` and `column`
 */
export const columnSums = (terms: Readonly<Record<string, string>>): string => {
  const names = Object.keys(terms)
  return `
${names.map((name) => `var<workgroup> ${name}_parts: array<f32, ${columns * lanes}>;`).join("\n")}

fn run(group: u32, thread: u32) {
  let part = group / given.blocks;
  let column = (group % given.blocks) * ${columns}u + thread % ${columns}u;
  let end = min(given.rows, (part + 1u) * given.chunk);
  ${names.map((name) => `var ${name}_sum = 0f;`).join("\n  ")}
  if (column < given.width) {
    for (var row = part * given.chunk + thread / ${columns}u; row < end; row += ${lanes}u) {
      ${names.map((name) => `${name}_sum += ${terms[name]};`).join("\n      ")}
    }
  }
  ${names.map((name) => `${name}_parts[thread] = ${name}_sum;`).join("\n  ")}
  workgroupBarrier();
  if (thread < ${columns}u && column < given.width) {
    let to = part * given.width + column;
    ${
    names.map((name) =>
      `${name}[to] = ${
        Array.from({ length: lanes }, (_, lane) => `${name}_parts[thread + ${lane * columns}u]`).join(" + ")
      };`
    ).join("\n    ")
  }
  }
}
`
}

const again = (count: number): Program.Program => ({
  ...layout,
  name: `sums of columns, ${count}`,
  inputs: Array.from({ length: count }, (_, at) => `from${at}`),
  outputs: Object.fromEntries(Array.from({ length: count }, (_, at) => [`into${at}`, "f32" as const])),
  code: columnSums(
    Object.fromEntries(
      Array.from({ length: count }, (_, at) => [`into${at}`, `f32(from${at}[row * given.width + column])`])
    )
  )
})

const passes = { 1: again(1), 2: again(2) } as const

const pass = (
  backend: WebgpuBackend,
  program: Program.Program,
  inputs: ReadonlyArray<TensorInfo>,
  rows: number,
  width: number,
  chunk: number
): Array<TensorInfo> => {
  const parts = Math.ceil(rows / chunk), blocks = Math.ceil(width / columns)
  return Program.run(backend, program, {
    inputs,
    outputs: Object.keys(program.outputs).map(() => ({ shape: [parts, width], dtype: "float32" as const })),
    given: [rows, width, blocks, chunk],
    groups: parts * blocks
  })
}

/**
 * Sums what a program of {@link columnSums} with one or two outputs adds up over `rows`, in one pass where they are few
 * and in two where they are many: `[width]` each.
 */
export const sumRows = (
  backend: WebgpuBackend,
  program: Program.Program,
  inputs: ReadonlyArray<TensorInfo>,
  rows: number,
  width: number
): Array<TensorInfo> => {
  const many = rows > 4 * chunk
  const first = pass(backend, program, inputs, rows, width, many ? chunk : rows)
  const parts = Math.ceil(rows / chunk)
  const sums = many ? pass(backend, passes[first.length as 1 | 2], first, parts, width, parts) : first
  const shaped = sums.map((sum) => view(backend, sum, [width]))
  for (const { dataId } of many ? [...first, ...sums] : sums) backend.disposeData(dataId)
  return shaped
}

interface Attributes {
  readonly axis: number | ReadonlyArray<number> | undefined
  readonly keepDims: boolean
}

type SumCall = KernelCall<{ readonly x: TensorInfo }, Attributes>

/** By the stock kernel, which wants the axes to be the last: its own transpose has no shader for integers. */
const innermost = (tf: Tf, stock: KernelFunc, { backend, inputs: { x } }: SumCall, axes: ReadonlyArray<number>) => {
  const kept = x.shape.flatMap((_, at) => axes.includes(at) ? [] : at)
  const turned = tf.getKernel("Transpose", "webgpu").kernelFunc(
    { inputs: { x }, backend, attrs: { perm: [...kept, ...axes] } } as never
  ) as TensorInfo
  const sums = stock(
    { inputs: { x: turned }, backend, attrs: { axis: axes.map((_, at) => kept.length + at), keepDims: false } } as never
  ) as TensorInfo
  backend.disposeData(turned.dataId)
  return sums
}

/** Sums over leading axes by {@link sumRows}, others by the stock kernel; a sum of nothing is 0. */
export const sum = (tf: Tf) => (stock: KernelFunc): KernelFunc =>
  ((call: SumCall) => {
    const { attrs: { axis, keepDims }, backend, inputs: { x } } = call
    const axes = tf.util.parseAxisParam(axis as number, x.shape).toSorted((a, b) => a - b)
    const shape = x.shape.flatMap((extent, at) => !axes.includes(at) ? extent : keepDims ? 1 : [])
    if (sizeOf(x.shape) === 0) return zeros(backend, shape, x.dtype === "float32" ? "float32" : "int32")
    const rows = sizeOf(x.shape.slice(0, axes.length)), width = sizeOf(x.shape.slice(axes.length))
    const isTall = axes.every((axis, at) => axis === at) && rows > 1 && width >= columns / 2
    const sums = isTall && x.dtype === "float32"
      ? sumRows(backend, passes[1], [x], rows, width)[0]!
      : innermost(tf, stock, call, axes)
    const shaped = view(backend, sums, shape)
    backend.disposeData(sums.dataId)
    return shaped
  }) as unknown as KernelFunc
