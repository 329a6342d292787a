/**
 * Rows of a table by their indices, as PyTorch's Embedding gives them.
 */
import type { Tensor1D, Tensor2D, Tf } from "../TensorFlow.ts"
import { differentiable, shapeOf } from "./Differentiable.ts"

/** No row: a sum by rows leaves it out. */
const none = -1

/**
 * The rows of `table` that `indices` name.
 *
 * @param table `[rows, width]`
 * @param indices each in 0 .. rows - 1
 * @param constant a row that gets no gradient, which PyTorch calls `padding_idx`
 * @returns `[indices, width]`
 */
export const embedding = (tf: Tf, table: Tensor2D, indices: Int32Array, constant?: number): Tensor2D => {
  const [count] = table.shape
  const outside = indices.find((index) => index < 0 || index >= count)
  if (outside !== undefined) throw new RangeError(`embedding: there is no row ${outside} in a table ${shapeOf(table)}`)
  const learned = constant === undefined ? indices : indices.map((index) => index === constant ? none : index)
  return differentiable(tf, [table], () => ({
    value: tf.gather(table, tf.tensor1d(indices, "int32")),
    saved: [tf.tensor1d(learned, "int32")],
    gradient: (dy, [learned]) => [tf.unsortedSegmentSum(dy, learned as Tensor1D, count)]
  })) as Tensor2D
}
