import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import { attune, type Ended, fixture, temporaryFolder } from "./process.ts"

const store = temporaryFolder()
afterAll(() => fs.rmSync(store, { recursive: true }))

const run = (...args: ReadonlyArray<string>) => attune(["run", fixture("objectives.ts"), "--store", store, ...args])
const about = (...args: ReadonlyArray<string>) => attune([...args, "--store", store])

type Rows = ReadonlyArray<Readonly<Record<string, any>>>

describe("a study of two objectives with a limit and finalists", () => {
  let first: Ended
  let rows: Rows
  beforeAll(async () => {
    first = await run()
    rows = JSON.parse((await about("trials", "--format", "json")).stdout)
  })

  it("says how it searches, that finalists are trained again, and what it came to", () => {
    assert.strictEqual(first.code, 0, first.stderr)
    const front = rows.filter((row) => row["on_front"]).map(({ trial }) => trial).toSorted((a, b) => a - b)
    for (
      const pattern of [
        /two goals: Sobol points.*; successive halving at 1, 4.*; at most 24 trials/,
        /trial \d+ again with seed 3: loss 0\.\d+ · training 2 finalists again, 6\/6 done/,
        /two goals: best loss 0\.\d+ \(trial \d+\) · a budget of 48 spent, 50 % less than 24 trials to the end would take; 24 more to train the finalists again/,
        new RegExp(`two goals: the front of loss and size has ${front.length} trials: ${front.join(", ")}`),
        /two goals: finalists, mean ± standard error over 3 seeds: trial \d+ 0\.\d+ ± 0\.\d+, trial \d+ /
      ]
    ) assert.match(first.stderr, pattern)
  })

  it("lists its trials with both objectives, the front, the limit and the further trainings", async () => {
    const { stdout } = await about("trials")
    const [head, , best, ...others] = stdout.trimEnd().split("\n")
    assert.deepStrictEqual(head!.split(/\s+/).filter((name) => name !== ""), [
      "trial",
      "status",
      "loss",
      "size",
      "front",
      "limits",
      "again",
      "budget",
      "rate",
      "width",
      "order",
      "seconds"
    ])
    assert.match(best!, new RegExp(`^\\*\\s+${first.stdout.trim()}\\s.*\\syes\\s+kept\\s+(0\\.\\d+ ){3}`))
    assert.strictEqual(others.filter((line) => / broken /.test(line)).length, 6)
    // What breaks the limit comes last, whatever its loss.
    assert.isTrue(others.slice(-6).every((line) => / broken /.test(line)))
    assert.deepStrictEqual(rows.map(({ feasible }) => feasible), [...Array(18).fill(true), ...Array(6).fill(false)])
    assert.strictEqual(rows.filter(({ repeats }) => repeats.length === 3).length, 2)
  })

  it("shows a trial with all that the study looks at", async () => {
    const [best, broken] = await Promise.all([
      about("show", first.stdout.trim()),
      about("show", String(rows.at(-1)!["trial"]))
    ])
    assert.include(best.stdout, "Trained again as a finalist")
    assert.match(best.stdout, /^rung +budget +loss +size$/m)
    assert.include(broken.stdout, "breaks a limit")
  })

  it("tells which hyperparameters mattered, for people and for programs", async () => {
    const [table, json, size, csv] = await Promise.all([
      about("importance"),
      about("importance", "--format", "json"),
      about("importance", "--metric", "size", "--format", "json"),
      about("importance", "--method", "fanova", "--seed", "1", "--format", "csv")
    ])
    assert.match(table.stdout, /^hyperparameter +importance +divergence\n[─ ]+\nrate +0\.\d+ /)
    assert.match(table.stderr, /among the best 5, by loss \(to minimize\) in 24 trials of the study two goals/)
    assert.match(
      table.stderr,
      /16 that had less budget count with what is expected of them at the most that any had\.\n$/
    )
    const importances: Rows = JSON.parse(json.stdout)
    assert.sameMembers(importances.map(({ hyperparameter }) => hyperparameter), ["rate", "width", "order"])
    assert.closeTo(importances.reduce((sum, { importance }) => sum + importance, 0), 1, 1e-9)
    assert.strictEqual((JSON.parse(size.stdout) as Rows)[0]!["hyperparameter"], "width")
    const lines = csv.stdout.trimEnd().split("\r\n")
    assert.strictEqual(lines[0], "hyperparameter,with,importance,deviation")
    assert.match(lines[1]!, /^rate,,0\.\d+,/)
    assert.isTrue(lines.some((line) => /^(order|rate|width),(order|rate|width),/.test(line)))
  })

  it("says what is missing when importance cannot be told", async () => {
    const [metric, seed, method] = await Promise.all([
      about("importance", "--metric", "rate"),
      about("importance", "--seed", "-1"),
      about("importance", "--method", "shapley")
    ])
    assert.deepStrictEqual([metric.code, seed.code, method.code], [2, 2, 2])
    assert.include(metric.stderr, "Its metrics are: loss, size.")
    assert.include(method.stderr, "fanova")
    const short = await run("--set", "trials=8")
    assert.strictEqual(short.code, 0, short.stderr)
    const few = await about("importance")
    assert.strictEqual(few.code, 3)
    assert.include(few.stderr, "at least 10 are needed")
    // Nothing that keeps the limit: the study says so and the table selects none.
    const none = await run("--set", "most=0")
    assert.strictEqual(none.code, 1)
    assert.match(none.stderr, /two goals: none of its 24 trials can be chosen · a budget of/)
    const selected = JSON.parse((await about("trials", "--format", "json")).stdout) as Rows
    assert.isTrue(selected.every((row) => row["selected"] === false))
  })
})
