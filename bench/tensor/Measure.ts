/**
 * Measures one model on one backend, in a process of its own: one backend can be live in a process, and its peak of
 * memory is to be its own. Sends a {@link Result} to the parent.
 */
import * as Effect from "effect/Effect"
import { Backend, parse, type Tf } from "../../src/tensor/Backend.ts"
import * as Operations from "../../src/tensor/Operations.ts"
import * as Kernels from "../../src/tensor/wasm/Kernels.ts"
import * as Ceiling from "./Ceiling.ts"
import * as Step from "./Step.ts"

export interface Row {
  readonly model: string
  readonly backend: string
  readonly version: string
  readonly device: string
  readonly parameters: number
  readonly tokensPerStep: number
  readonly milliseconds: number
  readonly tokensPerSecond: number
  readonly gigaflopsPerSecond: number
  readonly ceiling: Ceiling.Ceiling
  /** Of the whole process, up to the end of our steps. */
  readonly peakMemoryBytes: number
  /** Live tensors after the steps less those before: 0 unless something leaks. */
  readonly leakedTensors: number
  /** The same model in the textbook's formulas on stock kernels, in the same process; on wasm only. */
  readonly stock?: {
    readonly milliseconds: number
    readonly tokensPerSecond: number
    readonly ratio: number
    /** Largest difference between the two styles' gradients, over the largest gradient. */
    readonly gradientDifference: number
  }
}

export type Result =
  | { readonly row: Row }
  | { readonly backend: string; readonly unavailable: string }

/** Runs under stock kernels, with the one addition without which a stock step does not run at all. */
const withStock = async <A>(tf: Tf, run: () => A | Promise<A>): Promise<A> => {
  const segmentSum = tf.getKernel("UnsortedSegmentSum", "wasm")!
  Kernels.uninstall(tf)
  tf.registerKernel(segmentSum)
  try {
    return await run()
  } finally {
    tf.unregisterKernel("UnsortedSegmentSum", "wasm")
    Kernels.install(tf)
  }
}

const gradientDifference = async (tf: Tf, size: Step.Size): Promise<number> => {
  const weights = Step.initialise(tf, size)
  const ours = Step.gradients(tf, Operations, size, weights)
  const stock = await withStock(tf, () => Step.gradients(tf, Step.textbook, size, weights))
  let worst = 0, largest = 0
  for (const [at, tensor] of stock.entries()) {
    const expected = tensor.dataSync(), found = ours[at]!.dataSync()
    for (let i = 0; i < expected.length; i++) {
      worst = Math.max(worst, Math.abs(expected[i]! - found[i]!))
      largest = Math.max(largest, Math.abs(expected[i]!))
    }
  }
  tf.dispose([weights, [...ours], [...stock]])
  return worst / largest
}

const measure = async ({ devices, name, tf, version }: Backend["Service"], size: Step.Size): Promise<Row> => {
  const isSlow = name === "cpu" || devices[0].kind === "software"
  const tokens = size.batch * size.context
  const weights = Step.initialise(tf, size)
  const parameters = Object.values(weights).reduce((total, weight) => total + weight.size, 0)
  tf.dispose(weights)
  const ours = await Step.time(tf, Operations, size, isSlow ? { steps: 1, warmUp: 1 } : { steps: 15, warmUp: 3 })
  const peakMemoryBytes = process.resourceUsage().maxRSS * 1024
  const stock = name === "wasm"
    ? await withStock(tf, () => Step.time(tf, Step.textbook, size, { steps: 3, warmUp: 1 }))
    : undefined
  return {
    model: size.name,
    backend: name,
    version,
    device: devices[0].name,
    parameters,
    tokensPerStep: tokens,
    milliseconds: ours.milliseconds,
    tokensPerSecond: tokens / ours.milliseconds * 1000,
    gigaflopsPerSecond: Step.flops(size) / ours.milliseconds / 1e6,
    ceiling: await Ceiling.measure(tf, isSlow),
    peakMemoryBytes,
    leakedTensors: ours.leaked,
    ...(stock === undefined ? {} : {
      stock: {
        milliseconds: stock.milliseconds,
        tokensPerSecond: tokens / stock.milliseconds * 1000,
        ratio: stock.milliseconds / ours.milliseconds,
        gradientDifference: await gradientDifference(tf, size)
      }
    })
  }
}

const program = Effect.gen(function*() {
  const [backend = "", model] = process.argv.slice(2)
  const name = yield* parse(backend)
  const size = Step.sizes.find((size) => size.name === model)!
  return yield* Backend.use((backend) => Effect.promise(() => measure(backend, size))).pipe(
    Effect.map((row): Result => ({ row })),
    Effect.provide(Backend.layer(name, { determinism: process.argv[4] === "fast" ? "fast" : "exact" })),
    Effect.catchTag(
      "BackendUnavailable",
      ({ backend, reason }) => Effect.succeed<Result>({ backend, unavailable: reason })
    )
  )
})

const result = await Effect.runPromise(program)
process.send?.(result, () => process.exit(0))
