/**
 * Our own WebAssembly functions, bound to the memory of the stock backend: they read and write its tensors in place.
 */
import { binary } from "./Binary.ts"
import { allocate, type WasmModule } from "./Heap.ts"

/** The engine's own interface, which the compiler knows only along with a browser's. */
declare const WebAssembly: {
  readonly validate: (bytes: Uint8Array) => boolean
  readonly Module: new(bytes: Uint8Array) => object
  readonly Instance: new(module: object, imports: Readonly<Record<string, Readonly<Record<string, object>>>>) => {
    readonly exports: object
  }
}

type Address = number
type Flag = 0 | 1

/** What `assembly/Module.as` exports. Its files say what each function does. */
export interface Functions {
  readonly adamW: (
    values: Address,
    first: Address,
    second: Address,
    gradient: Address,
    count: number,
    scale: number,
    beta1: number,
    rest1: number,
    beta2: number,
    rest2: number,
    inverseRoot: number,
    epsilon: number,
    rate: number,
    shrink: number
  ) => void
  readonly product: (
    a: Address,
    strideA: number,
    transposeA: Flag,
    b: Address,
    strideB: number,
    transposeB: Flag,
    out: Address,
    strideOut: number,
    add: Flag,
    m: number,
    k: number,
    n: number,
    scratch: Address
  ) => void
  readonly productScratch: () => number
  readonly attend: (
    q: Address,
    strideQ: number,
    k: Address,
    strideK: number,
    v: Address,
    strideV: number,
    mask: Address,
    factors: Address,
    dropped: Address,
    weights: Address,
    out: Address,
    strideOut: number,
    queries: number,
    keys: number,
    size: number,
    valueSize: number,
    scale: number,
    scratch: Address
  ) => void
  readonly attendGradient: (
    q: Address,
    strideQ: number,
    k: Address,
    strideK: number,
    v: Address,
    strideV: number,
    weights: Address,
    dOut: Address,
    strideOut: number,
    dQ: Address,
    dK: Address,
    dV: Address,
    dScores: Address,
    spare: Address,
    kept: number,
    add: Flag,
    queries: number,
    keys: number,
    size: number,
    valueSize: number,
    scale: number,
    scratch: Address
  ) => void
  readonly sumExponentials: (x: Address, largests: Address, sums: Address, rows: number, width: number) => void
  readonly crossEntropyGradient: (
    x: Address,
    labels: Address,
    weights: Address,
    logSums: Address,
    dx: Address,
    scale: number,
    rows: number,
    width: number
  ) => void
  readonly dropoutFactors: (
    key0: number,
    key1: number,
    step: number,
    stream: number,
    threshold: number,
    kept: number,
    out: Address,
    count: number,
    scratch: Address
  ) => void
  readonly exactGelu: (x: Address, y: Address, count: number) => void
  readonly exactGeluGradient: (x: Address, dy: Address, dx: Address, count: number) => void
  readonly gatedSilu: (gate: Address, up: Address, y: Address, count: number) => void
  readonly gatedSiluGradient: (
    gate: Address,
    up: Address,
    dy: Address,
    dGate: Address,
    dUp: Address,
    count: number
  ) => void
  readonly gelu: (x: Address, y: Address, count: number) => void
  readonly geluGradient: (x: Address, dy: Address, dx: Address, count: number) => void
  readonly layerNorm: (
    x: Address,
    gain: Address,
    bias: Address,
    y: Address,
    means: Address,
    inverses: Address,
    rows: number,
    width: number,
    epsilon: number
  ) => void
  readonly layerNormGradient: (
    x: Address,
    gain: Address,
    means: Address,
    inverses: Address,
    dy: Address,
    dx: Address,
    dGain: Address,
    dBias: Address,
    rows: number,
    width: number
  ) => void
  readonly repeatRow: (from: Address, to: Address, rows: number, width: number) => void
  readonly sumRows: (from: Address, to: Address, rows: number, columns: number) => void
  readonly rmsNorm: (
    x: Address,
    gain: Address,
    y: Address,
    inverses: Address,
    rows: number,
    width: number,
    epsilon: number
  ) => void
  readonly rmsNormGradient: (
    x: Address,
    gain: Address,
    inverses: Address,
    dy: Address,
    dx: Address,
    dGain: Address,
    rows: number,
    width: number
  ) => void
  readonly rotary: (
    x: Address,
    y: Address,
    cosines: Address,
    sines: Address,
    rows: number,
    turns: number,
    heads: number,
    size: number,
    direction: 1 | -1
  ) => void
  /** 1 if products are fused into sums without a rounding between. */
  readonly fuses: () => Flag
}

export interface Library extends Functions {
  /** Working memory of `product` and what calls it; nothing in it outlives a call. */
  readonly scratch: Address
}

const libraries = new WeakMap<WasmModule, Library>()

let compiled: object | null | undefined

const compile = (): object | null => {
  const bytes = Buffer.from(binary, "base64")
  return WebAssembly.validate(bytes) ? new WebAssembly.Module(bytes) : null
}

/** The functions for a backend's memory; `undefined` where the engine lacks relaxed SIMD (Node before 21). */
export const library = (module: WasmModule): Library | undefined => {
  const known = libraries.get(module)
  if (known !== undefined) return known
  if (compiled === undefined) compiled = compile()
  if (compiled === null) return undefined
  const instance = new WebAssembly.Instance(compiled, { env: { memory: module.asm.memory } })
  const functions = instance.exports as Functions
  const made = { ...functions, scratch: allocate(module, functions.productScratch()) }
  libraries.set(module, made)
  return made
}
