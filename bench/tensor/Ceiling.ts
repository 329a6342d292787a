/**
 * How fast this machine multiplies and adds where nothing else is in the way: what a training step is held against.
 */
import type { Tf } from "../../src/tensor/Backend.ts"

export interface Ceiling {
  readonly gigaflopsPerSecond: number
  readonly of: string
}

/**
 * Twelve sums in registers, as many as the inner kernel of our product keeps, and no memory. The factors come from outside:
 * as constants they would be made anew for each use.
 */
const source = `
export function run(rounds: i32, seed: f32): f32 {
  const a = f32x4.splat(0.5 * seed), b = f32x4.splat(seed)
  let c0 = b, c1 = b, c2 = b, c3 = b, c4 = b, c5 = b, c6 = b, c7 = b, c8 = b, c9 = b, c10 = b, c11 = b
  for (let round = 0; round < rounds; round++) {
    ${Array.from({ length: 12 }, (_, i) => `c${i} = f32x4.relaxed_madd(a, b, c${i})`).join("\n    ")}
  }
  let sum = c0
  ${Array.from({ length: 11 }, (_, i) => `sum = f32x4.add(sum, c${i + 1})`).join("\n  ")}
  return f32x4.extract_lane(sum, 0)
}
`

/** The part of the AssemblyScript compiler that is used here. */
interface Compiler {
  readonly main: (options: ReadonlyArray<string>, host: {
    readonly readFile: (name: string) => string | null
    readonly writeFile: (name: string, contents: string | Uint8Array) => void
    readonly listFiles: () => ReadonlyArray<string>
  }) => Promise<{ readonly error: Error | null }>
}

declare const WebAssembly: {
  readonly Module: new(bytes: Uint8Array) => object
  readonly Instance: new(
    module: object
  ) => { readonly exports: { readonly run: (rounds: number, seed: number) => number } }
}

/** Fused multiply-adds of WebAssembly's four lanes on one core, best of several. */
const registers = async (): Promise<Ceiling> => {
  const specifier: string = "assemblyscript/asc"
  const compiler = await import(specifier) as Compiler
  let bytes: Uint8Array | undefined
  const { error } = await compiler.main(
    ["ceiling.ts", "--outFile", "ceiling.wasm", "-O3", "--runtime", "stub", "--enable", "simd,relaxed-simd"],
    {
      readFile: (name) => name === "ceiling.ts" ? source : null,
      writeFile: (_, contents) => {
        if (typeof contents !== "string") bytes = contents
      },
      listFiles: () => []
    }
  )
  if (error !== null) throw error
  const { run } = new WebAssembly.Instance(new WebAssembly.Module(bytes!)).exports
  const rounds = 400_000
  run(rounds, 1)
  let best = 0
  for (let i = 0; i < 100; i++) {
    const start = performance.now()
    run(rounds, 1)
    best = Math.max(best, rounds * 12 * 4 * 2 / (performance.now() - start) / 1e6)
  }
  return { gigaflopsPerSecond: best, of: "multiply-adds in the registers of one core" }
}

/** A square product, best of several. */
const product = async (tf: Tf, width: number): Promise<Ceiling> => {
  const a = tf.ones([width, width]), b = tf.ones([width, width])
  let best = 0
  for (let i = 0; i < 8; i++) {
    const start = performance.now()
    const corner = tf.tidy(() => tf.slice(tf.matMul(a, b), [0, 0], [1, 1]))
    await corner.data()
    best = Math.max(best, 2 * width ** 3 / (performance.now() - start) / 1e6)
    corner.dispose()
  }
  tf.dispose([a, b])
  return { gigaflopsPerSecond: best, of: `a product of two ${width} x ${width} matrices` }
}

/** The ceiling of the active backend. `isSlow` where a large product would take minutes. */
export const measure = (tf: Tf, isSlow: boolean): Promise<Ceiling> =>
  tf.getBackend() === "wasm" ? registers() : product(tf, isSlow ? 256 : 2048)
