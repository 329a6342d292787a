/**
 * Whether memory stays where it is: 2,000 steps of one training run, and forty runs of unlike shapes one after the other,
 * in one process. What a run was estimated to need is set against what it took.
 *
 *     npm run bench -- memory [--backend wasm] [--steps 2000] [--runs 40] [--format json]
 *
 * The first hundreds of steps are V8's, which compiles what runs often and makes room for what it allocates in a step.
 */
import * as Effect from "effect/Effect"
import { parseArgs } from "node:util"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as Predict from "../src/evaluate/Predict.ts"
import { defaults, type Hyperparameters } from "../src/finetune/Hyperparameters.ts"
import * as Memory from "../src/finetune/Memory.ts"
import * as Trainer from "../src/finetune/Trainer.ts"
import * as Checkpoint from "../src/model/Checkpoint.ts"
import * as Examples from "../src/model/Examples.ts"
import * as Gpt2 from "../src/model/Gpt2.ts"
import * as Tokenizer from "../src/model/Tokenizer.ts"
import * as Random from "../src/random/Random.ts"
import { Backend, parse, type Tf } from "../src/tensor/Backend.ts"
import * as Heap from "../src/tensor/wasm/Heap.ts"

/** Bytes, but for the number of tensors. Counted after the JavaScript heap was swept. */
interface Sample {
  /** Of the whole process. */
  readonly resident: number
  readonly javascriptHeap: number
  /** Live on the backend. */
  readonly tensorBytes: number
  readonly tensors: number
  /** How large the backend's heap has become; of wasm only. */
  readonly backendHeap: number | null
}

interface Peak {
  readonly estimated: number
  /** Of bytes live at once, on wasm; elsewhere nobody counts them. */
  readonly measured: number | null
}

interface Shape {
  readonly head: "sequence-classification" | "causal-language-modeling"
  readonly width: number
  readonly layers: number
  readonly heads: number
  readonly vocabulary: number
  readonly batchSize: number
  readonly longest: number
  readonly dropout: number
}

setFlagsFromString("--expose-gc")
const collectGarbage = runInNewContext("gc") as () => void

const labels = ["a", "b", "c"]

/** What there is to look at, on the backend that is live. */
const instruments = (name: string, tf: Tf) => {
  const heap = name === "wasm" ? (tf.backend() as unknown as Heap.WasmBackend).wasm : undefined
  const meter = heap === undefined ? undefined : Heap.meter(heap)
  return {
    sample: (): Sample => {
      collectGarbage()
      const { heapUsed, rss } = process.memoryUsage()
      const { numBytes, numTensors } = tf.memory()
      return {
        resident: rss,
        javascriptHeap: heapUsed,
        tensorBytes: meter?.live() ?? numBytes,
        tensors: numTensors,
        backendHeap: heap === undefined ? null : Heap.sizeOfHeap(heap)
      }
    },
    peakOf: <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.gen(function*() {
        const before = meter?.live() ?? 0
        meter?.reset()
        const result = yield* effect
        return { result, peak: meter === undefined ? null : meter.peak() - before }
      })
  }
}

/** A run of about so many steps. */
const runOf = Effect.fnUntraced(function*(shape: Shape, steps: number) {
  const { batchSize, dropout, head, heads, layers, longest, vocabulary, width } = shape
  const model = yield* Checkpoint.untrained(
    Gpt2.config({ vocabularySize: vocabulary, positions: longest, width, layers, heads }),
    Tokenizer.byteLevel(),
    1
  )
  const random = Random.make(1, "texts")
  const examples = Array.from({ length: 8 * batchSize }, (_, i): Examples.Example => ({
    tokens: Int32Array.from(
      // The longest comes up at once, so that the most is needed from the beginning.
      { length: i === 0 ? longest : Math.ceil(longest * (0.4 + 0.6 * random.uniform())) },
      () => random.integer(vocabulary)
    ),
    label: i % labels.length
  }))
  const hyperparameters: Hyperparameters = { ...defaults, batchSize, dropout, learningRate: 1e-3, epochs: steps / 8 }
  const task: Trainer.Task = head === "sequence-classification" ? { head, labels } : { head }
  return { model, task, examples, hyperparameters }
})

/** What the run's largest batch was estimated to need. */
const estimate = Effect.fnUntraced(function*(run: Effect.Success<ReturnType<typeof runOf>>) {
  const { tf } = yield* Backend
  const start = yield* Checkpoint.withHead(run.model, { ...run.task, seed: 1 })
  const model = yield* Checkpoint.modelOf(start)
  return Memory.estimate(tf, { ...run, model })
})

const longRun: Shape = {
  head: "causal-language-modeling",
  width: 64,
  layers: 2,
  heads: 4,
  vocabulary: 256,
  batchSize: 8,
  longest: 24,
  dropout: 0.1
}

/** Eight shapes; five rounds of them are forty trials. */
const shapes: ReadonlyArray<Shape> = [4, 64, 16, 8].flatMap((batchSize, index) =>
  (["sequence-classification", "causal-language-modeling"] as const).map((head, other): Shape => ({
    ...longRun,
    head,
    batchSize,
    layers: 1 + (index + other) % 3,
    width: [32, 64, 96][(index + 2 * other) % 3]!,
    vocabulary: other === 0 ? 256 : 1000,
    longest: [20, 32, 48, 64][(index + other) % 4]!,
    dropout: index % 2 === 0 ? 0.1 : 0
  }))
)

const program = Effect.fnUntraced(function*(stepsToTake: number, runsToMake: number) {
  const { name, tf } = yield* Backend
  const { peakOf, sample } = instruments(name, tf)

  const steps: Array<Sample & { readonly step: number }> = []
  const long = yield* runOf(longRun, stepsToTake)
  const { peak } = yield* peakOf(Trainer.train({
    ...long,
    onStep: ({ step }) => {
      if ((step + 1) % Math.ceil(stepsToTake / 20) === 0) steps.push({ step: step + 1, ...sample() })
    }
  }))
  const run: Peak = { estimated: yield* estimate(long), measured: peak }

  const trials: Array<Sample & Peak & { readonly trial: number; readonly shape: Shape }> = []
  for (let trial = 1; trial <= runsToMake; trial++) {
    const shape = shapes[(trial - 1) % shapes.length]!
    const options = yield* runOf(shape, 8)
    const { peak, result } = yield* peakOf(Trainer.train(options))
    const { checkpoint } = result
    if (shape.head === "sequence-classification") {
      yield* Predict.classify({ checkpoint, examples: options.examples })
    } else yield* Predict.languageLoss({ checkpoint, examples: options.examples })
    trials.push({ trial, shape, estimated: yield* estimate(options), measured: peak, ...sample() })
  }
  return { benchmark: "memory", backend: name, run, steps, trials }
})

const mebibytes = (bytes: number | null) => bytes === null ? "" : (bytes / 2 ** 20).toFixed(1)

const table = (titles: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const cells = [titles, ...rows]
  const widths = titles.map((_, at) => Math.max(...cells.map((line) => line[at]!.length)))
  return `${cells.map((line) => line.map((cell, at) => cell.padStart(widths[at]!)).join("  ")).join("\n")}\n`
}

const show = (sample: Sample): ReadonlyArray<string> => [
  mebibytes(sample.resident),
  mebibytes(sample.javascriptHeap),
  mebibytes(sample.backendHeap),
  mebibytes(sample.tensorBytes),
  String(sample.tensors)
]
const sampled = ["process", "JavaScript", "backend's heap", "live tensors", "their number"]

const growth = (from: Sample, to: Sample): string => {
  const by = (of: (sample: Sample) => number | null) => mebibytes((of(to) ?? 0) - (of(from) ?? 0))
  return `the process by ${by((it) => it.resident)} MiB, JavaScript by ${by((it) => it.javascriptHeap)} MiB, ` +
    `the backend's heap by ${by((it) => it.backendHeap)} MiB, live tensors by ${by((it) => it.tensorBytes)} MiB and ` +
    `${to.tensors - from.tensors} in number`
}

const compare = ({ estimated, measured }: Peak): ReadonlyArray<string> => [
  mebibytes(estimated),
  mebibytes(measured),
  measured === null ? "" : (estimated / measured).toFixed(2)
]

export const run = async (): Promise<void> => {
  const { values } = parseArgs({
    args: process.argv.slice(2),
    allowPositionals: true,
    options: {
      backend: { type: "string", default: "wasm" },
      steps: { type: "string", default: "2000" },
      runs: { type: "string", default: "40" },
      format: { type: "string", default: "table" }
    }
  })
  const report = await Effect.runPromise(
    Effect.flatMap(
      parse(values.backend),
      (name) => Effect.provide(program(Number(values.steps), Number(values.runs)), Backend.layer(name))
    )
  )
  if (values.format === "json") return void process.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`)
  const { steps, trials } = report
  const write = (text: string) => process.stdout.write(`${text}\n`)
  const last = steps.at(-1)!
  write(`${last.step} steps on ${report.backend}, MiB\n`)
  write(table(["step", ...sampled], steps.map((sample) => [String(sample.step), ...show(sample)])))
  for (const from of [steps[1]!, steps[9]!]) {
    write(`From step ${from.step} to step ${last.step} ${growth(from, last)} grew.`)
  }
  const [estimated, measured, ratio] = compare(report.run)
  write(
    `The peak was estimated at ${estimated} MiB${measured === "" ? "" : `; ${measured} MiB were live, ${ratio}`}.\n`
  )
  if (trials.length === 0) return
  write(`${trials.length} runs of ${shapes.length} shapes, each trained and evaluated, MiB\n`)
  write(table(
    ["run", ...sampled, "estimated peak", "measured", "ratio"],
    trials.map((trial) => [String(trial.trial), ...show(trial), ...compare(trial)])
  ))
  for (const round of [1, 2]) {
    const from = trials[round * shapes.length - 1]
    if (from !== undefined) {
      write(`From run ${from.trial} to run ${trials.length} ${growth(from, trials.at(-1)!)} grew.`)
    }
  }
}

if (import.meta.main) await run()
