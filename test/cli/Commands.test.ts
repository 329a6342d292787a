import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import { attune, type Ended, fixture, linesOf, temporaryFolder } from "./process.ts"

const root = temporaryFolder()
afterAll(() => fs.rmSync(root, { recursive: true }))

const journal = path.join(root, "journal")
const store = path.join(root, "store")
const pipeline = [fixture("study.ts"), "--set", `journal=${journal}`]
const run = (...args: ReadonlyArray<string>) => attune(["run", ...pipeline, "--store", store, ...args])
const about = (...args: ReadonlyArray<string>) => attune([...args, "--store", store])

describe("attune", () => {
  let first: Ended
  beforeAll(async () => {
    first = await run("--concurrency", "4")
  })

  it("runs a pipeline: its result on standard output, all else on standard error", () => {
    assert.strictEqual(first.code, 0, first.stderr)
    assert.match(first.stdout, /^Best: trial \d with loss 0\.\d{4}\n$/)
    assert.match(first.stderr, /trial 0 rung 0 \(budget 2 of 6\): loss 0\.\d+ .* 1\/6 trials/)
    assert.match(first.stderr, /Done in .*: 10 stages run, 0 cached\./)
    assert.include(first.stderr, path.join(store, "tables"))
    // oxlint-disable-next-line no-control-regex
    assert.notMatch(first.stderr, /[\u0000-\u0009\u000b-\u001f]/)
  })

  it("says that everything was cached, and gives the same result", async () => {
    const before = linesOf(journal)
    const second = await run("--format", "json")
    assert.strictEqual(second.code, 0, second.stderr)
    assert.strictEqual(JSON.parse(second.stdout), first.stdout.trimEnd())
    assert.include(second.stderr, "Everything was cached: none of 10 stages had to run")
    assert.deepStrictEqual(linesOf(journal), before)
  })

  it("runs what a setting changed and nothing else", async () => {
    const before = linesOf(journal)
    const changed = await run("--set", "title=Winner")
    assert.strictEqual(changed.stdout, first.stdout.replace("Best", "Winner"))
    assert.include(changed.stderr, "1 stage run, 9 cached")
    assert.deepStrictEqual(linesOf(journal), before)
  })

  it("plans: what is cached, what would run and why", async () => {
    const planned = await attune([
      "plan",
      ...pipeline,
      "--store",
      store,
      "--set",
      "title=New",
      "--set",
      "trials=7",
      "--format",
      "json"
    ])
    assert.strictEqual(planned.code, 0, planned.stderr)
    const steps = JSON.parse(planned.stdout) as ReadonlyArray<Readonly<Record<string, string>>>
    const statusOf = (stage: string) => steps.filter((step) => step["stage"] === stage).map(({ status }) => status)
    assert.deepStrictEqual(statusOf("prepare"), ["cached"])
    assert.deepStrictEqual(statusOf("train").filter((status) => status === "will run").length, 1)
    assert.deepStrictEqual(statusOf("summarize"), ["unknown"])
    assert.include(steps.find(({ status }) => status === "will run")?.["because"], "rate")
    assert.match(planned.stderr, /cached, 1 to run, \d unknown/)
  })

  it("draws the graph", async () => {
    const [mermaid, dot] = await Promise.all([
      attune(["graph", ...pipeline]),
      attune(["graph", ...pipeline, "--format", "dot"])
    ])
    assert.match(mermaid.stdout, /^flowchart[^]*"toy"[^]*"train"/)
    assert.match(dot.stdout, /^digraph[^]*train/)
  })

  it("lists the trials, best first", async () => {
    const [json, table] = await Promise.all([about("trials", "--format", "json"), about("trials")])
    const rows = JSON.parse(json.stdout) as ReadonlyArray<Readonly<Record<string, any>>>
    assert.strictEqual(rows.length, 6)
    assert.isTrue(rows[0]!["selected"])
    assert.include(first.stdout, `trial ${rows[0]!["trial"]} with loss ${rows[0]!["value"].toFixed(4)}`)
    const full = rows.filter(({ status }) => status === "completed").map(({ value }) => value as number)
    assert.deepStrictEqual(full, full.toSorted((a, b) => a - b))
    assert.deepStrictEqual(rows.map(({ budget }) => budget), [6, 6, 2, 2, 2, 2])
    const [head, , best] = table.stdout.split("\n")
    assert.deepStrictEqual(head!.split(/\s+/).filter((name) => name !== ""), [
      "trial",
      "status",
      "loss",
      "budget",
      "rate",
      "seconds"
    ])
    assert.match(best!, new RegExp(`^\\*\\s+${rows[0]!["trial"]}\\s+completed`))
  })

  it("shows one trial", async () => {
    const trial = /trial (\d)/.exec(first.stdout)![1]!
    const [json, text, none] = await Promise.all([
      about("show", trial, "--format", "json"),
      about("show", trial, "--study", "toy"),
      about("show", "99")
    ])
    const shown = JSON.parse(json.stdout) as Readonly<Record<string, any>>
    assert.deepStrictEqual(shown["rungs"].map(({ budget }: { readonly budget: number }) => budget), [2, 6])
    assert.isNumber(shown["params"].rate)
    assert.isNotEmpty(shown["metrics"])
    assert.isTrue(shown["runs"].some(({ key }: { readonly key: string }) => /^[0-9a-f]{64}$/.test(key)))
    for (const part of [`Trial ${trial} of toy: completed, the best`, "Hyperparameters", "rate", "objects/"]) {
      assert.include(text.stdout, part)
    }
    assert.strictEqual(none.code, 3)
    assert.include(none.stderr, "no trial 99")
  })

  it("answers queries", async () => {
    const sql = "select status, count(*) as number from trials group by 1 order by 1"
    const [json, csv, wrong] = await Promise.all([
      about("query", sql, "--format", "json"),
      about("query", sql, "--format", "csv"),
      about("query", "select nothing from trials")
    ])
    assert.deepStrictEqual(JSON.parse(json.stdout), [{ status: "completed", number: 2 }, {
      status: "stopped",
      number: 4
    }])
    assert.strictEqual(csv.stdout, "status,number\r\ncompleted,2\r\nstopped,4\r\n")
    assert.strictEqual(wrong.code, 2)
    assert.strictEqual(wrong.stdout, "")
    assert.include(wrong.stderr, "trials: study, trial")
  })

  it("checks the machine, and measures what works", async () => {
    const { code, stderr, stdout } = await about("doctor", "--format", "json")
    assert.strictEqual(code, 0, stderr)
    const checks = JSON.parse(stdout) as ReadonlyArray<Readonly<Record<string, any>>>
    const of = (check: string) => checks.find((other) => other["check"] === check)
    const wasm = of("backend wasm")!
    assert.deepStrictEqual([wasm["status"], wasm["determinism"]], ["ok", "exact"])
    assert.include(wasm["version"], "wasm")
    assert.deepStrictEqual(wasm["devices"].map(({ kind }: { readonly kind: string }) => kind), ["cpu"])
    assert.match(of("backend auto")!["detail"], /^(wasm|webgpu|tensorflow)/)
    assert.include(of("node")?.["detail"], process.versions.node)
    assert.strictEqual(of("store")?.["detail"], store)
    for (const { check, remedy, status, tokens_per_second } of checks) {
      if (!check.startsWith("backend")) continue
      if (status === "missing") assert.isNotEmpty(remedy)
      else if (check !== "backend auto") assert.isAbove(tokens_per_second, 0)
    }
  }, 180_000)

  it("explains how to get the other backends to work", async () => {
    const [webgpu, tensorflow] = await Promise.all([
      attune(["doctor", "--explain", "webgpu"]),
      attune(["doctor", "--explain", "tensorflow"])
    ])
    assert.deepStrictEqual([webgpu.code, tensorflow.code], [0, 0])
    assert.include(webgpu.stdout, "NVIDIA_DRIVER_CAPABILITIES")
    assert.include(tensorflow.stdout, "tfjs-node")
  })

  it("chooses a backend when asked to, says which and why, and keeps the results under its name", async () => {
    const chosen = path.join(root, "chosen")
    const again = [fixture("tensors.ts"), "--store", chosen]
    // Where neither webgpu nor TensorFlow finds a GPU.
    const environment = {
      VK_DRIVER_FILES: "/nowhere.json",
      VK_ICD_FILENAMES: "/nowhere.json",
      CUDA_VISIBLE_DEVICES: ""
    }
    const automatic = await attune(["run", ...again, "--backend", "auto"], { environment })
    assert.strictEqual(automatic.code, 0, automatic.stderr)
    assert.match(automatic.stderr, /^backend: (\w+).* \((tensorflow|webgpu): .+\)$/m)
    const [, backend] = /^backend: (\w+)/m.exec(automatic.stderr)!
    const byName = await attune(["run", ...again, "--backend", backend!], { environment })
    assert.include(byName.stderr, "Everything was cached", byName.stderr)
    assert.notMatch(byName.stderr, /^backend:/m)
    const { stdout } = await attune([
      "query",
      "select distinct backend from runs",
      "--store",
      chosen,
      "--format",
      "json"
    ])
    assert.deepStrictEqual(JSON.parse(stdout), [{ backend }])
  })

  it("prints its version and help on standard output", async () => {
    const [version, help] = await Promise.all([attune(["--version"]), attune(["run", "--help"])])
    assert.match(version.stdout, /^\d+\.\d+\.\d+\n$/)
    assert.include(help.stdout, "--concurrency")
    assert.deepStrictEqual([version.code, help.code], [0, 0])
  })
})
