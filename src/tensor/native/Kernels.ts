/** Kernels of the package whose results differ from those of the other backends, made the same, and those we add. */
import type { KernelFunc, Tensor, TensorInfo, Tf } from "../TensorFlow.ts"
import * as DropoutFactors from "./DropoutFactors.ts"

const backendName = "tensorflow"

/**
 * TensorFlow leaves out rows whose segment is negative, and on a processor fails at one that is too large. The other
 * backends leave out both.
 */
const unsortedSegmentSum = (tf: Tf, stock: KernelFunc): KernelFunc => (call) => {
  const { segmentIds, x } = call.inputs as { readonly segmentIds: Tensor; readonly x: TensorInfo }
  const { numSegments } = call.attrs as { readonly numSegments: number }
  return tf.tidy(() => {
    const outside = tf.scalar(-1, "int32")
    const inside = tf.where(tf.less(segmentIds, tf.scalar(numSegments, "int32")), segmentIds, outside)
    return stock({ ...call, inputs: { x, segmentIds: inside } }) as Tensor
  })
}

/** Replaces and adds kernels. The package's have to be registered. */
export const install = (tf: Tf): void => {
  const stock = tf.getKernel("UnsortedSegmentSum", backendName)
  if (stock !== undefined) {
    tf.unregisterKernel(stock.kernelName, backendName)
    tf.registerKernel({ ...stock, kernelFunc: unsortedSegmentSum(tf, stock.kernelFunc) })
  }
  tf.registerKernel({ kernelName: DropoutFactors.name, backendName, kernelFunc: DropoutFactors.make(tf) })
}
