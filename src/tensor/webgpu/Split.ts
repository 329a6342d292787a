/**
 * Splits a tensor into many with few dispatches: the optimizer's parameters, which lie in one tensor, are split off it
 * after every update, and the stock kernel takes a dispatch for each.
 */
import type { KernelFunc, TensorInfo, Tf } from "../TensorFlow.ts"
import { type KernelCall, sizeOf, view, type WebgpuBackend, zeros } from "./Gpu.ts"
import * as Program from "./Program.ts"

const threads = 256

/** Writes `count` parts that lie side by side; `start0` and so on are where they begin, the last where they end. */
const program = (count: number, element: "f32" | "i32"): Program.Program => ({
  name: `split into ${count}, ${element}`,
  inputs: ["whole"],
  outputs: Object.fromEntries(Array.from({ length: count }, (_, part) => [`part${part}`, element])),
  given: {
    size: "u32",
    inner: "u32",
    extent: "u32",
    ...Object.fromEntries(Array.from({ length: count + 1 }, (_, part) => [`start${part}`, "u32" as const]))
  },
  threads,
  code: `
fn run(group: u32, thread: u32) {
  let at = group * ${threads}u + thread;
  if (at >= given.size) {
    return;
  }
  // Of the elements between the first part's begin and the last one's end, in the order of the whole.
  let across = (given.start${count} - given.start0) * given.inner;
  let outer = at / across;
  let offset = at % across + given.start0 * given.inner;
  let value = ${element}(whole[outer * given.extent * given.inner + offset]);
  ${
    Array.from({ length: count }, (_, part) =>
      `${part === 0 ? "" : "else "}if (offset < given.start${part + 1} * given.inner) {
    let begin = given.start${part} * given.inner;
    part${part}[outer * (given.start${part + 1} * given.inner - begin) + offset - begin] = value;
  }`).join(" ")
  }
}
`
})

const programs = new Map<string, Program.Program>()

const programFor = (count: number, element: "f32" | "i32"): Program.Program => {
  const key = `${count} ${element}`
  let found = programs.get(key)
  if (found === undefined) programs.set(key, found = program(count, element))
  return found
}

interface Part {
  readonly index: number
  readonly start: number
  readonly size: number
}

/** The parts that hold something, as many together as a shader may have buffers beside the whole. */
const together = (sizes: ReadonlyArray<number>, limit: number): ReadonlyArray<ReadonlyArray<Part>> => {
  const runs: Array<Array<Part>> = []
  let start = 0
  for (const [index, size] of sizes.entries()) {
    // An empty part lies between its neighbours and parts them no further.
    if (size > 0) {
      if (runs.length === 0 || runs.at(-1)!.length === limit) runs.push([])
      runs.at(-1)!.push({ index, start, size })
    }
    start += size
  }
  return runs
}

const splitAll = (backend: WebgpuBackend, x: TensorInfo, axis: number, sizes: ReadonlyArray<number>) => {
  const outer = sizeOf(x.shape.slice(0, axis)), inner = sizeOf(x.shape.slice(axis + 1)), extent = x.shape[axis]!
  const shapeOf = (size: number) => x.shape.map((all, at) => at === axis ? size : all)
  const parts: Array<TensorInfo> = []
  for (const run of together(sizes, backend.device.limits["maxStorageBuffersPerShaderStage"]! - 1)) {
    const last = run.at(-1)!
    const size = outer * inner * (last.start + last.size - run[0]!.start)
    const written = Program.run(backend, programFor(run.length, x.dtype === "float32" ? "f32" : "i32"), {
      inputs: [x],
      outputs: run.map((part) => ({ shape: shapeOf(part.size), dtype: x.dtype })),
      given: [size, inner, extent, ...run.map((part) => part.start), last.start + last.size],
      groups: Math.ceil(size / threads)
    })
    for (const [at, { index }] of run.entries()) parts[index] = written[at]!
  }
  return sizes.map((size, at) => parts[at] ?? zeros(backend, shapeOf(size), x.dtype))
}

export const split = (tf: Tf) => (stock: KernelFunc): KernelFunc =>
  ((
    call: KernelCall<
      { readonly x: TensorInfo },
      { readonly numOrSizeSplits: Array<number> | number; readonly axis: number }
    >
  ) => {
    const { attrs: { axis, numOrSizeSplits }, backend, inputs: { x } } = call
    if (!["float32", "int32", "bool"].includes(x.dtype) || sizeOf(x.shape) === 0) return stock(call as never)
    const at = tf.util.parseAxisParam(axis, x.shape)[0]!
    const sizes = tf.backend_util.prepareSplitSize(x as never, numOrSizeSplits, at)
    return sizes.length === 1 ? [view(backend, x, x.shape)] : splitAll(backend, x, at, sizes)
  }) as unknown as KernelFunc
