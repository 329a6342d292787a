/**
 * Transposes of any rank and type. Axes that stay side by side are taken as one, and what then keeps its order is not
 * copied; the stock kernel for more than two axes has a type error in its shader for integers.
 */
import type { KernelFunc, TensorInfo } from "../TensorFlow.ts"
import { type KernelCall, sizeOf, view, type WebgpuBackend, zeros } from "./Gpu.ts"
import * as Program from "./Program.ts"

const threads = 256

const maximumRank = 6

/** Gathers: `extent0` and so on are the result's, `stride0` and so on say how far apart its neighbours lie in `x`. */
const program = (rank: number, element: "f32" | "i32"): Program.Program => {
  const axes = Array.from({ length: rank }, (_, axis) => axis)
  return {
    name: `transpose of ${rank} axes, ${element}`,
    inputs: ["x"],
    outputs: { y: element },
    given: {
      size: "u32",
      ...Object.fromEntries(axes.flatMap((axis) => [[`extent${axis}`, "u32"], [`stride${axis}`, "u32"]] as const))
    },
    threads,
    code: `
fn run(group: u32, thread: u32) {
  let at = group * ${threads}u + thread;
  if (at >= given.size) {
    return;
  }
  var rest = at;
  var source = 0u;
  ${
      axes.slice(1).toReversed().map((axis) =>
        `let outer${axis} = rest / given.extent${axis};
  source += (rest - outer${axis} * given.extent${axis}) * given.stride${axis};
  rest = outer${axis};`
      ).join("\n  ")
    }
  y[at] = ${element}(x[source + rest * given.stride0]);
}
`
  }
}

const programs = new Map<string, Program.Program>()

const programFor = (rank: number, element: "f32" | "i32"): Program.Program => {
  const key = `${rank} ${element}`
  let found = programs.get(key)
  if (found === undefined) programs.set(key, found = program(rank, element))
  return found
}

interface Axis {
  readonly extent: number
  readonly stride: number
}

/** The result's axes with their strides in the source, those that lie together there joined. */
const joined = (shape: ReadonlyArray<number>, perm: ReadonlyArray<number>): ReadonlyArray<Axis> => {
  const strides = shape.map((_, at) => sizeOf(shape.slice(at + 1)))
  const found: Array<Axis> = []
  for (const from of perm) {
    const extent = shape[from]!, stride = strides[from]!, last = found.at(-1)
    if (extent === 1) continue
    if (last !== undefined && last.stride === stride * extent) {
      found[found.length - 1] = { extent: last.extent * extent, stride }
    } else found.push({ extent, stride })
  }
  return found
}

/** The stock kernel for matrices goes through the memory of a workgroup, so that reads and writes are both in order. */
const matrix = (stock: KernelFunc, backend: WebgpuBackend, x: TensorInfo, rows: number, columns: number) => {
  const flat = view(backend, x, [rows, columns])
  const turned = stock({ inputs: { x: flat }, backend, attrs: { perm: [1, 0] } } as never) as TensorInfo
  backend.disposeData(flat.dataId)
  return turned
}

export const transpose = (stock: KernelFunc): KernelFunc =>
  ((call: KernelCall<{ readonly x: TensorInfo }, { readonly perm: ReadonlyArray<number> }>) => {
    const { attrs: { perm }, backend, inputs: { x } } = call
    const shape = perm.map((axis) => x.shape[axis]!)
    const size = sizeOf(shape), layout = joined(x.shape, perm)
    if (layout.length > maximumRank || !["float32", "int32", "bool"].includes(x.dtype)) return stock(call as never)
    if (size === 0) return zeros(backend, shape, x.dtype)
    if (layout.length <= 1) return view(backend, x, shape)
    if (layout.length === 2 && x.dtype === "float32") {
      const turned = matrix(stock, backend, x, layout[1]!.extent, layout[0]!.extent)
      const shaped = view(backend, turned, shape)
      backend.disposeData(turned.dataId)
      return shaped
    }
    return Program.run(backend, programFor(layout.length, x.dtype === "float32" ? "f32" : "i32"), {
      inputs: [x],
      outputs: [{ shape, dtype: x.dtype }],
      given: [size, ...layout.flatMap(({ extent, stride }) => [extent, stride])],
      groups: Math.ceil(size / threads)
    })[0]!
  }) as unknown as KernelFunc
