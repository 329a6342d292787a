import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Hub from "../../src/model/Hub.ts"
import * as FakeHub from "./FakeHub.ts"
import { below, elsewhere, model, noise, noiseOnTheWay, offline, session, sha256 } from "./HubSession.ts"

describe("a download from the hub", () => {
  it.live("goes on where a connection broke, in the same run and in the next", () =>
    Effect.gen(function*() {
      const { cache, hub, read } = yield* session
      const weights = noise(400_000)
      hub.repositories.set("org/name", { revisions: { main: model(weights) } })
      hub.troubles.set("model.safetensors", { cuts: [100_000, 150_000] })
      const files = yield* read(Hub.model("org/name"))
      assert.strictEqual(files.find(({ name }) => name === "model.safetensors")?.digest, sha256(weights))
      const ranges = () => hub.requests.filter(({ server }) => server === "storage").map(({ range }) => range)
      assert.deepStrictEqual(ranges(), [undefined, "bytes=100000-", "bytes=250000-"])
      // Now it breaks so often that the run gives up.
      fs.rmSync(cache, { recursive: true })
      hub.requests.length = 0
      hub.troubles.set("model.safetensors", { cuts: [50_000, 10, 10, 10, 10] })
      const error = yield* Effect.flip(read(Hub.model("org/name")))
      assert.deepInclude(error, { _tag: "HubUnreachable", missing: ["model.safetensors"] })
      assert.match(error.message, /connection broke/)
      hub.requests.length = 0
      assert.lengthOf(yield* read(Hub.model("org/name")), 5)
      assert.deepStrictEqual(ranges(), ["bytes=50040-"])
    }))

  it.live("begins anew where a server knows no ranges", () =>
    Effect.gen(function*() {
      const { hub, read } = yield* session
      hub.troubles.set("model.safetensors", { cuts: [2000], whole: true })
      const files = yield* read(Hub.model("org/name"))
      assert.strictEqual(files.find(({ name }) => name === "model.safetensors")?.digest, sha256(noise(5000)))
    }))

  it.live("refuses bytes that are not those the hub promised, and keeps none of them", () =>
    Effect.gen(function*() {
      const { cache, hub, read } = yield* session
      for (const name of ["model.safetensors", "config.json"]) {
        const right = model()[name as keyof ReturnType<typeof model>]
        hub.troubles.set(name, { instead: noise(right.length, 3) })
        const error = yield* Effect.flip(read(Hub.model("org/name")))
        assert.deepInclude(error, { _tag: "HubCorrupt", file: name })
        assert.match(error.message, /digest/)
        hub.troubles.set(name, { instead: noise(right.length + 1, 3) })
        assert.deepInclude(yield* Effect.flip(read(Hub.model("org/name"))), { _tag: "HubCorrupt", file: name })
        hub.troubles.delete(name)
        assert.isFalse(below(cache).some((file) => file.startsWith("snapshots") && file.endsWith(`/${name}`)))
        // A part that was wrong does not spoil what comes after.
        fs.rmSync(cache, { recursive: true })
        hub.troubles.set(name, { instead: noise(right.length, 3), cuts: [2, 2, 2, 2, 2] })
        assert.strictEqual((yield* Effect.flip(read(Hub.model("org/name"))))._tag, "HubUnreachable")
        hub.troubles.delete(name)
        assert.lengthOf(yield* read(Hub.model("org/name")), 5)
        fs.rmSync(cache, { recursive: true })
      }
    }))

  it.live("finds damage in the cache and mends it; without a connection it says what to remove", () =>
    Effect.gen(function*() {
      const { cache, log, read } = yield* session
      const before = yield* read(Hub.model("org/name"))
      const blob = path.join(cache, "blobs", sha256(noise(5000)))
      fs.writeFileSync(blob, noise(5000, 2))
      const error = yield* Effect.flip(read(Hub.model("org/name"), offline))
      assert.deepInclude(error, { _tag: "HubCorrupt", file: "model.safetensors" })
      assert.match(error.message, /remove .*model\.safetensors/)
      assert.deepStrictEqual(yield* read(Hub.model("org/name")), before)
      assert.match(log.join(), /damaged/)
      assert.strictEqual(sha256(fs.readFileSync(blob)), path.basename(blob))
      fs.truncateSync(blob, 4000)
      assert.deepInclude(yield* Effect.flip(read(Hub.model("org/name"), offline)), {
        _tag: "HubUnreachable",
        missing: ["model.safetensors"]
      })
      assert.deepStrictEqual(yield* read(Hub.model("org/name")), before)
    }))

  it.live("waits for a hub that is busy", () =>
    Effect.gen(function*() {
      const { hub, read } = yield* session
      hub.troubles.set("/api/models/org/name/revision/main", { statuses: [[429, { "Retry-After": "0" }], [503]] })
      hub.troubles.set("model.safetensors", { statuses: [[500], [502], [429]] })
      hub.troubles.set("config.json", { statuses: [[504]] })
      assert.lengthOf(yield* read(Hub.model("org/name")), 5)
      hub.troubles.set("/api/models/org/other/revision/main", { statuses: Array.from({ length: 9 }, () => [503]) })
      const error = yield* Effect.flip(read(Hub.model("org/other")))
      assert.strictEqual(error._tag, "HubUnreachable")
      assert.match(error.message, /status 503.*hf download org\/other.*Source\.folder/)
    }))

  it.live("downloads a file once for all fibers that want it", () =>
    Effect.gen(function*() {
      const { hub, read } = yield* session
      const weights = noise(2_000_000)
      hub.repositories.set("org/name", { revisions: { main: model(weights) } })
      const all = yield* Effect.all(Array.from({ length: 4 }, () => read(Hub.model("org/name"))), {
        concurrency: "unbounded"
      })
      for (const files of all) assert.deepStrictEqual(files, all[0])
      assert.lengthOf(hub.requests.filter(({ server }) => server === "storage"), 1)
    }))

  it.live("lets two processes and this one download the same at once", () =>
    Effect.gen(function*() {
      const { cache, hub, read, variables } = yield* session
      const weights = noise(3_000_000)
      hub.repositories.set("org/name", { revisions: { main: model(weights) } })
      // Each connection breaks once, so that whoever goes on must not mix up what others wrote.
      hub.troubles.set("model.safetensors", { cuts: [1_000_000, 1_000_000] })
      const [first, second, mine] = yield* Effect.all([
        elsewhere(variables, "model.safetensors"),
        elsewhere(variables, "model.safetensors"),
        read(Hub.model("org/name", { files: ["model.safetensors"] }))
      ], { concurrency: "unbounded" })
      assert.deepStrictEqual(first.found, mine)
      assert.deepStrictEqual(second.found, mine)
      assert.strictEqual(sha256(fs.readFileSync(mine[0]!.path)), sha256(weights))
      assert.isFalse(below(cache).some((file) => file.includes("incomplete")))
    }))

  it.live("streams a large file to disk without holding it", () =>
    Effect.gen(function*() {
      const { hub, variables } = yield* session
      const weights = noiseOnTheWay(128_000_000)
      hub.repositories.set("org/name", { revisions: { main: model(weights) } })
      const { found, grown } = yield* elsewhere(variables, "model.safetensors")
      assert.strictEqual(found[0]?.digest, FakeHub.sha256(weights))
      // Much less than the file: a part of it at a time, and what the process had to collect.
      assert.isBelow(grown, 24_000_000)
    }))

  it.live("says which folder of the cache cannot be written", () =>
    Effect.gen(function*() {
      const { home, read } = yield* session
      fs.writeFileSync(path.join(home, "file"), "")
      const error = yield* Effect.flip(read(Hub.model("org/name"), { HF_HUB_CACHE: path.join(home, "file") }))
      assert.strictEqual(error._tag, "HubCacheError")
      assert.match(error.message, /HF_HUB_CACHE/)
    }))
})
