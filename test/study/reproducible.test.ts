/**
 * The promise of a study, end to end on real training: the same seed gives the
 * same tables at any concurrency, and after any death and resumption.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import * as Query from "../../src/results/Query.ts"
import { Store } from "../../src/store/Store.ts"

const attune = fileURLToPath(new URL("../../src/cli/attune.js", import.meta.url))
const pipeline = fileURLToPath(new URL("../fixtures/study/pipeline.ts", import.meta.url))

const temporary = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "attune-study-"))),
  (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
)

const start = (store: string, concurrency: number): ChildProcess =>
  // A group of its own, so that a kill reaches the workers as well.
  spawn(process.execPath, [attune, "run", pipeline, "--store", store, "--concurrency", String(concurrency)], {
    detached: true,
    stdio: ["ignore", "pipe", "pipe"]
  })

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

const ended = (child: ChildProcess): Effect.Effect<Ended> =>
  Effect.promise(() =>
    new Promise<Ended>((resolve) => {
      let stdout = "", stderr = ""
      child.stdout?.on("data", (chunk: Buffer) => stdout += chunk.toString())
      child.stderr?.on("data", (chunk: Buffer) => stderr += chunk.toString())
      child.on("close", (code) => resolve({ code, stdout, stderr }))
    })
  )

const run = Effect.fnUntraced(function*(store: string, concurrency: number) {
  const result = yield* ended(start(store, concurrency))
  assert.strictEqual(result.code, 0, result.stderr)
  return result
})

/** Everything that equal runs must agree on, in the order of the tables. */
const questions = {
  trials: "select * exclude (duration_seconds) from trials order by trial",
  metrics: "select * exclude (seconds) from metrics order by all",
  predictions: "select * from predictions order by all",
  splits: "select * from splits order by all",
  runs: "select key, stage, fingerprint, params, outcome, output_digest from runs order by key"
}

const contents = Effect.fnUntraced(function*(store: string) {
  const answers: Record<string, ReadonlyArray<unknown>> = {}
  for (const [name, sql] of Object.entries(questions)) {
    answers[name] = (yield* Query.run(sql).pipe(Effect.provide(Store.layer(store), { local: true }))).rows
  }
  return answers
})

const records = (store: string): ReadonlyArray<string> =>
  fs.existsSync(path.join(store, "runs"))
    ? fs.readdirSync(path.join(store, "runs"), { recursive: true, encoding: "utf8" }).filter((file) =>
      file.endsWith(".json")
    )
    : []

/** What a run says it has done. */
const lastLine = (stderr: string): string => stderr.split("\n").find((line) => line.startsWith("Done in")) ?? ""

const modified = (store: string, file: string) => fs.statSync(path.join(store, "runs", file)).mtimeMs

describe("a study", () => {
  it.live("is the same at any concurrency, and after kill -9 at three different moments", () =>
    Effect.gen(function*() {
      const one = yield* temporary, four = yield* temporary, broken = yield* temporary
      const first = yield* run(one, 1)
      const second = yield* run(four, 4)
      assert.strictEqual(second.stdout, first.stdout)
      const expected = yield* contents(one)
      assert.strictEqual(expected["trials"]?.length, 6)
      assert.isAbove(expected["metrics"]!.length, 100)
      assert.isAbove(expected["predictions"]!.length, 50)
      assert.deepStrictEqual(yield* contents(four), expected)

      for (const finished of [3, 7, 12]) {
        const child = start(broken, 2)
        const death = ended(child)
        while (records(broken).length < finished && child.exitCode === null) yield* Effect.sleep("10 millis")
        process.kill(-child.pid!, "SIGKILL")
        yield* death
        const before = new Map(records(broken).map((file) => [file, modified(broken, file)]))
        assert.isAtLeast(before.size, finished)
        assert.isBelow(before.size, records(one).length)
        // What a killed run had finished, no later one does again.
        const next = start(broken, 2)
        const nextDeath = ended(next)
        while (records(broken).length <= before.size && next.exitCode === null) yield* Effect.sleep("10 millis")
        process.kill(-next.pid!, "SIGKILL")
        yield* nextDeath
        for (const [file, time] of before) assert.strictEqual(modified(broken, file), time)
      }
      yield* run(broken, 2)
      assert.deepStrictEqual(yield* contents(broken), expected)

      // A cached rerun runs nothing and changes nothing.
      const again = yield* run(one, 2)
      assert.strictEqual(again.stdout, first.stdout)
      assert.match(again.stderr, /Everything was cached/)
      assert.deepStrictEqual(yield* contents(one), expected)
    }).pipe(Effect.scoped), 240_000)

  it.live("is shared by two processes on one store: each stage runs in one of them", () =>
    Effect.gen(function*() {
      const store = yield* temporary
      const [one, two] = yield* Effect.all([run(store, 2), run(store, 2)], { concurrency: 2 })
      assert.strictEqual(two.stdout, one.stdout)
      // Trials that diverged are among the failed ones; the store remembers them too.
      const ran = [one, two].map(({ stderr }) =>
        [...lastLine(stderr).matchAll(/(\d+) (?:stages? run|failed)\b/g)].reduce(
          (sum, [, count]) => sum + Number(count),
          0
        )
      )
      assert.strictEqual(ran[0]! + ran[1]!, records(store).length)
      // Neither has it all: what one has not begun, the other may take.
      assert.isAbove(Math.min(...ran), 2)
      assert.deepStrictEqual(fs.readdirSync(path.join(store, "locks")), [])
    }).pipe(Effect.scoped), 120_000)
})
