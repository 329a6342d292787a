/**
 * Telling from what a backend throws that it ran out of memory.
 */
import { HeapFull } from "./wasm/Heap.ts"
import { DeviceFailed } from "./webgpu/DeviceFailed.ts"

/** What TensorFlow, V8 and drivers of GPUs say. */
const words = /\bOOM\b|out of memory|resource exhausted|array buffer allocation failed|invalid typed array length/i

/** Why a backend has no memory left, in its words; `undefined` for a failure of any other kind. */
export const reasonOf = (cause: unknown): string | undefined => {
  if (!(cause instanceof Error)) return undefined
  if (cause instanceof DeviceFailed) return cause.kind === "out-of-memory" ? cause.reason : undefined
  return cause instanceof HeapFull || words.test(cause.message) ? cause.message : undefined
}
