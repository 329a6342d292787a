/**
 * Samplers on problems whose answer is known: the mean normalised regret after
 * 10, 25, 50 and 100 trials, and how long a proposal takes.
 *
 *     npm run bench -- search [--samplers sobol,tpe] [--problems branin,levy5] [--seeds 20] [--trials 100]
 *                             [--aside] [--format json]
 *
 * `--aside` takes other problems, most of which samplers were not compared on while they
 * were made. Tables of real tuning runs are added when `ATTUNE_HPO_TABLES` names
 * their folder.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import { parseArgs } from "node:util"
import * as Asks from "./search/Asks.ts"
import * as KeptAside from "./search/KeptAside.ts"
import * as Loop from "./search/Loop.ts"
import * as Problems from "./search/Problems.ts"
import * as Samplers from "./search/Samplers.ts"
import * as Tables from "./search/Tables.ts"

const moments = [10, 25, 50, 100]

const subjects = async (aside: boolean): Promise<ReadonlyArray<Loop.Subject>> => {
  const functions = (aside ? KeptAside.all : Problems.all).map(Loop.ofProblem)
  const tables = await Effect.runPromise(Tables.fromEnvironment.pipe(Effect.provide(NodeServices.layer)))
  if (tables === undefined) return functions
  const ten = (name: string) => /patch128_LSTM128_avg_bs64|patch32_GRU64_avg_bs128/.test(name)
  return [
    ...(aside ? [] : tables.factorials.map(Loop.ofProblem)),
    ...tables.pools.filter(({ name }) => ten(name) !== aside).map(Loop.ofPool),
    ...functions
  ]
}

const mean = (values: ReadonlyArray<number>) => values.reduce((sum, value) => sum + value, 0) / values.length

export const run = async (): Promise<void> => {
  const { values } = parseArgs({
    options: {
      samplers: { type: "string" },
      problems: { type: "string" },
      seeds: { type: "string", default: "20" },
      trials: { type: "string", default: "100" },
      aside: { type: "boolean", default: false },
      format: { type: "string", default: "text" }
    },
    args: process.argv.slice(2).filter((argument) => argument !== "search")
  })
  const trials = Number(values.trials), seeds = Number(values.seeds)
  const among = (wanted: string | undefined, name: string) =>
    wanted === undefined || wanted.split(",").some((part) => name.includes(part))
  const samplers = Object.entries(Samplers.all).filter(([name]) =>
    values.samplers === undefined || values.samplers.split(",").includes(name)
  )
  const chosen = (await subjects(values.aside)).filter(({ name }) => among(values.problems, name))
  const marks = moments.filter((moment) => moment <= trials)
  const rows: Array<{ problem: string; sampler: string; regrets: ReadonlyArray<number>; ask: number }> = []
  const show = (problem: string, sampler: string, regrets: ReadonlyArray<number>, ask: number) => {
    if (values.format === "json") return
    process.stdout.write(
      `${problem.padEnd(44)}${sampler.padEnd(12)}${regrets.map((regret) => regret.toFixed(4).padStart(9)).join("")}${
        ask.toFixed(1).padStart(9)
      } ms\n`
    )
  }
  if (values.format !== "json") {
    process.stdout.write(`${"".padEnd(56)}${marks.map((mark) => `after ${mark}`.padStart(9)).join("")}  an ask\n`)
  }
  for (const [sampler, make] of samplers) {
    for (const subject of chosen) {
      if (make().check?.({ space: subject.space, trials, objectives: 1, limits: 0, budgets: [1] }) !== undefined) {
        continue
      }
      const played = Array.from({ length: seeds }, (_, seed) => Loop.play(make(), subject, seed, trials))
      const regrets = marks.map((mark) => mean(played.map(({ regrets }) => regrets[mark - 1]!)))
      const ask = mean(played.map(({ asks }) => mean([...asks])))
      rows.push({ problem: subject.name, sampler, regrets, ask })
      show(subject.name, sampler, regrets, ask)
    }
    const own = rows.filter((row) => row.sampler === sampler)
    if (own.length > 1) {
      show(
        `mean of ${own.length}`,
        sampler,
        marks.map((_, i) => mean(own.map(({ regrets }) => regrets[i]!))),
        mean(own.map(({ ask }) => ask))
      )
    }
  }
  const asks = samplers.map(([sampler, make]) => ({
    sampler,
    milliseconds: Asks.finished.map((trials) => Asks.milliseconds(make, trials))
  }))
  if (values.format === "json") {
    process.stdout.write(`${JSON.stringify({ seeds, trials, marks, rows, finished: Asks.finished, asks })}\n`)
    return
  }
  process.stdout.write(
    `\nMilliseconds for a proposal${Asks.finished.map((trials) => `${trials} trials`.padStart(13)).join("")}\n`
  )
  for (const { milliseconds, sampler } of asks) {
    process.stdout.write(
      `${sampler.padEnd(27)}${
        milliseconds.map((time) => (time === undefined ? "-" : time.toFixed(1)).padStart(13)).join("")
      }\n`
    )
  }
}
