/**
 * Fine-tuning and generation on our wasm backend, against what one would take in Python: transformers and PEFT on torch.
 * Both have one thread, the same weights and the same batches; every measurement has a process of its own.
 *
 *     npm run bench -- finetune --python python3 [--model name] [--mode full] [--steps 7] [--format json]
 *
 * `--python` names an interpreter with torch, transformers and peft; without it our side alone is measured. Models of the
 * hub's sizes are measured when they are named: smollm2-135m, distilbert-base.
 *
 * Time is processor time, so that what else runs on the machine does not count.
 */
import * as Effect from "effect/Effect"
import { execFileSync, fork } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import * as Case from "./finetune/Case.ts"
import type { Measured } from "./finetune/Measure.ts"

interface Row {
  readonly model: string
  readonly mode: Case.Mode
  readonly parameters: number
  readonly learned: number
  readonly ours: Measured
  readonly theirs?: Measured
  /** Ours over theirs, of tokens a second. */
  readonly ratio?: number
  /** The largest difference between the losses of a step, over the loss; of generation the share of equal tokens. */
  readonly agreement?: number
}

const pathOf = (file: string) => fileURLToPath(new URL(`./finetune/${file}`, import.meta.url))

const measureOurs = (one: Case.Case, mode: Case.Mode, folder: string, steps: number): Promise<Measured> =>
  new Promise((resolve, reject) => {
    const child = fork(pathOf("Measure.ts"), [one.name, mode, folder, String(steps)], {
      execArgv: ["--disable-warning=ExperimentalWarning"]
    })
    child.on("message", (message) => resolve(message as Measured))
    child.on(
      "exit",
      (code, signal) => reject(new Error(`${one.name}, ${mode}: our process ended (${signal ?? `exit code ${code}`})`))
    )
  })

const measureTheirs = (python: string, one: Case.Case, mode: Case.Mode, folder: string): Measured =>
  JSON.parse(execFileSync(
    python,
    [
      pathOf("torch_step.py"),
      folder,
      mode,
      String(Case.hyperparametersOf(one, mode).learningRate),
      `${Case.newTokens}`
    ],
    { encoding: "utf8", env: { ...process.env, OMP_NUM_THREADS: "1" }, stdio: ["ignore", "pipe", "ignore"] }
  )) as Measured

const agreement = (ours: Measured, theirs: Measured): number => {
  if (ours.losses !== undefined && theirs.losses !== undefined) {
    return ours.losses.reduce((worst, loss, step) => Math.max(worst, Math.abs(1 - theirs.losses![step]! / loss)), 0)
  }
  const written = ours.written!.flatMap((text, row) => text.map((token, at) => token === theirs.written![row]![at]))
  return written.filter((equal) => equal).length / written.length
}

const bytes = (measured: Measured | undefined) =>
  measured === undefined ? "" : `${(measured.peakMemoryBytes / 2 ** 20).toFixed(0)} MiB`

const columns: ReadonlyArray<readonly [string, (row: Row) => string]> = [
  ["model", ({ model }) => model],
  ["parameters", ({ parameters }) => String(parameters)],
  ["what", ({ mode }) => mode],
  ["learned", ({ learned }) => learned === 0 ? "" : String(learned)],
  ["tokens/s", ({ ours }) => ours.tokensPerSecond.toFixed(0)],
  ["torch", ({ theirs }) => theirs?.tokensPerSecond.toFixed(0) ?? ""],
  ["ratio", ({ ratio }) => ratio?.toFixed(2) ?? ""],
  ["memory", ({ ours }) => bytes(ours)],
  ["torch's", ({ theirs }) => bytes(theirs)],
  ["agreement", ({ agreement, learned }) =>
    agreement === undefined
      ? ""
      : learned === 0
      ? `${(100 * agreement).toFixed(0)} % of tokens`
      : agreement.toExponential(0)]
]

const table = (rows: ReadonlyArray<Row>): string => {
  const cells = [columns.map(([title]) => title), ...rows.map((row) => columns.map(([, show]) => show(row)))]
  const widths = columns.map((_, at) => Math.max(...cells.map((line) => line[at]!.length)))
  return cells.map((line) => line.map((cell, at) => cell.padStart(widths[at]!)).join("  ")).join("\n")
}

export const run = async (): Promise<void> => {
  const { values } = parseArgs({
    args: process.argv.slice(2),
    allowPositionals: true,
    options: {
      model: { type: "string" },
      mode: { type: "string" },
      steps: { type: "string", default: "7" },
      python: { type: "string" },
      format: { type: "string", default: "table" }
    }
  })
  const steps = Number(values.steps)
  const rows: Array<Row> = []
  for (const one of Case.cases) {
    if (values.model === undefined ? !one.small : values.model !== one.name) continue
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "attune-bench-"))
    try {
      const { adapterParameters, parameters } = await Effect.runPromise(Case.prepare(one, folder, steps))
      for (const mode of Case.modesOf(one)) {
        if (values.mode !== undefined && values.mode !== mode) continue
        const ours = await measureOurs(one, mode, folder, steps)
        const theirs = values.python === undefined ? undefined : measureTheirs(values.python, one, mode, folder)
        rows.push({
          model: one.name,
          mode,
          parameters,
          learned: mode === "full" ? parameters : mode === "lora" ? adapterParameters : 0,
          ours,
          ...(theirs === undefined
            ? {}
            : { theirs, ratio: ours.tokensPerSecond / theirs.tokensPerSecond, agreement: agreement(ours, theirs) })
        })
      }
    } finally {
      fs.rmSync(folder, { recursive: true })
    }
  }
  if (values.format === "json") {
    process.stdout.write(`${JSON.stringify({ benchmark: "finetune", rows }, undefined, 2)}\n`)
    return
  }
  process.stdout.write(`${table(rows)}\n`)
  const [first] = rows
  if (first !== undefined) process.stdout.write(`\n${first.ours.version}\n`)
  if (first?.theirs !== undefined) process.stdout.write(`${first.theirs.version}\n`)
}

if (import.meta.main) await run()
