import { DuckDBInstance } from "@duckdb/node-api"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import { asyncBufferFromFile, parquetMetadata, parquetReadObjects } from "hyparquet"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Node from "../../src/pipeline/Node.ts"
import type { PipelineEvent } from "../../src/pipeline/Progress.ts"
import * as Predictions from "../../src/results/Predictions.ts"
import * as Query from "../../src/results/Query.ts"
import type * as ResultTable from "../../src/results/ResultTable.ts"
import * as Tables from "../../src/results/Tables.ts"
import * as FullBudget from "../../src/search/schedulers/FullBudget.ts"
import * as Space from "../../src/search/space/Space.ts"
import * as Study from "../../src/search/Study.ts"
import * as Artifact from "../../src/store/Artifact.ts"
import * as Columns from "../../src/store/Columns.ts"
import * as Parquet from "../../src/store/Parquet.ts"
import type { RunRecord } from "../../src/store/RunRecord.ts"
import { Store } from "../../src/store/Store.ts"
import { StoreError } from "../../src/store/StoreError.ts"
import { linesOf } from "./documented.ts"
import { Evaluate, FineTune, layer, Load, onDisk, record, Split, study, temporaryFolder } from "./studies.ts"

const decode = (file: string) => Parquet.decode(fs.readFileSync(file), { file })

const notesOf = (file: string) => Effect.map(decode(file), ({ schema }) => Object.fromEntries(schema.metadata))

/** Files of `tables/` with what tells whether they were written again. */
const stamps = Effect.gen(function*() {
  const store = yield* Store
  return Object.fromEntries(
    (yield* store.tables).map((name) => [name, fs.statSync(path.join(store.root, "tables", name)).ino])
  )
})

const withHyparquet = (file: string) =>
  Effect.promise(async () => parquetReadObjects({ file: await asyncBufferFromFile(file) }))

describe("Tables", () => {
  it("are documented column by column", () => {
    const text = fs.readFileSync(new URL("../../docs/tables.md", import.meta.url), "utf8")
    for (const table of Tables.all) {
      const section = text.split(`\n## \`${table.name}\`\n`)[1]?.split(/\n##+ /)[0] ?? ""
      const lines = section.split("\n").filter((line) => line.startsWith("|"))
      assert.deepStrictEqual(lines, linesOf(table), `docs/tables.md, ${table.name}`)
      for (const [note, meaning] of Object.entries(table.notes)) {
        assert.include(text, `| \`${note}\` | in \`${table.name}\`: ${meaning} |`)
      }
    }
  })

  it.effect("are written with the documented columns, descriptions and units", () =>
    onDisk(Effect.gen(function*() {
      yield* record(study("search"))
      const fieldsOf = (table: ResultTable.ResultTable) => table.schema.fields
      for (const table of Tables.all) {
        const file = yield* Tables.pathOf(table.name, Tables.ofStudies.includes(table.name) ? "search" : undefined)
        const { schema } = yield* decode(file)
        const written = new Map(schema.fields.map((field) => [field.name, field]))
        for (const field of fieldsOf(table)) {
          const other = written.get(field.name)
          assert.isDefined(other, `${table.name}.${field.name}`)
          assert.strictEqual(String(other!.type), String(field.type))
          assert.strictEqual(other!.nullable, field.nullable)
          assert.deepStrictEqual([...other!.metadata], [...field.metadata])
        }
        const further = schema.fields.map(({ name }) => name).filter((name) =>
          fieldsOf(table).every((field) => field.name !== name)
        )
        assert.deepStrictEqual(
          further,
          {
            trials: [
              "param_rate",
              "param_momentum",
              "param_optimizer",
              "param_nesterov",
              "metric_loss",
              "metric_scores_accuracy",
              "metric_scores_examples"
            ],
            predictions: ["example", "label", "prediction", "trial_2"],
            splits: ["example", "side"]
          }[table.name] ?? []
        )
        assert.strictEqual(schema.metadata.get("attune.table"), table.name)
        assert.strictEqual(schema.metadata.get("attune.complete"), "true")
        assert.deepStrictEqual(JSON.parse(schema.metadata.get("attune.varying")!), table.varying)
        for (const note of Object.keys(table.notes)) assert.isTrue(schema.metadata.has(note), note)
      }
    })))

  it.effect("hold what the study decided, as DuckDB and hyparquet read it", () =>
    onDisk(Effect.gen(function*() {
      const { exit, outcome } = yield* record(study("search"))
      const best = Exit.getSuccess(exit)
      const file = yield* Tables.pathOf("trials", "search")
      const byHyparquet = yield* withHyparquet(file)
      const byDuckDB = (yield* Query.run("select * from trials")).rows
      assert.deepStrictEqual(byDuckDB, byHyparquet as unknown as typeof byDuckDB)
      assert.deepStrictEqual(byDuckDB.map(({ trial }) => trial), outcome.trials.map(({ trial }) => trial))
      assert.sameMembers([...new Set(byDuckDB.map(({ status }) => status))], ["completed", "stopped", "failed"])
      for (const trial of outcome.trials) {
        const row = byDuckDB[trial.trial]!
        const millis = trial.runs.reduce((sum, run) => sum + run.durationMillis, 0)
        assert.deepStrictEqual({ ...row, duration_seconds: Math.round((row["duration_seconds"] as number) * 1000) }, {
          study: "search",
          trial: trial.trial,
          status: trial.status,
          origin: trial.trial === 0 ? "enqueued" : "sampler",
          params: JSON.stringify(Object.fromEntries(Object.entries(trial.params).toSorted())),
          param_rate: trial.params["rate"] as number,
          param_momentum: BigInt(trial.params["momentum"] as number),
          param_optimizer: trial.params["optimizer"] as string,
          param_nesterov: trial.params["nesterov"] as boolean,
          budget: trial.budget,
          objective: "loss",
          direction: "minimize",
          value: trial.value ?? null,
          feasible: trial.value === undefined ? null : true,
          on_front: best._tag === "Some" && best.value.best.trial === trial.trial,
          repeats: [],
          metric_loss: trial.metrics["loss"] ?? null,
          metric_scores_accuracy: trial.metrics["scores.accuracy"] ?? null,
          metric_scores_examples: trial.metrics["scores.examples"] ?? null,
          error: trial.error ?? null,
          rungs: trial.rungs.map(({ budget, rung, value }) => ({ rung, budget, value, values: [value] })),
          metrics: ["loss"],
          runs: trial.runs.map((run) => run.key),
          seed: 1n,
          sampler: outcome.sampler,
          scheduler: outcome.scheduler,
          virtual_start: trial.virtualStart,
          virtual_finish: trial.virtualFinish,
          duration_seconds: millis,
          selected: best._tag === "Some" && best.value.best.trial === trial.trial
        })
      }
      assert.isTrue(byDuckDB.some((row) => Number.isNaN(row["metric_scores_accuracy"])))
    })))

  it.effect("keep the space and the goal of a study beside its trials, as DuckDB and hyparquet read them", () =>
    onDisk(Effect.gen(function*() {
      const notesBy = (file: string) =>
        Effect.promise(async () => {
          const { key_value_metadata } = parquetMetadata(await (await asyncBufferFromFile(file)).slice(0))
          const instance = await DuckDBInstance.create(":memory:")
          const connection = await instance.connect()
          const answer = await connection.runAndReadAll(
            `SELECT decode(key), decode(value) FROM parquet_kv_metadata('${file}')`
          )
          const byDuckDB = Object.fromEntries(answer.getRows()) as Readonly<Record<string, string>>
          connection.closeSync()
          instance.closeSync()
          const byHyparquet = Object.fromEntries((key_value_metadata ?? []).map(({ key, value }) => [key, value]))
          return { byDuckDB, byHyparquet }
        })
      const file = yield* Tables.pathOf("trials", "search")
      const expected = {
        fields: {
          rate: { kind: "log-uniform", min: 0.01, max: 3, default: 0.1 },
          momentum: { kind: "choice", values: [0, 1], default: 0 },
          optimizer: { kind: "choice", values: ["adamw", "sgd"], default: "adamw" },
          nesterov: { kind: "choice", values: [true, false], default: true }
        },
        constraints: []
      }
      yield* record(study("search"))
      const { byDuckDB, byHyparquet } = yield* notesBy(file)
      for (const notes of [byDuckDB, byHyparquet]) {
        assert.deepStrictEqual(JSON.parse(notes["attune.space"]!), expected)
        assert.deepStrictEqual(JSON.parse(notes["attune.goal"]!), {
          objectives: [{ metric: "loss", direction: "minimize" }],
          limits: []
        })
      }
      // The same trials in a space that says more: the table is written again.
      const before = byDuckDB["attune.content"]
      yield* record(study("search", { constraint: "always true" }))
      const after = (yield* notesBy(file)).byDuckDB
      assert.strictEqual(after["attune.content"], before)
      assert.deepStrictEqual(JSON.parse(after["attune.space"]!).constraints, ["always true"])
    })))

  it.effect("count every step of every rung once, and keep NaN and infinities", () =>
    onDisk(Effect.gen(function*() {
      const { outcome } = yield* record(study("search"))
      const winner = outcome.trials.find(({ status }) => status === "completed")!
      const { rows } = yield* Query.run(
        `select name, step, value, run from metrics where trial = ${winner.trial} order by name, step`
      )
      const losses = rows.filter(({ name }) => name === "loss")
      assert.deepStrictEqual(losses.map(({ step }) => step), [1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n])
      assert.strictEqual(new Set(losses.map(({ run }) => run)).size, 3)
      const gradients = rows.filter(({ name }) => name === "gradient").map(({ value }) => value)
      const rate = winner.params["rate"]
      assert.deepStrictEqual(gradients, [rate, Number.NaN, Infinity, rate, rate, rate, rate, rate])
      const file = yield* Tables.pathOf("metrics", "search")
      const columns = yield* decode(file)
      const all = yield* Query.run("select * from metrics")
      assert.deepStrictEqual(
        all.rows,
        (yield* withHyparquet(file)) as unknown as typeof all.rows
      )
      assert.strictEqual(columns.length, all.rows.length)
    })))

  it.effect("have the predictions at the highest rung, and the splits the study was given", () =>
    onDisk(Effect.gen(function*() {
      const one = study("one")
      const other = study("other", { rows: 16 })
      const { outcomes } = yield* record(Node.all([one, other]))
      const { rows } = yield* Query.run("select study, trial, count(*) as n from predictions group by all order by all")
      const expected = outcomes.flatMap(({ study, trials }) =>
        trials.filter(({ status }) => status !== "failed").map(({ trial }) => ({
          study,
          trial,
          n: study === "one" ? 3n : 4n
        }))
      )
      assert.deepStrictEqual(rows, expected.toSorted((a, b) => a.study < b.study ? -1 : a.study > b.study ? 1 : 0))
      const splits = yield* Query.run("select study, stage, count(*) as n from splits group by all order by study")
      assert.deepStrictEqual(splits.rows, [
        { study: "one", stage: "split", n: 12n },
        { study: "other", stage: "split", n: 16n }
      ])
    })))

  it.effect("are the same whatever the concurrency", () =>
    Effect.gen(function*() {
      const contents = (concurrency: number) =>
        onDisk(
          Effect.gen(function*() {
            yield* record(study("search", { trials: 12 }))
            const found: Record<string, string | undefined> = {}
            for (const { name } of Tables.all) {
              const file = yield* Tables.pathOf(name, Tables.ofStudies.includes(name) ? "search" : undefined)
              found[name] = (yield* notesOf(file))["attune.content"]
            }
            return found
          }),
          concurrency
        )
      const alone = yield* contents(1)
      assert.strictEqual(Object.keys(alone).length, 6)
      assert.deepStrictEqual(yield* contents(4), alone)
    }))

  it.effect("are neither written nor read again by a rerun that is all cached, and are made again when removed", () =>
    Effect.scoped(Effect.gen(function*() {
      const root = yield* temporaryFolder
      let reads = 0
      const counting = Layer.effect(
        Store,
        Effect.map(Store, (store) =>
          Store.of({
            ...store,
            getObject: (address) => {
              reads++
              return store.getObject(address)
            }
          }))
      ).pipe(Layer.provideMerge(layer(root)))
      const run = Effect.gen(function*() {
        yield* record(study("search"))
        return yield* stamps
      }).pipe(Effect.provide(counting, { local: true }))
      const first = yield* run
      assert.isAbove(reads, 10)
      assert.strictEqual(Object.keys(first).length, 6)
      reads = 0
      assert.deepStrictEqual(yield* run, first)
      assert.strictEqual(reads, 0)
      const contents = () =>
        fs.readdirSync(path.join(root, "tables", "study=search")).map((name) =>
          fs.readFileSync(path.join(root, "tables", "study=search", name), "base64")
        )
      const before = contents()
      fs.rmSync(path.join(root, "tables"), { recursive: true })
      yield* run
      assert.deepStrictEqual(contents(), before)
      // Damaged on the medium: made again like one that is gone.
      fs.truncateSync(path.join(root, "tables", "study=search", "metrics.parquet"), 100)
      yield* run
      assert.deepStrictEqual(contents(), before)
    })))

  it.effect("go with the study when it changes", () =>
    Effect.scoped(Effect.gen(function*() {
      const root = yield* temporaryFolder
      const rows = (trials: number) =>
        Effect.gen(function*() {
          yield* record(study("search", { trials }))
          return (yield* Query.run("select trial from trials order by trial")).rows.length
        }).pipe(Effect.provide(layer(root), { local: true }))
      assert.strictEqual(yield* rows(4), 4)
      assert.strictEqual(yield* rows(6), 6)
      assert.strictEqual(yield* rows(3), 3)
    })))

  it.effect("are there for a study in which every trial failed", () =>
    onDisk(Effect.gen(function*() {
      const split = Split({ data: Load({}, { rows: 4 }) })
      const { exit } = yield* record(Study.make("doomed", {
        space: Space.make({ rate: Space.uniform(2, 3) }),
        scheduler: FullBudget.make(4),
        trials: 3,
        minimize: "loss",
        trial: ({ rate }) =>
          Evaluate({
            model: FineTune({ train: Node.at(split, "train") }, { rate, steps: 4 }),
            validation: Node.at(split, "validation")
          })
      }))
      assert.isTrue(Exit.isFailure(exit))
      const { rows } = yield* Query.run("select trial, status, value, error, selected, budget from trials")
      assert.deepStrictEqual(
        rows,
        [0, 1, 2].map((trial) => ({
          trial,
          status: "failed",
          value: null,
          error: "the loss was not a number at step 1,\n\"diverged\"",
          selected: false,
          budget: 0
        }))
      )
      const failures = yield* Query.run("select error from runs where outcome = 'failure'")
      assert.strictEqual(failures.rows.length, 3)
      assert.strictEqual(failures.rows[0]!["error"], "{\"_tag\":\"Diverged\",\"step\":1}")
      assert.strictEqual((yield* Query.run("select * from predictions")).rows.length, 0)
    })))

  it.effect("list every record and every object in the store, with the path of its file", () =>
    onDisk(Effect.gen(function*() {
      yield* record(study("search"))
      const store = yield* Store
      const records = yield* store.runs
      const runs = yield* Query.run("select key, stage, inputs, started, duration_seconds, memory_bytes from runs")
      assert.deepStrictEqual(
        runs.rows,
        records.map((record) => ({
          key: record.key,
          stage: record.stage,
          inputs: Object.entries(record.inputs).toSorted().map(([name, digest]) => ({ name, digest })),
          started: record.started.replace(
            /(\.\d{3})?Z$/,
            (fraction) => fraction.replace("Z", "").replace(/\.?0+$/, "") + "Z"
          ),
          duration_seconds: record.durationMillis / 1000,
          memory_bytes: BigInt(record.host.memory)
        }))
      )
      const { rows } = yield* Query.run("select * from artifacts")
      assert.strictEqual(
        rows.length,
        records.reduce((sum, { artifacts, metrics }) => sum + artifacts.length + (metrics === null ? 0 : 1), 0)
      )
      for (const row of rows) {
        assert.strictEqual(BigInt(fs.statSync(path.join(store.root, String(row["path"]))).size), row["bytes"])
      }
    })))

  it.effect("take studies of any name, and of different spaces, into one view", () =>
    onDisk(Effect.gen(function*() {
      const names = [
        "a/b",
        "../../outside",
        "..",
        "it's \"quoted\" *?[x]~!()",
        "two\nlines\u0000and a bell\u0007",
        "🙂 überprüft ß 学習",
        "x".repeat(500),
        `${"x".repeat(499)}y`,
        "🙂".repeat(250),
        "%2F",
        ""
      ]
      const split = Split({ data: Load({}, { rows: 8 }) })
      const small = (name: string, space: Space.Space<any>) =>
        Study.make(name, {
          space,
          scheduler: FullBudget.make(2),
          trials: 2,
          minimize: "loss",
          trial: (params: Readonly<Record<string, unknown>>) =>
            Evaluate({
              model: FineTune({ train: Node.at(split, "train") }, {
                rate: typeof params["rate"] === "number" ? params["rate"] / 10 : 0.2,
                steps: 2
              }),
              validation: Node.at(split, "validation")
            })
        })
      const spaces = [
        Space.make({ rate: Space.choice([1, 2]), "odd name, 🙂": Space.choice(["a", "b"]) }),
        Space.make({ rate: Space.uniform(1, 2), warmup: Space.choice([true, false]) }),
        Space.make({
          Warmup: Space.choice(["none", "linear"]),
          warmup: Space.integer(1, 9),
          mixed: Space.choice([1, "x"])
        })
      ]
      const { outcomes } = yield* record(Node.all(names.map((name, i) => small(name, spaces[i % 3]!))))
      const store = yield* Store
      const folders = fs.readdirSync(path.join(store.root, "tables"), { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
      assert.strictEqual(folders.length, names.length)
      for (const { name } of folders) assert.isAtMost(Buffer.byteLength(name), 200)
      assert.isFalse(fs.existsSync(path.join(store.root, "..", "outside")))
      const { columns, rows } = yield* Query.run("select * from trials order by all")
      assert.sameMembers([...new Set(rows.map(({ study }) => study))], names)
      assert.strictEqual(rows.length, 2 * names.length)
      const types = new Map(columns.map(({ name, type }) => [name, type]))
      // Whole numbers in one study, any in another.
      assert.strictEqual(types.get("param_rate"), "DOUBLE")
      assert.strictEqual(types.get("param_odd name, 🙂"), "VARCHAR")
      const ofStudy = (name: string) => rows.filter(({ study }) => study === name)
      const given = (name: string) => outcomes.find(({ study }) => study === name)!.trials.map(({ params }) => params)
      assert.deepStrictEqual(
        ofStudy("a/b").map((row) => [row["param_rate"], row["param_odd name, 🙂"], row["param_mixed"]]),
        given("a/b").map((params) => [params["rate"], params["odd name, 🙂"], null] as Array<never>)
      )
      assert.deepStrictEqual(ofStudy("..").map((row) => row["param_rate"]), [null, null])
      // Two hyperparameters whose names differ in case alone, and one of two types.
      const dots = yield* decode(yield* Tables.pathOf("trials", ".."))
      assert.deepStrictEqual(
        dots.schema.fields.filter(({ name }) => name.startsWith("param_")).map(({ name, type }) => `${name} ${type}`),
        ["param_Warmup Utf8", "param_warmup_2 Int64", "param_mixed Utf8"]
      )
    })))

  it.effect("show a study that was killed, rewritten every two seconds at most", () =>
    onDisk(Effect.gen(function*() {
      const scope = yield* Scope.make()
      const tables = yield* Tables.recorder.pipe(Scope.provide(scope))
      const file = yield* Tables.pathOf("trials", "search")
      const send = (event: PipelineEvent) => tables(event)
      const about = { study: "search", budget: 2, cost: 2, rung: 0, repeat: 0 }
      const started = {
        _tag: "study.started",
        study: "search",
        trials: 4,
        metric: "loss",
        metrics: ["loss"],
        goal: { objectives: [{ metric: "loss", direction: "minimize" }], limits: [] },
        reused: [],
        space: { fields: {}, constraints: [] },
        direction: "minimize",
        seed: 0,
        horizon: 4,
        sampler: "s",
        scheduler: "h"
      } as const
      const statuses = Effect.suspend(() =>
        fs.existsSync(file)
          ? Effect.map(
            decode(file),
            (columns) =>
              Columns.toRecords(columns).map(({ selected, status, trial }) =>
                `${trial} ${status}${selected === true ? " selected" : ""}`
              )
          )
          : Effect.succeed(undefined)
      )
      yield* send(started)
      for (const trial of [0, 1, 2, 3]) {
        yield* send({ _tag: "trial.started", ...about, origin: "sampler", trial, params: { rate: trial / 2 } })
      }
      yield* send({ _tag: "trial.completed", ...about, trial: 1, value: 3, values: [3] })
      yield* TestClock.adjust("5 seconds")
      // Nothing was run yet: what came so far was there before.
      assert.isUndefined(yield* statuses)
      yield* send({ _tag: "stage.completed", stage: "s", key: "k", owner: "", durationMillis: 1 })
      yield* send({ _tag: "trial.completed", ...about, trial: 0, value: 5, values: [5] })
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(yield* statuses, ["0 running", "1 running selected"])
      yield* send({ _tag: "trial.completed", ...about, trial: 1, rung: 1, budget: 4, value: 9, values: [9] })
      yield* send({ _tag: "trial.failed", ...about, trial: 3, message: "no memory" })
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* statuses, ["0 running", "1 running selected"])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* statuses, ["0 running", "1 completed selected", "3 failed"])
      const notes = yield* notesOf(file)
      assert.strictEqual(notes["attune.complete"], "false")
      assert.deepStrictEqual(JSON.parse(notes["attune.space"]!), started.space)
      yield* send({ _tag: "trial.completed", ...about, trial: 2, value: Number.NaN, values: [Number.NaN] })
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(yield* statuses, ["0 running", "1 completed selected", "2 failed", "3 failed"])
      const { rows } = yield* Query.run("select origin, seed, duration_seconds, param_rate, error from trials")
      assert.deepStrictEqual(rows[2], {
        origin: "sampler",
        seed: 0n,
        duration_seconds: null,
        param_rate: 1,
        error: "the objective was NaN"
      })
      yield* tables.check
    })))

  it.effect("report a store that cannot be written to, and let the run end", () =>
    Effect.scoped(Effect.gen(function*() {
      const root = yield* temporaryFolder
      const full = new StoreError({ operation: "write a table", path: "t", reason: "full", detail: "no space left" })
      const failing = Layer.effect(
        Store,
        Effect.map(Store, (store) => Store.of({ ...store, putTable: () => Effect.fail(full) }))
      ).pipe(Layer.provideMerge(layer(root)))
      const error = yield* record(study("search")).pipe(Effect.provide(failing, { local: true }), Effect.flip)
      assert.strictEqual(error, full)
    })))
})

/** A record as far as its lineage goes. */
const fake = (stage: string, key: string, inputs: ReadonlyArray<RunRecord>, output: object): RunRecord => {
  const json = JSON.parse(JSON.stringify({ ...output, id: key })) as Record<string, never>
  return {
    format: 1,
    key,
    stage,
    fingerprint: "1",
    params: {},
    inputs: Object.fromEntries(
      inputs.map((run, i) => [`i${i}`, run.outcome._tag === "success" ? run.outcome.digest : ""])
    ),
    runtime: null,
    outcome: { _tag: "success", output: json, digest: Artifact.digestOf(json) },
    artifacts: Artifact.references(json),
    metrics: null,
    started: "2026-01-01T00:00:00.000Z",
    durationMillis: 1,
    attempts: 1,
    worker: "",
    host: { name: "", platform: "", cpu: "", cores: 1, memory: 1 },
    versions: {}
  }
}

const predictions = (digest: string) => ({
  predictions: {
    $artifact: "table",
    name: "predictions",
    digest,
    sha256: digest,
    bytes: 1,
    rows: 1,
    extension: "parquet"
  }
})

const chosen = (runs: ReadonlyArray<RunRecord>) =>
  Predictions.parts("s", [{
    trial: 0,
    origin: "sampler",
    status: "completed",
    params: {},
    budget: 1,
    value: 1,
    metrics: {},
    feasible: true,
    onFront: false,
    repeats: [],
    error: undefined,
    rungs: [],
    virtualStart: 0,
    virtualFinish: 1,
    runs
  }]).map(({ front }) => front["run"])

describe("Predictions", () => {
  it("leave out those of lower rungs, evaluated apart or by the training stage itself", () => {
    const low = fake("fine-tune", "f0", [], {})
    const high = fake("fine-tune", "f1", [low], {})
    const atLow = fake("evaluate", "e0", [low], predictions("a"))
    const atHigh = fake("evaluate", "e1", [high], predictions("b"))
    assert.deepStrictEqual(chosen([low, atLow, high, atHigh]), ["e1"])
    const first = fake("fine-tune", "f0", [], predictions("a"))
    const second = fake("fine-tune", "f1", [first], predictions("b"))
    assert.deepStrictEqual(chosen([first, second, second]), ["f1"])
  })

  it("keep those of folds, of other stages, and of the model before fine-tuning", () => {
    const folds = [0, 1].map((fold) => fake("fine-tune", `f${fold}`, [], { fold }))
    const scores = folds.map((run, i) => fake("evaluate", `e${i}`, [run], predictions(`p${i}`)))
    assert.deepStrictEqual(chosen([...folds, ...scores]), ["e0", "e1"])
    const base = fake("evaluate", "base", [], predictions("c"))
    const other = fake("evaluate-generation", "g", [folds[0]!], predictions("d"))
    assert.deepStrictEqual(chosen([base, ...folds, scores[0]!, other]), ["base", "e0", "g"])
  })
})
