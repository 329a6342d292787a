/**
 * Our side of one measurement, in a process of its own, whose peak of memory is then its own. Sends a {@link Measured} to
 * the parent.
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Trainer from "../../src/finetune/Trainer.ts"
import * as Checkpoint from "../../src/model/Checkpoint.ts"
import * as Generation from "../../src/model/Generation.ts"
import { Backend } from "../../src/tensor/Backend.ts"
import * as Case from "./Case.ts"

/** One side's figures. */
export interface Measured {
  /** Tokens a second of processor time: of a text that is learned, or new ones that are written. */
  readonly tokensPerSecond: number
  /** Of the whole process. */
  readonly peakMemoryBytes: number
  /** The loss of every step, or the tokens of every text. */
  readonly losses?: ReadonlyArray<number>
  readonly written?: ReadonlyArray<ReadonlyArray<number>>
  readonly version: string
}

/** Seconds of all threads of this process since it began. */
const processorSeconds = (): number => {
  const { system, user } = process.cpuUsage()
  return (system + user) / 1e6
}

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1]!

const peakMemoryBytes = () => process.resourceUsage().maxRSS * 1024

const readModel = (folder: string) =>
  Checkpoint.fromFiles(
    new Map(fs.readdirSync(folder).map((name) => [name, fs.readFileSync(path.join(folder, name))]))
  )

const train = Effect.fnUntraced(function*(one: Case.Case, mode: Case.Mode, folder: string, steps: number) {
  const { version } = yield* Backend
  const model = yield* readModel(path.join(folder, "model"))
  const losses: Array<number> = [], seconds: Array<number> = []
  let before = processorSeconds()
  yield* Trainer.train({
    model,
    task: Case.isClassifier(one)
      ? { head: "sequence-classification", labels: Checkpoint.labelsOf(model.config) }
      : { head: "causal-language-modeling" },
    examples: Case.examplesOf(one, steps),
    hyperparameters: Case.hyperparametersOf(one, mode),
    // As the stages have it.
    finalState: false,
    onStep: ({ loss }) => {
      losses.push(loss)
      seconds.push(processorSeconds() - before)
      before = processorSeconds()
    }
  })
  // The first has what is done once in it.
  const tokensPerSecond = one.batch * one.time / median(seconds.slice(1))
  return { tokensPerSecond, peakMemoryBytes: peakMemoryBytes(), losses, version } satisfies Measured
})

const generate = Effect.fnUntraced(function*(one: Case.Case, texts: number, folder: string) {
  const { version } = yield* Backend
  const checkpoint = yield* readModel(path.join(folder, "model"))
  const prompts = Case.promptsOf(one, 16).slice(0, texts)
  yield* Generation.generate({ checkpoint, prompts, maximumNewTokens: 4 })
  const before = processorSeconds()
  const found = yield* Generation.generate({ checkpoint, prompts, maximumNewTokens: Case.newTokens })
  const seconds = processorSeconds() - before
  const written = found.map(({ tokens }) => Array.from(tokens))
  const tokens = written.reduce((sum, { length }) => sum + length, 0)
  return {
    tokensPerSecond: tokens / seconds,
    peakMemoryBytes: peakMemoryBytes(),
    written,
    version
  } satisfies Measured
})

const program = Effect.suspend((): Effect.Effect<Measured, unknown, Backend> => {
  const [name, mode, folder = "", steps] = process.argv.slice(2)
  const one = Case.cases.find((candidate) => candidate.name === name)!
  return mode === "full" || mode === "lora"
    ? train(one, mode, folder, Number(steps))
    : generate(one, Number(mode?.split(" ")[1]), folder)
})

const measured = await Effect.runPromise(Effect.provide(program, Backend.layer("wasm")))
process.send?.(measured, () => process.exit(0))
