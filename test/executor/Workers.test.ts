import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Layer } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import * as PipelineFile from "../../src/executor/PipelineFile.ts"
import * as Workers from "../../src/executor/Workers.ts"
import { StageDefect, StageUnavailable, WorkerDied } from "../../src/pipeline/Errors.ts"
import type { Executor } from "../../src/pipeline/Executor.ts"
import type { MetricRow } from "../../src/pipeline/Metrics.ts"
import * as Metrics from "../../src/pipeline/Metrics.ts"
import * as Node from "../../src/pipeline/Node.ts"
import * as Pipeline from "../../src/pipeline/Pipeline.ts"
import { type PipelineEvent, Progress } from "../../src/pipeline/Progress.ts"
import * as Artifact from "../../src/store/Artifact.ts"
import type { RunRecord } from "../../src/store/RunRecord.ts"
import { Store } from "../../src/store/Store.ts"
import { Break, Descend, Die, DieOnce, Factor, Fill, Refused, Slow, Square } from "../fixtures/executor/pipeline.ts"
import { tuned } from "../fixtures/executor/training.ts"
import { workersOf } from "./processes.ts"

const file = fileURLToPath(new URL("../fixtures/executor/pipeline.ts", import.meta.url))
const training = fileURLToPath(new URL("../fixtures/executor/training.ts", import.meta.url))

const within = <A, E>(
  body: Effect.Effect<A, E, Store | Factor | Executor>,
  { backend = "wasm", pipeline = file, keptMemory, ...options }:
    & { readonly backend?: string; readonly pipeline?: string; readonly keptMemory?: number }
    & Partial<Workers.Options> = {}
) =>
  Effect.acquireUseRelease(
    Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "attune-workers-"))),
    (store) =>
      body.pipe(
        Effect.provide(Layer.mergeAll(
          Store.layer(store),
          Layer.succeed(Factor, 0),
          Workers.layer({
            cpu: 2,
            ...options,
            setup: {
              pipeline,
              settings: {},
              store,
              backend,
              determinism: "exact",
              ...(keptMemory === undefined ? {} : { keptMemory })
            }
          })
        )),
        Effect.tap(() => Effect.sync(() => assert.deepStrictEqual(workersOf(store), [])))
      ),
    (store) => Effect.sync(() => fs.rmSync(store, { recursive: true, force: true }))
  )

const errorOf = <A, E>(exit: Exit.Exit<A, E>): unknown => Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
const alive = (pid: number) => fs.existsSync(`/proc/${pid}`)

describe("Workers", () => {
  it.live("run stages with tensors in other processes, with the services of the pipeline", () =>
    within(Effect.gen(function*() {
      const [one, two] = yield* Pipeline.run(Node.all([Square({}, { value: 3 }), Square({}, { value: 4 })]))
      // The factor of this process is 0: the worker built the pipeline's own layer.
      assert.deepStrictEqual([one.square, two.square], [90, 160])
      assert.strictEqual(one.backend, "wasm")
      assert.notStrictEqual(one.process, process.pid)
      const store = yield* Store
      const records = yield* store.runs
      assert.strictEqual(records[0]!.runtime?.backend, "wasm")
      const rows: ReadonlyArray<MetricRow> = yield* Artifact.readTable(Metrics.MetricRow, {
        $artifact: "table",
        ...records.find((record) => (record.params as { readonly value: number }).value === 3)!.metrics!,
        rows: 3,
        extension: "parquet"
      })
      assert.deepStrictEqual(rows.map(({ name, step, value }) => [step, name, value]), [
        [1, "loss", 90],
        [2, "loss", 45],
        [3, "loss", 30]
      ])
      // Workers are reused: eight jobs, two processes.
      const more = yield* Pipeline.run(Node.all([5, 6, 7, 8, 9, 10, 11, 12].map((value) => Square({}, { value }))))
      assert.isAtMost(new Set(more.map((result) => result.process)).size, 2)
    })))

  it.live("give declared errors back with their types", () =>
    within(Effect.gen(function*() {
      const exit = yield* Effect.exit(Pipeline.run(Square({}, { value: -1 })))
      assert.instanceOf(errorOf(exit), Refused)
    })))

  it.live("make the death of a worker the error of its job alone", () =>
    within(Effect.gen(function*() {
      const [dead, fine] = yield* Effect.all([
        Effect.exit(Pipeline.run(Die({}))),
        Effect.exit(Pipeline.run(Square({}, { value: 2 })))
      ], { concurrency: "unbounded" })
      const error = errorOf(dead)
      assert.instanceOf(error, WorkerDied)
      assert.match((error as WorkerDied).message, /SIGKILL.*about to run out of memory/)
      assert.isTrue(Exit.isSuccess(fine))
    })))

  it.live("are replaced when they die, for stages that may be tried again", () =>
    within(Effect.gen(function*() {
      const { root } = yield* Store
      assert.strictEqual(yield* Pipeline.run(DieOnce({}, { marker: path.join(root, "marker") })), 1)
      const record = (yield* (yield* Store).runs)[0]
      assert.strictEqual(record?.attempts, 2)
    })))

  it.live("end with their driver's interest in them", () =>
    within(Effect.gen(function*() {
      const pids: Array<number> = []
      const watch = (event: PipelineEvent) =>
        Effect.sync(() => {
          if (event._tag === "stage.progress") pids.push(event.progress.values["pid"]!)
        })
      const fiber = yield* Effect.forkChild(Pipeline.run(Slow({})).pipe(Effect.provideService(Progress, watch)))
      while (pids.length === 0) yield* Effect.sleep("20 millis")
      assert.isTrue(alive(pids[0]!))
      yield* Fiber.interrupt(fiber)
      for (let waited = 0; alive(pids[0]!) && waited < 200; waited++) yield* Effect.sleep("10 millis")
      assert.isFalse(alive(pids[0]!))
    })))

  it.live("leave no process and no growth behind after forty trials", () =>
    within(Effect.gen(function*() {
      const { root } = yield* Store
      let most = 0
      const watch = () =>
        Effect.sync(() => {
          most = Math.max(most, workersOf(root).length)
        })
      const held = yield* Pipeline.run(
        Node.all(Array.from({ length: 40 }, (_, trial) => Descend({}, { trial })))
      ).pipe(Effect.provideService(Progress, watch))
      assert.isAtLeast(most, 1)
      assert.isAtMost(most, 2)
      const byProcess = Map.groupBy(held, (trial) => trial.process)
      assert.isAtMost(byProcess.size, 2)
      for (const trials of byProcess.values()) {
        for (const trial of trials) assert.deepStrictEqual(trial, trials[0])
      }
      // That none is left when the scope is closed is checked by `within`.
    })), 60_000)

  it.live("are replaced when a stage broke in them or left much memory in use, and only then", () =>
    within(
      Effect.gen(function*() {
        const pid = (bytes: number) => Pipeline.run(Fill({}, { bytes }))
        const first = yield* pid(4_000)
        assert.strictEqual(yield* pid(8_000), first)
        assert.strictEqual(yield* pid(2 ** 28), first)
        const second = yield* pid(12_000)
        assert.notStrictEqual(second, first)
        const broken = errorOf(yield* Effect.exit(Pipeline.run(Break({}))))
        assert.instanceOf(broken, StageDefect)
        assert.include((broken as StageDefect).message, `out of bounds in process ${second}`)
        assert.notStrictEqual(yield* pid(16_000), second)
      }),
      { cpu: 1, keptMemory: 2 ** 27 }
    ))

  it.live("give a device to one stage at a time", () =>
    within(
      Effect.gen(function*() {
        const held = yield* Pipeline.run(Node.all([1, 2, 3, 4].map((trial) => Descend({}, { trial }))))
        assert.strictEqual(new Set(held.map((trial) => trial.process)).size, 1)
      }),
      { cpu: 4, devices: [0] }
    ))

  it.live("refuse to compute with anything but what the results are kept under", () =>
    within(
      Effect.gen(function*() {
        const error = errorOf(yield* Effect.exit(Pipeline.run(Square({}, { value: 3 }))))
        assert.instanceOf(error, StageUnavailable)
        assert.match((error as StageUnavailable).message, /computes with wasm .* kept as of wasm on another GPU/)
        assert.deepStrictEqual(yield* (yield* Store).runs, [])
      }),
      { runtime: { backend: "wasm", version: "on another GPU", determinism: "exact" } }
    ))

  it.live(
    "cost a fine-tuning run one attempt when they are killed in mid-step, and not its result",
    () =>
      Effect.gen(function*() {
        const run = (disturb: (root: string, event: PipelineEvent) => void) =>
          within(
            Effect.gen(function*() {
              const store = yield* Store
              const steps = yield* Effect.map(
                Pipeline.run(tuned).pipe(
                  Effect.provideService(Progress, (event) => Effect.sync(() => disturb(store.root, event)))
                ),
                (result) => result.steps
              )
              const record = (yield* store.runs).find(({ stage }) => stage === "fine-tune")!
              return { steps, record }
            }),
            { pipeline: training, cpu: 1 }
          )
        const killed: Array<number> = []
        const disturbed = yield* run((root, event) => {
          if (event._tag !== "stage.progress" || event.progress.step < 3 || killed.length > 0) return
          killed.push(...workersOf(root))
          for (const pid of killed) process.kill(pid, "SIGKILL")
        })
        const undisturbed = yield* run(() => {})
        assert.strictEqual(killed.length, 1)
        assert.deepStrictEqual([disturbed.record.attempts, undisturbed.record.attempts], [2, 1])
        assert.strictEqual(disturbed.steps, 24)
        const digest = ({ outcome }: RunRecord) => outcome._tag === "success" ? outcome.digest : undefined
        assert.isString(digest(undisturbed.record))
        assert.strictEqual(digest(disturbed.record), digest(undisturbed.record))
        assert.strictEqual(disturbed.record.key, undisturbed.record.key)
        // The steps of the attempt that was killed are not counted twice.
        assert.strictEqual(disturbed.record.metrics?.rows, undisturbed.record.metrics?.rows)
      }),
    60_000
  )

  it.live("say why they cannot start", () =>
    Effect.gen(function*() {
      const noBackend = errorOf(
        yield* Effect.exit(within(Pipeline.run(Square({}, { value: 1 })), { backend: "tensorflow" }))
      )
      assert.instanceOf(noBackend, StageUnavailable)
      assert.match((noBackend as StageUnavailable).message, /tensorflow/)
      const noFile = errorOf(
        yield* Effect.exit(within(Pipeline.run(Square({}, { value: 1 })), { pipeline: "/nowhere/pipeline.ts" }))
      )
      assert.match((noFile as StageUnavailable).message, /no such file/)
    }))
})

describe("PipelineFile", () => {
  const load = (text: string) =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        const folder = fs.mkdtempSync(path.join(os.tmpdir(), "attune-pipeline-"))
        fs.writeFileSync(path.join(folder, "pipeline.ts"), text)
        return folder
      }),
      (folder) => PipelineFile.load(path.join(folder, "pipeline.ts")).pipe(Effect.flip),
      (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
    )

  it.live("names the file, the line and what is wrong", () =>
    Effect.gen(function*() {
      assert.match((yield* load("export const node = 1\n")).message, /pipeline\.ts: .*no default export/)
      assert.match((yield* load("export default 1\n")).message, /its default export is something else/)
      assert.match((yield* load("\n\nthrow new Error(\"no luck\")\n")).message, /line 3: no luck/)
      assert.match((yield* load("export default (\n")).message, /does not load/)
      assert.match((yield* PipelineFile.load("missing.ts").pipe(Effect.flip)).message, /no such file/)
      assert.match(
        (yield* PipelineFile.load("README.md").pipe(Effect.flip)).message,
        /no such file|TypeScript or JavaScript/
      )
    }))
})
