/**
 * Kernels that do an operation of ours in one go, where a backend has them. A backend registers what it has under these
 * names; the operations ask, and compose TensorFlow.js operations where it has none.
 */
import type { Tensor, Tf } from "./TensorFlow.ts"

/** Inputs and outputs are `float32`. Matrices named `x` have their leading axes joined: `[rows, width]`. */
export const names = {
  /** `x`, `weight`, maybe `bias`: the product plus bias. */
  linear: "AttuneLinear",
  /** `x`, `gain`, `bias`; attribute `epsilon`: the result, the rows' means, their inverse standard deviations. */
  layerNorm: "AttuneLayerNorm",
  /** `x`, `gain`, `means`, `inverses`, `dy`: the gradients of x, gain and bias. */
  layerNormGradient: "AttuneLayerNormGradient",
  /** `x`. */
  gelu: "AttuneGelu",
  /** `x`, `dy`. */
  geluGradient: "AttuneGeluGradient",
  /** `x`: GELU by the error function. */
  exactGelu: "AttuneExactGelu",
  /** `x`, `dy`. */
  exactGeluGradient: "AttuneExactGeluGradient",
  /** `q`, `k`, `v`, maybe `mask`: the result and the weights. */
  attention: "AttuneAttention",
  /** `q`, `k`, `v`, `weights`, `dy`: the gradients of q, k and v. */
  attentionGradient: "AttuneAttentionGradient",
  /**
   * `qkv`, maybe `mask`, maybe `factors` of dropout for the weights; attribute `heads`: the result and the weights, those
   * that were dropped with their sign turned.
   */
  selfAttention: "AttuneSelfAttention",
  /**
   * `qkv`, `weights`, `dy`; attributes `heads` and `kept`, which is what the weights that stayed were multiplied with, or
   * 0 without dropout: the gradient of qkv.
   */
  selfAttentionGradient: "AttuneSelfAttentionGradient",
  /**
   * `q` `[batch, time, heads * size]`, `k` and `v` `[batch, time, shared * size]`, maybe `mask`, maybe `factors`; attributes
   * `heads` and `shared`, which divides them: as {@link names.selfAttention}, consecutive query heads sharing keys.
   */
  groupedSelfAttention: "AttuneGroupedSelfAttention",
  /** `q`, `k`, `v`, `weights`, `dy`; attributes `heads`, `shared` and `kept` as above: the gradients of q, k and v. */
  groupedSelfAttentionGradient: "AttuneGroupedSelfAttentionGradient",
  /** `x`, `gain`; attribute `epsilon`: the result, and what each row was multiplied with. */
  rmsNorm: "AttuneRmsNorm",
  /** `x`, `gain`, `inverses`, `dy`: the gradients of x and gain. */
  rmsNormGradient: "AttuneRmsNormGradient",
  /** `gate`, `up`. */
  gatedSilu: "AttuneGatedSilu",
  /** `gate`, `up`, `dy`: the gradients of gate and up. */
  gatedSiluGradient: "AttuneGatedSiluGradient",
  /** `x` `[batch, time, heads * size]`, `cosines`, `sines`; attribute `direction`, 1 or for the gradient -1. */
  rotary: "AttuneRotary",
  /**
   * No inputs; attributes `key0`, `key1`, `step`, `stream` (unsigned words of a Philox4x32-10 generator's key and upper
   * counter), `threshold`, `kept`, `size`: numbers `[size]`, 0 where half a word of the generator is below `threshold`,
   * otherwise `kept`. Number i has half i mod 2 (the lower first) of word (i / 2) mod 4 of block i / 8.
   */
  dropoutFactors: "AttuneDropoutFactors",
  /**
   * `x`, `labels` (`int32 [rows]`), `weights` `[rows]`: the rows' cross-entropies times their weights, and the logarithms
   * of the rows' sums of exponentials.
   */
  crossEntropy: "AttuneCrossEntropy",
  /** `x`, `labels`, `weights`, `logSums`, `dy` (a scalar): the gradient of x. */
  crossEntropyGradient: "AttuneCrossEntropyGradient"
} as const

export type Name = (typeof names)[keyof typeof names]

type Inputs = Readonly<Record<string, Tensor | undefined>>

/** Whether the active backend has a kernel and these inputs are of its type. */
export const has = (tf: Tf, name: Name, inputs: ReadonlyArray<Tensor | undefined>): boolean =>
  tf.getKernel(name, tf.getBackend()) !== undefined &&
  inputs.every((input) => input === undefined || input.dtype === "float32")

/** Runs a kernel that gives several tensors. */
export const runAll = (
  tf: Tf,
  name: Name,
  inputs: Inputs,
  attributes: Readonly<Record<string, number>> = {}
): Array<Tensor> => {
  const given = Object.fromEntries(Object.entries(inputs).filter(([, input]) => input !== undefined))
  return [tf.engine().runKernel<Array<Tensor> | Tensor>(name, given as Record<string, Tensor>, attributes)].flat()
}

/** Runs a kernel that gives one tensor. */
export const run = (tf: Tf, name: Name, inputs: Inputs, attributes?: Readonly<Record<string, number>>): Tensor =>
  runAll(tf, name, inputs, attributes)[0]!
