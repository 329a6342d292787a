/** The affine map by the stock kernel that adds a bias while it writes a product. */
import type { KernelFunc, TensorInfo, Tf } from "../TensorFlow.ts"
import type { KernelCall } from "./Gpu.ts"

export const linear = (tf: Tf): KernelFunc =>
  (({ backend, inputs: { bias, weight, x } }: KernelCall<
    { readonly x: TensorInfo; readonly weight: TensorInfo; readonly bias?: TensorInfo }
  >) =>
    tf.getKernel("_FusedMatMul", "webgpu").kernelFunc({
      inputs: { a: x, b: weight, ...(bias === undefined ? {} : { bias }) },
      attrs: { transposeA: false, transposeB: false },
      backend
    } as never)) as unknown as KernelFunc
