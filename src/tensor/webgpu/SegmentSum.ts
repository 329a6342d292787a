/**
 * Sums of rows by index, each in the order of the rows, so that runs repeat to the bit: the gradient of an embedding.
 *
 * The stock kernels add in a loop of compare-and-exchange, in whatever order the threads arrive; the one for segment
 * sums also lets indices beyond the last wrap around, and adds integers by the bits of their floats.
 *
 * Here a workgroup belongs to a row and a block of its columns. Where an earlier row has the same index it ends; otherwise
 * it walks over the rows from its own on, as many at a time as it has threads, and adds those of its index, lowest first.
 */
import type { KernelFunc, TensorInfo, Tf } from "../TensorFlow.ts"
import { type KernelCall, sizeOf, type WebgpuBackend, zeros } from "./Gpu.ts"
import * as Program from "./Program.ts"

const threads = 128
const words = threads / 32

/** A tensor that is scattered into has at most as many axes. */
const maximumRank = 6

const program = (element: "f32" | "i32"): Program.Program => ({
  name: `sum of rows by index, ${element}`,
  inputs: ["rows", "indices"],
  outputs: { sums: element },
  given: {
    count: "u32",
    width: "u32",
    blocks: "u32",
    segments: "i32",
    rank: "u32",
    ...Object.fromEntries(Array.from({ length: maximumRank }, (_, axis) => [`stride${axis}`, "i32" as const]))
  },
  threads,
  code: `
var<workgroup> earlier: atomic<u32>;
var<workgroup> hits: array<atomic<u32>, ${words}>;

fn index_of(row: u32) -> i32 {
  let strides = array(${Array.from({ length: maximumRank }, (_, axis) => `given.stride${axis}`).join(", ")});
  var index = 0i;
  for (var axis = 0u; axis < given.rank; axis++) {
    index += i32(indices[row * given.rank + axis]) * strides[axis];
  }
  return index;
}

fn run(group: u32, thread: u32) {
  let row = group / given.blocks;
  let column = (group % given.blocks) * ${threads}u + thread;
  let index = index_of(row);
  if (index < 0 || index >= given.segments) {
    return;
  }
  for (var base = 0u; base < row; base += ${threads}u) {
    let other = base + thread;
    if (other < row && index_of(other) == index) {
      atomicStore(&earlier, 1u);
    }
  }
  if (workgroupUniformLoad(&earlier) != 0u) {
    return;
  }
  var sum = ${element}(0);
  for (var base = row - row % ${threads}u; base < given.count; base += ${threads}u) {
    let other = base + thread;
    if (other >= row && other < given.count && index_of(other) == index) {
      atomicOr(&hits[thread / 32u], 1u << (thread % 32u));
    }
    workgroupBarrier();
    for (var word = 0u; word < ${words}u; word++) {
      var left = atomicLoad(&hits[word]);
      while (left != 0u) {
        let hit = base + word * 32u + firstTrailingBit(left);
        if (column < given.width) {
          sum += ${element}(rows[hit * given.width + column]);
        }
        left &= left - 1u;
      }
    }
    workgroupBarrier();
    if (thread < ${words}u) {
      atomicStore(&hits[thread], 0u);
    }
    workgroupBarrier();
  }
  if (column < given.width) {
    sums[u32(index) * given.width + column] = sum;
  }
}
`
})

const programs = { float32: program("f32"), int32: program("i32") } as const

interface Sum {
  readonly rows: TensorInfo
  /** `[count, rank]`, row-major. */
  readonly indices: TensorInfo
  readonly count: number
  readonly width: number
  readonly strides: ReadonlyArray<number>
  /** How many rows the sums have. */
  readonly segments: number
  readonly shape: ReadonlyArray<number>
}

const sumByIndex = (backend: WebgpuBackend, sum: Sum): TensorInfo => {
  const { count, rows, segments, shape, strides, width } = sum
  if (rows.dtype !== "float32" && rows.dtype !== "int32") {
    throw new TypeError(`webgpu: rows of type ${rows.dtype} cannot be summed by index`)
  }
  if (strides.length > maximumRank) {
    throw new RangeError(`webgpu: indices of ${strides.length} axes; at most ${maximumRank} are implemented`)
  }
  if (count === 0 || width === 0 || segments === 0) return zeros(backend, shape, rows.dtype)
  const blocks = Math.ceil(width / threads)
  const padded = Array.from({ length: maximumRank }, (_, axis) => strides[axis] ?? 0)
  return Program.run(backend, programs[rows.dtype], {
    inputs: [rows, sum.indices],
    outputs: [{ shape, dtype: rows.dtype, cleared: true }],
    given: [count, width, blocks, segments, strides.length, ...padded],
    groups: count * blocks
  })[0]!
}

/** Rows whose segment lies outside the range are left out, as on the reference. */
export const unsortedSegmentSum = (({ attrs: { numSegments }, backend, inputs: { segmentIds, x } }: KernelCall<
  { readonly x: TensorInfo; readonly segmentIds: TensorInfo },
  { readonly numSegments: number }
>) => {
  const [count = 0, ...inner] = x.shape
  return sumByIndex(backend, {
    rows: x,
    indices: segmentIds,
    count,
    width: sizeOf(inner),
    strides: [1],
    segments: numSegments,
    shape: [numSegments, ...inner]
  })
}) as unknown as KernelFunc

export const scatterNd = (tf: Tf): KernelFunc =>
  (({ attrs: { shape }, backend, inputs: { indices, updates } }: KernelCall<
    { readonly indices: TensorInfo; readonly updates: TensorInfo },
    { readonly shape: ReadonlyArray<number> }
  >) => {
    const { numUpdates, outputSize, sliceSize, strides } = tf.backend_util.calculateShapes(updates, indices, [...shape])
    return sumByIndex(backend, {
      rows: updates,
      indices,
      count: numUpdates,
      width: sliceSize,
      strides,
      segments: outputSize / sliceSize,
      shape
    })
  }) as unknown as KernelFunc
