import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Ref, Schema } from "effect"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Artifact from "../../src/store/Artifact.ts"
import * as Key from "../../src/store/Key.ts"
import type { RunRecord } from "../../src/store/RunRecord.ts"
import { Store } from "../../src/store/Store.ts"
import { StoreError } from "../../src/store/StoreError.ts"

const temporary = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "attune-store-"))),
  (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
)

/** Runs an effect against a store in a folder; each call opens the store anew. */
const at = (root: string) => <A, E>(effect: Effect.Effect<A, E, Store>) =>
  Effect.provide(effect, Store.layer(root), { local: true })

const use = <A, E>(f: (store: Store["Service"]) => Effect.Effect<A, E, Store>) => Effect.flatMap(Store, f)

const record = (params: Schema.Json, output: Schema.Json = { loss: 1 }): RunRecord => {
  const components = { stage: "toy", fingerprint: "f", params, inputs: {}, runtime: null }
  return {
    format: 1,
    ...components,
    key: Key.make(components),
    outcome: { _tag: "success", output, digest: Artifact.digestOf(output) },
    artifacts: Artifact.references(output),
    metrics: null,
    started: "2026-01-01T00:00:00.000Z",
    durationMillis: 1,
    attempts: 1,
    worker: "process 1",
    host: { name: "host", platform: "linux x64", cpu: "cpu", cores: 2, memory: 1 },
    versions: { attune: "0.1.0" }
  }
}

const everyFile = (root: string) =>
  fs.readdirSync(root, { recursive: true, encoding: "utf8" }).filter((file) =>
    fs.statSync(path.join(root, file)).isFile()
  )

describe("Store", () => {
  it.effect("keeps objects by content, once, and verifies them on read", () =>
    Effect.gen(function*() {
      const root = yield* temporary
      const bytes = Buffer.from("weights")
      const address = yield* use((store) => store.putObject(bytes, "bin")).pipe(at(root))
      const again = yield* use((store) => store.putObject(bytes, "bin")).pipe(at(root))
      assert.deepStrictEqual(again, address)
      assert.deepStrictEqual(Buffer.from(yield* use((store) => store.getObject(address)).pipe(at(root))), bytes)
      const file = path.join(root, "objects", address.sha256.slice(0, 2), `${address.sha256}.bin`)
      fs.writeFileSync(file, "weighty")
      const error = yield* use((store) => store.getObject(address)).pipe(at(root), Effect.flip)
      assert.strictEqual(error.reason, "corrupt")
      assert.match(error.message, /does not match its SHA-256.*quarantine/)
      // The damaged file is out of the way, and its content can be stored anew.
      assert.isFalse(yield* use((store) => store.hasObject(address)).pipe(at(root)))
      yield* use((store) => store.putObject(bytes, "bin")).pipe(at(root))
      assert.isTrue(yield* use((store) => store.hasObject(address)).pipe(at(root)))
    }))

  it.effect("gives records back as they were, and the first of a key stays", () =>
    Effect.gen(function*() {
      const root = yield* temporary
      const first = record({ rate: 0.1, text: "é\u0000 \"quoted\"\n" })
      assert.deepStrictEqual(yield* use((store) => store.putRun(first)).pipe(at(root)), first)
      const second = { ...first, durationMillis: 99 }
      assert.deepStrictEqual(yield* use((store) => store.putRun(second)).pipe(at(root)), first)
      assert.deepStrictEqual(yield* use((store) => store.getRun(first.key)).pipe(at(root)), first)
      assert.isUndefined(yield* use((store) => store.getRun("0".repeat(64))).pipe(at(root)))
      yield* use((store) => store.putRun(record({ rate: 0.2 }))).pipe(at(root))
      assert.strictEqual((yield* use((store) => store.runs).pipe(at(root))).length, 2)
    }))

  it.effect("treats a record with any byte flipped as never written, and says nothing wrong", () =>
    Effect.gen(function*() {
      const root = yield* temporary
      const original = record({ rate: 0.1 })
      yield* use((store) => store.putRun(original)).pipe(at(root))
      const file = path.join(root, "runs", original.key.slice(0, 2), `${original.key}.json`)
      const bytes = fs.readFileSync(file)
      for (let position = 0; position < bytes.length; position += 37) {
        const damaged = Buffer.from(bytes)
        damaged[position]! ^= 0x20
        fs.writeFileSync(file, damaged)
        assert.isUndefined(yield* use((store) => store.getRun(original.key)).pipe(at(root)))
        assert.isFalse(fs.existsSync(file))
      }
      fs.writeFileSync(file, bytes.subarray(0, bytes.length >> 1))
      assert.isUndefined(yield* use((store) => store.getRun(original.key)).pipe(at(root)))
      fs.writeFileSync(file, bytes)
      assert.deepStrictEqual(yield* use((store) => store.getRun(original.key)).pipe(at(root)), original)
    }))

  it.effect("writes nothing outside its folder and leaves no temporary file behind", () =>
    Effect.gen(function*() {
      const parent = yield* temporary
      const root = path.join(parent, "store")
      yield* use((store) =>
        Effect.gen(function*() {
          yield* store.putObject(Buffer.from("a"), "bin")
          yield* store.putRun(record({}))
          yield* store.putTable("runs.parquet", Buffer.from("b"))
          const log = yield* store.openLog("key")
          log.append("line\n")
          log.close()
        })
      ).pipe(at(root))
      assert.deepStrictEqual(fs.readdirSync(parent), ["store"])
      assert.deepStrictEqual(everyFile(path.join(root, "tmp")), [])
      assert.strictEqual(fs.readFileSync(path.join(root, ".gitignore"), "utf8"), "*\n")
    }))

  it.effect("only reads where nothing is written", () =>
    Effect.gen(function*() {
      const parent = yield* temporary
      const root = path.join(parent, "store")
      yield* use((store) => Effect.all([store.getRun("00"), store.runs, store.tables])).pipe(at(root))
      assert.deepStrictEqual(fs.readdirSync(parent), [])
    }))

  it.effect("says what is wrong with a folder it cannot write to", () =>
    Effect.gen(function*() {
      const parent = yield* temporary
      fs.writeFileSync(path.join(parent, "file"), "")
      const error = yield* use((store) => store.checkWritable).pipe(at(path.join(parent, "file", "store")), Effect.flip)
      assert.instanceOf(error, StoreError)
      assert.match(error.message, /a file stands where a folder should be/)
    }))

  it.effect("refuses a folder of a later format, and leaves it alone", () =>
    Effect.gen(function*() {
      const root = yield* temporary
      fs.writeFileSync(path.join(root, "format.json"), "{ \"format\": 7 }\n")
      const error = yield* use((store) => store.putRun(record({}))).pipe(at(root), Effect.flip)
      assert.match(error.message, /has format 7, and this version of Attune reads format 1/)
      assert.deepStrictEqual(fs.readdirSync(root), ["format.json"])
    }))

  it.live("lets one at a time hold a key, among fibers and processes", () =>
    Effect.gen(function*() {
      const root = yield* temporary
      const inside = yield* Ref.make(0)
      const most = yield* Ref.make(0)
      const hold = use((store) =>
        Effect.scoped(Effect.gen(function*() {
          while (!(yield* store.claim("key"))) yield* Effect.sleep("2 millis")
          const now = yield* Ref.updateAndGet(inside, (n) => n + 1)
          yield* Ref.update(most, (n) => Math.max(n, now))
          yield* Effect.sleep("5 millis")
          yield* Ref.update(inside, (n) => n - 1)
        }))
      )
      yield* Effect.all([hold.pipe(at(root)), hold.pipe(at(root)), hold.pipe(at(root))], { concurrency: "unbounded" })
      assert.strictEqual(yield* Ref.get(most), 1)
      // A live process that holds the lock is waited for; once it is dead, its lock is taken over.
      const other = spawn("sleep", ["60"])
      const stat = () => fs.readFileSync(`/proc/${other.pid}/stat`, "utf8")
      const started = stat().slice(stat().lastIndexOf(")") + 2).split(" ")[19]
      fs.mkdirSync(path.join(root, "locks"), { recursive: true })
      fs.writeFileSync(
        path.join(root, "locks", "key"),
        JSON.stringify({ host: os.hostname(), pid: other.pid, started, token: "theirs" })
      )
      const waiting = yield* Effect.forkChild(hold.pipe(at(root)))
      yield* Effect.sleep("150 millis")
      assert.strictEqual(waiting.pollUnsafe(), undefined)
      other.kill("SIGKILL")
      yield* Fiber.join(waiting)
      assert.deepStrictEqual(fs.readdirSync(path.join(root, "locks")), [])
    }).pipe(Effect.scoped))
})

describe("Artifact", () => {
  const Row = Schema.Struct({ text: Schema.String, value: Schema.Number })

  it.effect("stores tables and files and reads them back", () =>
    Effect.gen(function*() {
      const rows = [{ text: "a", value: 1 }, { text: "é", value: NaN }, { text: "", value: -0 }]
      const table = yield* Artifact.writeTable("numbers", Row, rows)
      assert.strictEqual(table.rows, 3)
      assert.deepStrictEqual(yield* Artifact.readTable(Row, table), rows)
      const file = yield* Artifact.writeFile("model.safetensors", Buffer.from("weights"))
      assert.strictEqual(file.extension, "safetensors")
      assert.strictEqual(Buffer.from(yield* Artifact.readFile(file)).toString(), "weights")
    }).pipe(Effect.provide(Store.layerMemory)))

  it.effect("counts an artifact by its content, wherever it stands in an output", () =>
    Effect.gen(function*() {
      const table = yield* Artifact.writeTable("numbers", Row, [{ text: "a", value: 1 }])
      const same = yield* Artifact.writeTable("renamed", Row, [{ text: "a", value: 1 }])
      const other = yield* Artifact.writeTable("numbers", Row, [{ text: "a", value: 2 }])
      const output = (handle: typeof table) => ({ nested: [{ handle: handle as unknown as Schema.Json }], loss: 1 })
      const recompressed = { ...table, sha256: "0".repeat(64), bytes: 1 }
      assert.strictEqual(Artifact.digestOf(output(same)), Artifact.digestOf(output(table)))
      assert.strictEqual(Artifact.digestOf(output(recompressed)), Artifact.digestOf(output(table)))
      assert.notStrictEqual(Artifact.digestOf(output(other)), Artifact.digestOf(output(table)))
      assert.deepStrictEqual(Artifact.references(output(table)).map(({ field, rows }) => [field, rows]), [
        ["nested.0.handle", 1]
      ])
    }).pipe(Effect.provide(Store.layerMemory)))
})
