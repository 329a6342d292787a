/**
 * Giving a tensor other numbers where it lies.
 *
 * TensorFlow.js makes a new tensor of every result. What lives from step to step then wanders about the heap of
 * WebAssembly, which never shrinks, and splits its free space into pieces too small for anything large.
 */
import * as FusedKernels from "./FusedKernels.ts"
import type { Tensor, Tf } from "./TensorFlow.ts"
import { addressOf, type WasmBackend } from "./wasm/Heap.ts"
import { library } from "./wasm/Library.ts"

/**
 * The one of two equal tensors that stays, with the numbers of `source`; the other is disposed of. On WebAssembly that is
 * `target`, in its place, and whatever shares its data sees the new numbers; elsewhere, where nothing is gained, `source`.
 *
 * @param source of the shape and type of `target`, 4 bytes an element
 */
export const assign = <T extends Tensor>(tf: Tf, target: T, source: T): T => {
  if (tf.getBackend() !== "wasm") {
    target.dispose()
    return source
  }
  const backend = tf.backend() as unknown as WasmBackend
  const from = addressOf(backend, source), to = addressOf(backend, target)
  if (from !== to) backend.wasm.HEAPU8.copyWithin(to, from, from + 4 * source.size)
  source.dispose()
  return target
}

/** What AdamW keeps of a parameter, and the gradient; all of one size, `float32`. */
export interface AdamWState {
  readonly values: Tensor
  readonly first: Tensor
  readonly second: Tensor
  readonly gradient: Tensor
}

/** The factors of one update. */
export interface AdamWFactors {
  /** Of the gradient, before anything else. */
  readonly scale: number
  readonly beta1: number
  readonly beta2: number
  /** One over the root of the second moment's correction. */
  readonly inverseRoot: number
  readonly epsilon: number
  /** The learning rate over the first moment's correction. */
  readonly rate: number
  /** What weight decay leaves of a parameter. */
  readonly shrink: number
}

/** The functions of ours on the backend's heap, where it has one, its engine can run them and they are in use. */
const functions = (tf: Tf) =>
  tf.getBackend() === "wasm" && FusedKernels.has(tf, FusedKernels.names.linear, [])
    ? library((tf.backend() as unknown as WasmBackend).wasm)
    : undefined

/** Whether {@link adamW} does anything on the active backend. */
export const hasAdamW = (tf: Tf): boolean => functions(tf) !== undefined

/**
 * Updates parameters and moments where they lie, without a temporary, and to the bit as the operations one by one would.
 * Answers `false`, and does nothing, on a backend that has no function for it.
 */
export const adamW = (tf: Tf, { first, gradient, second, values }: AdamWState, factors: AdamWFactors): boolean => {
  const own = functions(tf)
  if (own === undefined) return false
  const backend = tf.backend() as unknown as WasmBackend
  const at = (tensor: Tensor) => addressOf(backend, tensor)
  const { beta1, beta2, epsilon, inverseRoot, rate, scale, shrink } = factors
  own.adamW(
    at(values),
    at(first),
    at(second),
    at(gradient),
    values.size,
    scale,
    beta1,
    1 - beta1,
    beta2,
    1 - beta2,
    inverseRoot,
    epsilon,
    rate,
    shrink
  )
  return true
}
