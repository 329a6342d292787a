/**
 * Giving a tensor other numbers where it lies.
 *
 * TensorFlow.js makes a new tensor of every result. What lives from step to step then wanders about the heap of
 * WebAssembly, which never shrinks, and splits its free space into pieces too small for anything large.
 */
import type { Tensor, Tf } from "./TensorFlow.ts"
import { addressOf, type WasmBackend } from "./wasm/Heap.ts"

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
