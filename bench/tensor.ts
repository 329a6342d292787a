/**
 * The training step of a small GPT-2 on every backend that starts here. On WebAssembly the same model in the textbook's
 * formulas on the stock kernels is measured beside ours, in one process; the stock side has two things of ours without
 * which it would not run: the segment sum that it lacks, and the registered gradients.
 *
 *     npm run bench -- tensor [--backend name] [--model name] [--determinism fast] [--python python3] [--format json]
 *
 * `--python` names an interpreter with PyTorch, to be measured on the same models with one thread.
 */
import { execFileSync, fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { names } from "../src/tensor/Backend.ts"
import type { Result, Row } from "./tensor/Measure.ts"
import * as Step from "./tensor/Step.ts"

const path = (file: string) => fileURLToPath(new URL(`./tensor/${file}`, import.meta.url))

const measure = (backend: string, model: string, determinism: string): Promise<Result> =>
  new Promise((resolve) => {
    const child = fork(path("Measure.ts"), [backend, model, determinism], {
      execArgv: ["--disable-warning=ExperimentalWarning"]
    })
    child.on("message", (message) => resolve(message as Result))
    child.on("exit", (code, signal) =>
      resolve({ backend, unavailable: `its process ended (${signal ?? `exit code ${code}`})` }))
  })

/** PyTorch's own step, in milliseconds. */
interface Torch {
  readonly model: string
  readonly version: string
  readonly milliseconds: number
  readonly tokensPerSecond: number
}

const torch = (python: string, size: Step.Size): Torch => {
  const { batch, context, heads, layers, name, vocabulary, width } = size
  const shape = [layers, width, heads, context, vocabulary, batch].map(String)
  const { milliseconds, version } = JSON.parse(execFileSync(python, [path("torch_step.py"), ...shape], {
    encoding: "utf8"
  })) as Omit<Torch, "model">
  return { model: name, version, milliseconds, tokensPerSecond: batch * context / milliseconds * 1000 }
}

const bytes = (count: number) => `${(count / 2 ** 20).toFixed(0)} MiB`

const columns: ReadonlyArray<readonly [string, (row: Row) => string]> = [
  ["model", (row) => row.model],
  ["backend", (row) => row.backend],
  ["parameters", (row) => String(row.parameters)],
  ["tokens a step", (row) => String(row.tokensPerStep)],
  ["ms", (row) => row.milliseconds.toFixed(1)],
  ["tokens/s", (row) => row.tokensPerSecond.toFixed(0)],
  ["stock ms", (row) => row.stock?.milliseconds.toFixed(0) ?? ""],
  ["ratio", (row) => row.stock?.ratio.toFixed(1) ?? ""],
  ["gradient difference", (row) => row.stock?.gradientDifference.toExponential(1) ?? ""],
  ["GFLOP/s", (row) => row.gigaflopsPerSecond.toFixed(1)],
  ["ceiling", (row) => row.ceiling.gigaflopsPerSecond.toFixed(1)],
  ["peak memory", (row) => bytes(row.peakMemoryBytes)],
  ["leaked", (row) => String(row.leakedTensors)]
]

const table = (rows: ReadonlyArray<Row>): string => {
  const cells = [columns.map(([title]) => title), ...rows.map((row) => columns.map(([, show]) => show(row)))]
  const widths = columns.map((_, at) => Math.max(...cells.map((line) => line[at]!.length)))
  return cells.map((line) => line.map((cell, at) => cell.padStart(widths[at]!)).join("  ")).join("\n")
}

/** Plain JavaScript takes minutes for a step of a model from this size on. */
const tooLarge = (backend: string, size: Step.Size) => backend === "cpu" && Step.flops(size) > 10e9

export const run = async (): Promise<void> => {
  const { values } = parseArgs({
    args: process.argv.slice(2),
    allowPositionals: true,
    options: {
      backend: { type: "string" },
      model: { type: "string" },
      determinism: { type: "string", default: "exact" },
      python: { type: "string" },
      format: { type: "string", default: "table" }
    }
  })
  const rows: Array<Row> = [], python: Array<Torch> = []
  const unavailable = new Map<string, string>()
  const sizes = Step.sizes.filter(({ name }) => values.model === undefined || name === values.model)
  for (const size of sizes) {
    for (const backend of names) {
      if (values.backend !== undefined && backend !== values.backend) continue
      if (unavailable.has(backend)) continue
      if (tooLarge(backend, size)) continue
      const result = await measure(backend, size.name, values.determinism)
      if ("row" in result) rows.push(result.row)
      else unavailable.set(backend, result.unavailable)
    }
    if (values.python !== undefined) python.push(torch(values.python, size))
  }
  if (values.format === "json") {
    const report = { benchmark: "tensor", rows, torch: python, unavailable: Object.fromEntries(unavailable) }
    process.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`)
    return
  }
  process.stdout.write(`${table(rows)}\n`)
  for (const { backend, ceiling, device, version } of new Map(rows.map((row) => [row.backend, row])).values()) {
    process.stdout.write(`\n${backend}: ${version}, on ${device}; its ceiling is that of ${ceiling.of}\n`)
  }
  for (const { milliseconds, model, tokensPerSecond, version } of python) {
    process.stdout.write(
      `\nPyTorch ${version}, one thread, ${model}: ${milliseconds.toFixed(1)} ms, ${
        tokensPerSecond.toFixed(0)
      } tokens/s\n`
    )
  }
  for (const [backend, reason] of unavailable) process.stdout.write(`\n${backend} does not start here: ${reason}\n`)
}

if (import.meta.main) await run()
