/**
 * The differentiable operations of a transformer, each with a gradient written out by hand, in a file of its own. Models
 * import them from here.
 *
 * Every function takes `tf` first, the namespace that the `Backend` service hands out, and is written on TensorFlow.js
 * operations, so it runs on every backend. Composed from those operations' own gradients the same mathematics would
 * save more tensors, run more kernels and, on WebAssembly, take the slow ones.
 *
 * Tensors are `float32` unless said otherwise. Nothing is leaked: intermediates die with the call, what the backward
 * pass needs lives until the gradients are computed. Shapes that do not fit throw a `RangeError` that names them.
 */
export { attention, selfAttention } from "./operations/Attention.ts"
export { crossEntropy } from "./operations/CrossEntropy.ts"
export { embedding } from "./operations/Embedding.ts"
export { exactGelu } from "./operations/ExactGelu.ts"
export { gatedSilu } from "./operations/GatedSilu.ts"
export { gelu } from "./operations/Gelu.ts"
export { groupedAttention, groupedSelfAttention } from "./operations/GroupedAttention.ts"
export { layerNorm } from "./operations/LayerNorm.ts"
export { linear, type LinearOptions } from "./operations/Linear.ts"
export { type Decomposed, decomposed, type LowRank, lowRank } from "./operations/LowRank.ts"
export { relu } from "./operations/Relu.ts"
export { rmsNorm } from "./operations/RmsNorm.ts"
export { rotary, type Turns } from "./operations/Rotary.ts"
