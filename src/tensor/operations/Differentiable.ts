/**
 * What operations with a gradient written out by hand have in common.
 */
import type { GradSaveFunc, Tensor, Tensor2D, Tf } from "../TensorFlow.ts"

export type Gradient = (dy: Tensor, saved: Array<Tensor>) => Array<Tensor>

export interface Differentiable {
  readonly value: Tensor
  readonly saved: ReadonlyArray<Tensor>
  /** One gradient an input, in the inputs' order. */
  readonly gradient: Gradient
}

/** `tf.customGrad` with the inputs, the saved tensors and the types in their places. */
export const differentiable = (
  tf: Tf,
  inputs: ReadonlyArray<Tensor>,
  forward: () => Differentiable
): Tensor =>
  tf.customGrad((...all: Array<Tensor | GradSaveFunc>) => {
    const save = all[all.length - 1] as GradSaveFunc
    const { gradient, saved, value } = forward()
    save([...saved])
    return { value, gradFunc: (dy: Tensor, kept: Array<Tensor>) => tf.tidy(() => gradient(dy, kept)) }
  })(...inputs)

export const shapeOf = (tensor: Tensor): string => `[${tensor.shape.join(", ")}]`

export const last = (tensor: Tensor): number => tensor.shape[tensor.shape.length - 1] ?? 1

export const product = (shape: ReadonlyArray<number>): number => shape.reduce((size, extent) => size * extent, 1)

/** Views a tensor as rows of its last axis: `[a, b, c]` becomes `[a * b, c]`. Shares the data. */
export const rows = (tf: Tf, tensor: Tensor): Tensor2D => {
  const width = last(tensor)
  return tf.reshape(tensor, [product(tensor.shape.slice(0, -1)), width])
}
