import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Local from "../../src/executor/Local.ts"
import * as Hub from "../../src/model/Hub.ts"
import { LoadModel } from "../../src/model/LoadModel.ts"
import * as Safetensors from "../../src/model/Safetensors.ts"
import { CodeIdentity } from "../../src/pipeline/Code.ts"
import * as Pipeline from "../../src/pipeline/Pipeline.ts"
import { Store } from "../../src/store/Store.ts"
import * as FakeHub from "./FakeHub.ts"
import { below, model, names, noise, offline, session, sha256 } from "./HubSession.ts"

describe("Hub", () => {
  it.live("brings the files that a model is read from, and puts them where Python looks for them", () =>
    Effect.gen(function*() {
      const { cache, hub, read } = yield* session
      const files = yield* read(Hub.model("org/name"))
      assert.deepStrictEqual(names(files), [
        "chat_template.jinja",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json"
      ])
      for (const { bytes, digest, name, path } of files) {
        const content = fs.readFileSync(path)
        assert.strictEqual(bytes, content.length)
        assert.strictEqual(digest, sha256(content), name)
      }
      const commit = FakeHub.commitOf(model())
      assert.strictEqual(fs.readFileSync(path.join(cache, "refs/main"), "utf8"), commit)
      const place = path.join(cache, "snapshots", commit, "model.safetensors")
      assert.strictEqual(fs.readlinkSync(place), `../../blobs/${sha256(noise(5000))}`)
      assert.deepStrictEqual(below(path.join(cache, "blobs")).filter((file) => file.includes("incomplete")), [])
      // What is there already is asked for no more: only whether main is still that commit.
      hub.requests.length = 0
      assert.deepStrictEqual(yield* read(Hub.model("org/name")), files)
      assert.deepStrictEqual(hub.requests.map(({ path }) => path.split("?")[0]), ["/api/models/org/name/revision/main"])
      hub.requests.length = 0
      assert.deepStrictEqual(yield* read(Hub.model("org/name", { revision: commit })), files)
      assert.deepStrictEqual(hub.requests, [])
    }))

  it.live("uses what Python downloaded, with and without its list of files", () =>
    Effect.gen(function*() {
      const { cache, hub, read } = yield* session
      const content = model()
      const commit = FakeHub.commitOf(content)
      for (
        const [name, bytes] of Object.entries({
          "config.json": content["config.json"],
          "model.safetensors": noise(5000)
        })
      ) {
        const git = createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex")
        const blob = name === "config.json" ? git : sha256(bytes)
        fs.mkdirSync(path.join(cache, "blobs"), { recursive: true })
        fs.mkdirSync(path.join(cache, "snapshots", commit), { recursive: true })
        fs.writeFileSync(path.join(cache, "blobs", blob), bytes)
        fs.symlinkSync(`../../blobs/${blob}`, path.join(cache, "snapshots", commit, name))
      }
      fs.mkdirSync(path.join(cache, "refs"))
      fs.writeFileSync(path.join(cache, "refs/main"), commit)
      assert.deepStrictEqual(names(yield* read(Hub.model("org/name"), offline)), ["config.json", "model.safetensors"])
      assert.deepStrictEqual(hub.requests, [])
      assert.lengthOf(yield* read(Hub.model("org/name")), 5)
      assert.deepStrictEqual(
        hub.requests.map(({ path }) => path).filter((path) => path.includes("/resolve/")).map((path) =>
          path.slice(path.lastIndexOf("/") + 1)
        ).toSorted(),
        ["chat_template.jinja", "tokenizer.json", "tokenizer_config.json"]
      )
    }))

  it.live("says what the hub has when it has not what was asked for", () =>
    Effect.gen(function*() {
      const { hub, read } = yield* session
      const repository = yield* Effect.flip(read(Hub.model("org/nmae")))
      assert.deepInclude(repository, { _tag: "HubNotFound", what: "repository", id: "org/nmae" })
      assert.match(repository.message, /private.*HF_TOKEN/)
      hub.repositories.set("org/name", { revisions: { main: model(), "v1.0": model() } })
      const revision = yield* Effect.flip(read(Hub.model("org/name", { revision: "v2.0" })))
      assert.deepInclude(revision, { _tag: "HubNotFound", what: "revision", exists: ["main", "v1.0"] })
      assert.match(revision.message, /"v2\.0".*main, v1\.0/)
      hub.repositories.set("org/pickle", { revisions: { main: { "config.json": "{}", "pytorch_model.bin": "x" } } })
      const file = yield* Effect.flip(read(Hub.model("org/pickle")))
      assert.deepInclude(file, { _tag: "HubNotFound", what: "file", exists: ["pytorch_model.bin"] })
      assert.match(file.message, /refs\/pr/)
      const pattern = yield* Effect.flip(read(Hub.model("org/name", { files: ["*.gguf"] })))
      assert.deepInclude(pattern, { _tag: "HubNotFound", what: "file" })
      for (const id of ["", "../x", "a/b/c", "a--b", "/etc", "a b", "https://huggingface.co/org/name"]) {
        assert.deepInclude(yield* Effect.flip(read(Hub.model(id))), { _tag: "HubNotFound", what: "repository" })
      }
      for (const revision of ["../../x", "", "-x", "a\nb"]) {
        const error = yield* Effect.flip(read(Hub.model("org/name", { revision })))
        assert.deepInclude(error, { _tag: "HubNotFound", what: "revision" })
      }
    }))

  it.live("says how to be let in", () =>
    Effect.gen(function*() {
      const { hub, read } = yield* session
      const token = "hf_right"
      hub.repositories.set("org/gated", { revisions: { main: model() }, token, gated: true })
      const gated = yield* Effect.flip(read(Hub.model("org/gated")))
      assert.deepInclude(gated, { _tag: "HubUnauthorized", reason: "gated", token: false })
      assert.include(gated.message, `${hub.endpoint}/org/gated`)
      const wrong = yield* Effect.flip(read(Hub.model("org/gated"), { HF_TOKEN: "hf_wrong" }))
      assert.deepInclude(wrong, { _tag: "HubUnauthorized", reason: "invalid-token" })
      hub.repositories.set("org/asked", { revisions: { main: model() }, gated: true })
      const asked = yield* Effect.flip(read(Hub.model("org/asked"), { HF_TOKEN: "hf_other" }))
      assert.deepInclude(asked, { _tag: "HubUnauthorized", reason: "gated", token: true })
      assert.lengthOf(yield* read(Hub.model("org/gated"), { HF_TOKEN: token }), 5)
    }))

  it.live("takes the token from the file that `hf auth login` writes", () =>
    Effect.gen(function*() {
      const { home, hub, read } = yield* session
      hub.repositories.set("org/private", { revisions: { main: model() }, token: "any-text" })
      fs.writeFileSync(path.join(home, "token"), "any-text\n")
      assert.lengthOf(yield* read(Hub.model("org/private")), 5)
      fs.rmSync(path.join(home, "hub"), { recursive: true })
      const silent = yield* Effect.flip(read(Hub.model("org/private"), { HF_HUB_DISABLE_IMPLICIT_TOKEN: "1" }))
      assert.strictEqual(silent._tag, "HubNotFound")
    }))

  it.live("keeps the token to itself", () =>
    Effect.gen(function*() {
      const { home, hub, log, read } = yield* session
      const secret = "hf_s3cr3tS3cr3tS3cr3t"
      const told: Array<string> = []
      const tell = (error: { readonly message: string; readonly stack?: string }) =>
        told.push(JSON.stringify(error), error.message, String(error.stack), String(error))
      hub.repositories.set("org/name", { revisions: { main: model() }, token: secret })
      const node = Hub.model("org/name")
      const files = yield* read(node, { HF_TOKEN: secret })
      tell(yield* Effect.flip(read(node, { HF_TOKEN: `${secret}x`, HF_HUB_CACHE: path.join(home, "other") })))
      for (const broken of [`${secret}\u0000`, `${secret}é`, `${secret}\nX: y`]) {
        tell(yield* Effect.flip(read(node, { HF_TOKEN: broken, HF_HUB_CACHE: path.join(home, "other") })))
      }
      hub.troubles.set("model.safetensors", { statuses: Array.from({ length: 9 }, () => [500]) })
      tell(yield* Effect.flip(read(node, { HF_TOKEN: secret, HF_HUB_CACHE: path.join(home, "third") })))
      tell(yield* Effect.flip(read(Hub.model("org/nothing"), { HF_TOKEN: secret })))
      tell(yield* Effect.flip(read(Hub.model("org/other"), { HF_TOKEN: secret, HF_ENDPOINT: "http://localhost:2" })))
      tell(
        yield* Effect.flip(
          read(Hub.model("org/other"), { HF_ENDPOINT: `http://user:${secret}@localhost:2`, HF_TOKEN: secret })
        )
      )
      const stored = below(home).map((file) => {
        const at = path.join(home, file)
        return fs.existsSync(at) ? fs.readFileSync(at, "latin1") : ""
      })
      for (const text of [...told, ...log, ...stored, JSON.stringify(files), JSON.stringify(node)]) {
        assert.notInclude(text, "s3cr3t")
        assert.notInclude(text, "secret-signature")
      }
      assert.isTrue(hub.requests.some(({ server, token }) => server === "hub" && token === `Bearer ${secret}`))
      // The storage behind a redirect is somebody else.
      for (const { server, token } of hub.requests) if (server === "storage") assert.isUndefined(token)
    }))

  it.live("works without a connection when the files are there, and says so", () =>
    Effect.gen(function*() {
      const { cache, hub, log, read } = yield* session
      const nothing = yield* Effect.flip(read(Hub.model("org/name"), offline))
      assert.deepInclude(nothing, { _tag: "HubUnreachable", missing: [], cache })
      assert.match(nothing.message, /HF_HUB_OFFLINE.*hf download org\/name/)
      assert.deepStrictEqual(hub.requests, [])
      const files = yield* read(Hub.model("org/name"))
      hub.requests.length = 0
      assert.deepStrictEqual(yield* read(Hub.model("org/name"), offline), files)
      assert.deepStrictEqual(hub.requests, [])
      assert.match(log.at(-1)!, /from the cache.*HF_HUB_OFFLINE/)
      // No such port: as without a network.
      assert.deepStrictEqual(yield* read(Hub.model("org/name"), { HF_ENDPOINT: "http://localhost:2" }), files)
      assert.match(log.at(-1)!, /refuses the connection.*from the cache/)
      const commit = FakeHub.commitOf(model())
      fs.rmSync(path.join(cache, "snapshots", commit, "tokenizer.json"))
      fs.rmSync(path.join(cache, "snapshots", commit, "model.safetensors"))
      fs.rmSync(path.join(cache, "blobs"), { recursive: true })
      const some = yield* Effect.flip(read(Hub.model("org/name"), offline))
      assert.strictEqual(some._tag, "HubUnreachable")
      if (some._tag !== "HubUnreachable") return
      assert.includeMembers([...some.missing], ["tokenizer.json", "model.safetensors"])
      const unknown = yield* Effect.flip(read(Hub.model("org/name", { revision: "v9" }), offline))
      assert.strictEqual(unknown._tag, "HubUnreachable")
    }))

  it.live("follows a branch to its new commit, and stays with the old one if that cannot be had", () =>
    Effect.gen(function*() {
      const { cache, hub, read } = yield* session
      const before = yield* read(Hub.model("org/name"))
      const moved = { ...model(noise(6000, 5)), "config.json": "{\"new\":1}" }
      hub.repositories.set("org/name", { revisions: { main: moved } })
      hub.troubles.set("model.safetensors", { statuses: Array.from({ length: 9 }, () => [500]) })
      assert.strictEqual((yield* Effect.flip(read(Hub.model("org/name"))))._tag, "HubUnreachable")
      assert.deepStrictEqual(yield* read(Hub.model("org/name"), offline), before)
      hub.troubles.clear()
      hub.requests.length = 0
      const after = yield* read(Hub.model("org/name"))
      assert.strictEqual(after.find(({ name }) => name === "model.safetensors")?.digest, sha256(noise(6000, 5)))
      assert.strictEqual(fs.readFileSync(path.join(cache, "refs/main"), "utf8"), FakeHub.commitOf(moved))
      // The tokenizer's content was here already.
      assert.isFalse(hub.requests.some(({ path }) => path.includes("tokenizer")))
      const old = yield* read(Hub.model("org/name", { revision: FakeHub.commitOf(model()) }), offline)
      assert.deepStrictEqual(old, before)
    }))

  const hostile = {
    type: "file",
    size: 4,
    oid: createHash("sha1").update("blob 4\0evil").digest("hex")
  }
  for (
    const file of [
      "../evil",
      "a/../../../evil.csv",
      "/tmp/evil",
      "..\\evil",
      "C:\\evil",
      "a//b",
      "a\u0000b",
      "",
      ".",
      "x/."
    ]
  ) {
    it.live(`refuses a repository that lists ${JSON.stringify(file)}`, () =>
      Effect.gen(function*() {
        const { home, hub, read } = yield* session
        hub.repositories.set("org/name", { revisions: { main: model() }, list: [{ ...hostile, path: file }] })
        const error = yield* Effect.flip(read(Hub.model("org/name", { files: ["*"] })))
        assert.deepInclude(error, { _tag: "HubCorrupt", file: JSON.stringify(file) })
        assert.deepStrictEqual(below(home), [])
      }))
  }

  it.live("refuses a list that lies about digests, and an answer that is no list", () =>
    Effect.gen(function*() {
      const { hub, read } = yield* session
      const entry = { ...hostile, path: "config.json" }
      for (
        const list of [
          [{ ...entry, oid: "../../evil" }],
          [{ ...entry, oid: undefined }],
          [{ ...entry, lfs: { oid: "../../evil", size: 4, pointerSize: 1 } }],
          [{ ...entry, size: -1 }],
          [{ ...entry, size: "4" }],
          [{ ...entry, path: 3 }]
        ]
      ) {
        hub.repositories.set("org/name", { revisions: { main: model() }, list })
        assert.strictEqual((yield* Effect.flip(read(Hub.model("org/name", { files: ["*"] }))))._tag, "HubCorrupt")
      }
      for (const list of [{}, [null], "x"]) {
        hub.repositories.set("org/name", { revisions: { main: model() }, list })
        assert.strictEqual((yield* Effect.flip(read(Hub.model("org/name", { files: ["*"] }))))._tag, "HubUnreachable")
      }
    }))

  const sharded = (index: unknown) => ({
    "config.json": "{}",
    "model.safetensors.index.json": typeof index === "string" ? index : JSON.stringify(index),
    "model-00001-of-00002.safetensors": noise(2000, 1),
    "model-00002-of-00002.safetensors": noise(2000, 2),
    "consolidated.safetensors": noise(4000, 3)
  })

  it.live("brings the shards that the index names, and no others", () =>
    Effect.gen(function*() {
      const { cache, hub, read } = yield* session
      const places = {
        a: "model-00001-of-00002.safetensors",
        b: "model-00002-of-00002.safetensors",
        c: "model-00001-of-00002.safetensors"
      }
      hub.repositories.set("org/name", { revisions: { main: sharded({ weight_map: places }) } })
      assert.deepStrictEqual(names(yield* read(Hub.model("org/name"))), [
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json"
      ])
      // As when somebody else brought a part of it, and no list of what there is.
      fs.rmSync(path.join(cache, "trees"), { recursive: true })
      const [commit] = fs.readdirSync(path.join(cache, "snapshots"))
      fs.rmSync(path.join(cache, "snapshots", commit!, "model-00002-of-00002.safetensors"))
      assert.deepInclude(yield* Effect.flip(read(Hub.model("org/name"), offline)), {
        _tag: "HubUnreachable",
        missing: ["model-00002-of-00002.safetensors"]
      })
      for (const shard of ["../../../etc/passwd", "model-00003-of-00002.safetensors"]) {
        hub.repositories.set("org/name", { revisions: { main: sharded({ weight_map: { a: shard } }) } })
        const error = yield* Effect.flip(read(Hub.model("org/name")))
        assert.deepInclude(error, { _tag: "HubNotFound", what: "file" })
        assert.include(error.message, shard)
      }
      for (const index of [[], {}, { weight_map: [] }, { weight_map: "x" }, "{", "null"]) {
        hub.repositories.set("org/name", { revisions: { main: sharded(index) } })
        assert.deepInclude(yield* Effect.flip(read(Hub.model("org/name"))), {
          _tag: "HubCorrupt",
          file: "model.safetensors.index.json"
        })
      }
    }))

  it.live("finds the files of one split of a data set", () =>
    Effect.gen(function*() {
      const { hub, read } = yield* session
      hub.repositories.set("org/data", {
        type: "dataset",
        revisions: {
          main: {
            "README.md": "",
            "data/train-00000-of-00002.parquet": noise(2000, 1),
            "data/train-00001-of-00002.parquet": noise(2000, 2),
            "data/test-00000-of-00001.parquet": noise(2000, 3),
            "other/train-00000-of-00001.parquet": noise(2000, 4)
          }
        }
      })
      const split = (split: string, configuration?: string) =>
        read(Hub.dataset("org/data", { split, ...(configuration === undefined ? {} : { configuration }) }))
      assert.deepStrictEqual(names(yield* split("train")), [
        "data/train-00000-of-00002.parquet",
        "data/train-00001-of-00002.parquet"
      ])
      assert.deepStrictEqual(names(yield* split("train", "other")), ["other/train-00000-of-00001.parquet"])
      const missing = yield* Effect.flip(split("validation"))
      assert.match(missing.message, /no file of the split "validation"/)
      const configuration = yield* Effect.flip(split("train", "de"))
      assert.deepInclude(configuration, { _tag: "HubNotFound", exists: ["data", "other"] })
      assert.strictEqual((yield* Effect.flip(read(Hub.model("org/data"))))._tag, "HubNotFound")
    }))

  it.live("is planned without its weights, runs, and reruns nothing when a branch moves to the same files", () =>
    Effect.gen(function*() {
      const { cache, hub, variables } = yield* session
      const fixture = new URL("../fixtures/hf/gpt2/", import.meta.url)
      const files = Object.fromEntries(
        ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"].map((name) =>
          [name, new Uint8Array(fs.readFileSync(new URL(name, fixture)))] as const
        )
      )
      hub.largeBytes = 20_000
      hub.repositories.set("org/name", { revisions: { main: files } })
      const pipeline = LoadModel({ files: Hub.model("org/name") })
      const plan = Effect.map(Pipeline.plan(pipeline), (steps) => steps.map(({ status }) => status))
      yield* Effect.gen(function*() {
        const [planned] = yield* plan
        assert.strictEqual(planned?._tag, "run")
        assert.isFalse(hub.requests.some(({ server }) => server === "storage"))
        assert.isFalse(fs.existsSync(path.join(cache, "refs")))
        const model = yield* Pipeline.run(pipeline)
        assert.strictEqual(model.architecture, "GPT2LMHeadModel")
        const [cached] = yield* plan
        assert.strictEqual(cached?._tag, "cached")
        assert.deepInclude(cached, { key: planned?._tag === "run" ? planned.key : "" })
        hub.repositories.set("org/name", { revisions: { main: { ...files, "README.md": "new" } } })
        assert.strictEqual((yield* plan)[0]?._tag, "cached")
        const weights = Safetensors.encode([["x", { dtype: "F32", shape: [9000], data: new Float32Array(9000) }]])
        hub.repositories.set("org/name", { revisions: { main: { ...files, "model.safetensors": weights } } })
        assert.strictEqual((yield* plan)[0]?._tag, "run")
        const error = yield* Effect.flip(Pipeline.run(pipeline))
        assert.strictEqual(error._tag, "MismatchedTensors")
      }).pipe(
        Effect.provideService(Hub.Variables, variables),
        Effect.provide(
          Layer.mergeAll(Store.layerMemory, Local.layer(), Layer.succeed(CodeIdentity, () => Effect.succeed("1"))),
          { local: true }
        )
      )
    }))
})
