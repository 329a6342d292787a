// What the module offers. AssemblyScript, compiled by compile.ts.

export { adamW } from "./Adam"
export { attend, attendGradient } from "./Attention"
export { gatedSilu, gatedSiluGradient, rmsNorm, rmsNormGradient, rotary } from "./Decoder"
export { dropoutFactors } from "./Dropout"
export { exactGelu, exactGeluGradient } from "./ExactGelu"
export { crossEntropyGradient, sumExponentials } from "./Loss"
export { fuses } from "./Numeric"
export { product, productScratch } from "./Product"
export { gelu, geluGradient, layerNorm, layerNormGradient, repeatRow, sumRows } from "./Rows"
