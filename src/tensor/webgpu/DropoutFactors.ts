/** The factors of dropout, drawn on the GPU: the same to the bit as `random/Random.ts` draws them on the CPU. */
import type { KernelFunc } from "../TensorFlow.ts"
import { type KernelCall, zeros } from "./Gpu.ts"
import * as Program from "./Program.ts"

const threads = 64

/** Numbers that one block of the generator decides on: two by each of its four words. */
const perBlock = 8

// Philox4x32-10: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
const program: Program.Program = {
  name: "factors of dropout",
  inputs: [],
  outputs: { factors: "f32" },
  given: {
    key0: "u32",
    key1: "u32",
    step: "u32",
    stream: "u32",
    threshold: "u32",
    kept: "f32",
    size: "u32"
  },
  threads,
  code: `
fn high_product(a: u32, b: u32) -> u32 {
  let middle = (a >> 16u) * (b & 0xffffu) + (((a & 0xffffu) * (b & 0xffffu)) >> 16u);
  let carry = (a & 0xffffu) * (b >> 16u) + (middle & 0xffffu);
  return (a >> 16u) * (b >> 16u) + (middle >> 16u) + (carry >> 16u);
}

fn run(group: u32, thread: u32) {
  let block = group * ${threads}u + thread;
  let first = block * ${perBlock}u;
  if (first >= given.size) {
    return;
  }
  var counter = vec4<u32>(block, 0u, given.step, given.stream);
  var key = vec2<u32>(given.key0, given.key1);
  for (var round = 0; round < 10; round++) {
    let low0 = 0xd2511f53u * counter.x;
    let low1 = 0xcd9e8d57u * counter.z;
    let high0 = high_product(0xd2511f53u, counter.x);
    let high1 = high_product(0xcd9e8d57u, counter.z);
    counter = vec4<u32>(high1 ^ counter.y ^ key.x, low1, high0 ^ counter.w ^ key.y, low0);
    key += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
  }
  for (var at = 0u; at < min(${perBlock}u, given.size - first); at++) {
    let half = (counter[at / 2u] >> (16u * (at % 2u))) & 0xffffu;
    factors[first + at] = select(given.kept, 0f, half < given.threshold);
  }
}
`
}

type Attributes = Readonly<Record<"key0" | "key1" | "step" | "stream" | "threshold" | "kept" | "size", number>>

export const dropoutFactors = (({ attrs, backend }: KernelCall<unknown, Attributes>) => {
  const { kept, key0, key1, size, step, stream, threshold } = attrs
  if (size === 0) return zeros(backend, [0], "float32")
  return Program.run(backend, program, {
    inputs: [],
    outputs: [{ shape: [size], dtype: "float32" }],
    given: [key0, key1, step, stream, threshold, kept, size],
    groups: Math.ceil(size / perBlock / threads)
  })[0]!
}) as unknown as KernelFunc
